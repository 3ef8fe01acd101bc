"""TIFF, read by tifffile: integers and floats; grey, RGB, palette or several channels; one picture a file.

| in the file | here |
|---|---|
| white is zero | inverted, and said; in masks refused, for programs differ |
| 2 and 4 bits a pixel | images: scaled to 0…255; masks: as they are |
| an orientation other than upright | refused: some programs turn it and some do not |
| several pages, depth, stacks | refused: one picture a file |
| parts missing or cut off | refused, never filled up |
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections.abc import Iterator
from typing import Protocol, cast

import numpy as np
import tifffile
from PIL import JpegImagePlugin

from delineate.formats.pixels import (
    ALPHA_NOTE,
    Array,
    check_indices,
    image_pixels,
    mask_values,
    through_palette,
    without_alpha,
)
from delineate.formats.stored import MAXIMUM_CHANNELS, Family, Header, Source, StoredMask
from delineate.image import Image

# What tifffile logs is an error here, or nothing the user can act on: it must not reach the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_JPEG = 7
_PHOTOMETRIC = {
    _WHITE_IS_ZERO: "grey",
    _BLACK_IS_ZERO: "grey",
    _RGB: "RGB",
    _PALETTE: "palette",
    _YCBCR: "RGB",
}
_REFUSED_PHOTOMETRIC = {4: "transparency mask", 5: "CMYK", 8: "Lab", 9: "Lab", 10: "Lab", 32803: "raw camera"}
_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# none, CCITT (three kinds), LZW, JPEG, deflate (two numbers), PackBits, LZMA, Zstandard: none of them unpacks
# to more than the header says; JPEG is checked for it
_COMPRESSIONS = {1, 2, 3, 4, 5, _JPEG, 8, 32946, 32773, 34925, 50000}
_COLOUR_SAMPLES = 3


class _Page(Protocol):
    """The part of tifffile's page that is used; the library ships no types."""

    imagewidth: int
    imagelength: int
    imagedepth: int
    samplesperpixel: int
    planarconfig: int
    photometric: int
    compression: int
    bitspersample: int
    extrasamples: tuple[int, ...]
    dtype: np.dtype[np.generic] | None
    colormap: Array | None
    is_tiled: bool
    tilewidth: int
    tilelength: int
    rowsperstrip: int
    dataoffsets: tuple[int, ...]
    databytecounts: tuple[int, ...]

    def asarray(self, *, squeeze: bool, maxworkers: int) -> Array:
        """The decoded pixels."""


def recognises(head: bytes) -> bool:
    """Whether a file that begins like this is a TIFF or BigTIFF."""
    return head.startswith(_SIGNATURES)


def header(source: Source) -> Header:
    """Size and kind, without decoding the pixels."""
    with _page(source) as page:
        name = _PHOTOMETRIC[page.photometric]
        channels = page.samplesperpixel - int(_has_alpha(page))
        if page.photometric == _PALETTE:
            palette = _palette(page)
            channels = 1 if (palette == palette[:, :1]).all() else _COLOUR_SAMPLES
        colours = _COLOUR_SAMPLES if name == "RGB" else 1
        if page.samplesperpixel > colours:
            alpha = _has_alpha(page) and page.samplesperpixel == colours + 1
            name = f"{name} with alpha" if alpha else f"{page.samplesperpixel} channels"
        if page.dtype is not None and page.dtype.kind == "f":
            name = f"float {name}"
        elif page.bitspersample != 8:
            name = f"{page.bitspersample}-bit" + ("" if page.bitspersample == 1 else f" {name}")
        return Header((page.imagelength, page.imagewidth), name, "TIFF", channels)


