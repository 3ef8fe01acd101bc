"""From an image to what the net sees, the same in training and in prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from delineate.errors import DataError
from delineate.image import IGNORED, Colour, Image, as_colour
from delineate.plan import Plan, PreprocessingPlan


@dataclass(frozen=True)
class WorkingImage:
    """An image at the size the net works at.

    Attributes:
        pixels: `(C, h, w)` float32, integers as shares of their range; not yet normalized.
        gain: `(C,)` float32; normalized pixels are `pixels · gain + offset`.
        offset: `(C,)` float32.
    """

    pixels: Tensor
    gain: Tensor
    offset: Tensor

    def normalized(self) -> Tensor:
        """`(C, h, w)` float32 as the net takes them."""
        return self.pixels * self.gain[:, None, None] + self.offset[:, None, None]


def to_working(image: Image, plan: Plan) -> WorkingImage:
    """Bring an image to its working size.

    Args:
        image: `(C, H, W)`.
        plan: Says which channels, which size and which normalization.

    Returns:
        The image at `working_size(image.size, plan.preprocessing)`, without padding.

    Raises:
        DataError: It has other channels than the plan, pixels that are not numbers, float pixels outside
            [0, 1] where the plan has integer ones, or integer pixels where its float ones have another range.
    """
    _refuse_other_types(image, plan)
    try:
        units = as_colour(image, plan.data.colour).units()
    except ValueError as error:
        raise DataError(f"{error}{_hint(image, plan)}") from error
    pixels = torch.from_numpy(units)
    if pixels.shape[0] != plan.data.channels:
        raise DataError(
            f"it has {pixels.shape[0]} channels, but {plan.data.channels} are expected{_hint(image, plan)}"
        )
    if not np.issubdtype(image.pixels.dtype, np.integer):
        _refuse_values(pixels, plan)
    size = working_size((image.size[0], image.size[1]), plan.preprocessing)
    pixels = resize(pixels, size)
    gain, offset = _normalization(pixels, plan.preprocessing)
    return WorkingImage(pixels, gain, offset)


def colour_note(image: Image, colour: Colour) -> str | None:
    """What to say where an image's colours are not those the net takes; None where they are."""
    if colour == "rgb" and image.channels == 1:
        return "grey, and repeated for a model of colour images"
    if colour == "grey" and image.channels == 3 and (image.pixels != image.pixels[:1]).any():
        return "in colour, and turned to grey (its luminance) for a model of grey images"
    return None


def working_size(size: tuple[int, int], preprocessing: PreprocessingPlan) -> tuple[int, int]:
    """The size an image of `size` (H, W) is brought to."""
    if preprocessing.mode == "whole":
        if preprocessing.fit == "stretch":
            return preprocessing.size
        scale = min(side / own for side, own in zip(preprocessing.size, size, strict=True))
    else:
        scale = preprocessing.scale
    height, width = (max(1, round(own * scale)) for own in size)
    if preprocessing.mode == "whole":
        height, width = min(height, preprocessing.size[0]), min(width, preprocessing.size[1])
    return height, width


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize bilinearly, averaging when making smaller.

    Args:
        pixels: `(C, H, W)` float32.
        size: `(h, w)`.

    Returns:
        `(C, h, w)` float32; the same tensor where nothing changes.
    """
    if tuple(pixels.shape[1:]) == size:
        return pixels
    if size[1] == 1 != size[0]:  # torch 2.13 gives wrong values for results one pixel wide, not for one high
        return resize(pixels.transpose(1, 2), (1, size[0])).transpose(1, 2)
    return functional.interpolate(
        pixels[None], size=size, mode="bilinear", align_corners=False, antialias=True
    )[0]


def resize_mask(mask: Tensor, size: tuple[int, int], labels: int) -> Tensor:
    """Resize a label map: each pixel takes the label that covers most of it.

    Args:
        mask: `(H, W)` uint8.
        size: `(h, w)`.
        labels: Number of labels n; values are 0…n.

    Returns:
        `(h, w)` uint8; the same tensor where nothing changes.
    """
    if tuple(mask.shape) == size:
        return mask
    covered = torch.stack([resize((mask == value).float()[None], size)[0] for value in range(labels + 1)])
    return covered.argmax(0).to(torch.uint8)


def pad_to(pixels: Tensor, mask: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
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


def pad_pixels_to(pixels: Tensor, size: tuple[int, int]) -> Tensor:
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
    if kind not in (np.uint8, np.uint16) and not np.issubdtype(kind, np.floating):
        raise DataError(
            f"it has pixels of type {kind}, which have no known range: give uint8, uint16 or floats"
        )
    if (
        plan.data.pixels == "float"
        and np.issubdtype(kind, np.integer)
        and not _like_shares(plan.preprocessing)
    ):
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


def _refuse_values(pixels: Tensor, plan: Plan) -> None:
    """Float pixels that are no numbers, or that no integer image could have."""
    if not bool(torch.isfinite(pixels).all()):
        raise DataError("it has pixels that are not numbers (NaN or infinite)")
    low, high = float(pixels.min()), float(pixels.max())
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


def _normalization(pixels: Tensor, preprocessing: PreprocessingPlan) -> tuple[Tensor, Tensor]:
    channels = pixels.shape[0]
    if preprocessing.normalization == "unit":
        return torch.ones(channels), torch.zeros(channels)
    if preprocessing.normalization == "dataset":
        mean = torch.tensor(preprocessing.mean)
        deviation = torch.tensor(preprocessing.standard_deviation)
    else:
        mean = pixels.mean((1, 2))
        deviation = pixels.std((1, 2), correction=0).clamp(min=1e-6)
    return 1 / deviation, -mean / deviation
