"""An image as people give it: a path, a picture, an array."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from delineate import formats
from delineate.errors import DataError
from delineate.image import Image
from delineate.plan import Plan

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Given: TypeAlias = Union[Image, "Picture", npt.ArrayLike, str, Path]


def image_for(plan: Plan, image: Given) -> Image:
    """The image, read as a model of this plan reads it.

    Raises:
        ImageError: The file cannot be read.
        DataError: An array's shape or type has no clear meaning.
    """
    data = plan.data
    if data.axes == 3 and isinstance(image, np.ndarray):
        return _volume_from_array(image, own_units=data.pixels == "float")
    return as_image(image, formats.Reading(fourth_axis=data.fourth_axis))


def as_image(image: Given, reading: formats.Reading = formats.USUAL) -> Image:
    """An `Image` of whatever people hold in their hands.

    Raises:
        ImageError: The file cannot be read.
        DataError: An array's shape or type has no clear meaning.
    """
    if isinstance(image, Image):
        return image
    if isinstance(image, (str, Path)):
        return formats.read(Path(image), reading)
    from PIL.Image import Image as Picture  # noqa: PLC0415  kept out of the import of this module

    if isinstance(image, Picture):
        return formats.from_picture(image)
    return _from_array(np.asarray(image))


def _from_array(array: npt.NDArray[np.generic]) -> Image:
    if array.ndim == 3 and array.shape[2] > 64 >= array.shape[0]:
        raise DataError(
            f"an array of shape {array.shape} has its channels first; give (H, W, C), for example "
            "array.transpose(1, 2, 0)"
        )
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise DataError(f"an image is an array (H, W) or (H, W, C), not one of shape {array.shape}")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    channels_first = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    if array.dtype == np.bool_:
        channels_first = channels_first.astype(np.uint8) * np.uint8(255)
    elif np.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):
            channels_first = channels_first.astype(np.float32)
        if not np.isfinite(channels_first).all():
            raise DataError("the image has pixels that are not numbers (NaN or infinite)")
    elif array.dtype not in (np.uint8, np.uint16):
        raise DataError(f"pixels of type {array.dtype} have no known range; give uint8, uint16 or floats")
    return Image(np.ascontiguousarray(channels_first))


def _volume_from_array(array: npt.NDArray[np.generic], *, own_units: bool) -> Image:
    """A volume of an array `(D, H, W)` or `(D, H, W, C)` that says nothing of its place."""
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise DataError(f"a volume is an array (D, H, W) or (D, H, W, C), not one of shape {array.shape}")
    if array.ndim == 4 and array.shape[3] > 64 >= array.shape[0]:
        raise DataError(
            f"an array of shape {array.shape} has its channels first; give (D, H, W, C), for example "
            "array.transpose(1, 2, 3, 0)"
        )
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    channels_first = array[None] if array.ndim == 3 else array.transpose(3, 0, 1, 2)
    if array.dtype not in (np.uint8, np.uint16, np.int16):
        if not (array.dtype == np.bool_ or np.issubdtype(array.dtype, np.number)) or array.dtype.kind == "c":
            raise DataError(f"voxels of type {array.dtype} are no numbers")
        with np.errstate(over="ignore"):
            channels_first = channels_first.astype(np.float32)
        if not np.isfinite(channels_first).all():
            raise DataError("the volume has voxels that are not numbers (NaN or infinite)")
    return Image(np.ascontiguousarray(channels_first), shares=not own_units)
