"""From an image to what the net sees, the same in training and in prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from delineate.errors import DataError
from delineate.geometry import Geometry
from delineate.image import IGNORED, Image, as_colour, oriented
from delineate.plan import Plan, PreprocessingPlan

LEAST_LEFT = 4  # voxels along the longest axis, of a volume that had four times as many
MOST_UNLIKE = 30.0  # volume of voxels over that of those a net learned from
SAMPLED_VOXELS = 1 << 20  # of a volume, for the intensities of its slices
STRETCHED = "its values were stretched to the range of pictures, which the model was trained on"


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
    if len(image.size) != plan.network.axes:
        raise DataError(
            "it is one slice, but the model segments volumes: give the whole volume"
            if plan.network.axes == 3
            else "it is a volume, of which this net sees single slices"
        )
    pixels = torch.from_numpy(units_of(image, plan))
    size = working_size(image.size, plan.preprocessing, image.geometry.spacing_mm)
    if len(size) == 3 and max(size) < LEAST_LEFT <= max(image.size) / 4:
        raise DataError(
            f"hardly a voxel of it would be left: {_far_spacing(image, plan) or 'it is too small'}"
        )
    pixels = resize(pixels, size)
    return WorkingImage(pixels, intensities or intensities_of(pixels, plan.preprocessing))


def slices(image: Image, plan: Plan) -> tuple[list[Image], Intensities]:
    """The slices of a volume across its first axis, and the intensities of the whole.

    Args:
        image: `(C, D, H, W)`, turned as the plan says already.
        plan: Of a net of two axes.

    Raises:
        DataError: As `to_working`.
    """
    image = _brought_to_shares(image, plan)  # by the range of the whole, not of each slice
    step = max(1, math.ceil((math.prod(image.size) / SAMPLED_VOXELS) ** (1 / 3)))
    sample = replace(image, pixels=image.pixels[:, ::step, ::step, ::step])
    intensities = intensities_of(torch.from_numpy(units_of(sample, plan)), plan.preprocessing)
    in_plane = _in_plane(image.geometry)
    cut = [
        replace(image, pixels=image.pixels[:, at], geometry=in_plane, notes=()) for at in range(image.size[0])
    ]
    return cut, intensities


def _in_plane(geometry: Geometry) -> Geometry:
    """What is known of a slice: its spacing."""
    return Geometry(geometry.spacing_mm[1:]) if geometry.spacing_mm is not None else geometry


def units_of(image: Image, plan: Plan) -> npt.NDArray[np.float32]:
    """`(C, …)` float32 with the plan's channels, clipped as it says."""
    units = as_planned(_brought_to_shares(image, plan), plan).units()
    for channel, (low, high) in enumerate(plan.preprocessing.clip):
        np.clip(units[channel], low, high, out=units[channel])
    return units


def as_planned(image: Image, plan: Plan) -> Image:
    """The image with the plan's channels, in its own units.

    Raises:
        DataError: It has other channels or values than the plan takes, see `to_working`.
    """
    _refuse_other_types(image, plan)
    try:
        coloured = as_colour(image, plan.data.colour)
    except ValueError as error:
        raise DataError(f"{error}{_hint(image, plan)}") from error
    if coloured.channels != plan.data.channels:
        raise DataError(
            f"it has {coloured.channels} channels, but {plan.data.channels} are expected{_hint(image, plan)}"
        )
    if image.in_own_units:
        _refuse_values(coloured.pixels, plan)
    return coloured


def _brought_to_shares(image: Image, plan: Plan) -> Image:
    """Numbers of a clinical format as shares of their own range, for a model trained on pictures."""
    if image.shares or plan.data.pixels == "float":
        return image
    pixels = image.pixels.astype(np.float32)
    low, high = float(pixels.min()), float(pixels.max())
    pixels -= low
    pixels /= max(high - low, 1e-6)
    return replace(image, pixels=pixels, shares=True)


def prepared(image: Image, plan: Plan) -> Image:
    """The image turned as the plan says; a picture or a volume without directions as it is."""
    return oriented(image, plan.preprocessing.orientation)


