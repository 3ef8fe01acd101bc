"""PNG, JPEG, BMP and GIF, read by Pillow.

A JPEG is turned upright as its EXIF orientation says, for that is how every viewer shows it and how masks are
drawn on it. Viewers differ for the rare PNG with an orientation, so that is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, GifImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin
from PIL import Image as Pillow
from PIL.ExifTags import Base

from delineate.formats.pixels import (
    ALPHA_NOTE,
    Array,
    check_indices,
    image_pixels,
    mask_values,
    through_palette,
    without_alpha,
)
from delineate.formats.stored import Family, Header, Source, StoredMask
from delineate.image import Image

if TYPE_CHECKING:
    from collections.abc import Callable

# The classes are called directly: Pillow's own `open` would try other formats, and warn on standard error.
_OPENERS: dict[bytes, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"GIF87a": GifImagePlugin.GifImageFile,
    b"GIF89a": GifImagePlugin.GifImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
_MODES = {
    "1": "1-bit",
    "L": "grey",
    "LA": "grey with alpha",
    "I;16": "16-bit grey",
    "P": "palette",
    "RGB": "RGB",
    "RGBA": "RGB with alpha",
}
_DEEP_MODES = {
    "RGB;16B": "16-bit RGB",
    "LA;16B": "16-bit grey with alpha",
    "RGBA;16B": "16-bit RGB with alpha",
}
_ARRAY_MODES = {"1", "L", "LA", "RGB", "RGBA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_SIDEWAYS = (5, 6, 7, 8)


def recognises(head: bytes) -> bool:
    """Whether a file that begins like this is one of ours."""
    return any(head.startswith(signature) for signature in _OPENERS)


def header(source: Source) -> Header:
    """Size and kind, without decoding the pixels."""
    picture = _open(source)
    width, height = picture.size
    if _orientation(picture)[0] in _SIDEWAYS:
        width, height = height, width
    mode = _DEEP_MODES.get(_raw_mode(picture)) or _MODES[picture.mode]
    coloured = not _palette_is_grey(picture) if picture.mode == "P" else "RGB" in mode
    return Header((height, width), mode, picture.format or "", 3 if coloured else 1)


def read(source: Source) -> Image:
    """The picture as an `Image`, upright."""
    picture = _open(source)
    orientation, notes = _orientation(picture)
    if _raw_mode(picture) in _DEEP_MODES:
        channels, more = _deep_channels(picture, source)
    else:
        picture.load()
        _refuse_oriented_png(picture, source)
        channels, more = picture_channels(picture, source)
    pixels, converted = image_pixels(channels, source)
    return Image(np.ascontiguousarray(_upright(pixels, orientation)), notes=notes + more + converted)


def read_mask(source: Source) -> StoredMask:
    """The picture's values as they are stored, upright."""
    picture = _open(source)
    if _raw_mode(picture) in _DEEP_MODES:
        raise source.refuse("masks with 16-bit colours are not read. Save it as an 8-bit PNG")
    orientation, _ = _orientation(picture)
    picture.load()
    _refuse_oriented_png(picture, source)
    lossy = picture.format == "JPEG"
    if picture.mode == "P":
        indices, palette = np.asarray(picture), _palette(picture)
        check_indices(indices, palette, source)
        return StoredMask(indices, palette, lossy)
    channels = mask_values(_channels(np.asarray(picture)), source)
    if picture.mode in ("LA", "RGBA"):
        channels = without_alpha(channels, source)
    channels = _upright(channels, orientation)
    values = channels[0] if len(channels) == 1 else channels.transpose(1, 2, 0)
    return StoredMask(np.ascontiguousarray(values), None, lossy)


def from_picture(picture: Pillow.Image) -> Image:
    """The pixels of a Pillow image, by the same rules as a file's, but never turned.

    Args:
        picture: What the caller holds; its mask shall lie on these very pixels.

    Returns:
        The image.

    Raises:
        ImageError: Its mode has no clear meaning, its alpha channel varies, or pixels are no numbers.
    """
    name = Path(getattr(picture, "filename", "") or "the picture")
    source = Source(None, name)  # type: ignore[arg-type]  # there is no file, and none is read
    channels, notes = picture_channels(picture, source)
    pixels, converted = image_pixels(channels, source)
    return Image(np.ascontiguousarray(pixels), notes=notes + converted)