def read(source: Source) -> Image:
    """The picture as an `Image`."""
    with _page(source) as page:
        channels = _channels(page, source)
        notes: tuple[str, ...] = ()
        if page.photometric == _PALETTE:
            palette = _palette(page)
            check_indices(channels[0], palette, source)
            return Image(through_palette(channels[0], palette))
        if page.bitspersample in (2, 4):
            channels = (channels * (255 // (2**page.bitspersample - 1))).astype(np.uint8)
        if _has_alpha(page):
            channels, notes = without_alpha(channels, source), (ALPHA_NOTE,)
        if page.photometric == _WHITE_IS_ZERO:
            channels, notes = _inverted(channels, source), (*notes, "its white is zero: it was inverted")
        pixels, converted = image_pixels(channels, source)
        return Image(np.ascontiguousarray(pixels), notes=notes + converted)


def read_mask(source: Source) -> StoredMask:
    """The picture's values as they are stored."""
    with _page(source) as page:
        channels = _channels(page, source)
        if page.photometric == _WHITE_IS_ZERO:
            raise source.refuse(
                "its white is zero (photometric interpretation), which programs show differently. "
                "Save the mask with black as zero, for example as PNG"
            )
        if page.photometric == _PALETTE:
            palette = _palette(page)
            check_indices(channels[0], palette, source)
            return StoredMask(channels[0], palette)
        channels = mask_values(channels, source)
        if _has_alpha(page):
            channels = without_alpha(channels, source)
        lossy = page.compression == _JPEG
        if len(channels) == 1:
            return StoredMask(np.ascontiguousarray(channels[0]), None, lossy)
        if len(channels) == _COLOUR_SAMPLES and channels.dtype == np.uint8:
            return StoredMask(np.ascontiguousarray(channels.transpose(1, 2, 0)), None, lossy)
        raise source.refuse(
            f"a mask with {len(channels)} channels of {channels.dtype.name} has no clear meaning. "
            "Save it with one number a pixel, for example as PNG"
        )


@contextlib.contextmanager
def _page(source: Source) -> Iterator[_Page]:
    """The one page of a file, checked but not decoded."""
    with tifffile.TiffFile(source.stream, name=source.path.name) as tiff:
        page = cast(_Page, tiff.pages[0])
        source.check_size(page.imagelength, page.imagewidth)
        pages = len(tiff.pages)
        if pages == 1 and (tiff.is_imagej or tiff.is_shaped):
            pages = max(1, round(math.prod(tiff.series[0].shape) / (page.imagelength * page.imagewidth)))
            pages = pages if pages > page.samplesperpixel else 1
        if pages > 1 or page.imagedepth > 1:
            raise source.refuse("it holds several pictures (pages). Save each as a file of its own")
        _check_kind(page, source)
        _check_whole(page, source)
        orientation = tiff.pages[0].tags.valueof(274, 1)
        if orientation in range(2, 9):
            raise source.refuse(
                f"its orientation ({int(orientation)}) is shown by some programs and not by others. "
                "Save it upright"
            )
        yield page


def _check_kind(page: _Page, source: Source) -> None:
    """Refuse kinds of pixels that have no clear meaning here."""
    if page.photometric not in _PHOTOMETRIC or (page.photometric == _YCBCR and page.compression != _JPEG):
        name = _REFUSED_PHOTOMETRIC.get(page.photometric, f"(photometric {int(page.photometric)})")
        raise source.refuse(f"{name} colours are not read. Convert it to RGB")
    if page.compression not in _COMPRESSIONS:
        raise source.refuse(
            f"its compression ({int(page.compression)}) is not read. "
            "Save it with another, for example deflate"
        )
    if page.samplesperpixel > MAXIMUM_CHANNELS:
        raise source.refuse(f"it has {page.samplesperpixel} channels; at most {MAXIMUM_CHANNELS} are read")
    if page.dtype is None:
        raise source.refuse("its kind of pixels is not read. Save it as 8-bit or 16-bit")
    if page.photometric in (_RGB, _YCBCR) and page.samplesperpixel < _COLOUR_SAMPLES:
        raise source.refuse(f"the file is damaged: RGB with {page.samplesperpixel} channels")
    if page.photometric == _PALETTE and (page.colormap is None or page.samplesperpixel != 1):
        raise source.refuse("the file is damaged: its palette is missing")


def _check_whole(page: _Page, source: Source) -> None:
    """Refuse a file whose strips or tiles are missing, cut off, or unpack to more than the picture needs."""
    rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
    columns = page.tilewidth if page.is_tiled else page.imagewidth
    source.check_size(rows, columns)
    parts = math.ceil(page.imagelength / rows) * math.ceil(page.imagewidth / columns)
    if page.planarconfig == 2:
        parts *= page.samplesperpixel
    offsets, counts = page.dataoffsets, page.databytecounts
    contiguous = len(offsets) == 1 and page.compression == 1
    if not contiguous and (len(offsets) < parts or len(counts) < parts or not all(counts[:parts])):
        raise source.refuse(
            f"the file is damaged: only {sum(map(bool, counts[:parts]))} of its {parts} parts are there"
        )
    length = source.stream.seek(0, io.SEEK_END)
    if any(offset + count > length for offset, count in zip(offsets[:parts], counts[:parts], strict=False)):
        raise source.refuse("the file is truncated: a part of the picture is missing at its end")
    if page.compression == _JPEG:
        for offset, count in zip(offsets[:parts], counts[:parts], strict=False):
            source.stream.seek(offset)
            width, height = JpegImagePlugin.JpegImageFile(io.BytesIO(source.stream.read(count))).size
            if height > rows or width > columns:
                raise source.refuse(
                    f"the file is damaged: a part of {rows}×{columns} unpacks to {height}×{width}"
                )


def _channels(page: _Page, source: Source) -> Array:
    """`(C, H, W)` of the decoded page."""
    array = page.asarray(squeeze=False, maxworkers=1)
    size = (page.imagelength, page.imagewidth)
    if array.size != page.samplesperpixel * size[0] * size[1]:
        raise source.refuse("the file is damaged: the number of its pixels is not what its header says")
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        return array.reshape(page.samplesperpixel, *size)
    return array.reshape(*size, page.samplesperpixel).transpose(2, 0, 1)


def _has_alpha(page: _Page) -> bool:
    """Whether the last channel is declared to be alpha, or is the fourth of RGB."""
    declared = bool(page.extrasamples) and int(page.extrasamples[-1]) in (1, 2)
    fourth = page.photometric == _RGB and page.samplesperpixel == _COLOUR_SAMPLES + 1
    return page.samplesperpixel > 1 and (declared or fourth)


def _palette(page: _Page) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    colours = np.asarray(page.colormap).T
    return (colours >> 8).astype(np.uint8) if colours.dtype.itemsize > 1 else colours.astype(np.uint8)


def _inverted(channels: Array, source: Source) -> Array:
    if channels.dtype == np.bool_:
        return np.logical_not(channels)
    if channels.dtype not in (np.uint8, np.uint16):
        raise source.refuse(
            "its white is zero, but its pixels are not 8-bit or 16-bit. Save it with black as zero"
        )
    return np.bitwise_not(channels.astype(channels.dtype.newbyteorder("="), copy=False))


FAMILY = Family(
    suffixes=frozenset({".tif", ".tiff"}),
    formats=("TIFF",),
    recognises=recognises,
    header=header,
    read=read,
    read_mask=read_mask,
)