def notes_on(image: Image, plan: Plan) -> tuple[str, ...]:
    """What to say of an image that is not quite what the model was trained on."""
    colour, found = plan.data.colour, []
    if colour == "rgb" and image.channels == 1:
        found.append("grey, and repeated for a model of colour images")
    if colour == "grey" and image.channels == 3 and (image.pixels != image.pixels[:1]).any():
        found.append("in colour, and turned to grey (its luminance) for a model of grey images")
    if not image.shares and plan.data.pixels == "integer":
        found.append(STRETCHED)
    wanted = plan.preprocessing.orientation
    if len(image.size) == 3 and wanted is not None and image.geometry.directions is None:
        found.append(f"it does not say how it lies in the patient: taken as stored for {wanted}")
    spacing = plan.preprocessing.spacing_mm
    if spacing is not None and image.geometry.spacing_mm is None:
        said = " × ".join(f"{each:.3g}" for each in reversed(spacing))
        found.append(f"it does not say how far its voxels lie apart: taken for {said} mm, as the model works")
    if (far := _far_spacing(image, plan)) is not None:
        found.append(far)
    if len(image.size) == 3 and plan.data.axes == 2:
        found.append("a volume, segmented slice by slice by a model of pictures")
    return tuple(found)


def _far_spacing(image: Image, plan: Plan) -> str | None:
    """What to say of a volume whose voxels are of quite another size than those a net learned from."""
    own, wanted = image.geometry.spacing_mm, plan.preprocessing.spacing_mm
    if own is None or wanted is None or len(own) != 3:
        return None
    ratio = math.prod(own) / math.prod(wanted)
    if 1 / MOST_UNLIKE <= ratio <= MOST_UNLIKE:
        return None
    theirs, ours = (" × ".join(f"{each:.3g}" for each in reversed(steps)) for steps in (own, wanted))
    return f"its voxels are {theirs} mm, but the model works at {ours} mm: are its units right?"


def working_size(
    size: tuple[int, ...], preprocessing: PreprocessingPlan, spacing_mm: tuple[float, ...] | None = None
) -> tuple[int, ...]:
    """The size an image is brought to.

    Args:
        size: `(H, W)`, or `(D, H, W)` for a net of three axes.
        preprocessing: Says how.
        spacing_mm: Of a volume, if it is known.
    """
    if len(preprocessing.size) == 3:
        if preprocessing.spacing_mm is None or spacing_mm is None:
            return size
        ratios = (own / new for own, new in zip(spacing_mm, preprocessing.spacing_mm, strict=True))
        return tuple(max(1, round(side * ratio)) for side, ratio in zip(size, ratios, strict=True))
    if preprocessing.mode == "whole":
        if preprocessing.fit == "stretch":
            return preprocessing.size
        scale = min(side / own for side, own in zip(preprocessing.size, size, strict=True))
        return tuple(
            min(side, max(1, round(own * scale))) for side, own in zip(preprocessing.size, size, strict=True)
        )
    return tuple(max(1, round(own * preprocessing.scale)) for own in size)


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


def _refuse_other_types(image: Image, plan: Plan) -> None:
    kind = image.pixels.dtype
    known = (np.uint8, np.uint16, np.int16)[: 3 if image.in_own_units else 2]
    if kind not in known and not np.issubdtype(kind, np.floating):
        raise DataError(
            f"it has pixels of type {kind}, which have no known range: give uint8, uint16 or floats"
        )
    if plan.data.pixels == "float" and not image.in_own_units and not _like_shares(plan.preprocessing):
        raise DataError(
            f"it has integer pixels ({kind}), which are read as shares of their range, 0 to 1, but the float "
            f"images of the training had a mean of {plan.preprocessing.mean[0]:.4g}: give floats in the same "
            "units"
        )


def _like_shares(preprocessing: PreprocessingPlan) -> bool:
    """Whether the training's float images may have lain between 0 and 1, as shares do."""
    if preprocessing.normalization != "dataset":  # each image is brought to one scale, or none is
        return True
    within = all(0 <= mean <= 1 for mean in preprocessing.mean)
    return within and all(deviation <= 0.5 for deviation in preprocessing.standard_deviation)


def _refuse_values(pixels: npt.NDArray[np.generic], plan: Plan) -> None:
    """Float pixels that are no numbers, or that no integer image could have."""
    low, high = float(pixels.min()), float(pixels.max())
    if not (math.isfinite(low) and math.isfinite(high)):  # NaN and infinity go through to either
        raise DataError("it has pixels that are not numbers (NaN or infinite)")
    if plan.data.pixels == "integer" and (low < 0 or high > 1):
        raise DataError(
            f"it has float pixels from {low:.4g} to {high:.4g}, but the model was trained on integer "
            "images: scale floats to 0…1, or save the image as 8 or 16 bit"
        )


def _hint(image: Image, plan: Plan) -> str:
    """What may be behind a wrong number of channels: an array whose first axis holds them."""
    expected = (plan.data.channels,) if plan.data.colour == "channels" else (1, 3)
    if image.size[0] not in expected:
        return ""
    return ". An array whose channels come first, (C, H, W), is given as array.transpose(1, 2, 0)"


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
        deviation = flat.std(1, correction=0).clamp(min=1e-6)
    return Intensities(1 / deviation, -mean / deviation)
