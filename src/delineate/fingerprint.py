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
from delineate.label_places import LabelPlaces
from delineate.reduction import SCALES, SIDES, Ceilings, middles

__all__ = ["SCALES", "SIDES", "Fingerprint", "dividing", "measure", "slices_to_learn"]

PIXELS_SAMPLED = 4096  # an image, for intensities
LABELLED_SAMPLED = 1024  # labelled pixels an image, likewise
MOST_SAMPLED = 1 << 24  # numbers of all images, likewise
ROUNDING = 1e-6  # of a mean: what a standard deviation of equal pixels may be
AIR_HU = (-1100.0, -500.0)  # where the darkest pixels of a CT lie
LEAST_PADDING_HU = -4000.0  # of what lies outside of the scanner's circle; -2000 and -3024 are usual
MOST_DARK_HU = 500.0  # darkest pixels of a CT that was cut to what lies within the body
CALIBRATED_SHARE = 0.8  # of the images that have air, for the others to be taken for CT, too
STRAY, KEPT_BEYOND = 8.0, 3.0  # spans of the other pixels, see `_stray`
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
        label_slices: Of volumes, number of `slices` in which it does.
        stray: A channel, between which numbers all pixels lie but few that lie very far away, as hot pixels
            of a camera do; empty where there are none such.
        scale_ceiling: For each scale, the mean Dice of the masks with themselves after being scaled down and
            back, over cases, then labels: no net that works at that scale can do better. Of volumes a few
            slices of each.
        side_ceiling: Likewise with every case brought to the area of a square of this side, none enlarged.
        padded_ceiling: Likewise with every case brought into the median shape of that area, its own kept;
            empty in what was measured before this was.
        mirrored_horizontally: How like the places of the labels in some cases are to those in others mirrored
            left to right, as a share of how like they are unmirrored: 1 where mirroring changes nothing, near
            0 where left and right have different labels. The highest that the cases bear out, see
            `LabelPlaces.likeness`.
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
    stray: tuple[tuple[float, float], ...] = ()
    labels: tuple[str, ...]
    label_share: tuple[float, ...]
    label_cases: tuple[int, ...]
    label_slices: tuple[int, ...] = ()
    scale_ceiling: dict[float, float]
    side_ceiling: dict[int, float]
    padded_ceiling: dict[int, float] = {}
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
class _Samples:
    """Numbers of images, each `(C, n)`; thinned whenever they come to more than `MOST_SAMPLED`."""

    every: int = 1
    kept: list[npt.NDArray[np.float64]] = field(default_factory=list)
    count: int = 0

    def add(self, sample: npt.NDArray[np.float64]) -> None:
        """Keep an image's."""
        self.kept.append(sample[:, :: self.every].copy() if self.every > 1 else sample)
        self.count += self.kept[-1].size
        while self.count > MOST_SAMPLED and any(each.shape[1] > 1 for each in self.kept):
            self.every *= 2
            self.kept = [each[:, ::2].copy() for each in self.kept]
            self.count = sum(each.size for each in self.kept)

    def values(self) -> npt.NDArray[np.float64]:
        """All of them, `(C, n)`."""
        return np.concatenate(self.kept, axis=1)


