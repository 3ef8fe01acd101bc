"""Image files, in and out: one registry, one file a family.

A file's content, not its name, says what it is. Whatever bytes a file holds, reading it gives pixels or an
`ImageError` with a reason in plain words, and nothing larger than the limit is ever unpacked. `pixels.py` has
the table of what becomes of each kind of pixel.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from delineate.errors import ImageError
from delineate.files import is_folder
from delineate.formats import arrays, dicom_head, metaimage, netpbm, nifti, nrrd, raster, tiff
from delineate.formats.dicom_head import is_unnamed_dicom
from delineate.formats.quiet import without_warnings
from delineate.formats.raster import from_picture
from delineate.formats.stored import (
    HEAD_BYTES,
    USUAL,
    CompressionError,
    Family,
    Header,
    NoImageError,
    Reading,
    Source,
    StoredMask,
    TooLargeError,
)
from delineate.formats.writing import write_mask, write_probabilities

if TYPE_CHECKING:
    from delineate.formats.dicom_folder import (
        Member,
        Series,
        cut_short,
        find_series,
        grouped,
        identifying_words,
        read_members,
        spread,
    )
    from delineate.formats.dicom_series import read_series, read_series_mask
    from delineate.image import Image

_OF_FOLDERS = frozenset({
    "Member", "Series", "cut_short", "find_series", "grouped", "identifying_words",
    "read_members", "read_series", "read_series_mask", "spread",
})  # fmt: skip
"""Imported when they are first used, for they import pydicom."""

FAMILIES: tuple[Family, ...] = (
    raster.FAMILY,
    tiff.FAMILY,
    netpbm.FAMILY,
    arrays.FAMILY,
    nifti.FAMILY,
    nrrd.FAMILY,
    metaimage.FAMILY,
    dicom_head.FAMILY,
)
SUFFIXES: frozenset[str] = frozenset().union(*(family.suffixes for family in FAMILIES))
_NEVER_DICOM = frozenset(
    {
        ".7z", ".avi", ".bat", ".bval", ".bvec", ".bz2", ".cfg", ".ckpt", ".css", ".csv", ".db", ".doc",
        ".docx", ".gz", ".h5", ".hdf5", ".htm", ".html", ".ini", ".ipynb", ".js", ".json", ".log", ".mat",
        ".md", ".mov", ".mp4", ".pdf", ".pkl", ".ppt", ".pptx", ".pt", ".pth", ".py", ".rst",
        ".safetensors", ".sh", ".sqlite", ".svg", ".tar", ".toml", ".tsv", ".txt", ".xls", ".xlsx", ".xml",
        ".xz", ".yaml", ".yml", ".zip",
    }
)  # fmt: skip
"""Suffixes of what else a folder of data holds: never opened to see whether it is DICOM."""
_Result = TypeVar("_Result")


def __getattr__(name: str) -> object:
    """What is for DICOM alone, imported when it is first used."""
    if name not in _OF_FOLDERS:
        raise AttributeError(f"module 'delineate.formats' has no attribute {name!r}")
    value: object = getattr(importlib.import_module("delineate.formats.dicom_folder"), name)
    globals()[name] = value
    return value


def suffix_of(path: Path) -> str:
    """The suffix in small letters: ".nii.gz" as a whole, as all that can be read here; else the last.

    A number is none: DICOM files are often called by a UID, "1.2.840.7".
    """
    name = path.name.lower()
    known = [suffix for suffix in SUFFIXES if name.endswith(suffix) and len(name) > len(suffix)]
    last = path.suffix.lower()
    return max(known, key=len, default="" if last[1:].isdigit() else last)


def stem_of(path: Path) -> str:
    """The name of a file without that suffix."""
    suffix = suffix_of(path)
    return path.name[: len(path.name) - len(suffix)] if suffix else path.name


def is_image(path: Path) -> bool:
    """Whether `path` is an image that can be read here, by how its name ends.

    A file whose suffix is unknown or missing is one where it is DICOM by its first bytes. A DICOMDIR is none.
    """
    suffix = suffix_of(path)
    return suffix in SUFFIXES or (suffix not in _NEVER_DICOM and is_unnamed_dicom(path))


def is_dicom(path: Path) -> bool:
    """Whether `path` is DICOM, by how its name ends, or where that says nothing by its first bytes."""
    suffix = suffix_of(path)
    if suffix in SUFFIXES:
        return suffix in dicom_head.FAMILY.suffixes
    return suffix not in _NEVER_DICOM and is_unnamed_dicom(path)


def header(path: Path, reading: Reading = USUAL) -> Header:
    """What an image says of itself, without decoding its pixels.

    Args:
        path: The file, or a folder that holds one DICOM series.
        reading: Larger ones than it allows are refused.

    Returns:
        Its size and kind.

    Raises:
        ImageError: It is missing, no image, damaged in its header, too large, or of a kind that is not read.
    """
    if is_folder(path):
        from delineate.formats.dicom_folder import folder_header  # noqa: PLC0415  imports pydicom

        return folder_header(path, reading)
    return _with_family(path, reading, lambda family: family.header)


def read(path: Path, reading: Reading = USUAL) -> Image:
    """Read an image.

    Args:
        path: The file, or a folder that holds one DICOM series.
        reading: How; larger ones than it allows are refused before their pixels are decoded.

    Returns:
        `(C, H, W)` or `(C, D, H, W)` uint8, uint16, int16 or float32, with notes on what was done.

    Raises:
        ImageError: It is missing, no image, damaged, too large, or of a kind that is not read.
    """
    if is_folder(path):
        from delineate.formats.dicom_folder import read_folder  # noqa: PLC0415  imports pydicom

        return read_folder(path, reading)
    return _with_family(path, reading, lambda family: family.read)


def read_mask(path: Path, reading: Reading = USUAL) -> StoredMask:
    """Read a mask's pixels as they are stored.

    Args:
        path: The file, or a folder that holds one DICOM series.
        reading: How; larger ones than it allows are refused before their pixels are decoded.

    Returns:
        Values, palette indices or colours, for `dataset.masks` to understand.

    Raises:
        ImageError: It is missing, no image, damaged, too large, or of a kind that is not read.
    """
    if is_folder(path):
        from delineate.formats.dicom_folder import read_folder_mask  # noqa: PLC0415  imports pydicom

        return read_folder_mask(path, reading)
    return _with_family(path, reading, lambda family: family.read_mask)


def data_file_of(path: Path, reading: Reading = USUAL) -> Path | None:
    """The other file that holds an image's pixels, as of `.mhd` and `.nhdr`.

    Returns:
        None where there is none, or where it cannot be told, as `read` will say.
    """
    with contextlib.suppress(ImageError):
        return _with_family(path, reading, lambda family: family.data_file)
    return None


def family_of(path: Path) -> Family:
    """The family that a file belongs to by its content.

    Raises:
        ImageError: It is missing, or of none.
    """
    return _with_family(path, USUAL, lambda family: lambda _: family)


def _with_family(
    path: Path, reading: Reading, action: Callable[[Family], Callable[[Source], _Result]]
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
    with stream, without_warnings():
        try:
            head = stream.read(HEAD_BYTES)
            stream.seek(0)
        except OSError as error:  # a bad sector, a lost share
            raise ImageError(path, f"it cannot be read: {error.strerror or error}") from error
        # DICOM first, for what comes before its signature may be the beginning of a TIFF
        families = (dicom_head.FAMILY, *FAMILIES)
        family = next((family for family in families if family.recognises(head)), None)
        if family is None:
            raise ImageError(path, _reason_not_recognised(head))
        try:
            return action(family)(Source(stream, path, reading))
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
    "SUFFIXES",
    "USUAL",
    "CompressionError",
    "Family",
    "Header",
    "Member",
    "NoImageError",
    "Reading",
    "Series",
    "StoredMask",
    "TooLargeError",
    "cut_short",
    "data_file_of",
    "family_of",
    "find_series",
    "from_picture",
    "grouped",
    "header",
    "identifying_words",
    "is_dicom",
    "is_image",
    "is_unnamed_dicom",
    "read",
    "read_mask",
    "read_members",
    "read_series",
    "read_series_mask",
    "spread",
    "stem_of",
    "suffix_of",
    "write_mask",
    "write_probabilities",
]
