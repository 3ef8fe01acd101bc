"""What the values of masks mean: understood over the whole set, or refused with the option that decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from delineate import formats
from delineate.formats import StoredMask
from delineate.image import LabelSet


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
    """How stored mask pixels become labels."""

    kind: Literal["values", "threshold", "instances", "colours"]
    labels: LabelSet
    rows: tuple[ValueRow, ...]
    notes: tuple[str, ...] = ()

    def decode(self, stored: StoredMask, path: Path) -> npt.NDArray[np.uint8]:
        """The mask as `(H, W)` uint8, 0 background, 1…n the labels; MaskError on values undecided."""
        raise NotImplementedError

    def to_json(self) -> dict[str, object]:
        """This encoding as plain lists, numbers and strings."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> MaskEncoding:
        """Read what `to_json` gave."""
        raise NotImplementedError


def understand(
    masks: Sequence[Path],
    *,
    labels: str | None = None,
    names: Mapping[int, str] | None = None,
    read: Callable[[Path], StoredMask] = formats.read_mask,
    progress: Callable[[int, int], object] | None = None,
) -> MaskEncoding:
    """Look at all masks of a set and say what their values mean; `progress(done, total)`."""
    raise NotImplementedError
