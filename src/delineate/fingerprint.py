"""What a data set is like, measured once over its training cases: all the planner knows of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from delineate.image import (
    BACKGROUND,
    IGNORED,
    Colour,
    Image,
    LabelSet,
    Mask,
    as_colour,
    oriented,
    oriented_mask,
)

SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
SIDES = (64, 96, 128, 160, 192, 256)
PIXELS_SAMPLED = 4096  # an image, for intensities
CASES_RESCALED = 48  # for the scale ceilings
ATLAS_SIDES = {2: 32, 3: 16}  # of an image of so many axes
SLICES_RESCALED = 3  # of a volume, for the scale ceilings
LABELLED_SAMPLED = 1024  # labelled pixels an image, for intensities
ROUNDING = 1e-6  # of a mean: what a standard deviation of equal pixels may be
AIR_HU = (-1100.0, -500.0)  # where the darkest pixels of a CT lie
LEAST_PADDING_HU = -4000.0  # of what lies outside of the scanner's circle; -2000 and -3024 are usual
PADDING_SHARE = 0.9  # of what is darker than air, at least: interpolation leaves some between the two


class Fingerprint(BaseModel):
    """What a data set is like.

    Attributes:
        cases: Number of training cases.
        slices: Number of slices that a net of two axes learns from, see `slices_to_learn`; 0 of pictures.
        axes: Spatial axes of the images: 2 for pictures, 3 for volumes. Of volumes all that follows holds
            after they were turned to `orientation`.
        orientation: That all volumes are turned to, such as "SPL"; None where they are left as stored.
        spacing_mm: Median along each axis; None where files do not say.
        finest_mm: Tenth percentile of the spacings along each axis, likewise.
        modality: Of all images, where their files say it: "CT", "MR".
        colour: "grey" where all channels of every image are equal, "rgb", or "channels" for anything else.
        channels: Channels the net will see: 1 for grey, 3 for rgb.
        smallest: Least (depth,) height and width over the cases.
        median: Median (depth,) height and width.
        largest: Greatest (depth,) height and width.
        aspect: Smallest and largest height / width.
        pixels: "float" where any image is, else "integer".
        mean: A channel, over all images, in shares of the integer range, or the units of float files.
        standard_deviation: Likewise.
        calibrated: Whether the numbers of one image mean the same in another, as Hounsfield units do.
        labelled_mean: A channel, over the labelled pixels of all images, in the same units.
        labelled_deviation: Likewise.
        labelled_range: Their 0.5th and 99.5th percentile, a channel.
        labels: Names in the order of their values.
        label_share: Share of the pixels of each label.
        label_cases: Number of cases in which each label occurs.
        scale_ceiling: For each scale, the mean Dice of the masks with themselves after being scaled down and
            back: no net that works at that scale can do better. Of volumes a few slices of each.
        side_ceiling: Likewise with every case brought to the area of a square of this side, none enlarged.
        mirrored_horizontally: How like the places of the labels in one half of the cases are to those in the
            other half mirrored left to right, as a share of how like they are unmirrored: 1 where mirroring
            changes nothing, near 0 where left and right have different labels.
        mirrored_vertically: Likewise top to bottom.
        mirrored_in_depth: Likewise along the first axis of volumes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int
    slices: int = 0
    axes: Literal[2, 3] = 2
    orientation: str | None = None
    spacing_mm: tuple[float, ...] | None = None
    finest_mm: tuple[float, ...] | None = None
    modality: str | None = None
    colour: Colour
    channels: int
    smallest: tuple[int, ...]
    median: tuple[int, ...]
    largest: tuple[int, ...]
    aspect: tuple[float, float]
    pixels: Literal["integer", "float"]
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]
    calibrated: bool = False
    labelled_mean: tuple[float, ...] = ()
    labelled_deviation: tuple[float, ...] = ()
    labelled_range: tuple[tuple[float, float], ...] = ()
    labels: tuple[str, ...]
    label_share: tuple[float, ...]
    label_cases: tuple[int, ...]
    scale_ceiling: dict[float, float]
    side_ceiling: dict[int, float]
    mirrored_horizontally: float
    mirrored_vertically: float
    mirrored_in_depth: float = 1.0


def measure(
    cases: Iterable[tuple[Image, Mask]], labels: LabelSet, colour: Colour, orientation: str | None = None
) -> Fingerprint:
    """Measure a data set, one case in memory at a time.

    Args:
        cases: Images and their masks, of the training part alone; all of as many axes.
        labels: What the mask values mean.
        colour: How the channels are to be read, from the check.
        orientation: That volumes are to be turned to; None to leave them as they are stored.

    Returns:
        The fingerprint.

    Raises:
        ValueError: There is no case, or some have two axes and some three.
    """
    found = _Measuring(len(labels))
    for image, mask in cases:
        found.add(oriented(image, orientation), oriented_mask(mask, orientation), colour)
    if not found.sizes:
        raise ValueError("a fingerprint needs at least one case")
    if len({len(size) for size in found.sizes}) > 1:
        raise ValueError("a fingerprint needs pictures or volumes, not both")
    return found.fingerprint(labels, colour, orientation)


