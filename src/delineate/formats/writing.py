"""Masks and probabilities, written from their pixels alone: no metadata of the image goes with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from delineate.files import write_with
from delineate.formats.stored import Probabilities
from delineate.formats.writable import check_mask, check_probabilities, visible
from delineate.image import Mask


def write_mask(path: Path, mask: Mask) -> None:
    """Write a mask as an 8-bit grey PNG, whole or not at all.

    Args:
        path: Where to; its suffix should be ".png".
        mask: `(H, W)`. With one label its pixels become 255, so that people see them; with several the values
            stay 1…n.

    Raises:
        ValueError: It is not `(H, W)` uint8, or holds values that are no labels.
        OutputError: The place cannot be written.
    """
    check_mask(mask, axes=(2,))
    picture = Pillow.fromarray(visible(mask))
    write_with(path, lambda stream: picture.save(stream, format="PNG"))


def write_probabilities(path: Path, probabilities: Probabilities) -> None:
    """Write probabilities as a float32 TIFF with a page a label, whole or not at all.

    Args:
        path: Where to; its suffix should be ".tif".
        probabilities: `(L, H, W)`, 0 to 1, in the order of the labels.

    Raises:
        ValueError: The shape is another, or a value is no probability.
        OutputError: The place cannot be written.
    """
    import tifffile  # noqa: PLC0415  heavy

    check_probabilities(probabilities, axes=(2,))
    pages = np.ascontiguousarray(probabilities, dtype=np.float32)
    write_with(
        path,
        lambda stream: tifffile.imwrite(
            stream,
            pages,
            photometric="minisblack",
            compression="deflate",
            predictor=True,
            metadata=None,
            software=False,
        ),
    )
