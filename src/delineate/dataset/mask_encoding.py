"""How stored mask pixels become labels: a table of ranges that can be shown, stored and applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from delineate.dataset.mask_survey import Integers, Reading, read_levels
from delineate.dataset.segments import Numbering, renumbered
from delineate.errors import MaskError
from delineate.formats import StoredMask
from delineate.image import LabelSet

Kind = Literal["values", "threshold", "instances", "colours"]
ANY = 2**62  # no value is as large
_UNDECIDED = 255
_TABLE_VALUES = 1 << 16


@dataclass(frozen=True)
class ValueRow:
    """A line of the table that is shown: what a stored value means and how much of it there is.

    Attributes:
        value: The stored value, a range "0–127" or a colour "#ff0000".
        label: Its label's name; None for background.
        share: Of all pixels of the set, 0 to 1.
        cases: Files in which it occurs.
    """

    value: str
    label: str | None
    share: float
    cases: int


@dataclass(frozen=True)
class MaskEncoding:
    """How stored mask pixels become labels.

    Attributes:
        kind: "values": a number a label; "threshold": soft edges, one label above a level; "instances":
            numbered objects, all of one label; "colours": a colour a label.
        labels: The labels, in the order of their values 1…n.
        rows: The table to show.
        notes: What the user should know.
        warnings: What may be understood wrongly.
        ranges: `(first, last, label)`, both ends included, rising and apart; label 0 is background. Values in
            none of them are undecided.
        reading: How pixels are taken; see `mask_survey.Survey`.
        fractions: Whether the masks hold shares from 0 to 1; ranges are then of 0…255.
        nearest: Whether a colour means the nearest one of `ranges`, since edges are blurred.
        segments: Folded name and value of each segment, where the files number theirs differently; masks are
            brought to this numbering by what they call their values. Empty where all number alike.
    """

    kind: Kind
    labels: LabelSet
    rows: tuple[ValueRow, ...]
    notes: tuple[str, ...] = ()
    ranges: tuple[tuple[int, int, int], ...] = ()
    reading: Reading = "values"
    fractions: bool = False
    nearest: bool = False
    segments: Numbering = ()
    warnings: tuple[str, ...] = ()

    def decode(self, stored: StoredMask, path: Path) -> npt.NDArray[np.uint8]:
        """The labels of one mask.

        Args:
            stored: As `formats.read_mask` gives it.
            path: Its file, for messages.

        Returns:
            `(H, W)` or `(D, H, W)` uint8: 0 background, 1…n the labels.

        Raises:
            MaskError: It holds values whose meaning was not decided, or is of another kind than the set.
        """
        if self.segments:
            stored = renumbered(stored, self.segments, path)
        levels = read_levels(stored, path, self.reading, self.fractions)
        if self.nearest:
            return nearest_labels(levels, self.ranges)
        if int(levels.max()) < _TABLE_VALUES:
            decoded = self._look_up(np.arange(int(levels.max()) + 1))[levels]
        else:
            decoded = self._look_up(levels)
        if (decoded == _UNDECIDED).any():
            unknown = np.unique(levels[decoded == _UNDECIDED])
            listed = ", ".join(value_text(int(value), self.reading) for value in unknown[:8])
            pixels = int((decoded == _UNDECIDED).sum())
            raise MaskError(
                f"{path}: {pixels} pixels have values of no known meaning: {listed}"
                f"{', …' if len(unknown) > 8 else ''}. Correct the mask, or name the values with --labels."
            )
        return decoded

    def _look_up(self, levels: Integers) -> npt.NDArray[np.uint8]:
        first, last, label = (np.array(column) for column in zip(*self.ranges, strict=True))
        at = np.searchsorted(first, levels, side="right") - 1
        known = (at >= 0) & (levels <= last[at])
        return np.where(known, label[at], _UNDECIDED).astype(np.uint8)

    def to_json(self) -> dict[str, object]:
        """This encoding as lists, numbers and strings, for `from_json`."""
        return {
            "kind": self.kind,
            "labels": list(self.labels.names),
            "rows": [[row.value, row.label, row.share, row.cases] for row in self.rows],
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "ranges": [list(entry) for entry in self.ranges],
            "reading": self.reading,
            "fractions": self.fractions,
            "nearest": self.nearest,
            "segments": [list(entry) for entry in self.segments],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> MaskEncoding:
        """Read what `to_json` gave.

        Raises:
            ValueError: It is something else.
        """
        try:
            if values["kind"] not in get_args(Kind) or values["reading"] not in get_args(Reading):
                raise ValueError("unknown kind or reading")
            encoding = cls(
                kind=values["kind"],
                labels=LabelSet.of(*map(str, values["labels"])),
                rows=tuple(
                    ValueRow(str(value), None if label is None else str(label), float(share), int(cases))
                    for value, label, share, cases in values["rows"]
                ),
                notes=tuple(map(str, values["notes"])),
                warnings=tuple(map(str, values["warnings"])),
                ranges=tuple((int(first), int(last), int(label)) for first, last, label in values["ranges"]),
                reading=values["reading"],
                fractions=bool(values["fractions"]),
                nearest=bool(values["nearest"]),
                segments=tuple((str(name), int(value)) for name, value in values["segments"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no mask encoding: {error}") from error
        ends = [end for first, last, _ in encoding.ranges for end in (first, last + 1)]
        if (
            not ends
            or ends != sorted(ends)
            or {e[2] for e in encoding.ranges} - set(range(len(encoding.labels) + 1))
        ):
            raise ValueError("this is no mask encoding: its ranges overlap or name no label")
        return encoding


def nearest_labels(levels: Integers, ranges: tuple[tuple[int, int, int], ...]) -> npt.NDArray[np.uint8]:
    """The label of the nearest colour of `ranges`, in the mask's size, uint8, by distance in RGB."""
    seen, where = np.unique(levels, return_inverse=True)
    colours = np.array([first for first, _, _ in ranges])
    labels = np.array([label for _, _, label in ranges], dtype=np.uint8)
    chosen: npt.NDArray[np.uint8] = labels[colour_distances(seen, colours).argmin(axis=1)][where]
    return chosen.reshape(levels.shape)


def colour_distances(these: Integers, those: Integers) -> npt.NDArray[np.float64]:
    """Distances in RGB, 0 to 442, `(len(these), len(those))`."""
    a, b = (np.stack([c >> 16, (c >> 8) & 255, c & 255], axis=-1).astype(np.float64) for c in (these, those))
    distances: npt.NDArray[np.float64] = np.linalg.norm(a[:, None] - b[None], axis=-1)
    return distances


def value_text(value: int, reading: Reading) -> str:
    """A value as the user writes it in --labels."""
    return f"#{value:06x}" if reading == "colours" else str(value)
