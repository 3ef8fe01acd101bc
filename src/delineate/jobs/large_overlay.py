"""The outlines over a large image, drawn on its reduced picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from delineate.files import write_with
from delineate.formats.pixels import Array
from delineate.formats.regions import Regions
from delineate.formats.tile_spool import TileSpool
from delineate.formats.writable import WHITE
from delineate.image import Image, Mask
from delineate.inference.large.predict import LargeImage
from delineate.inference.large.resizing import resized_rows
from delineate.jobs.writing import OVERLAY_PX, draw

ROW_BYTES = 32 << 20


def large_overlay(path: Path, image: LargeImage, levels: Sequence[TileSpool]) -> None:
    """Draw the outlines over the image, at the finest level that is not larger than an overlay.

    Args:
        path: Of the PNG.
        image: It.
        levels: Of its mask.

    Raises:
        ImageError: The image's file is damaged.
        OutputError: The place cannot be written.
    """
    level = next((each for each in levels if max(each.size) <= OVERLAY_PX), levels[-1])
    rows = [level.row(at) for at in range(level.rows)]
    values = np.concatenate(rows)[: level.size[0], : level.size[1]].astype(np.uint8, copy=False)
    labels = image.plan.data.label_set
    if len(labels) == 1:
        values //= np.uint8(WHITE)
    picture = Image(reduced_picture(image.regions, level.size))
    drawing = draw(picture, Mask(np.ascontiguousarray(values), labels))
    write_with(path, lambda stream: stream.write(drawing))


def reduced_picture(regions: Regions, size: tuple[int, int]) -> Array:
    """The image at a smaller size, from the coarsest of its levels that is not smaller still.

    Args:
        regions: The image.
        size: `(h, w)` wanted.

    Returns:
        `(C, h, w)` of the image's own type.
    """
    fine = [at for at, own in enumerate(regions.levels) if own[0] >= size[0] and own[1] >= size[1]]
    level = fine[-1] if fine else 0
    height, width = regions.levels[level]
    together = regions.rows_at_once
    most = ROW_BYTES // (4 * width * regions.channels)
    step = max(1, together * (most // together) or min(together, most))
    dtype = regions.read(0, 0, 1, 1, level).dtype
    blocks = (
        torch.from_numpy(regions.read(top, 0, min(step, height - top), width, level).astype(np.float32))
        for top in range(0, height, step)
    )
    resized = torch.cat(list(resized_rows(blocks, height, size)), 1).numpy()
    return (resized.round() if np.issubdtype(dtype, np.integer) else resized).astype(dtype)