@dataclass
class _Measuring:
    """What is kept of the cases while they are gone through."""

    labels: int
    sizes: list[tuple[int, ...]] = field(default_factory=list)
    spacings: list[tuple[float, ...] | None] = field(default_factory=list)
    samples: list[npt.NDArray[np.float64]] = field(default_factory=list)
    labelled: list[npt.NDArray[np.float64]] = field(default_factory=list)
    calibrated: list[bool] = field(default_factory=list)
    modalities: set[str | None] = field(default_factory=set)
    integer: bool = True
    slices: int = 0
    ceilings: list[list[float]] = field(default_factory=list)
    pixels_by_value: npt.NDArray[np.float64] = field(init=False)
    cases_by_value: npt.NDArray[np.int64] = field(init=False)
    atlases: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        self.pixels_by_value = np.zeros(self.labels + 1)
        self.cases_by_value = np.zeros(self.labels + 1, dtype=np.int64)

    def add(self, image: Image, mask: Mask, colour: Colour) -> None:
        """Go through one case."""
        position = len(self.sizes)
        self.sizes.append(image.size)
        spacing = image.geometry.spacing_mm
        self.spacings.append(spacing if spacing is not None and len(spacing) == len(image.size) else None)
        self.samples.append(_sample(image, colour))
        self.labelled.append(_labelled_sample(image, mask.values, colour))
        has_air = image.modality is None and _has_air(self.samples[-1])
        self.calibrated.append(image.modality == "CT" or has_air)
        self.modalities.add(image.modality)
        self.integer = self.integer and not image.in_own_units
        counts = np.bincount(mask.values.ravel(), minlength=self.labels + 1)[: self.labels + 1]
        self.pixels_by_value += counts
        self.cases_by_value += counts > 0
        if mask.values.ndim == 3:
            self.slices += len(slices_to_learn(mask.values))
        atlas = _atlas(mask.values, self.labels)
        if self.atlases is None:
            self.atlases = np.zeros((2, *atlas.shape))
        if self.atlases[0].shape == atlas.shape:
            self.atlases[position % 2] += atlas
        if len(self.ceilings) < CASES_RESCALED and (position < 24 or position % 8 == 0):
            self.ceilings += [_ceilings(values) for values in _slices_to_rescale(mask.values)]

    def fingerprint(self, labels: LabelSet, colour: Colour, orientation: str | None) -> Fingerprint:
        """What it comes to."""
        sizes = np.array(self.sizes)
        heights, widths = sizes[:, -2], sizes[:, -1]
        values = np.concatenate(self.samples, axis=1)
        labelled = np.concatenate(self.labelled, axis=1)
        if not labelled.shape[1]:
            labelled = values
        share = self.pixels_by_value / max(self.pixels_by_value.sum(), 1)
        ceiling = [float(value) for value in _means(np.array(self.ceilings))]
        atlases = self.atlases if self.atlases is not None else np.zeros((2, len(labels), 1, 1))
        known = [spacing for spacing in self.spacings if spacing is not None]
        spacings = np.array(known) if known and len(known) == len(self.spacings) else None
        modality = next(iter(self.modalities)) if len(self.modalities) == 1 else None
        low, high = np.percentile(labelled, [0.5, 99.5], axis=1)
        return Fingerprint(
            cases=len(sizes),
            slices=self.slices,
            axes=3 if sizes.shape[1] == 3 else 2,
            orientation=orientation,
            spacing_mm=_row(np.median(spacings, axis=0)) if spacings is not None else None,
            finest_mm=_row(np.percentile(spacings, 10, axis=0)) if spacings is not None else None,
            modality=modality,
            colour=colour,
            channels=values.shape[0],
            smallest=tuple(int(side) for side in sizes.min(0)),
            median=tuple(int(side) for side in np.median(sizes, axis=0)),
            largest=tuple(int(side) for side in sizes.max(0)),
            aspect=(float((heights / widths).min()), float((heights / widths).max())),
            pixels="integer" if self.integer else "float",
            mean=_row(values.mean(1)),
            standard_deviation=_row(dividing(values.std(1), values.mean(1))),
            calibrated=not self.integer and all(self.calibrated),
            labelled_mean=_row(labelled.mean(1)),
            labelled_deviation=_row(dividing(labelled.std(1), labelled.mean(1))),
            labelled_range=tuple((float(a), float(b)) for a, b in zip(low, high, strict=True)),
            labels=labels.names,
            label_share=_row(share[1:]),
            label_cases=tuple(int(n) for n in self.cases_by_value[1:]),
            scale_ceiling=dict(zip(SCALES, ceiling[: len(SCALES)], strict=True)),
            side_ceiling=dict(zip(SIDES, ceiling[len(SCALES) :], strict=True)),
            mirrored_horizontally=_likeness(atlases, axis=-1),
            mirrored_vertically=_likeness(atlases, axis=-2),
            mirrored_in_depth=_likeness(atlases, axis=-3) if sizes.shape[1] == 3 else 1.0,
        )


