"""Hashes of an image's pixels, by which the same image is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from delineate.geometry import USUAL_ORIENTATION
from delineate.image import Image, oriented

SLAB_VALUES = 1 << 22  # that are turned and converted at once
WIDER = 257  # shares of 8 bits are these of 16: 255 × 257 = 65535
_Array = npt.NDArray[np.generic]


def pixel_digest(image: Image) -> str:
    """A short hash of an image, by which it is known again in whatever form, and nothing else of it.

    Equal numbers are hashed alike whatever their type, equal shares in 8 and 16 bits, grey stored as colour
    as grey, and volumes that say how they lie as turned to one orientation.

    Args:
        image: `(C, H, W)` or `(C, D, H, W)`.

    Returns:
        16 hexadecimal digits.
    """
    pixels = oriented(image, USUAL_ORIENTATION).pixels
    if len(pixels) > 1 and all((channel == pixels[0]).all() for channel in pixels[1:]):
        pixels = pixels[:1]
    wide = image.shares and pixels.dtype == np.uint16 and not any((s % WIDER).any() for s in _slabs(pixels))
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=8)
    for slab in _slabs(pixels):
        numbers = slab // WIDER if wide else slab
        digest.update(np.add(numbers, 0, dtype=np.float32, order="C").data)  # exact of 16 bits; -0 becomes 0
    return digest.hexdigest()


def stored_digest(image: Image) -> str:
    """A short hash of the pixels in the type and the order of the file.

    Runs tell by it whether their data are still the same, and older model files hold it of their images.

    Returns:
        16 hexadecimal digits.
    """
    pixels = np.ascontiguousarray(image.pixels)
    if len(pixels) == 3 and (pixels == pixels[:1]).all():  # grey stored as colour is the same image
        pixels = pixels[:1]
    digest = hashlib.blake2b(f"{pixels.dtype} {pixels.shape}".encode(), digest_size=8)
    digest.update(pixels.data)
    return digest.hexdigest()


def _slabs(pixels: _Array) -> Iterator[npt.NDArray[np.integer | np.floating]]:
    """Channel by channel and in order, as many rows or slices as make up `SLAB_VALUES`, at least one."""
    thickness = max(1, SLAB_VALUES // max(1, int(np.prod(pixels.shape[2:]))))
    for channel in pixels:
        for start in range(0, len(channel), thickness):
            yield channel[start : start + thickness]
