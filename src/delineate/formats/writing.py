"""Masks and probabilities, written from their pixels alone: no metadata of the image goes with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image as Pillow

from delineate.files import write_with
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
    values, labels = mask.values, len(mask.labels)
    if values.ndim != 2 or values.dtype != np.uint8 or not values.size:
        raise ValueError(f"a mask is written from (H, W) uint8, not {values.shape} {values.dtype}")
    if int(values.max()) > labels:
        raise ValueError(f"the mask holds the value {values.max()}, but has {labels} labels")
    picture = Pillow.fromarray(values * np.uint8(255) if labels == 1 else values)
    write_with(path, lambda stream: picture.save(stream, format="PNG"))


def write_probabilities(path: Path, probabilities: npt.NDArray[np.floating]) -> None:
    """Write probabilities as a float32 TIFF with a page a label, whole or not at all.

    Args:
        path: Where to; its suffix should be ".tif".
        probabilities: `(L, H, W)`, 0 to 1, in the order of the labels.

    Raises:
        ValueError: The shape is another, or a value is no probability.
        OutputError: The place cannot be written.
    """
    if probabilities.ndim != 3 or not probabilities.size:
        raise ValueError(f"probabilities are written from (L, H, W), not {probabilities.shape}")
    if not (np.isfinite(probabilities).all() and probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError("probabilities must lie between 0 and 1")
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
