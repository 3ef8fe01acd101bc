"""What a check found, for people, for the planner and for a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from delineate.dataset.case_files import CaseFiles, Discovery, Problem, shown
from delineate.dataset.grouping import Groups, merge_groups
from delineate.dataset.masks import MaskEncoding, ValueRow
from delineate.dataset.naming import printable
from delineate.dataset.pseudonyms import Pseudonyms
from delineate.formats import USUAL, Reading
from delineate.image import Colour


@dataclass(frozen=True)
class Sizes:
    """The sizes of the images, each `(H, W)` or `(D, H, W)`.

    Attributes:
        smallest: Least of each side.
        median: Median of each side.
        largest: Greatest of each side.
        distinct: Number of different sizes.
        spacing_mm: Median along each axis as stored; None where not all files say it.
    """

    smallest: tuple[int, ...]
    median: tuple[int, ...]
    largest: tuple[int, ...]
    distinct: int
    spacing_mm: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ChannelIntensity:
    """The values of one channel over all images, in the files' units, every image counting alike."""

    name: str
    minimum: float
    maximum: float
    mean: float
    standard_deviation: float


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        discovery: What lies in the folder.
        cases: The usable ones: read whole, of matching sizes.
        encoding: What the mask values mean; None where that could not be decided.
        problems: All of them, those of discovery included, errors first.
        sizes: Of the images; None where none could be read.
        channels: What a net will see: 1 for grey, 3 for rgb.
        colour: How the channels are to be read.
        intensities: One a channel.
        labels_by_case: For each usable case the names of the labels in its mask.
        duplicate_groups: Names of cases with the same pixels.
        near_duplicate_groups: Names of cases that show nearly the same picture.
        keep_near_together: Whether near duplicates are kept in one part of the split; not where more than
            half of the set would then be one group.
        groups: For each usable case the group that the data or `--group-regex` state; None where they do not.
        axes: 2 for pictures, 3 for volumes.
        orientation: That volumes are to be turned to for the net.
        subjects: For each case whose file says of whom it is a digest of that, valid in this process alone.
        diagonals_mm: For each case whose file says its spacing, from one corner of the image to the other.
        sizes_by_case: For each usable case its `(H, W)` or `(D, H, W)`.
        reading: How the files were read.
        pseudonyms: Which codes stand for names that tell too much.
        order: Names of the structures of joined masks, each painted over those before; empty where there are
            not several.
    """

    discovery: Discovery
    cases: tuple[CaseFiles, ...]
    encoding: MaskEncoding | None
    problems: tuple[Problem, ...]
    sizes: Sizes | None
    channels: int
    colour: Colour
    intensities: tuple[ChannelIntensity, ...]
    labels_by_case: Mapping[str, tuple[str, ...]]
    duplicate_groups: Groups
    near_duplicate_groups: Groups
    keep_near_together: bool = True
    groups: Mapping[str, str | None] = field(default_factory=dict)
    axes: Literal[2, 3] = 2
    orientation: str | None = None
    subjects: Mapping[str, str] = field(default_factory=dict)
    diagonals_mm: Mapping[str, float] = field(default_factory=dict)
    sizes_by_case: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    reading: Reading = USUAL
    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)
    order: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way of training."""
        return not any(problem.level == "error" for problem in self.problems)

    @property
    def label_rows(self) -> tuple[ValueRow, ...]:
        """What each mask value means and how much of it there is."""
        return self.encoding.rows if self.encoding else ()

    def shown(self, path: Path) -> str:
        """A file as it may be named in what is shown and written."""
        return self.pseudonyms.redacted(shown(path, self.discovery.root))

    def _without_outside(self, message: str, paths: Sequence[Path]) -> str:
        """`message` with files outside the data's folder by their names alone."""
        hide = self.pseudonyms.redacted
        for path in paths:
            if path.is_absolute() and not path.is_relative_to(self.discovery.root):
                message = message.replace(hide(printable(path)), hide(printable(path.name)))
        return message

    def case_groups(self) -> Mapping[str, str]:
        """For each usable case what it must not be split from: stated groups and duplicates, put together."""
        near = self.near_duplicate_groups if self.keep_near_together else ()
        return merge_groups(self.groups, (*self.duplicate_groups, *near))

    def strict_groups(self) -> Mapping[str, str]:
        """As `case_groups`, but without near duplicates, which a split by hand may divide."""
        return merge_groups(self.groups, self.duplicate_groups)

    def to_json(self) -> dict[str, object]:
        """The report as plain lists, numbers and strings, with no path from outside the data's folder."""
        root = self.discovery.root
        return {
            "layout": self.discovery.layout,
            "cases": len(self.cases),
            "colour": self.colour,
            "channels": self.channels,
            "axes": self.axes,
            "orientation": self.orientation,
            "sizes_height_width": vars(self.sizes) if self.sizes else None,
            "intensities": [vars(channel) for channel in self.intensities],
            "labels": [vars(row) for row in self.label_rows],
            "duplicate_groups": [list(group) for group in self.duplicate_groups],
            "near_duplicate_groups": [list(group) for group in self.near_duplicate_groups],
            "problems": [
                {
                    "level": problem.level,
                    "code": problem.code,
                    "message": self._without_outside(without_root(problem.message, root), problem.paths),
                    "files": [self.shown(path) for path in problem.paths],
                }
                for problem in self.problems
            ],
        }


def without_root(message: str, root: Path, called: str | None = None) -> str:
    """`message` without the path that leads to the data, which may tell more than it should.

    Args:
        message: For the user.
        root: The data's folder.
        called: What stands for its own name; None for that.
    """
    for path in (root.absolute(), root):
        if path.name and path != Path(path.name):
            message = message.replace(f"{path}/", "").replace(str(path), called or path.name)
    return message
