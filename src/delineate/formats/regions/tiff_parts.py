"""The tiles or strips of one page of a TIFF, decoded one at a time."""

from __future__ import annotations

import io
import math
import struct
import threading
from typing import Protocol, cast

import numpy as np
from PIL import JpegImagePlugin

from delineate.formats.pixels import Array
from delineate.formats.regions.region import Size, check_part
from delineate.formats.stored import Source
from delineate.formats.tiff_page import JPEG, SEPARATE_PLANES, Page

JPEG_2000 = frozenset({33005, 34712})
_RAW_ROWS = 64  # of an uncompressed picture, taken for a strip of their own
_CODESTREAM = b"\xff\x4f\xff\x51"  # JPEG 2000's start and size markers


class _Coded(Protocol):
    """The part of tifffile's page that decodes a part."""

    jpegtables: bytes | None
    predictor: int
    fillorder: int

    def decode(
        self, data: bytes, index: int, *, jpegtables: bytes | None = None
    ) -> tuple[Array | None, tuple[int, ...], tuple[int, ...]]:
        """The part `(1, rows, columns, samples)`, where it lies and its shape."""


class Parts:
    """The parts of a page.

    Args:
        page: Checked by `tiff_page.check_kind`.
        source: The file.
        lock: Held while the file is read.

    Attributes:
        size: `(H, W)` of the page.
        part: `(height, width)` of a part; those at the edges may reach beyond the page.
        samples: A pixel.

    Raises:
        ImageError: Parts are missing, cut off, or too large to be decoded.
    """

    def __init__(self, page: Page, source: Source, lock: threading.Lock) -> None:
        self._page, self._coded, self._source, self._lock = page, cast(_Coded, page), source, lock
        self.size: Size = (page.imagelength, page.imagewidth)
        self.samples = page.samplesperpixel
        assert page.dtype is not None  # noqa: S101  `check_kind` has refused it
        self.dtype = page.dtype
        rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
        self.part: Size = (rows, page.tilewidth if page.is_tiled else page.imagewidth)
        self._what = "tile" if page.is_tiled else "strip"
        self._planes = self.samples if page.planarconfig == SEPARATE_PLANES else 1
        check_part(*self.part, self.pixel_bytes, f"{self._what}s", source)
        self._check_there()

    @property
    def pixel_bytes(self) -> int:
        """Of those samples of a pixel that are stored together."""
        return self.samples // self._planes * self.dtype.itemsize

    def read(self, y: int, x: int, height: int, width: int) -> Array:
        """`(S, height, width)` of a rectangle within the page, as stored.

        Raises:
            ImageError: A part of it cannot be decoded.
        """
        out = np.empty((self.samples, height, width), self.dtype)
        tall, wide = self.part
        for down in range(y // tall, -(-(y + height) // tall)):
            for across in range(x // wide, -(-(x + width) // wide)):
                top, left = down * tall, across * wide
                low, high = max(y, top), min(y + height, top + tall)
                begin, end = max(x, left), min(x + width, left + wide)
                for plane in range(self._planes):
                    part = self._decoded(plane, down, across)
                    cut = part[low - top : high - top, begin - left : end - left]
                    if cut.shape[:2] != (high - low, end - begin):
                        raise self._broken(down, across, "it holds fewer pixels than it should")
                    where = slice(None) if self._planes == 1 else slice(plane, plane + 1)
                    out[where, low - y : high - y, begin - x : end - x] = cut.transpose(2, 0, 1)
        return out

    def _decoded(self, plane: int, down: int, across: int) -> Array:
        """`(rows, columns, samples)` of one part."""
        across_all = math.ceil(self.size[1] / self.part[1])
        index = (plane * math.ceil(self.size[0] / self.part[0]) + down) * across_all + across
        content = read_bytes(
            self._source, self._lock, self._page.dataoffsets[index], self._page.databytecounts[index]
        )
        self._check_claim(content, down, across)
        try:
            part, _, _ = self._coded.decode(content, index, jpegtables=self._coded.jpegtables)
        except Exception as error:  # a decoder may raise anything on damaged bytes
            raise self._broken(down, across, str(error) or type(error).__name__) from error
        if part is None or part.shape[-1] != self.samples // self._planes:
            raise self._broken(down, across, "it holds other channels than the picture")
        return cast(Array, part[0])

    def _check_there(self) -> None:
        """Refuse a page whose parts are missing or cut off."""
        parts = math.ceil(self.size[0] / self.part[0]) * math.ceil(self.size[1] / self.part[1]) * self._planes
        offsets, counts = np.asarray(self._page.dataoffsets), np.asarray(self._page.databytecounts)
        stored = int(np.count_nonzero(counts[: min(parts, len(offsets))]))
        if stored < parts:
            raise self._source.refuse(
                f"the file is damaged or sparse: only {stored} of its {parts} parts are there"
            )
        check_ends(offsets[:parts], counts[:parts], self._source)

    def _check_claim(self, content: bytes, down: int, across: int) -> None:
        """Refuse a part that says itself to be larger than it should be, before it is unpacked."""
        try:
            height, width = self._claimed(content)
        except Exception as error:  # likewise
            raise self._broken(down, across, str(error) or type(error).__name__) from error
        if height > self.part[0] or width > self.part[1]:
            raise self._broken(down, across, f"it unpacks to {height}×{width} pixels")

    def _claimed(self, content: bytes) -> Size:
        if self._page.compression == JPEG:
            width, height = JpegImagePlugin.JpegImageFile(io.BytesIO(content)).size
            return height, width
        if self._page.compression in JPEG_2000:
            right, bottom, left, top = struct.unpack_from(">4I", content, content.index(_CODESTREAM) + 8)
            return bottom - top, right - left
        return 0, 0  # the others are given the room that they may take

    def _broken(self, down: int, across: int, why: str) -> Exception:
        top, left = down * self.part[0], across * self.part[1]
        bottom, right = min(top + self.part[0], self.size[0]), min(left + self.part[1], self.size[1])
        return self._source.refuse(
            f"the file is damaged: the {self._what} at rows {top} to {bottom - 1} and columns {left} to "
            f"{right - 1} cannot be read ({' '.join(why.split())[:150]})"
        )


class PlainRows:
    """Rows that are not compressed, taken from wherever they lie, however long their strips are.

    Args, attributes and errors as of `Parts`.
    """

    def __init__(self, page: Page, source: Source, lock: threading.Lock) -> None:
        self._source, self._lock = source, lock
        self.size: Size = (page.imagelength, page.imagewidth)
        self.samples = page.samplesperpixel
        assert page.dtype is not None  # noqa: S101  `check_kind` has refused it
        source.stream.seek(0)
        order = ">" if source.stream.read(2) == b"MM" else "<"
        self.dtype = page.dtype.newbyteorder(order)  # type: ignore[arg-type]  # one of its literals
        self._planes = self.samples if page.planarconfig == SEPARATE_PLANES else 1
        self.pixel_bytes = self.samples // self._planes * self.dtype.itemsize
        self._row_bytes = self.size[1] * self.pixel_bytes
        self._strip = min(page.rowsperstrip, self.size[0])
        self.part: Size = (min(_RAW_ROWS, self.size[0]), self.size[1])
        self._offsets = self._strips(page)

    def read(self, y: int, x: int, height: int, width: int) -> Array:
        """See `Parts.read`."""
        out = np.empty((self.samples, height, width), self.dtype.newbyteorder("="))
        for plane, offsets in enumerate(self._offsets):
            row = y
            while row < y + height:
                strip = row // self._strip
                until = min(y + height, (strip + 1) * self._strip, row + _RAW_ROWS)
                offset = int(offsets[strip]) + (row - strip * self._strip) * self._row_bytes
                content = read_bytes(self._source, self._lock, offset, (until - row) * self._row_bytes)
                rows = np.frombuffer(content, self.dtype).reshape(until - row, self.size[1], -1)
                where = slice(None) if self._planes == 1 else slice(plane, plane + 1)
                out[where, row - y : until - y] = rows[:, x : x + width].transpose(2, 0, 1)
                row = until
        return out

    def _strips(self, page: Page) -> Array:
        """`(planes, strips)` of where they begin."""
        strips = math.ceil(self.size[0] / self._strip)
        offsets, counts = np.asarray(page.dataoffsets), np.asarray(page.databytecounts)
        if len(offsets) == 1 and strips * self._planes > 1:  # given as one piece
            self._strip, strips = self.size[0], 1
            whole = self.size[0] * self._row_bytes
            offsets = offsets[0] + whole * np.arange(self._planes)
            counts = np.full(self._planes, whole)
        if min(len(offsets), len(counts)) < strips * self._planes:
            raise self._source.refuse("the file is damaged: strips of it are missing")
        offsets = offsets[: strips * self._planes].reshape(self._planes, strips)
        rows = np.minimum(self.size[0] - self._strip * np.arange(strips), self._strip)
        check_ends(offsets, np.broadcast_to(rows * self._row_bytes, offsets.shape), self._source)
        if (counts[: offsets.size].reshape(offsets.shape) < rows * self._row_bytes).any():
            raise self._source.refuse("the file is damaged: its strips are shorter than its rows")
        return cast(Array, offsets)


def is_plain(page: Page) -> bool:
    """Whether the rows of a page stand in the file as they are."""
    coded = cast(_Coded, page)
    whole_bytes = page.bitspersample in (8, 16, 32, 64)
    stored_so = page.compression == 1 and coded.predictor == 1 and coded.fillorder == 1
    return stored_so and whole_bytes and not page.is_tiled


def read_bytes(source: Source, lock: threading.Lock, offset: int, count: int) -> bytes:
    """Some bytes of the file.

    Raises:
        ImageError: It ends before, or cannot be read.
    """
    try:
        with lock:
            source.stream.seek(offset)
            content = source.stream.read(count)
    except OSError as error:  # a bad sector, a lost share
        raise source.refuse(f"it cannot be read: {error.strerror or error}") from error
    if len(content) < count:
        raise source.refuse("the file is truncated: a part of the picture is missing at its end")
    return content


def check_ends(offsets: Array, counts: Array, source: Source) -> None:
    """Refuse a file that ends before some of its parts do.

    Raises:
        ImageError: It does.
    """
    ends = offsets.astype(np.float64) + counts.astype(np.float64)
    missing = int(np.count_nonzero(ends > source.stream.seek(0, io.SEEK_END)))
    if missing:
        raise source.refuse(
            f"the file is truncated: {missing} of the picture's {offsets.size} parts are missing at its end"
        )
