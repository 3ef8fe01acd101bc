"""Tiles of a picture in the making, packed and kept in the order in which they come."""

from __future__ import annotations

import contextlib
import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from delineate.files import output_error
from delineate.formats.closing import Closing
from delineate.formats.pixels import Array

TILE_PX = 512
_LENGTH = struct.Struct("<I")


class TileSpool(Closing):
    """A file of deflated tiles, row after row; what of it is on the disk can be taken up again.

    Args:
        path: Of the file; made, or taken up where it is there.
        size: `(H, W)` of the picture.
        dtype: Of its pixels.
        level: Of deflate.
        rows: Rows of tiles to be kept of a file that is there; what is behind them is cut off.

    Raises:
        OutputError: The place cannot be written.
        ValueError: The file has not so many rows.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], dtype: np.dtype[np.generic], level: int, rows: int = 0
    ) -> None:
        self.path, self.size, self.dtype = path, size, dtype
        self._level = level
        self._places: list[tuple[int, int]] = []
        self._plain: dict[bytes, bytes] = {}
        try:
            self._stream = path.open("r+b" if rows else "w+b")
            self._find(rows * self.tiles[1])
        except OSError as error:
            raise output_error(path, error) from error

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows of tiles of the whole picture, and columns."""
        return math.ceil(self.size[0] / TILE_PX), math.ceil(self.size[1] / TILE_PX)

    @property
    def rows(self) -> int:
        """Rows of tiles that are there."""
        return len(self._places) // self.tiles[1]

    @property
    def packed_bytes(self) -> int:
        """Of the tiles that are there."""
        return sum(length for _, length in self._places)

    def append(self, rows: Array) -> None:
        """Add a row of tiles.

        Args:
            rows: `(TILE_PX, W)`, or fewer at the bottom of the picture.

        Raises:
            OutputError: The place cannot be written.
        """
        try:
            for left in range(0, self.size[1], TILE_PX):
                tile = np.zeros((TILE_PX, TILE_PX), self.dtype)
                cut = rows[:, left : left + TILE_PX]
                tile[: cut.shape[0], : cut.shape[1]] = cut
                packed = self._packed(tile)
                self._stream.write(_LENGTH.pack(len(packed)))
                self._places.append((self._stream.tell(), len(packed)))
                self._stream.write(packed)
        except OSError as error:
            raise output_error(self.path, error) from error

    def flush(self) -> None:
        """See to it that what was added is on the disk.

        Raises:
            OutputError: The place cannot be written.
        """
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise output_error(self.path, error) from error

    def packed(self) -> Iterator[bytes]:
        """The deflated tiles, row after row.

        Raises:
            OutputError: They cannot be written or read back.
        """
        for offset, length in self._places:
            yield self._read(offset, length)

    def row(self, at: int) -> Array:
        """`(TILE_PX, n · TILE_PX)` of a row of tiles, filled up with 0 at the edges of the picture.

        Raises:
            OutputError: They cannot be written or read back.
        """
        columns = self.tiles[1]
        out = np.empty((TILE_PX, columns * TILE_PX), self.dtype)
        for column, (offset, length) in enumerate(self._places[at * columns : (at + 1) * columns]):
            tile = np.frombuffer(zlib.decompress(self._read(offset, length)), self.dtype)
            out[:, column * TILE_PX : (column + 1) * TILE_PX] = tile.reshape(TILE_PX, TILE_PX)
        return out

    def close(self) -> None:
        """Let go of the file; what `flush` has not brought to the disk may be lost."""
        with contextlib.suppress(OSError):  # of a full disk, which has been told
            self._stream.close()

    def _read(self, offset: int, length: int) -> bytes:
        try:
            self._stream.seek(offset)  # brings to the disk what waits to be written
            return self._stream.read(length)
        except OSError as error:
            raise output_error(self.path, error) from error

    def _packed(self, tile: Array) -> bytes:
        """Deflated; tiles of one value, which are frequent, only once."""
        value = tile[:1, :1].tobytes()
        if not (tile == tile[0, 0]).all():
            return zlib.compress(tile.tobytes(), self._level)
        if value not in self._plain:
            self._plain[value] = zlib.compress(tile.tobytes(), self._level)
        return self._plain[value]

    def _find(self, count: int) -> None:
        """The places of the first `count` tiles; cut off what is behind them."""
        end = 0
        for _ in range(count):
            self._stream.seek(end)
            head = self._stream.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                raise ValueError(f"{self.path.name} is shorter than it should be")
            length = _LENGTH.unpack(head)[0]
            self._places.append((end + _LENGTH.size, length))
            end += _LENGTH.size + length
        if self._stream.seek(0, os.SEEK_END) < end:
            raise ValueError(f"{self.path.name} is shorter than it should be")
        self._stream.truncate(end)
        self._stream.seek(end)
