"""One case in memory: its image, its mask as labels, its group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from delineate import formats
from delineate.dataset.case_files import CaseFiles
from delineate.dataset.joining import MisplacedError, ReadMask, join, painted
from delineate.dataset.mask_encoding import MaskEncoding
from delineate.dataset.placing import on_grid, size_in_words
from delineate.errors import DataError, ImageError
from delineate.formats import USUAL, Reading, StoredMask
from delineate.geometry import same_grid
from delineate.image import Image, Mask


@dataclass(frozen=True)
class Case:
    """One image with its mask and group.

    Attributes:
        name: Unique in its data set and safe as a file name.
        image: `(C, H, W)` or `(C, D, H, W)`.
        mask: On the image's grid; None where there is none or it was not asked for.
        group: What must not be split, where the data say so.
    """

    name: str
    image: Image
    mask: Mask | None
    group: str | None = None


def load_image(files: tuple[Path, ...], reading: Reading = USUAL, *, stack: bool = False) -> Image:
    """Read an image from one file, from one file a channel, or from one file a slice.

    Args:
        files: In the order of the channels; a folder stands for the DICOM series in it.
        reading: How the files are to be read.
        stack: Whether the files are slices of one DICOM series.

    Returns:
        `(C, H, W)` or `(C, D, H, W)`, the files' channels one after another.

    Raises:
        ImageError: A file cannot be read, or does not go with the first in size or kind of pixel.
    """
    if stack:
        return formats.read_series(files, reading)
    first, *others = (formats.read(path, reading) for path in files)
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
        if not same_grid(image.geometry, first.geometry, first.size):
            raise ImageError(
                path,
                f"this channel lies on another grid than {files[0].name} of the same case. "
                "Resample all channels of a case onto one grid",
            )
    if not others:
        return first
    images = (first, *others)
    return replace(
        first,
        pixels=np.concatenate([image.pixels for image in images]),
        notes=tuple(dict.fromkeys(note for image in images for note in image.notes)),
        identifying=frozenset().union(*(image.identifying for image in images)),
    )


def load_case(
    files: CaseFiles,
    encoding: MaskEncoding | None,
    reading: Reading = USUAL,
    *,
    read_mask: ReadMask = formats.read_mask,
) -> Case:
    """Read one case.

    Args:
        files: Where it lies.
        encoding: What its mask's values mean; None leaves the mask aside.
        reading: How the files are to be read.
        read_mask: Reads a mask's file.

    Returns:
        The case, its mask on its image's grid.

    Raises:
        ImageError: A file cannot be read.
        MaskError: The mask has values that the encoding does not know.
        DataError: The mask does not lie on the image's grid.
    """
    image = load_image(files.image, reading, stack=files.stack)
    if encoding is None or files.mask is None:
        return Case(files.name, image, None, files.group)
    if files.structures:
        stored = _joined(files, image, reading, read_mask)
    else:
        stored = _placed(files.mask, files, image, reading, read_mask)
    values = encoding.decode(stored, files.mask)
    return Case(files.name, image, Mask(values, encoding.labels, image.geometry), files.group)


def _placed(path: Path, files: CaseFiles, image: Image, reading: Reading, read_mask: ReadMask) -> StoredMask:
    """The mask of one file on the image's grid."""
    try:
        stored = read_mask(path, reading)
        return on_grid(stored, image.size, image.geometry, resample=reading.resample_masks)
    except ImageError:
        raise
    except DataError as error:
        raise DataError(f"Case {files.name}: the mask {path} does not fit: {error}.") from error


def _joined(files: CaseFiles, image: Image, reading: Reading, read_mask: ReadMask) -> StoredMask:
    """The mask of several files on the image's grid."""
    try:
        joined = join(files.structures, image.size, image.geometry, reading, read_mask)
    except MisplacedError as error:
        message = f"Case {files.name}: the mask {error.path} does not fit: {error.reason}."
        raise DataError(message) from error
    return painted(joined.stored, joined.sets, [structure.value for structure in files.structures])
