"""One page of a TIFF: checked before it is decoded, then its pixels."""

from __future__ import annotations

import io
import math
from collections.abc import Collection
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import JpegImagePlugin

from delineate.formats.pixels import Array
from delineate.formats.stored import MAXIMUM_CHANNELS, CompressionError, Source
from delineate.formats.tiff_directories import Tags, check_tags

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
JPEG = 7
PHOTOMETRIC = {
    WHITE_IS_ZERO: "grey",
    BLACK_IS_ZERO: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    YCBCR: "RGB",
}
COLOUR_SAMPLES = 3
_REFUSED_PHOTOMETRIC = {4: "transparency mask", 5: "CMYK", 8: "Lab", 9: "Lab", 10: "Lab", 32803: "raw camera"}
# none, CCITT (three kinds), LZW, JPEG, deflate (two numbers), PackBits, LZMA, Zstandard: none of them unpacks
# to more than the header says; JPEG is checked for it
_COMPRESSIONS = {1, 2, 3, 4, 5, JPEG, 8, 32946, 32773, 34925, 50000}
SEPARATE_PLANES = 2
AS_ANY_OTHER = {"is_ndpi": False, "is_lsm": False, "is_scanimage": False}
"""For `tifffile`: these files are read by what their pages say."""
# A file smaller than its pixels by more than this, which is more than deflate can do, is not believed where
# the pixels would take much memory.
_MUCH_BYTES, _MOST_PACKED = 1 << 28, 1100


class Page(Protocol):
    """The part of tifffile's page that is used; the library ships no types."""

    offset: int
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
    description: str
    subifds: tuple[int, ...] | None
    is_reduced: bool
    is_mask: bool
    is_contiguous: bool
    is_tiled: bool
    tilewidth: int
    tilelength: int
    rowsperstrip: int
    dataoffsets: tuple[int, ...]
    databytecounts: tuple[int, ...]
    tags: Tags

    def asarray(self, *, squeeze: bool, maxworkers: int) -> Array:
        """The decoded pixels."""


def check_kind(page: Page, source: Source, more: Collection[int] = ()) -> None:
    """Refuse kinds of pages that have no clear meaning here.

    Args:
        page: Of it.
        source: The file.
        more: Compressions that are read beside the usual ones.

    Raises:
        ImageError: It is one.
    """
    check_tags(page.offset, page.tags, source)
    if page.imagedepth > 1:
        raise source.refuse("its pages have a depth of their own. Save each slice as a page")
    if page.photometric not in PHOTOMETRIC or (page.photometric == YCBCR and page.compression != JPEG):
        name = _REFUSED_PHOTOMETRIC.get(page.photometric, f"(photometric {int(page.photometric)})")
        raise source.refuse(f"{name} colours are not read. Convert it to RGB")
    if page.compression not in _COMPRESSIONS and page.compression not in more:
        raise CompressionError(
            source.path,
            f"its compression ({int(page.compression)}) is not read. "
            "Save it with another, for example deflate",
        )
    if page.samplesperpixel > MAXIMUM_CHANNELS:
        raise source.refuse(f"it has {page.samplesperpixel} channels; at most {MAXIMUM_CHANNELS} are read")
    if page.dtype is None:
        raise source.refuse("its kind of pixels is not read. Save it as 8-bit or 16-bit")
    if page.photometric in (RGB, YCBCR) and page.samplesperpixel < COLOUR_SAMPLES:
        raise source.refuse(f"the file is damaged: RGB with {page.samplesperpixel} channels")
    if page.photometric == PALETTE and (page.colormap is None or page.samplesperpixel != 1):
        raise source.refuse("the file is damaged: its palette is missing")
    orientation = page.tags.valueof(274, 1)
    if isinstance(orientation, int) and orientation in range(2, 9):
        raise source.refuse(
            f"its orientation ({int(orientation)}) is shown by some programs and not by others. "
            "Save it upright"
        )


