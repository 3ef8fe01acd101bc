"""TIFF, BigTIFF, OME-TIFF and SVS, read by tifffile a tile or strip at a time.

| in the file | here |
|---|---|
| several resolutions: SubIFDs, reduced pages, SVS | the finest is the image, the others its levels |
| channels as pages, named so by OME, ImageJ or tifffile | one image |
| slices, points in time, several pictures | refused |
| another number of pages than OME or ImageJ tell of | refused |
| label, macro and thumbnail of a scanner | left aside |
| pixels | as `formats.read` gives them |
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from delineate.formats.closing import Closing
from delineate.formats.lengths import in_mm
from delineate.formats.pixels import ALPHA_NOTE, Array, check_indices, image_pixels, through_palette
from delineate.formats.regions.region import Size, check_sides
from delineate.formats.regions.tiff_parts import JPEG_2000, Parts, PlainRows, is_plain
from delineate.formats.stored import MAXIMUM_CHANNELS, Reading, Source
from delineate.formats.tiff_directories import count_pages
from delineate.formats.tiff_layout import name_of_slide
from delineate.formats.tiff_ome import beside_a_slide
from delineate.formats.tiff_page import (
    AS_ANY_OTHER,
    COLOUR_SAMPLES,
    PALETTE,
    WHITE_IS_ZERO,
    Page,
    check_believable,
    check_kind,
    full_range,
    has_alpha,
    inverted,
    palette_of,
)

_OF_SCANNERS = frozenset({"svs", "ome", "philips", "qpi"})
_FINEST_PRINT_MM = 0.01  # pixels a screen's or printer's resolution stands for are larger
_RESOLUTIONS = (283, 282)  # of rows and columns
_UNITS_MM = {2: 25.4, 3: 10.0}


class _Frame(Protocol):
    """A page, or the part of one that is unlike the first."""

    def aspage(self) -> Page:
        """The whole page."""


class _Series(Protocol):
    """The part of tifffile's series that is used."""

    kind: str
    name: str
    axes: str
    shape: tuple[int, ...]
    levels: Sequence[_Series]
    pages: Sequence[_Frame | None]


class TiffRegions(Closing):
    """See `Regions`.

    Args:
        path: The file.
        reading: How it is read.

    Raises:
        ImageError: It is no TIFF that can be read so.
    """

    def __init__(self, path: Path, reading: Reading) -> None:
        self._stream = path.open("rb")
        try:
            self._source = Source(self._stream, path, reading)
            self._open()
        except BaseException:
            self._stream.close()
            raise

    def _open(self) -> None:
        source = self._source
        count_pages(source)
        self._stream.seek(0)
        import tifffile  # noqa: PLC0415  heavy

        tiff = tifffile.TiffFile(self._stream, name=source.path.name, _multifile=False, **AS_ANY_OTHER)
        first = cast(Page, tiff.pages[0])
        check_sides((first.imagelength, first.imagewidth), source)
        description = first.description if isinstance(first.description, str) else ""
        if "<!DOCTYPE" in description or "<!ENTITY" in description:
            raise source.refuse("its description defines entities, which are not read")
        tiff.pages.useframes = False
        name = None
        if description.rstrip().endswith("OME>") or description.startswith("ImageJ="):
            reduced = [page.is_reduced for page in cast("Iterable[Page]", tiff.pages)]
            name = name_of_slide(first, reduced.count(False), source)
            if True in reduced:
                tiff.is_ome = False  # which knows of levels in SubIFDs alone
        series = _main_series(cast("Sequence[_Series]", tiff.series), name, source)
        lock = threading.Lock()
        self._levels = [_pages_of(level, source) for level in series.levels]
        self._page = page = self._levels[0][0]
        check_believable(page, len(self._levels[0]), source)
        self._parts: list[list[Parts | PlainRows]] = [
            [_parts(page, source, lock) for page in pages] for pages in self._levels
        ]
        self.levels: tuple[Size, ...] = tuple(parts[0].size for parts in self._parts)
        self.size: Size = self.levels[0]
        self.rows_at_once = self._parts[0][0].part[0]
        self.file_format = "TIFF"
        self.spacing_mm = _spacing_mm(page, description)
        self._palette = palette_of(page) if page.photometric == PALETTE else None
        samples = page.samplesperpixel * len(self._levels[0])
        self._alpha: np.generic | None = None
        notes: list[str] = []
        if has_alpha(page):
            samples -= 1
            self._alpha = self._parts[0][0].read(0, 0, 1, 1)[-1, 0, 0]
            notes.append(ALPHA_NOTE)
        if page.photometric == WHITE_IS_ZERO:
            notes.append("its white is zero: it was inverted")
        if self._palette is not None:
            samples = 1 if (self._palette == self._palette[:, :1]).all() else COLOUR_SAMPLES
        self.channels = samples
        _, converted = image_pixels(np.zeros(1, page.dtype), source)
        self.notes: tuple[str, ...] = (*notes, *converted)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> Array:
        """See `Regions`."""
        planes = [parts.read(y, x, height, width) for parts in self._parts[level]]
        channels = planes[0] if len(planes) == 1 else np.concatenate(planes)
        page = self._page
        if self._palette is not None:
            check_indices(channels, self._palette, self._source)
            return through_palette(channels[0], self._palette)
        channels = full_range(channels, page)
        if self._alpha is not None:
            if (channels[-1] != self._alpha).any():
                raise self._source.refuse(
                    "its alpha channel (transparency) varies, so that what it shows depends on what lies "
                    "behind it. Save it without transparency"
                )
            channels = channels[:-1]
        if page.photometric == WHITE_IS_ZERO:
            channels = inverted(channels)
        return image_pixels(channels, self._source)[0]

    def close(self) -> None:
        """See `Regions`."""
        self._stream.close()


