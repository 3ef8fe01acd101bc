"""From an image to what the net sees, the same in training and in prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from delineate.fingerprint import ROUNDING
from delineate.geometry import Geometry
from delineate.image import IGNORED, Image
from delineate.inference.fitting import (
    brought_to_shares,
    refuse_by_axes,
    refuse_by_spacing,
    sampled,
    units_of,
    working_size,
)
from delineate.plan import Plan, PreprocessingPlan


@dataclass(frozen=True)
class Intensities:
    """How pixels become what a net takes: `pixels · gain + offset`, both `(C,)` float32."""

    gain: Tensor
    offset: Tensor

    def apply(self, pixels: Tensor) -> Tensor:
        """`(C, …)` float32, normalized."""
        shape = (-1, *[1] * (pixels.ndim - 1))
        return torch.addcmul(self.offset.view(shape), pixels, self.gain.view(shape))


@dataclass(frozen=True)
class WorkingImage:
    """An image at the size the net works at.

    Attributes:
        pixels: `(C, h, w)` or `(C, d, h, w)` float32, integers as shares of their range; not yet normalized.
        intensities: By which they are to be normalized.
    """

    pixels: Tensor
    intensities: Intensities

    def normalized(self) -> Tensor:
        """Likewise, as the net takes them."""
        return self.intensities.apply(self.pixels)


def to_working(image: Image, plan: Plan, intensities: Intensities | None = None) -> WorkingImage:
    """Bring an image to its working size.

    Args:
        image: `(C, H, W)`, or `(C, D, H, W)` for a net of three axes; turned as the plan says already.
        plan: Says which channels, which size and which normalization.
        intensities: Of the volume that the image is a slice of; None to take its own.

    Returns:
        The image at `working_size`, without padding.

    Raises:
        DataError: It has other axes or channels than the plan, pixels that are not numbers, float pixels
            outside [0, 1] where the plan has integer ones, or integer pixels where its float ones have
            another range.
    """
    refuse_by_axes(image, plan)
    pixels = torch.from_numpy(units_of(image, plan))
    refuse_by_spacing(image, plan)
    pixels = resize(pixels, working_size(image.size, plan.preprocessing, image.geometry.spacing_mm))
    return WorkingImage(pixels, intensities or intensities_of(pixels, plan.preprocessing))


def slices(image: Image, plan: Plan) -> tuple[list[Image], Intensities]:
    """The slices of a volume across its first axis, and the intensities of the whole.

    Args:
        image: `(C, D, H, W)`, turned as the plan says already.
        plan: Of a net of two axes.

    Raises:
        DataError: As `to_working`.
    """
    image = brought_to_shares(image, plan)  # by the range of the whole, not of each slice
    intensities = intensities_of(torch.from_numpy(units_of(sampled(image), plan)), plan.preprocessing)
    in_plane = _in_plane(image.geometry)
    cut = [
        replace(image, pixels=image.pixels[:, at], geometry=in_plane, notes=()) for at in range(image.size[0])
    ]
    return cut, intensities


def _in_plane(geometry: Geometry) -> Geometry:
    """What is known of a slice: its spacing."""
    return Geometry(geometry.spacing_mm[1:]) if geometry.spacing_mm is not None else geometry


def resize(pixels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize linearly along each axis, averaging when making smaller.

    Args:
        pixels: `(C, H, W)` or `(C, D, H, W)` float32.
        size: `(h, w)` or `(d, h, w)`.

    Returns:
        `(C, h, w)` or `(C, d, h, w)` float32; the same tensor where nothing changes.
    """
    if tuple(pixels.shape[1:]) == tuple(size):
        return pixels
    if len(size) == 3:
        return _resize_volume(pixels, size)
    if size[1] == 1 != size[0]:  # torch 2.13 gives wrong values for results one pixel wide, not for one high
        return resize(pixels.transpose(1, 2), (1, size[0])).transpose(1, 2)
    return functional.interpolate(
        pixels[None], size=tuple(size), mode="bilinear", align_corners=False, antialias=True
    )[0]


def _resize_volume(pixels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Along the depth first where that makes less of it, slice by slice otherwise."""
    depth, height, width = size

    def along_depth(volume: Tensor) -> Tensor:
        plane = volume.shape[2:]
        return resize(volume.flatten(2), (depth, plane[0] * plane[1])).reshape(-1, depth, *plane)

    if depth < pixels.shape[1]:
        pixels = along_depth(pixels)
    slices_now = pixels.shape[1]
    pixels = resize(pixels.flatten(0, 1), (height, width)).reshape(-1, slices_now, height, width)
    return along_depth(pixels)


def resize_mask(mask: Tensor, size: tuple[int, ...], labels: int) -> Tensor:
    """Resize a label map: each pixel takes the label that covers most of it.

    Args:
        mask: `(H, W)` or `(D, H, W)` uint8.
        size: `(h, w)` or `(d, h, w)`.
        labels: Number of labels n; values are 0…n.

    Returns:
        uint8 of that size; the same tensor where nothing changes.
    """
    if tuple(mask.shape) == tuple(size):
        return mask
    best = resize((mask == 0).float()[None], size)[0]
    found = torch.zeros(tuple(size), dtype=torch.uint8)
    for value in range(1, labels + 1):
        covered = resize((mask == value).float()[None], size)[0]
        found[covered > best] = value
        best = torch.maximum(best, covered)
    return found


def pad_to(pixels: Tensor, mask: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Fill up to at least `size` at the bottom and right: edge pixels, and mask pixels that are not scored.

    Args:
        pixels: `(C, h, w)`.
        mask: `(h, w)` uint8.
        size: The least `(height, width)`.

    Returns:
        Both, filled up.
    """
    below, right = (max(0, side - own) for side, own in zip(size, mask.shape, strict=True))
    return pad_pixels_to(pixels, size), functional.pad(mask, (0, right, 0, below), value=IGNORED)


def pad_pixels_to(pixels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Fill up to at least `size` at the bottom and right with edge pixels.

    Args:
        pixels: `(C, h, w)`, any type.
        size: The least `(height, width)`.

    Returns:
        `(C, height, width)`; the same tensor where nothing is missing.
    """
    below, right = (max(0, side - own) for side, own in zip(size, pixels.shape[1:], strict=True))
    if not below and not right:
        return pixels
    return functional.pad(pixels[None].float(), (0, right, 0, below), mode="replicate")[0].to(pixels.dtype)


def dividing(deviation: Tensor, mean: Tensor) -> Tensor:
    """As `fingerprint.dividing`, of tensors."""
    return torch.where(deviation > ROUNDING * mean.abs(), deviation, 1)


def intensities_of(pixels: Tensor, preprocessing: PreprocessingPlan) -> Intensities:
    """By which an image is normalized.

    Args:
        pixels: `(C, …)` float32 at the working size; of which only C counts where the plan has one
            normalization for all images.
        preprocessing: Says how.
    """
    channels = pixels.shape[0]
    if preprocessing.normalization == "unit":
        return Intensities(torch.ones(channels), torch.zeros(channels))
    if preprocessing.normalization == "dataset":
        mean = torch.tensor(preprocessing.mean)
        deviation = torch.tensor(preprocessing.standard_deviation)
    else:
        flat = pixels.flatten(1)
        mean = flat.mean(1)
        deviation = dividing(flat.std(1, correction=0), mean)
    return Intensities(1 / deviation, -mean / deviation)
