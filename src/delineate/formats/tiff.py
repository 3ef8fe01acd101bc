"""TIFF, read by tifffile: integers and floats; grey, RGB, palette or several channels; pictures and stacks.

| in the file | here |
|---|---|
| white is zero | inverted, and said; in masks refused, for programs differ |
| 2 and 4 bits a pixel | images: scaled to 0…255; masks: as they are |
| an orientation other than upright | refused: some programs turn it and some do not |
| several pages of one kind | a volume, or channels where ImageJ, OME or tifffile say so (`tiff_layout.py`) |
| points in time | refused, or channels where a fourth axis is meant so |
| pages of different kinds, pyramids | refused: which one is meant is not clear |
| parts missing or cut off | refused, never filled up |
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

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
from delineate.formats.tiff_layout import Layout, layout
from delineate.formats.tiff_page import (
    AS_ANY_OTHER,
    COLOUR_SAMPLES,
    JPEG,
    PALETTE,
    PHOTOMETRIC,
    WHITE_IS_ZERO,
    Page,
    channels_first,
    check_believable,
    check_kind,
    check_whole,
    decode,
    full_range,
    has_alpha,
    inverted,
    kind_of,
    palette_of,
)
from delineate.formats.tiff_writing import write_mask, write_probabilities
from delineate.image import Image

# What tifffile logs is an error here, or nothing the user can act on: it must not reach the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# tifffile reads these in ways of their own, partly by the file's name; here they are TIFFs like others


class _File(Protocol):
    """The part of tifffile's file that is used."""

    pages: _Pages


class _Pages(Protocol):
    def __getitem__(self, index: int) -> Page: ...


@dataclass(frozen=True)
class _Stack:
    """The pages of a file, checked but not decoded.

    Attributes:
        file: The open file.
        first: Its first page, which all others are like.
        layout: Their arrangement.
    """

    file: _File
    first: Page
    layout: Layout

    @property
    def size(self) -> tuple[int, ...]:
        """`(H, W)` or `(D, H, W)`."""
        depth = self.layout.places.shape[1:] if self.layout.volume else ()
        return (*depth, self.first.imagelength, self.first.imagewidth)

    @property
    def channels(self) -> int:
        """Of pages and samples, alpha among them."""
        return int(self.layout.places.shape[0]) * self.first.samplesperpixel


def recognises(head: bytes) -> bool:
    """Whether a file that begins like this is a TIFF or BigTIFF."""
    return head.startswith(_SIGNATURES)


def header(source: Source) -> Header:
    """Size and kind, without decoding the pixels."""
    with _stack(source) as stack:
        page = stack.first
        for number in range(1, 1 if stack.layout.follow else stack.layout.places.size):
            _check_like(stack.file.pages[number], page, source)
        name = PHOTOMETRIC[page.photometric]
        channels = stack.channels - int(has_alpha(page))
        if page.photometric == PALETTE:
            palette = palette_of(page)
            channels = 1 if (palette == palette[:, :1]).all() else COLOUR_SAMPLES
        colours = COLOUR_SAMPLES if name == "RGB" else 1
        if stack.channels > colours:
            alpha = has_alpha(page) and stack.channels == colours + 1
            name = f"{name} with alpha" if alpha else f"{stack.channels} channels"
        if page.dtype is not None and page.dtype.kind == "f":
            name = f"float {name}"
        elif page.bitspersample != 8:
            name = f"{page.bitspersample}-bit" + ("" if page.bitspersample == 1 else f" {name}")
        return Header(stack.size, name, "TIFF", channels)


def read(source: Source) -> Image:
    """The picture or volume as an `Image`."""
    with _stack(source) as stack:
        page, geometry, notes = stack.first, stack.layout.geometry, stack.layout.notes
        channels = _channels(stack, source)
        if page.photometric == PALETTE:
            palette = palette_of(page)
            check_indices(channels[0], palette, source)
            return Image(through_palette(channels[0], palette), geometry, notes)
        channels = full_range(channels, page)
        if has_alpha(page):
            channels, notes = without_alpha(channels, source), (*notes, ALPHA_NOTE)
        if page.photometric == WHITE_IS_ZERO:
            channels, notes = _inverted(channels, source), (*notes, "its white is zero: it was inverted")
        pixels, converted = image_pixels(channels, source)
        return Image(np.ascontiguousarray(pixels), geometry, notes + converted)


def read_mask(source: Source) -> StoredMask:
    """The values as they are stored."""
    with _stack(source) as stack:
        page, volume, geometry = stack.first, stack.layout.volume, stack.layout.geometry
        channels = _channels(stack, source)
        if page.photometric == WHITE_IS_ZERO:
            raise source.refuse(
                "its white is zero (photometric interpretation), which programs show differently. "
                "Save the mask with black as zero, for example as PNG"
            )
        if page.photometric == PALETTE:
            palette = palette_of(page)
            check_indices(channels[0], palette, source)
            return StoredMask(channels[0], palette, volume=volume, geometry=geometry)
        channels = mask_values(channels, source)
        if has_alpha(page):
            channels = without_alpha(channels, source)
        lossy = page.compression == JPEG
        if len(channels) == 1:
            values = np.ascontiguousarray(channels[0])
            return StoredMask(values, None, lossy, volume=volume, geometry=geometry)
        if len(channels) == COLOUR_SAMPLES and channels.dtype == np.uint8 and not volume:
            values = np.ascontiguousarray(channels.transpose(1, 2, 0))
            return StoredMask(values, None, lossy, geometry=geometry)
        raise source.refuse(
            f"a mask with {len(channels)} channels of {channels.dtype.name} has no clear meaning. "
            f"Save it with one number a {'voxel' if volume else 'pixel, for example as PNG'}"
        )


