"""What a data set is like, measured once over its training cases: all the planner knows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from delineate.image import BACKGROUND, Colour, Image, LabelSet, Mask, as_colour

SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
SIDES = (64, 96, 128, 160, 192, 256)
PIXELS_SAMPLED = 4096  # an image, for intensities
CASES_RESCALED = 48  # for the scale ceilings
ATLAS_SIDE = 32


class Fingerprint(BaseModel):
    """What a data set is like.

    Attributes:
        cases: Number of training cases.
        colour: "grey" where all channels of every image are equal, "rgb", or "channels" for anything else.
        channels: Channels the net will see: 1 for grey, 3 for rgb.
        smallest: Least height and least width over the cases.
        median: Median height and median width.
        largest: Greatest height and greatest width.
        aspect: Smallest and largest height / width.
        pixels: "float" where any image is, else "integer".
        mean: A channel, over all images, in shares of the integer range, or the units of float files.
        standard_deviation: Likewise.
        labels: Names in the order of their values.
        label_share: Share of the pixels of each label.
        label_cases: Number of cases in which each label occurs.
        scale_ceiling: For each scale, the mean Dice of the masks with themselves after being scaled down and
            back: no net that works at that scale can do better.
        side_ceiling: Likewise with every case brought to the area of a square of this side, none enlarged.
        mirrored_horizontally: How like the places of the labels in one half of the cases are to those in the
            other half mirrored left to right, as a share of how like they are unmirrored: 1 where mirroring
            changes nothing, near 0 where left and right have different labels.
        mirrored_vertically: Likewise top to bottom.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int
    colour: Colour
    channels: int
    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    aspect: tuple[float, float]
    pixels: Literal["integer", "float"]
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]
    labels: tuple[str, ...]
    label_share: tuple[float, ...]
    label_cases: tuple[int, ...]
    scale_ceiling: dict[float, float]
    side_ceiling: dict[int, float]
    mirrored_horizontally: float
    mirrored_vertically: float


def measure(cases: Iterable[tuple[Image, Mask]], labels: LabelSet, colour: Colour) -> Fingerprint:
    """Measure a data set, one case in memory at a time.

    Args:
        cases: Images and their masks, of the training part alone.
        labels: What the mask values mean.
        colour: How the channels are to be read, from the check.

    Returns:
        The fingerprint.

    Raises:
        ValueError: There is no case.
    """
    sizes: list[tuple[int, int]] = []
    samples: list[npt.NDArray[np.float64]] = []
    pixels_by_value = np.zeros(len(labels) + 1)
    cases_by_value = np.zeros(len(labels) + 1, dtype=int)
    integer = True
    ceilings: list[list[float]] = []
    atlases = np.zeros((2, len(labels), ATLAS_SIDE, ATLAS_SIDE))
    for position, (image, mask) in enumerate(cases):
        sizes.append((image.size[0], image.size[1]))
        samples.append(_sample(image, colour))
        counts = np.bincount(mask.values.ravel(), minlength=len(labels) + 1)[: len(labels) + 1]
        pixels_by_value += counts
        cases_by_value += counts > 0
        atlases[position % 2] += _atlas(mask.values, len(labels))
        integer = integer and np.issubdtype(image.pixels.dtype, np.integer)
        if len(ceilings) < CASES_RESCALED and (position < 24 or position % 8 == 0):
            shares = [min(1.0, side / math.sqrt(mask.values.size)) for side in SIDES]
            ceilings.append([_ceiling(mask.values, scale) for scale in (*SCALES, *shares)])
    if not sizes:
        raise ValueError("a fingerprint needs at least one case")
    heights, widths = np.array(sizes).T
    values = np.concatenate(samples, axis=1)
    share = pixels_by_value / pixels_by_value.sum()
    ceiling = [float(value) for value in _means(np.array(ceilings))]
    return Fingerprint(
        cases=len(sizes),
        colour=colour,
        channels=values.shape[0],
        smallest=(int(heights.min()), int(widths.min())),
        median=(int(np.median(heights)), int(np.median(widths))),
        largest=(int(heights.max()), int(widths.max())),
        aspect=(float((heights / widths).min()), float((heights / widths).max())),
        pixels="integer" if integer else "float",
        mean=tuple(float(v) for v in values.mean(1)),
        standard_deviation=tuple(float(v) for v in np.maximum(values.std(1), 1e-6)),
        labels=labels.names,
        label_share=tuple(float(s) for s in share[1:]),
        label_cases=tuple(int(n) for n in cases_by_value[1:]),
        scale_ceiling=dict(zip(SCALES, ceiling[: len(SCALES)], strict=True)),
        side_ceiling=dict(zip(SIDES, ceiling[len(SCALES) :], strict=True)),
        mirrored_horizontally=_likeness(atlases, axis=-1),
        mirrored_vertically=_likeness(atlases, axis=-2),
    )


