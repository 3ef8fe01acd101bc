"""Masks and probabilities of volumes as TIFF stacks for ImageJ, from their values and spacing alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from delineate.files import write_with
from delineate.formats.stored import Probabilities
from delineate.formats.writable import check_mask, check_probabilities, visible
from delineate.geometry import Geometry
from delineate.image import Mask


def write_mask(path: Path, mask: Mask) -> None:
    """Write a mask as an 8-bit grey TIFF with a page a slice, whole or not at all.

    Args:
        path: Where to; its suffix should be ".tif".
        mask: `(D, H, W)`. With one label its voxels become 255, so that people see them; with several the
            values stay 1…n.

    Raises:
        ValueError: It is not `(D, H, W)` uint8, or holds values that are no labels.
        OutputError: The place cannot be written.
    """
    check_mask(mask, axes=(3,))
    _write_stack(path, visible(mask), "ZYX", mask.geometry)


def write_probabilities(path: Path, probabilities: Probabilities, geometry: Geometry) -> None:
    """Write probabilities as a float32 TIFF with a channel a label and a page a slice, whole or not at all.

    Args:
        path: Where to; its suffix should be ".tif".
        probabilities: `(L, D, H, W)`, 0 to 1, in the order of the labels.
        geometry: Of whose spacing is written.

    Raises:
        ValueError: The shape is another, or a value is no probability.
        OutputError: The place cannot be written.
    """
    check_probabilities(probabilities, geometry, axes=(3,))
    pages = np.ascontiguousarray(probabilities.swapaxes(0, 1), dtype=np.float32)
    _write_stack(path, pages, "ZCYX", geometry)


def _write_stack(path: Path, pages: npt.NDArray[np.generic], axes: str, geometry: Geometry) -> None:
    import tifffile  # noqa: PLC0415  heavy

    spacing = geometry.spacing_mm
    place: dict[str, object] = {"axes": axes}
    resolution = None
    if spacing is not None:
        place |= {"spacing": spacing[0], "unit": "mm"}
        resolution = (1 / spacing[2], 1 / spacing[1])
    write_with(
        path,
        lambda stream: tifffile.imwrite(
            stream,
            pages,
            imagej=True,
            photometric="minisblack",
            compression="deflate",
            metadata=place,
            resolution=resolution,
            software=False,
        ),
    )