@contextlib.contextmanager
def _stack(source: Source) -> Iterator[_Stack]:
    """The pages of a file, the first of them checked."""
    import tifffile  # noqa: PLC0415  heavy

    with tifffile.TiffFile(source.stream, name=source.path.name, _multifile=False, **AS_ANY_OTHER) as tiff:
        file = cast(_File, tiff)
        first = file.pages[0]
        source.check_size(first.imagelength, first.imagewidth)
        check_kind(first, source)
        if first.subifds:
            raise source.refuse(
                "it holds the picture in several resolutions (a pyramid). Save the one that is meant"
            )
        arranged = layout(first, source)
        stack = _Stack(file, first, arranged)
        if arranged.volume:
            source.check_size(*stack.size)
        if stack.channels > MAXIMUM_CHANNELS:
            raise source.refuse(
                f"it has {stack.channels} channels; at most {MAXIMUM_CHANNELS} are read. If they are the "
                "slices of a volume, name them so where the file was made (axis Z)"
            )
        if arranged.places.shape[0] > 1 and first.samplesperpixel > 1:
            raise source.refuse(
                f"each of its {arranged.places.shape[0]} channels has {first.samplesperpixel} colours. "
                "Save each channel in grey"
            )
        check_believable(first, arranged.places.size, source)
        check_whole(first, source)
        yield stack


def _check_like(page: Page, first: Page, source: Source) -> None:
    """Refuse a page that is unlike the first."""
    if page.is_reduced or page.is_mask or page.subifds:
        raise source.refuse(
            "it holds the picture in several resolutions (a pyramid), or a mask with it. "
            "Save the one that is meant"
        )
    if (page.imagelength, page.imagewidth) != (first.imagelength, first.imagewidth):
        raise source.refuse(
            "it holds several pictures (pages) of different sizes: "
            f"{first.imagelength}×{first.imagewidth} and {page.imagelength}×{page.imagewidth}. "
            "Save each as a file of its own"
        )
    if kind_of(page) != kind_of(first):
        raise source.refuse(
            "it holds several pictures (pages) of different kinds of pixels. Save each as a file of its own"
        )
    check_kind(page, source)
    check_whole(page, source)


def _channels(stack: _Stack, source: Source) -> Array:
    """`(C, H, W)` or `(C, D, H, W)` of the decoded pages."""
    first, places = stack.first, stack.layout.places
    if places.size == 1:
        return decode(first, source)
    if stack.layout.follow:
        planes = _following(first, places.size, source)
        return _joined(planes[places], stack)
    out: Array | None = None
    for (channel, depth), number in np.ndenumerate(places):
        page = stack.file.pages[int(number)]
        if number:
            _check_like(page, first, source)
        plane = decode(page, source)
        if out is None:
            out = np.empty((*places.shape, *plane.shape), plane.dtype)
        out[channel, depth] = plane
    assert out is not None  # noqa: S101  there is at least one page
    return _joined(out, stack)


def _following(first: Page, count: int, source: Source) -> Array:
    """`(N, S, H, W)` of pages that follow one another in one piece."""
    assert first.dtype is not None  # noqa: S101  `check_kind` has refused it
    source.stream.seek(0)
    dtype = first.dtype.newbyteorder(">" if source.stream.read(2) == b"MM" else "<")
    samples = first.imagelength * first.imagewidth * first.samplesperpixel
    source.stream.seek(first.dataoffsets[0])
    content = source.stream.read(count * samples * dtype.itemsize)
    return channels_first(np.frombuffer(content, dtype), first)


def _joined(planes: Array, stack: _Stack) -> Array:
    """`(C, H, W)` or `(C, D, H, W)` from `(C, D, S, H, W)`, of which C or S is 1."""
    joined = np.moveaxis(planes, 2, 1).reshape(stack.channels, *planes.shape[1:2], *planes.shape[3:])
    return joined if stack.layout.volume else joined[:, 0]


def _inverted(channels: Array, source: Source) -> Array:
    if channels.dtype not in (np.bool_, np.uint8, np.uint16):
        raise source.refuse(
            "its white is zero, but its pixels are not 8-bit or 16-bit. Save it with black as zero"
        )
    return inverted(channels.astype(channels.dtype.newbyteorder("="), copy=False))


FAMILY = Family(
    suffixes=frozenset({".tif", ".tiff"}),
    formats=("TIFF",),
    recognises=recognises,
    header=header,
    read=read,
    read_mask=read_mask,
    mask_suffix=lambda _name: ".tif",
    write_mask=write_mask,
    pictures_as_png=True,
    write_probabilities=write_probabilities,
)
