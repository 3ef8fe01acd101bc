"""TIFF, where tifffile is installed: one plain picture, grey or in colour; all else is left to Delineate."""

from __future__ import annotations

import logging
import math
import re
from typing import IO

import numpy as np

from delineate_runtime.errors import ImageError
from delineate_runtime.pictures import Array, check_size, without_alpha

DELINEATE_READS = "Delineate itself may read it"
BLACK_IS_ZERO, RGB = 1, 2


def read_tiff(stream: IO[bytes]) -> Array:
    """`(C, H, W)` uint8, uint16 or float32.

    Raises:
        ImageError: tifffile is missing, or it is no plain picture.
    """
    try:
        import tifffile  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImageError("TIFF needs tifffile: pip install tifffile imagecodecs") from error
    logging.getLogger("tifffile").propagate = False  # what it logs is raised here, or of no use
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    with tifffile.TiffFile(stream) as file:
        if len(file.pages) != 1:
            raise ImageError(f"it holds {len(file.pages)} pages. {DELINEATE_READS}")
        page = file.pages.first
        samples = page.samplesperpixel
        check_size(page.imagelength, page.imagewidth)
        if page.imagedepth != 1 or page.photometric not in (BLACK_IS_ZERO, RGB) or samples > 4:
            raise ImageError(f"it is no plain grey or RGB picture. {DELINEATE_READS}")
        if "Orientation" in page.tags and page.tags["Orientation"].value != 1:
            raise ImageError("its orientation is shown by some programs and not by others. Save it upright")
        if page.dtype not in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
            raise ImageError(f"pixels of type {page.dtype} are not read here. {DELINEATE_READS}")
        images = re.match(r"(?ms)ImageJ=.*?^images=\s*(\d{1,9})\s*$", str(page.description))
        if images and int(images[1]) > 1:
            raise ImageError(f"it is an ImageJ stack of {images[1]} images. {DELINEATE_READS}")
        parts = math.prod(page.chunked)
        there = sum(count > 0 for count in page.databytecounts[:parts])
        if there < parts:  # tifffile would fill them with zeros
            raise ImageError(f"it is damaged: only {there} of its {parts} parts are there")
        stored = np.asarray(page.asarray())
        # of several samples stored one plane after another the first axis counts them
        first = samples > 1 and stored.shape[0] == samples and page.planarconfig == 2
    array = stored[None] if stored.ndim == 2 else stored if first else np.moveaxis(stored, -1, 0)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    expected = 1 if page.photometric == BLACK_IS_ZERO else 3
    if len(array) == expected + 1:
        return without_alpha(array)
    if len(array) != expected:
        raise ImageError(f"it has {len(array)} channels. {DELINEATE_READS}")
    return array