@dataclass
class _Measuring:
    """What is kept of the cases while they are gone through."""

    labels: int
    sizes: list[tuple[int, ...]] = field(default_factory=list)
    spacings: list[tuple[float, ...] | None] = field(default_factory=list)
    samples: _Samples = field(default_factory=_Samples)
    labelled: _Samples = field(default_factory=_Samples)
    extremes: list[npt.NDArray[np.float64]] = field(default_factory=list)
    with_air: int = 0
    like_ct: int = 0
    modalities: set[str | None] = field(default_factory=set)
    integer: bool = True
    slices: int = 0
    ceilings: Ceilings = field(init=False)
    places: LabelPlaces = field(init=False)
    pixels_by_value: npt.NDArray[np.float64] = field(init=False)
    cases_by_value: npt.NDArray[np.int64] = field(init=False)
    slices_by_value: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.ceilings, self.places = Ceilings(self.labels), LabelPlaces(self.labels)
        self.pixels_by_value = np.zeros(self.labels + 1)
        self.cases_by_value = np.zeros(self.labels + 1, dtype=np.int64)
        self.slices_by_value = np.zeros(self.labels + 1, dtype=np.int64)

    def add(self, image: Image, mask: Mask, colour: Colour) -> None:
        """Go through one case."""
        position = len(self.sizes)
        self.sizes.append(image.size)
        spacing = image.geometry.spacing_mm
        self.spacings.append(spacing if spacing is not None and len(spacing) == len(image.size) else None)
        sample = _sample(image, colour)
        self.samples.add(sample)
        self.labelled.add(_labelled_sample(image, mask.values, colour))
        has_air = image.modality == "CT" or (image.modality is None and _has_air(sample))
        self.with_air += has_air
        self.like_ct += has_air or (image.modality is None and _cut_from_ct(sample))
        if image.pixels.dtype == np.uint16 and not image.in_own_units:
            self.extremes.append(_extremes(image, colour))
        self.modalities.add(image.modality)
        self.integer = self.integer and not image.in_own_units
        counts = self._counts(mask.values)
        self.pixels_by_value += counts
        self.cases_by_value += counts > 0
        if mask.values.ndim == 3:
            learned = mask.values[slices_to_learn(mask.values)]
            self.slices += len(learned)
            for each in learned:
                self.slices_by_value += self._counts(each) > 0
        self.places.add(position, mask.values)
        self.ceilings.add(position, mask.values, counts > 0)

    def _counts(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
        """Pixels of the background and of each label."""
        return np.bincount(mask.ravel(), minlength=self.labels + 1)[: self.labels + 1]

    def fingerprint(self, labels: LabelSet, colour: Colour, orientation: str | None) -> Fingerprint:
        """What it comes to."""
        sizes = np.array(self.sizes)
        heights, widths = sizes[:, -2], sizes[:, -1]
        values, labelled = self.samples.values(), self.labelled.values()
        if not labelled.shape[1]:
            labelled = values
        share = self.pixels_by_value / max(self.pixels_by_value.sum(), 1)
        scale_ceiling, side_ceiling = self.ceilings.means()
        median = tuple(int(side) for side in np.median(sizes, axis=0))
        stray = _stray(values, labelled, self.extremes)
        if stray:
            values = np.stack([row.clip(*ends) for row, ends in zip(values, stray, strict=True)])
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
            median=median,
            largest=tuple(int(side) for side in sizes.max(0)),
            aspect=(float((heights / widths).min()), float((heights / widths).max())),
            pixels="integer" if self.integer else "float",
            mean=_row(values.mean(1)),
            standard_deviation=_row(dividing(values.std(1), values.mean(1))),
            calibrated=not self.integer
            and self.like_ct == len(sizes)
            and self.with_air >= CALIBRATED_SHARE * len(sizes),
            labelled_mean=_row(labelled.mean(1)),
            labelled_deviation=_row(dividing(labelled.std(1), labelled.mean(1))),
            labelled_range=tuple((float(a), float(b)) for a, b in zip(low, high, strict=True)),
            stray=stray,
            labels=labels.names,
            label_share=_row(share[1:]),
            label_cases=tuple(int(n) for n in self.cases_by_value[1:]),
            label_slices=tuple(int(n) for n in self.slices_by_value[1:]) if self.slices else (),
            scale_ceiling=scale_ceiling,
            side_ceiling=side_ceiling,
            padded_ceiling=self.ceilings.padded(median[-2] / median[-1]),
            mirrored_horizontally=self.places.likeness(-1),
            mirrored_vertically=self.places.likeness(-2),
            mirrored_in_depth=self.places.likeness(-3) if sizes.shape[1] == 3 else 1.0,
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


def _cut_from_ct(values: npt.NDArray[np.float64]) -> bool:
    """Whether they may be those of a CT that was cut to the body, where the darkest is fat, not air."""
    darkest = float(np.percentile(values, 0.5))
    return AIR_HU[1] < darkest <= MOST_DARK_HU and bool((values % 1 == 0).all())


def _extremes(image: Image, colour: Colour) -> npt.NDArray[np.float64]:
    """Lowest and highest number a channel: `(C, 2)`."""
    flat = image.pixels.reshape(image.pixels.shape[0], -1)
    ends = np.stack([flat.min(1), flat.max(1)], axis=1)
    return as_colour(replace(image, pixels=ends[:, None]), colour).units()[:, 0].astype(np.float64)


def _stray(
    values: npt.NDArray[np.float64],
    labelled: npt.NDArray[np.float64],
    extremes: list[npt.NDArray[np.float64]],
) -> tuple[tuple[float, float], ...]:
    """Ends to cut pixels at that lie very far from all others; nothing where none does.

    All but a thousandth of the pixels on each side, and of the labelled ones, span a range; what lies further
    out than eight times that is stray. The ends lie three times the range further out, so that images much
    brighter than these are not cut.
    """
    if not extremes:
        return ()
    low, high = (
        f(np.percentile(values, at, axis=1), np.percentile(labelled, at, axis=1))
        for f, at in ((np.minimum, 0.1), (np.maximum, 99.9))
    )
    span = high - low
    lowest, highest = np.min(extremes, axis=0)[:, 0], np.max(extremes, axis=0)[:, 1]
    far = (highest > high + STRAY * span) | (lowest < low - STRAY * span)
    if not far.any() or not (span > 0).all():
        return ()
    ends = zip(low - KEPT_BEYOND * span, high + KEPT_BEYOND * span, strict=True)
    return tuple((float(at_least), float(at_most)) for at_least, at_most in ends)


def _row(values: npt.NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _sample(image: Image, colour: Colour) -> npt.NDArray[np.float64]:
    """Up to about `PIXELS_SAMPLED` pixels on a grid that is even along all axes: `(C, n)`."""
    if len(image.size) == 3:
        step = max(1, math.ceil((math.prod(image.size) / PIXELS_SAMPLED) ** (1 / 3)))
        places = [middles(side, max(1, side // step)) for side in image.size]
    else:
        height, width = image.size
        rows = min(height, PIXELS_SAMPLED, max(1, round(math.sqrt(PIXELS_SAMPLED * height / width))))
        places = [middles(height, rows), middles(width, min(width, PIXELS_SAMPLED // rows))]
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
        flat = flat[middles(len(flat), LABELLED_SAMPLED)]
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
    return np.sort(np.concatenate([np.flatnonzero(labelled), empty[middles(len(empty), count)]]))
