"""Images of which any part can be read without the rest: tiled TIFF, slides of scanners, Zarr."""

from __future__ import annotations

from pathlib import Path

from delineate.errors import ImageError
from delineate.formats import tiff as pictures
from delineate.formats.quiet import without_warnings
from delineate.formats.regions.region import CONVERT, Regions
from delineate.formats.regions.tiff import TiffRegions
from delineate.formats.stored import HEAD_BYTES, USUAL, Reading

__all__ = ["CONVERT", "Regions", "can_be_read", "open_regions"]


def can_be_read(path: Path) -> bool:
    """Whether a file is of a kind whose parts can be read alone, by its first bytes."""
    try:
        with path.open("rb") as stream:
            return pictures.recognises(stream.read(HEAD_BYTES))
    except OSError:
        return False


def open_regions(path: Path, reading: Reading = USUAL) -> Regions:
    """Open an image to read parts of it.

    Args:
        path: The file.
        reading: How it is read.

    Returns:
        Its reader, to be closed or used in a `with` block.

    Raises:
        ImageError: It cannot be read so, or is damaged.
    """
    try:
        with without_warnings():
            return TiffRegions(path, reading)
    except ImageError:
        raise
    except Exception as error:  # a library may raise anything on damaged bytes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(path, f"the file is damaged ({reason})") from error