def _sample(image: Image, colour: Colour) -> npt.NDArray[np.float64]:
    """Up to `PIXELS_SAMPLED` pixels on a grid that is even along both axes: `(C, n)`."""
    pixels = as_colour(image, colour).units()
    height, width = pixels.shape[1:]
    rows = min(height, PIXELS_SAMPLED, max(1, round(math.sqrt(PIXELS_SAMPLED * height / width))))
    columns = min(width, PIXELS_SAMPLED // rows)
    sampled = pixels[:, _places(height, rows)[:, None], _places(width, columns)]
    return sampled.reshape(pixels.shape[0], -1).astype(np.float64)


def _places(length: int, count: int) -> npt.NDArray[np.intp]:
    """The middles of `count` equal parts of `length` pixels; every pixel where they are as many."""
    return (2 * np.arange(count) + 1) * length // (2 * count)


def _means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means of the columns over the rows that are numbers; 1 where none is (every mask is empty)."""
    known = np.isfinite(values)
    counts = known.sum(0)
    sums = np.where(known, values, 0).sum(0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def _atlas(mask: npt.NDArray[np.uint8], labels: int) -> npt.NDArray[np.float64]:
    """Where each label lies, at pixels on an even grid: `(labels, ATLAS_SIDE, ATLAS_SIDE)`, 0 or 1."""
    rows, columns = (
        np.arange(ATLAS_SIDE) * side // ATLAS_SIDE + side // (2 * ATLAS_SIDE) for side in mask.shape
    )
    sampled = mask[np.ix_(rows, columns)]
    values = np.arange(1, labels + 1, dtype=np.uint8)[:, None, None]
    return np.equal(sampled, values).astype(np.float64)


def _likeness(atlases: npt.NDArray[np.float64], axis: int) -> float:
    """How like the first atlas is to the second one mirrored, over how like it is to it as it stands."""
    first, second = (
        atlas / np.maximum(np.linalg.norm(atlas, axis=(1, 2), keepdims=True), 1e-9) for atlas in atlases
    )
    plain = float((first * second).sum())
    if plain <= 0:  # too few cases to compare halves: one with itself
        first = second = (atlases[0] + atlases[1]) / max(float(np.linalg.norm(atlases[0] + atlases[1])), 1e-9)
        plain = float((first * second).sum())
    return float((first * np.flip(second, axis)).sum()) / plain if plain > 0 else 1.0


def _ceiling(mask: npt.NDArray[np.uint8], scale: float) -> float:
    """Mean Dice over the labels in `mask` with itself after scaling down and back; NaN for an empty mask."""
    if scale == 1:
        return 1.0 if mask.any() else float("nan")
    from PIL import Image as Picture  # noqa: PLC0415  kept out of the import of this module

    dice = []
    small = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    for value in np.unique(mask[mask != BACKGROUND]):
        reference = mask == value
        picture = Picture.fromarray(reference.astype(np.float32))
        back = picture.resize(small, Picture.Resampling.BOX).resize(
            (mask.shape[1], mask.shape[0]), Picture.Resampling.BILINEAR
        )
        found = np.asarray(back) > 0.5
        dice.append(2 * np.count_nonzero(found & reference) / (found.sum() + reference.sum()))
    return float(np.mean(dice)) if dice else float("nan")
