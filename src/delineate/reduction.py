"""What masks keep of themselves when they are made smaller: the best that a net working there can reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from delineate.image import BACKGROUND, IGNORED

SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
SIDES = (64, 96, 128, 160, 192, 256)
SLICES_RESCALED = 3  # of a volume
MOST_RESCALED = {2: 48, 3: 24}  # cases of so many axes
FEWEST_RESCALED = 4  # cases of each label, beyond those


@dataclass
class Ceilings:
    """What masks keep at each of `SCALES` and `SIDES`, gathered from cases that are spread over all of them.

    Attributes:
        labels: Number of labels.
        every: One case in so many is looked at; twice as many whenever that comes to too many.
        rows: By the position of the case, `(scales and sides, labels)` for each of its pictures; NaN for a
            label that it has not.
        seen: Of each label the cases in `rows` or `more` whose pictures show it.
        more: As `rows`, of cases kept for a label that few of the others show.
        shapes: By position, height / width of the cases in `rows` and `more`.
    """

    labels: int
    every: int = 1
    rows: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    more: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    shapes: dict[int, float] = field(default_factory=dict)
    seen: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.seen = np.zeros(self.labels, dtype=np.int64)

    def add(self, position: int, mask: npt.NDArray[np.uint8], present: npt.NDArray[np.bool_]) -> None:
        """Look at a case, if it is its turn.

        Args:
            position: Of the case, from 0.
            mask: `(H, W)` or `(D, H, W)`.
            present: `(labels + 1,)`, whether each value occurs in it.
        """
        turn = position % self.every == 0
        if not turn and not self._lacks(present[1:]):
            return
        found = np.stack([_kept(picture, self.labels) for picture in _pictures(mask)])
        self.seen += _shown(found)
        (self.rows if turn else self.more)[position] = found
        self.shapes[position] = mask.shape[-2] / mask.shape[-1]
        if len(self.rows) > MOST_RESCALED[mask.ndim]:
            self._thin()

    def _lacks(self, labels: npt.NDArray[np.bool_]) -> bool:
        """Whether too few cases show one of these labels."""
        return bool((labels & (self.seen < FEWEST_RESCALED)).any())

    def _thin(self) -> None:
        """Let every other case go, but those that show a label that too few others show."""
        self.every *= 2
        for at in [at for at in self.rows if at % self.every]:
            found = self.rows.pop(at)
            self.seen -= _shown(found)
            if self._lacks(_shown(found)):
                self.more[at] = found
                self.seen += _shown(found)
            else:
                del self.shapes[at]

    def means(self) -> tuple[dict[float, float], dict[int, float]]:
        """By scale and by side: the mean over pictures of each label, then over labels; 1 without any."""
        rows = np.concatenate([*self.rows.values(), *self.more.values()])
        of_labels = _means(rows)
        kept = [float(value) for value in _means(of_labels.T)]
        scales = dict(zip(SCALES, kept[: len(SCALES)], strict=True))
        return scales, dict(zip(SIDES, kept[len(SCALES) :], strict=True))

    def padded(self, shape: float) -> dict[int, float]:
        """As by side, where all are put into one shape and keep their own: others are made smaller still.

        Args:
            shape: Height / width of that one; its area is that of the square.
        """
        rows = []
        for position, found in (*self.rows.items(), *self.more.items()):
            ratio = self.shapes[position] / shape
            rows.append(_between_sides(found[:, len(SCALES) :], math.sqrt(min(ratio, 1 / ratio))))
        kept = _means(_means(np.concatenate(rows)).T)
        return dict(zip(SIDES, map(float, kept), strict=True))


def _between_sides(found: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.float64]:
    """What is kept at a share of each side, drawn straight between the sides that were measured.

    Args:
        found: `(pictures, sides, labels)`.
        share: At most 1; below the least side counts what is kept there, which is never less.
    """
    at = share * np.array(SIDES)
    return np.apply_along_axis(lambda kept: np.interp(at, SIDES, kept), 1, found)


def _means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means over the first axis of what is a number; where nothing is, NaN, or 1 of a single axis left."""
    known = np.isfinite(values)
    counts = known.sum(0)
    sums = np.where(known, values, 0).sum(0)
    nothing = np.nan if values.ndim > 2 else 1.0
    return np.where(counts > 0, sums / np.maximum(counts, 1), nothing)


def _shown(found: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which labels the pictures of a case show: `(labels,)`."""
    return np.asarray(np.isfinite(found[:, 0]).any(0))


def _pictures(mask: npt.NDArray[np.uint8]) -> Sequence[npt.NDArray[np.uint8]]:
    """The mask of a picture; of a volume a few slices.

    These are taken from those with most labelled pixels downwards, and of each label that none of them shows
    the one with most of it.
    """
    if mask.ndim == 2:
        return [mask]
    counts = np.stack([np.bincount(each.ravel(), minlength=256) for each in mask])
    counts[:, [BACKGROUND, IGNORED]] = 0
    areas = counts.sum(1)
    order = np.argsort(-areas, kind="stable")[: max(1, int(np.count_nonzero(areas)))]
    chosen = [int(order[at]) for at in middles(len(order), min(SLICES_RESCALED, len(order)))]
    for value in np.flatnonzero(counts.any(0) & ~counts[chosen].any(0)):
        if not counts[chosen, value].any():
            chosen.append(int(counts[:, value].argmax()))
    return [mask[at] for at in chosen]


def middles(length: int, count: int) -> npt.NDArray[np.intp]:
    """The middles of `count` equal parts of `length` places; every place where they are as many."""
    return (2 * np.arange(count) + 1) * length // (2 * count)


def _kept(mask: npt.NDArray[np.uint8], labels: int) -> npt.NDArray[np.float64]:
    """Dice of each label with itself after scaling down and back: `(scales and sides, labels)`."""
    kept = np.full((len(SCALES) + len(SIDES), labels), np.nan)
    shares = [min(1.0, side / math.sqrt(mask.size)) for side in SIDES]
    for value in np.unique(mask[(mask != BACKGROUND) & (mask != IGNORED)]):
        kept[:, value - 1] = [_dice(mask == value, scale) for scale in (*SCALES, *shares)]
    return kept


def _dice(reference: npt.NDArray[np.bool_], scale: float) -> float:
    """Dice of a label with itself after scaling down and back."""
    if scale == 1:
        return 1.0
    from PIL import Image as Picture  # noqa: PLC0415  kept out of the import of this module

    height, width = reference.shape
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Picture.fromarray(reference.astype(np.float32))
    back = picture.resize(small, Picture.Resampling.BOX).resize((width, height), Picture.Resampling.BILINEAR)
    found = np.asarray(back) > 0.5
    return float(2 * np.count_nonzero(found & reference) / (found.sum() + reference.sum()))
