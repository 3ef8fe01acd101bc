"""One case in memory: its image, its mask as labels, its group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate import formats
from delineate.dataset.case_files import CaseFiles
from delineate.dataset.mask_encoding import MaskEncoding
from delineate.errors import DataError, ImageError
from delineate.formats import StoredMask
from delineate.image import Image, Mask


@dataclass(frozen=True)
class Case:
    """One image with its mask and group.

    Attributes:
        name: Unique in its data set and safe as a file name.
        image: `(C, H, W)`.
        mask: `(H, W)` on the image's grid; None where there is none or it was not asked for.
        group: What must not be split, where the data say so.
    """

    name: str
    image: Image
    mask: Mask | None
    group: str | None = None


def load_image(files: tuple[Path, ...]) -> Image:
    """Read an image from one file, or from one file a channel.

    Args:
        files: In the order of the channels.

    Returns:
        `(C, H, W)`, the files' channels one after another.

    Raises:
        ImageError: A file cannot be read, or does not go with the first in size or kind of pixel.
    """
    first, *others = (formats.read(path) for path in files)
    for path, image in zip(files[1:], others, strict=True):
        if image.size != first.size:
            raise ImageError(
                path,
                f"this channel is {size_in_words(image.size)}, but {files[0].name} of the same case is "
                f"{size_in_words(first.size)}. All channels of a case must have one size",
            )
        if image.pixels.dtype != first.pixels.dtype:
            raise ImageError(
                path,
                f"this channel is stored as {image.pixels.dtype}, but {files[0].name} of the same case as "
                f"{first.pixels.dtype}. Store all channels of a case alike",
            )
    if not others:
        return first
    images = (first, *others)
    notes = tuple(dict.fromkeys(note for image in images for note in image.notes))
    return Image(np.concatenate([image.pixels for image in images]), first.geometry, notes)


def load_case(
    files: CaseFiles,
    encoding: MaskEncoding | None,
    *,
    read_mask: Callable[[Path], StoredMask] = formats.read_mask,
) -> Case:
    """Read one case.

    Args:
        files: Where it lies.
        encoding: What its mask's values mean; None leaves the mask aside.
        read_mask: Reads the mask's file.

    Returns:
        The case, its mask on its image's grid.

    Raises:
        ImageError: A file cannot be read.
        MaskError: The mask has values that the encoding does not know.
        DataError: Image and mask differ in size.
    """
    image = load_image(files.image)
    if encoding is None or files.mask is None:
        return Case(files.name, image, None, files.group)
    values = encoding.decode(read_mask(files.mask), files.mask)
    if values.shape != image.size:
        raise DataError(
            f"Case {files.name}: the image {files.image[0]} is {size_in_words(image.size)}, but its mask "
            f"{files.mask} is {size_in_words(values.shape)}. Export it again at the image's size."
        )
    return Case(files.name, image, Mask(values, encoding.labels, image.geometry), files.group)


def size_in_words(size: tuple[int, ...]) -> str:
    """`(H, W)` as people say it, width first: "640 × 480 px"."""
    height, width = size
    return f"{width} × {height} px"
