"""A stream of which no more can be read than there is."""

from __future__ import annotations

import io
from typing import IO


class Measured(io.RawIOBase):
    """A view of an open file for libraries that believe every length in it.

    A file's own `read` takes memory for as many bytes as are asked for, be they there or not; this one only
    for those that are left. Closing it leaves the file open.

    Args:
        stream: The open file; its place is the place in this one.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        place = stream.tell()
        self._length = stream.seek(0, io.SEEK_END)
        stream.seek(place)

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes, or all that are left."""
        left = max(self._length - self._stream.tell(), 0)
        return self._stream.read(left if size is None or size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place and return it."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self._stream.tell()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True
