"""Picture files, in and out: one registry, one file a family. A file's content, not its name, says what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from delineate.formats.stored import MAXIMUM_MEGAPIXELS, Header, StoredMask
from delineate.image import Image, Mask

SUFFIXES: frozenset[str] = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff"})


def is_image(path: Path) -> bool:
    """Whether the name of `path` ends like an image's that can be read here."""
    return path.suffix.lower() in SUFFIXES


def header(path: Path, *, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> Header:
    """Size and kind of an image, without decoding its pixels."""
    raise NotImplementedError


def read(path: Path, *, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> Image:
    """Read an image, `(C, H, W)` uint8, uint16 or float32."""
    raise NotImplementedError


def read_mask(path: Path, *, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> StoredMask:
    """Read a mask's pixels as they are stored."""
    raise NotImplementedError


def from_picture(picture: object) -> Image:
    """The pixels of a PIL image, by the same rules as a file's."""
    raise NotImplementedError


def write_mask(path: Path, mask: Mask) -> None:
    """Write a mask as a grey PNG: 0 and 255 for one label, 0…n otherwise."""
    raise NotImplementedError


def write_probabilities(path: Path, probabilities: npt.NDArray[np.floating]) -> None:
    """Write `(L, H, W)` probabilities as a float32 TIFF, a page a label."""
    raise NotImplementedError
