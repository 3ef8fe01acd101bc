"""Pictures as arrays, by the rules of Delineate: what would be ambiguous is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, GifImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin
from PIL import Image as Pillow

from delineate_runtime.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

Array: TypeAlias = npt.NDArray[np.generic]
MOST_PIXELS = 100_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
TIFF_SUFFIXES = (".tif", ".tiff")
ORIENTATION = 0x0112  # of EXIF
_OPENERS: dict[bytes, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"GIF87a": GifImagePlugin.GifImageFile,
    b"GIF89a": GifImagePlugin.GifImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
_TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
_DEEP = ("RGB;16B", "LA;16B", "RGBA;16B")


def read(path: Path) -> Array:
    """The pixels of a file.

    Args:
        path: PNG, JPEG, BMP or GIF; TIFF where tifffile is installed.

    Returns:
        `(C, H, W)` uint8, uint16 or float32, upright.

    Raises:
        ImageError: It cannot be read, or what it shows is not clear.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
            stream.seek(0)
            if head.startswith(_TIFFS):
                from delineate_runtime.tiff import read_tiff  # noqa: PLC0415  an extra

                return read_tiff(stream)
            opener = next((each for start, each in _OPENERS.items() if head.startswith(start)), None)
            if opener is None:
                raise ImageError("it is no PNG, JPEG, BMP, GIF or TIFF")
            return _pixels(opener, stream)
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(error.strerror or f"it is damaged: {error}") from error
    except MemoryError as error:
        raise ImageError("it is too large for this machine's memory") from error
    except Exception as error:  # whatever a library raises on damage
        raise ImageError(f"it is damaged: {' '.join(str(error).split())[:200]}") from error


def check_size(height: int, width: int) -> None:
    """Refuse a picture that is empty or too large, before memory is taken for it.

    Raises:
        ImageError: It is.
    """
    if min(height, width) < 1:
        raise ImageError(f"it has no pixels ({height}×{width})")
    if height * width > MOST_PIXELS:
        raise ImageError(
            f"it is too large: {height}×{width} are {height * width / 1e6:.0f} million pixels, and at most "
            f"{MOST_PIXELS / 1e6:.0f} million are read"
        )


def _pixels(opener: Callable[[IO[bytes]], ImageFile.ImageFile], stream: IO[bytes]) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow about metadata
        picture = opener(stream)
        check_size(picture.height, picture.width)
        if getattr(picture, "is_animated", False):
            raise ImageError("it holds several pictures (an animation). Save the one that is meant")
        raw = picture.tile[0].args if picture.tile else ""
        if raw in _DEEP:
            raise ImageError("16-bit colours are read by Delineate itself alone. Save it as an 8-bit PNG")
        if picture.format == "PNG":
            picture.verify()  # the checksums, which decoding passes over
            stream.seek(0)
            picture = opener(stream)
        picture.load()
        return upright(of_picture(picture), _orientation(picture))


def of_picture(picture: Pillow.Image) -> Array:
    """`(C, H, W)` of a Pillow image, as it lies: palettes looked up, a constant alpha dropped.

    Raises:
        ImageError: Its mode has no clear meaning, or its alpha channel varies.
    """
    if picture.mode not in (*_MODES, "I;16L", "I;16B", "I;16N", "F"):
        raise ImageError(f"{picture.mode} colours are not read. Convert it to RGB")
    if "transparency" in picture.info and picture.mode in ("1", "L", "P", "RGB"):
        without_alpha(
            _channels(np.asarray(picture.convert("RGBA")))
        )  # one declared entry is the same as alpha
    if picture.mode == "P":
        return _through_palette(picture)
    channels = _channels(np.asarray(picture))
    if channels.dtype == np.bool_:
        return channels.astype(np.uint8) * np.uint8(255)
    if picture.mode in ("LA", "RGBA"):
        return without_alpha(channels)
    return channels.astype(channels.dtype.newbyteorder("="), copy=False)


def without_alpha(channels: Array) -> Array:
    """The channels but the last, the alpha channel, if that says nothing.

    Raises:
        ImageError: It varies.
    """
    if (channels[-1] != channels[-1].flat[0]).any():
        raise ImageError("its alpha channel (transparency) varies. Save it flattened, without transparency")
    return channels[:-1]


def _through_palette(picture: Pillow.Image) -> Array:
    indices = np.asarray(picture)
    palette = np.array(picture.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    if int(indices.max()) >= len(palette):
        raise ImageError("it is damaged: it uses colours behind its palette's end")
    grey = bool((palette == palette[:, :1]).all())
    return np.ascontiguousarray(np.moveaxis((palette[:, :1] if grey else palette)[indices], -1, 0))


def _orientation(picture: ImageFile.ImageFile) -> int:
    """A JPEG's EXIF orientation, 1 to 8; a PNG that has one is refused, for viewers differ."""
    if picture.format not in ("JPEG", "PNG") or "exif" not in picture.info:
        return 1
    try:
        value = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # whatever Pillow raises on damaged metadata; the pixels may well be whole
        return 1
    if value not in range(2, 9):
        return 1
    if picture.format == "PNG":
        raise ImageError(
            f"its EXIF orientation ({value}) is shown by some programs and not by others. Save it upright"
        )
    return int(value)


def upright(channels: Array, orientation: int) -> Array:
    """`(C, H, W)` turned as an EXIF orientation says."""
    if orientation >= 5:
        channels = channels.transpose(0, 2, 1)
    columns, rows = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return channels[:, :: -1 if rows else 1, :: -1 if columns else 1]


def _channels(array: Array) -> Array:
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def check_numbers(array: Array) -> None:
    """Refuse pixels that are not numbers.

    Raises:
        ImageError: There are some.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ImageError("it has pixels that are not numbers (NaN or infinite)")