def picture_channels(picture: Pillow.Image, source: Source) -> tuple[Array, tuple[str, ...]]:
    """`(C, H, W)` of a Pillow image: palettes looked up, a constant alpha dropped."""
    notes: tuple[str, ...] = ()
    if "transparency" in picture.info and picture.mode in ("1", "L", "P", "RGB"):
        # one grey, colour or palette entry is declared transparent: the same as an alpha channel
        alpha = _channels(np.asarray(picture.convert("RGBA")))
        without_alpha(alpha, source)
        notes = (ALPHA_NOTE,) if int(alpha[-1, 0, 0]) != 255 else ()
    if picture.mode == "P":
        indices, palette = np.asarray(picture), _palette(picture)
        check_indices(indices, palette, source)
        return through_palette(indices, palette), notes
    if picture.mode not in _ARRAY_MODES:
        raise source.refuse(f"{picture.mode} colours are not read. Convert it to RGB")
    channels = _channels(np.asarray(picture))
    if picture.mode in ("LA", "RGBA"):
        return without_alpha(channels, source), (ALPHA_NOTE,)
    return channels, notes


def _open(source: Source) -> ImageFile.ImageFile:
    head = source.stream.read(8)
    source.stream.seek(0)
    opener = next(opener for signature, opener in _OPENERS.items() if head.startswith(signature))
    picture = opener(source.stream)
    source.check_size(picture.height, picture.width)
    if getattr(picture, "is_animated", False):
        raise source.refuse("it holds several pictures (an animation). Save the one that is meant")
    if picture.mode not in _MODES:
        raise source.refuse(f"{picture.mode} colours are not read. Convert it to RGB")
    if opener is PngImagePlugin.PngImageFile:
        picture.verify()  # the checksums, which decoding passes over
        source.stream.seek(0)
        picture = opener(source.stream)
    return picture


def _raw_mode(picture: ImageFile.ImageFile) -> str:
    """How a pixel is stored, where Pillow would cut 16-bit colours to 8 bits."""
    arguments = picture.tile[0].args if picture.tile else ""
    return arguments if isinstance(arguments, str) else ""


def _deep_channels(picture: ImageFile.ImageFile, source: Source) -> tuple[Array, tuple[str, ...]]:
    """`(C, H, W)` uint16 of a PNG with 16-bit colours."""
    if "transparency" in picture.info:
        raise source.refuse(
            "16-bit colours with a transparent one are not read. Save it without transparency"
        )
    from imagecodecs import png_decode  # noqa: PLC0415  heavy

    source.stream.seek(0)
    channels = _channels(png_decode(source.stream.read()))
    if len(channels) in (2, 4):
        return without_alpha(channels, source), (ALPHA_NOTE,)
    return channels, ()


def _channels(array: Array) -> Array:
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _palette(picture: Pillow.Image) -> npt.NDArray[np.uint8]:
    return np.array(picture.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)


def _palette_is_grey(picture: ImageFile.ImageFile) -> bool:
    """Whether every colour of a palette is grey, told from the file's header."""
    palette = picture.palette
    if palette is None:
        return False
    samples = len(palette.rawmode or palette.mode)  # "RGB", "BGR" or, with a byte that says nothing, "BGRX"
    entries = np.frombuffer(bytes(palette.palette), np.uint8)
    entries = entries[: len(entries) // samples * samples].reshape(-1, samples)
    return bool((entries[:, :3] == entries[:, :1]).all())


def _orientation(picture: ImageFile.ImageFile) -> tuple[int, tuple[str, ...]]:
    """A JPEG's EXIF orientation, 1 to 8, and what is to be said of it."""
    if picture.format != "JPEG" or "exif" not in picture.info:
        return 1, ()
    try:
        value = picture.getexif().get(Base.Orientation, 1)
    except Exception:  # whatever Pillow raises on damaged metadata; the pixels may well be whole
        return 1, ("its EXIF data are damaged and were not used",)
    if value not in range(2, 9):
        return 1, ()
    return int(value), (f"turned upright as its EXIF orientation ({value}) says",)


def _refuse_oriented_png(picture: ImageFile.ImageFile, source: Source) -> None:
    if picture.format == "PNG" and "exif" in picture.info:
        try:
            value = picture.getexif().get(Base.Orientation, 1)
        except Exception:  # whatever Pillow raises on damaged metadata, which then say nothing
            return
        if value in range(2, 9):
            raise source.refuse(
                f"its EXIF orientation ({value}) is shown by some programs and not by others. Save it upright"
            )


def _upright(channels: Array, orientation: int) -> Array:
    """`(C, H, W)` turned as the EXIF orientation says."""
    turned = {
        2: lambda a: a[:, :, ::-1],
        3: lambda a: a[:, ::-1, ::-1],
        4: lambda a: a[:, ::-1],
        5: lambda a: a.transpose(0, 2, 1),
        6: lambda a: np.rot90(a, -1, (1, 2)),
        7: lambda a: np.rot90(a, 2, (1, 2)).transpose(0, 2, 1),
        8: lambda a: np.rot90(a, 1, (1, 2)),
    }
    return turned[orientation](channels) if orientation in turned else channels


FAMILY = Family(
    suffixes=frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif"}),
    formats=("PNG", "JPEG", "BMP", "GIF"),
    recognises=recognises,
    header=header,
    read=read,
    read_mask=read_mask,
)
