"""Picture files, in and out: one registry, one file a family.

A file's content, not its name, says what it is. Whatever bytes a file holds, reading it gives pixels or an
`ImageError` with a reason in plain words, and nothing larger than the limit is ever unpacked. `pixels.py` has
the table of what becomes of each kind of pixel.
"""

from __future__ import annotations

import errno
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from delineate.errors import ImageError
from delineate.formats import raster, tiff
from delineate.formats.raster import from_picture
from delineate.formats.stored import MAXIMUM_MEGAPIXELS, Family, Header, Source, StoredMask
from delineate.formats.writing import write_mask, write_probabilities

if TYPE_CHECKING:
    from delineate.image import Image

FAMILIES: tuple[Family, ...] = (raster.FAMILY, tiff.FAMILY)
SUFFIXES: frozenset[str] = frozenset().union(*(family.suffixes for family in FAMILIES))
_HEAD_BYTES = 16
_Result = TypeVar("_Result")


def is_image(path: Path) -> bool:
    """Whether the name of `path` ends like that of an image that can be read here."""
    return path.suffix.lower() in SUFFIXES


def header(path: Path, *, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> Header:
    """What an image says of itself, without decoding its pixels.

    Args:
        path: The file.
        maximum_megapixels: Larger pictures are refused.

    Returns:
        Its size and kind.

    Raises:
        ImageError: It is missing, no image, damaged in its header, too large, or of a kind that is not read.
    """
    return _with_family(path, maximum_megapixels, lambda family: family.header)


def read(path: Path, *, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> Image:
    """Read an image.

    Args:
        path: The file.
        maximum_megapixels: Larger pictures are refused before their pixels are decoded.

    Returns:
        `(C, H, W)` uint8, uint16 or float32, with notes on what was done.

    Raises:
        ImageError: It is missing, no image, damaged, too large, or of a kind that is not read.
    """
    return _with_family(path, maximum_megapixels, lambda family: family.read)


def read_mask(path: Path, *, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> StoredMask:
    """Read a mask's pixels as they are stored.

    Args:
        path: The file.
        maximum_megapixels: Larger pictures are refused before their pixels are decoded.

    Returns:
        Values, palette indices or colours, for `dataset.masks` to understand.

    Raises:
        ImageError: It is missing, no image, damaged, too large, or of a kind that is not read.
    """
    return _with_family(path, maximum_megapixels, lambda family: family.read_mask)


def _with_family(
    path: Path, maximum_megapixels: float, action: Callable[[Family], Callable[[Source], _Result]]
) -> _Result:
    """Open the file and let the family that knows it act; every fault becomes an `ImageError`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(
                path, "it is a folder" if stat.S_ISDIR(status.st_mode) else "it is no ordinary file"
            )
        stream = path.open("rb")
    except (OSError, ValueError) as error:
        raise ImageError(path, _reason_not_opened(error)) from error
    with stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        head = stream.read(_HEAD_BYTES)
        stream.seek(0)
        family = next((family for family in FAMILIES if family.recognises(head)), None)
        if family is None:
            raise ImageError(path, _reason_not_recognised(head))
        try:
            return action(family)(Source(stream, path, maximum_megapixels * 1e6))
        except ImageError:
            raise
        except Exception as error:  # a library may raise anything on damaged bytes
            raise ImageError(path, _reason_damaged(error)) from error


def _reason_not_opened(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    reasons = {
        errno.ENOENT: "there is no such file",
        errno.EACCES: "it may not be read by this user. Change its permissions (chmod u+r)",
        errno.ELOOP: "it is a link that leads back to itself",
    }
    return reasons.get(number or 0) or f"it cannot be opened: {getattr(error, 'strerror', None) or error}"


def _reason_not_recognised(head: bytes) -> str:
    if not head:
        return "the file is empty"
    names = ", ".join(name for family in FAMILIES for name in family.formats)
    return f"its content is no image that can be read ({names}), whatever its name says"


def _reason_damaged(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory to read it"
    text = " ".join(str(error).split())[:200] or type(error).__name__
    lower = text.lower()
    if isinstance(error, EOFError) or any(
        word in lower for word in ("truncated", "too small", "unexpected end")
    ):
        return f"the file is truncated ({text})"
    return f"the file is damaged ({text})"


__all__ = [
    "FAMILIES",
    "MAXIMUM_MEGAPIXELS",
    "SUFFIXES",
    "Family",
    "Header",
    "StoredMask",
    "from_picture",
    "header",
    "is_image",
    "read",
    "read_mask",
    "write_mask",
    "write_probabilities",
]
