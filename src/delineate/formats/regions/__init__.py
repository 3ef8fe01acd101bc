"""Images of which any part can be read without the rest: tiled TIFF, slides of scanners, Zarr."""

from __future__ import annotations

from pathlib import Path

from delineate.errors import ImageError
from delineate.formats import tiff as pictures
from delineate.formats.quiet import without_warnings
from delineate.formats.regions.region import CONVERT, Regions
from delineate.formats.regions.zarr_layout import is_zarr
from delineate.formats.stored import HEAD_BYTES, USUAL, Reading

__all__ = ["CONVERT", "Regions", "can_be_read", "is_slide", "is_zarr", "open_regions"]

_APERIO = ".svs"  # a TIFF, but for some of its compressions
_OF_SCANNERS = frozenset({".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide"})


def is_slide(path: Path) -> bool:
    """Whether an image can be read in parts only, by how its name ends or by what its folder holds."""
    return path.suffix.lower() in _OF_SCANNERS | {_APERIO} or is_zarr(path)


def can_be_read(path: Path) -> bool:
    """Whether an image is of a kind whose parts can be read alone."""
    if is_slide(path):
        return True
    try:
        with path.open("rb") as stream:
            return pictures.recognises(stream.read(HEAD_BYTES))
    except OSError:
        return False


def open_regions(path: Path, reading: Reading = USUAL) -> Regions:
    """Open an image to read parts of it.

    Args:
        path: The file, or a Zarr folder.
        reading: How it is read.

    Returns:
        Its reader, to be closed or used in a `with` block.

    Raises:
        ImageError: It cannot be read so, or is damaged.
    """
    try:
        with without_warnings():
            return _reader(path, reading)
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(path, f"it cannot be opened: {error.strerror or error}") from error
    except Exception as error:  # a library may raise anything on damaged bytes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(path, f"the file is damaged ({reason})") from error


def _reader(path: Path, reading: Reading) -> Regions:
    # here, as they take time to import and few need them
    from delineate.formats.regions.openslide import OpenSlideRegions  # noqa: PLC0415
    from delineate.formats.regions.tiff import TiffRegions  # noqa: PLC0415
    from delineate.formats.regions.zarr import ZarrRegions  # noqa: PLC0415

    if is_zarr(path):
        return ZarrRegions(path, reading)
    if path.suffix.lower() in _OF_SCANNERS:
        return OpenSlideRegions(path, reading)
    try:
        return TiffRegions(path, reading)
    except ImageError as error:
        if path.suffix.lower() != _APERIO:
            raise
        try:
            return OpenSlideRegions(path, reading)
        except ImageError:
            raise error from None