def _main_series(found: Sequence[_Series], name: str | None, source: Source) -> _Series:
    """The one picture of a file, or of a scanner's the slide, which OME may name."""
    found = [
        each
        for each in found
        if each.kind != "ome" or (each.name == name if name is not None else not beside_a_slide(each.name))
    ]
    if not found:
        raise source.refuse("the file is damaged: it holds no picture")
    first = found[0]
    if len(found) > 1 and first.kind not in _OF_SCANNERS:
        raise source.refuse(
            f"it holds {len(found)} pictures (pages) of different sizes or kinds. "
            "Save each as a file of its own"
        )
    return first


def _pages_of(level: _Series, source: Source) -> list[Page]:
    """The pages of one resolution: one, or one a channel."""
    long = [(axis, size) for axis, size in zip(level.axes, level.shape, strict=True) if size > 1]
    pages = [page.aspage() for page in level.pages if page is not None]
    if not pages:
        raise source.refuse("the file is damaged: it holds no picture")
    first = pages[0]
    others = [(axis, size) for axis, size in long if axis not in "YXS"]
    of_pages = math.prod(size for _, size in others)
    if any(axis != "C" for axis, _ in others):
        raise source.refuse(
            f"it is a stack of {of_pages} pages (axes {level.axes}), and only single pictures are read piece "
            "by piece. Save each as a file of its own"
        )
    if of_pages != len(pages):
        raise source.refuse("the file is damaged: the description of its shape is not that of its pages")
    if len(pages) > 1 and (first.samplesperpixel > 1 or first.photometric == PALETTE):
        raise source.refuse(f"each of its {len(pages)} channels has colours. Save each channel in grey")
    if len(pages) * first.samplesperpixel > MAXIMUM_CHANNELS:
        raise source.refuse(
            f"it has {len(pages) * first.samplesperpixel} channels; at most {MAXIMUM_CHANNELS} are read"
        )
    for page in pages:
        check_sides((page.imagelength, page.imagewidth), source)
        check_kind(page, source, more=JPEG_2000)
        if page.photometric == WHITE_IS_ZERO and page.dtype not in (np.bool_, np.uint8, np.uint16):
            raise source.refuse(
                "its white is zero, but its pixels are not 8-bit or 16-bit. Save it with black as zero"
            )
    return pages


def _parts(page: Page, source: Source, lock: threading.Lock) -> Parts | PlainRows:
    return PlainRows(page, source, lock) if is_plain(page) else Parts(page, source, lock)


def _spacing_mm(page: Page, description: str) -> tuple[float, float] | None:
    """As OME or a scanner say it, or the resolution where it is finer than any printer's."""
    found: list[float | None]
    if description.rstrip().endswith("OME>"):
        found = [_of_ome(description, axis) for axis in "YX"]
    elif match := re.search(r"\|\s*MPP\s*=\s*([0-9.]{1,20})", description):
        found = [in_mm(match[1].strip("."), "µm")] * 2
    else:
        unit = page.tags.valueof(296, 2)
        found = [_of_resolution(page.tags.valueof(tag), unit) for tag in _RESOLUTIONS]
    if found[0] is None or found[1] is None:
        return None
    return found[0], found[1]


def _of_ome(description: str, axis: str) -> float | None:
    """What the first image of an OME description says; its attributes hold no quotation marks."""
    number = re.search(rf'PhysicalSize{axis}="([^"]{{1,30}})"', description)
    unit = re.search(rf'PhysicalSize{axis}Unit="([^"]{{1,30}})"', description)
    return in_mm(number[1], unit[1] if unit else "µm") if number else None


def _of_resolution(resolution: object, unit: object) -> float | None:
    if not (isinstance(resolution, tuple) and len(resolution) == 2 and all(resolution)):
        return None
    factor = _UNITS_MM.get(unit) if isinstance(unit, int) else None
    spacing = (factor or 0) * float(resolution[1]) / float(resolution[0])
    return spacing if 0 < spacing <= _FINEST_PRINT_MM else None