def dividing(deviation: npt.NDArray[np.float64], mean: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The standard deviations to divide channels by: 1 where it is but the rounding of equal pixels.

    Args:
        deviation: `(C,)`, of each channel's pixels, in whatever unit they have.
        mean: Likewise.
    """
    return np.where(deviation > ROUNDING * np.abs(mean), deviation, 1)


def _has_air(values: npt.NDArray[np.float64]) -> bool:
    """Whether the darkest values lie where air lies in CT, padding left aside.

    Padding is one whole number. Other images with values as low have many, or one that is no whole number:
    the background of an MR whose mean was taken off.
    """
    darker = values < AIR_HU[0]
    if darker.any() and not darker.all():
        found, counts = np.unique(values[darker], return_counts=True)
        most = float(found[counts.argmax()])
        if most >= LEAST_PADDING_HU and most % 1 == 0 and counts.max() >= PADDING_SHARE * counts.sum():
            values = values[~darker]
    return bool(AIR_HU[0] <= np.percentile(values, 0.5) <= AIR_HU[1])


def _row(values: npt.NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _sample(image: Image, colour: Colour) -> npt.NDArray[np.float64]:
    """Up to about `PIXELS_SAMPLED` pixels on a grid that is even along all axes: `(C, n)`."""
    if len(image.size) == 3:
        step = max(1, math.ceil((math.prod(image.size) / PIXELS_SAMPLED) ** (1 / 3)))
        places = [_places(side, max(1, side // step)) for side in image.size]
    else:
        height, width = image.size
        rows = min(height, PIXELS_SAMPLED, max(1, round(math.sqrt(PIXELS_SAMPLED * height / width))))
        places = [_places(height, rows), _places(width, min(width, PIXELS_SAMPLED // rows))]
    kept = image.pixels
    for axis, at in enumerate(places, start=1):
        kept = kept.take(at, axis=axis)
    sampled = replace(image, pixels=kept)
    pixels = as_colour(sampled, colour).units()
    return pixels.reshape(pixels.shape[0], -1).astype(np.float64)


def _labelled_sample(image: Image, mask: npt.NDArray[np.uint8], colour: Colour) -> npt.NDArray[np.float64]:
    """Up to `LABELLED_SAMPLED` labelled pixels, evenly spread: `(C, n)`."""
    flat = np.flatnonzero((mask != BACKGROUND) & (mask != IGNORED))
    if len(flat) > LABELLED_SAMPLED:
        flat = flat[_places(len(flat), LABELLED_SAMPLED)]
    at = np.unravel_index(flat, mask.shape)
    chosen = replace(image, pixels=np.moveaxis(image.pixels, 0, -1)[at].T[:, None])
    pixels = as_colour(chosen, colour).units()
    return pixels.reshape(pixels.shape[0], -1).astype(np.float64)


def slices_to_learn(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """The slices of a volume that a net of two axes learns from.

    Args:
        mask: `(D, H, W)`.

    Returns:
        In order: all with a label, and as many without one, evenly spread; all where there is no label.
    """
    labelled = ((mask != BACKGROUND) & (mask != IGNORED)).any(axis=(1, 2))
    empty = np.flatnonzero(~labelled)
    count = int(labelled.sum())
    if not count or len(empty) <= count:
        return np.arange(len(mask))
    return np.sort(np.concatenate([np.flatnonzero(labelled), empty[_places(len(empty), count)]]))


def _slices_to_rescale(mask: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """The mask of a picture; of a volume a few slices, from those with most labelled pixels downwards."""
    if mask.ndim == 2:
        return [mask]
    areas = np.count_nonzero(mask, axis=(1, 2))
    order = np.argsort(-areas, kind="stable")[: max(1, int(np.count_nonzero(areas)))]
    return [mask[order[at]] for at in _places(len(order), min(SLICES_RESCALED, len(order)))]


def _ceilings(mask: npt.NDArray[np.uint8]) -> list[float]:
    """For all scales and all sides what a mask keeps of itself."""
    shares = [min(1.0, side / math.sqrt(mask.size)) for side in SIDES]
    return [_ceiling(mask, scale) for scale in (*SCALES, *shares)]


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
    """Where each label lies, at pixels on an even grid: `(labels, n, n)` or `(labels, n, n, n)`, 0 or 1."""
    count = ATLAS_SIDES[mask.ndim]
    places = (np.arange(count) * side // count + side // (2 * count) for side in mask.shape)
    sampled = mask[np.ix_(*places)]
    values = np.arange(1, labels + 1, dtype=np.uint8).reshape(-1, *[1] * mask.ndim)
    return np.equal(sampled, values).astype(np.float64)


def _likeness(atlases: npt.NDArray[np.float64], axis: int) -> float:
    """How like the first atlas is to the second one mirrored, over how like it is to it as it stands."""
    space = tuple(range(1, atlases.ndim - 1))
    first, second = (
        atlas / np.maximum(np.sqrt((atlas**2).sum(space, keepdims=True)), 1e-9) for atlas in atlases
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
