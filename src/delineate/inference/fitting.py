"""Whether an image fits a model, and how its numbers are read: all that needs no torch."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.geometry import times
from delineate.image import Image, as_colour, oriented
from delineate.plan import Plan, PreprocessingPlan

LEAST_LEFT = 4  # voxels along the longest axis, of a volume that had four times as many
MOST_UNLIKE = 30.0  # volume of voxels over that of those a net learned from
SAMPLED_VOXELS = 1 << 20  # of a volume, for the intensities of its slices
STRETCHED = "its values were stretched to the range of pictures, which the model was trained on"


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
        said = times(spacing)
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
    return f"its voxels are {times(own)} mm, but the model works at {times(wanted)} mm: are its units right?"


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


def sampled(image: Image) -> Image:
    """Voxels of a volume `(C, D, H, W)` on an even grid, enough for the intensities of its slices."""
    step = max(1, math.ceil((math.prod(image.size) / SAMPLED_VOXELS) ** (1 / 3)))
    return replace(image, pixels=image.pixels[:, ::step, ::step, ::step])


def refuse_by_axes(image: Image, plan: Plan) -> None:
    """Refuse a volume that a net sees slices of alone, or one slice of what it sees as a volume.

    Raises:
        DataError: It is.
    """
    if len(image.size) != plan.network.axes:
        raise DataError(
            "it is one slice, but the model segments volumes: give the whole volume"
            if plan.network.axes == 3
            else "it is a volume, of which this net sees single slices"
        )


def refuse_by_spacing(image: Image, plan: Plan) -> None:
    """Refuse a volume of which hardly anything would be left at the spacing the net works at.

    Raises:
        DataError: So it is.
    """
    size = working_size(image.size, plan.preprocessing, image.geometry.spacing_mm)
    if len(size) == 3 and max(size) < LEAST_LEFT <= max(image.size) / 4:
        raise DataError(
            f"hardly a voxel of it would be left: {_far_spacing(image, plan) or 'it is too small'}"
        )


def units_of(image: Image, plan: Plan) -> npt.NDArray[np.float32]:
    """The numbers that a net sees, before any resizing.

    Returns:
        `(C, …)` float32 with the plan's channels, integers as shares of their range, clipped as it says.

    Raises:
        DataError: The image's channels or values do not fit the plan.
    """
    units = admitted(image, plan).units()
    for channel, (low, high) in enumerate(plan.preprocessing.clip):
        np.clip(units[channel], low, high, out=units[channel])
    return units


def admitted(image: Image, plan: Plan) -> Image:
    """The image with the plan's channels and meaning of numbers.

    Raises:
        DataError: Its channels or values do not fit the plan.
    """
    image = brought_to_shares(image, plan)
    _refuse_other_types(image, plan)
    try:
        coloured = as_colour(image, plan.data.colour)
    except ValueError as error:
        raise DataError(f"{error}{_hint(image, plan)}") from error
    if coloured.channels != plan.data.channels:
        raise DataError(
            f"it has {coloured.channels} channels, but {plan.data.channels} are expected{_hint(image, plan)}"
        )
    if coloured.in_own_units:
        _refuse_values(coloured.pixels, plan)
    return coloured


def brought_to_shares(image: Image, plan: Plan) -> Image:
    """Numbers of a clinical format as shares of their own range, for a model trained on pictures."""
    if image.shares or plan.data.pixels == "float":
        return image
    pixels = image.pixels.astype(np.float32)
    low, high = float(pixels.min()), float(pixels.max())
    pixels -= low
    pixels /= (high - low) or 1
    return replace(image, pixels=pixels, shares=True)


def _refuse_other_types(image: Image, plan: Plan) -> None:
    kind = image.pixels.dtype
    known = (np.uint8, np.uint16, np.int16)[: 3 if image.in_own_units else 2]
    if kind not in known and not np.issubdtype(kind, np.floating):
        raise DataError(
            f"it has pixels of type {kind}, which have no known range: give uint8, uint16 or floats"
        )
    if plan.data.pixels == "float" and not image.in_own_units and not like_shares(plan.preprocessing):
        raise DataError(
            f"it has integer pixels ({kind}), which are read as shares of their range, 0 to 1, but the float "
            f"images of the training had a mean of {plan.preprocessing.mean[0]:.4g}: give floats in the same "
            "units"
        )


def like_shares(preprocessing: PreprocessingPlan) -> bool:
    """Whether the training's float images may have lain between 0 and 1, as shares do.

    Args:
        preprocessing: Of the plan of a model that learned from floats.
    """
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
