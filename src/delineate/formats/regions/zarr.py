"""Zarr and OME-Zarr folders, read by the library zarr (extra `slides`) a row of chunks at a time."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from delineate.extras import installing
from delineate.formats.closing import Closing
from delineate.formats.pixels import Array, image_pixels
from delineate.formats.regions.region import Size, check_part, check_sides
from delineate.formats.regions.zarr_layout import ArrayFacts, is_zarr, layout
from delineate.formats.stored import Reading, Source

__all__ = ["ZarrRegions", "is_zarr"]


class _Opened(Protocol):
    """The part of zarr's array that is used."""

    chunks: tuple[int, ...]

    def __getitem__(self, where: tuple[slice | int, ...]) -> Array: ...


class ZarrRegions(Closing):
    """See `Regions`.

    Args:
        path: The folder.
        reading: How it is read.

    Raises:
        ImageError: It holds no picture that can be read so, or the extra is not installed.
    """

    file_format = "Zarr"

    def __init__(self, path: Path, reading: Reading) -> None:
        self._source = source = Source(io.BytesIO(), path, reading)
        self._layout = found = layout(source)
        self._arrays = [_opened(level, source) for level in found.levels]
        at = {axis: place for place, axis in enumerate(found.axes)}
        self._rows, self._columns, self._channels = at["y"], at["x"], at.get("c")
        self.levels: tuple[Size, ...] = tuple(
            (level.shape[self._rows], level.shape[self._columns]) for level in found.levels
        )
        self.size: Size = self.levels[0]
        check_sides(self.size, source)
        shape = found.levels[0].shape
        self.channels = 1 if self._channels is None else shape[self._channels]
        for array in self._arrays:
            chunk = array.chunks
            others = math.prod(
                side for axis, side in enumerate(chunk) if axis not in (self._rows, self._columns)
            )
            bytes_a_pixel = others * np.dtype(found.levels[0].dtype).itemsize
            check_part(chunk[self._rows], chunk[self._columns], bytes_a_pixel, "chunks", source)
        self.rows_at_once = self._arrays[0].chunks[self._rows]
        self.spacing_mm = found.spacing_mm
        _, converted = image_pixels(np.zeros(1, found.levels[0].dtype), source)
        self.notes: tuple[str, ...] = (*found.notes, *converted)

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> Array:
        """See `Regions`."""
        where: list[slice | int] = [0] * len(self._layout.axes)
        where[self._rows], where[self._columns] = slice(y, y + height), slice(x, x + width)
        kept = [self._rows, self._columns]
        if self._channels is not None:
            where[self._channels] = slice(None)
            kept.append(self._channels)
        try:
            block = np.asarray(self._arrays[level][tuple(where)])
        except Exception as error:  # a codec may raise anything on damaged bytes
            reason = " ".join(str(error).split())[:150] or type(error).__name__
            raise self._source.refuse(
                f"the file is damaged: rows {y} to {y + height - 1} cannot be read ({reason})"
            ) from error
        wanted = [self._rows, self._columns] if self._channels is None else [self._channels, *kept[:2]]
        block = block.transpose([sorted(kept).index(axis) for axis in wanted])
        block = block[None] if self._channels is None else block
        return np.ascontiguousarray(image_pixels(block, self._source)[0])

    def close(self) -> None:
        """See `Regions`."""


def _opened(facts: ArrayFacts, source: Source) -> _Opened:
    try:
        import zarr  # noqa: PLC0415  an extra
        from zarr.storage import LocalStore  # noqa: PLC0415  likewise
    except ImportError as error:
        raise source.refuse(f"it is a Zarr; what reads it: {installing('slides')}") from error
    return cast(_Opened, zarr.open_array(LocalStore(facts.path, read_only=True), mode="r"))