def check_whole(page: Page, source: Source) -> None:
    """Refuse a page whose strips or tiles are missing, cut off, or unpack to more than the picture needs.

    Raises:
        ImageError: They are.
    """
    rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
    columns = page.tilewidth if page.is_tiled else page.imagewidth
    source.check_size(rows, columns)
    parts = math.ceil(page.imagelength / rows) * math.ceil(page.imagewidth / columns)
    if page.planarconfig == SEPARATE_PLANES:
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
    if page.compression == JPEG:
        for offset, count in zip(offsets[:parts], counts[:parts], strict=False):
            source.stream.seek(offset)
            width, height = JpegImagePlugin.JpegImageFile(io.BytesIO(source.stream.read(count))).size
            if height > rows or width > columns:
                raise source.refuse(
                    f"the file is damaged: a part of {rows}×{columns} unpacks to {height}×{width}"
                )


def check_believable(page: Page, pages: int, source: Source) -> None:
    """Refuse a small file that says to hold a great many bytes.

    Args:
        page: The first, which all others are like.
        pages: How many there are.
        source: The file.

    Raises:
        ImageError: It does.
    """
    claimed = pages * page.imagelength * page.imagewidth * page.samplesperpixel
    claimed *= page.dtype.itemsize if page.dtype is not None else 1
    length = source.stream.seek(0, io.SEEK_END)
    if claimed > _MUCH_BYTES and claimed > _MOST_PACKED * length:
        raise source.refuse(
            f"the file is damaged: it says that its {length:,} bytes hold {claimed:,} bytes of pixels"
        )


def decode(page: Page, source: Source) -> Array:
    """`(S, H, W)` of a page that was checked.

    Raises:
        ImageError: It holds another number of pixels than its header says.
    """
    array = page.asarray(squeeze=False, maxworkers=1)
    size = (page.imagelength, page.imagewidth)
    if array.size != page.samplesperpixel * size[0] * size[1]:
        raise source.refuse("the file is damaged: the number of its pixels is not what its header says")
    plane: Array = channels_first(array, page)[0]
    return plane


def channels_first(array: Array, page: Page) -> Array:
    """`(N, S, H, W)` from the pixels of N pages in the order in which they are stored."""
    size = (page.imagelength, page.imagewidth)
    if page.planarconfig == SEPARATE_PLANES and page.samplesperpixel > 1:
        return array.reshape(-1, page.samplesperpixel, *size)
    return array.reshape(-1, *size, page.samplesperpixel).transpose(0, 3, 1, 2)


def has_alpha(page: Page) -> bool:
    """Whether the last sample is declared to be alpha, or is the fourth of RGB."""
    declared = bool(page.extrasamples) and int(page.extrasamples[-1]) in (1, 2)
    fourth = page.photometric == RGB and page.samplesperpixel == COLOUR_SAMPLES + 1
    return page.samplesperpixel > 1 and (declared or fourth)


def palette_of(page: Page) -> npt.NDArray[np.uint8]:
    """`(K, 3)` colours of a palette."""
    colours = np.asarray(page.colormap).T
    return (colours >> 8).astype(np.uint8) if colours.dtype.itemsize > 1 else colours.astype(np.uint8)


def full_range(channels: Array, page: Page) -> Array:
    """Values of 2 and 4 bits a pixel as 0…255; of others as they are."""
    if page.bitspersample not in (2, 4):
        return channels
    found: Array = (channels * (255 // (2**page.bitspersample - 1))).astype(np.uint8)
    return found


def inverted(channels: Array) -> Array:
    """Integers or truth values whose white is zero, so that black is."""
    found: Array = np.logical_not(channels) if channels.dtype == np.bool_ else np.bitwise_not(channels)
    return found


def kind_of(page: Page) -> tuple[object, ...]:
    """What the pages of a stack have in common."""
    palette = b"" if page.colormap is None else np.asarray(page.colormap).tobytes()
    return (
        page.imagelength,
        page.imagewidth,
        page.samplesperpixel,
        int(page.planarconfig),
        int(page.photometric),
        page.bitspersample,
        str(page.dtype),
        tuple(int(each) for each in page.extrasamples),
        palette,
    )
