"""What discovery hands on: the files of each case, and every problem met on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from delineate.dataset.naming import printable

Split = Literal["train", "validation", "test"]
Level = Literal["error", "warning", "note"]
SPLIT_WORDS: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "ts"), "test"),
}


@dataclass(frozen=True)
class Structure:
    """A part of a mask that is joined of several files.

    Attributes:
        name: Of its label; empty for objects of one kind that have none, such as nuclei.
        value: Of its label.
        files: Each drawn in two values: one, or one an object.
    """

    name: str
    value: int
    files: tuple[Path, ...]


@dataclass(frozen=True)
class CaseFiles:
    """Where one case lies.

    Attributes:
        name: Unique in its data set and safe as a file name.
        image: One file, one a channel, or one a slice; a folder stands for the DICOM series in it.
        mask: Its mask's file; the first of them where it is joined of several.
        group: What must not be split (a patient), where the data say so.
        split: The part it belongs to, where the data say so.
        stack: Whether the image's files are slices of one DICOM series.
        plain: The name without the part, folder or number that may have been added to tell it from others:
            patterns for groups are sought in it.
        structures: What the mask is joined of, where it is, each painted over those before.
    """

    name: str
    image: tuple[Path, ...]
    mask: Path | None
    group: str | None = None
    split: Split | None = None
    stack: bool = False
    plain: str = ""
    structures: tuple[Structure, ...] = ()

    @property
    def mask_files(self) -> tuple[Path, ...]:
        """All files of the mask."""
        if self.structures:
            return tuple(path for structure in self.structures for path in structure.files)
        return () if self.mask is None else (self.mask,)

    @property
    def held_out(self) -> bool:
        """Whether the data put it into another part than that to train on."""
        return self.split in ("validation", "test")


@dataclass(frozen=True)
class Problem:
    """Something the user should know.

    Attributes:
        level: "error" stops training, "warning" is for the report too, "note" says what was done.
        code: A fixed short name of the kind: "unpaired-image".
        message: What, where and what to do.
        paths: All files it is about; the message may name only the first of many.
    """

    level: Level
    code: str
    message: str
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Discovery:
    """What lies in a folder.

    Attributes:
        root: The folder, or the table's folder.
        layout: What was recognised, in words.
        cases: In natural order of their names.
        problems: Everything unpaired, doubled, ambiguous or left aside.
        label_names: Value to name, where a `dataset.json` says so.
        channel_names: Likewise, one a channel.
    """

    root: Path
    layout: str
    cases: tuple[CaseFiles, ...]
    problems: tuple[Problem, ...]
    label_names: Mapping[int, str] | None = None
    channel_names: tuple[str, ...] | None = None


def shown(path: Path, root: Path) -> str:
    """`path` as seen from `root`, for a message; its name alone where it lies elsewhere."""
    return printable(path.relative_to(root) if path.is_relative_to(root) else path.name)
