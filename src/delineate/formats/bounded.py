"""The bytes of a file, plain or compressed, taken in exactly as many as its header says and no more."""

from __future__ import annotations

import io
import zlib
from typing import Protocol

from delineate.formats.stored import Source

_PIECE = 1 << 18  # read and unpacked at a time: what the processor's cache holds
_GREATEST_RATIO = 1040  # deflate packs no tighter than 1032 to 1
_MEMBERS = 16  # and one more for so many bytes: what tools that pack in blocks make, and no more
_BYTES_A_MEMBER = 512
GZIP, ZLIB_OR_GZIP = 31, 47  # zlib's words for the containers that it is to expect


class Bytes(Protocol):
    """The bytes behind a header, one after another."""

    def fill(self, view: memoryview) -> None:
        """Fill `view`, whose bytes count, with the next bytes; refuse the file where it has fewer."""

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes; refuse the file where it has fewer."""

    def check_holds(self, count: int) -> None:
        """Refuse the file where `count` more bytes cannot be in it, before memory is taken for them."""

    def finish(self) -> None:
        """Refuse the file where there is more, or what there was is damaged."""


class Plain:
    """Bytes that stand in the file as they are, from where its stream is.

    Args:
        source: The file; its stream is read.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream = source.stream

    def fill(self, view: memoryview) -> None:
        """Fill `view` with the next bytes."""
        done = 0
        while done < len(view):
            # a few at a time: a file system that answers piece by piece, and Ctrl-C between them
            count = self._stream.readinto(view[done : done + (1 << 26)])  # type: ignore[attr-defined]  # IO lacks it
            if not count:
                raise _truncated(self._source, len(view) - done)
            done += count

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        left = _bytes_left(self._source)
        if count > left:
            raise _truncated(self._source, count - left)
        self._stream.seek(count, io.SEEK_CUR)

    def skip_to_last(self, count: int) -> None:
        """Pass over all but the last `count` bytes."""
        left = _bytes_left(self._source)
        if count > left:
            raise _truncated(self._source, count - left)
        self._stream.seek(left - count, io.SEEK_CUR)

    def check_holds(self, count: int) -> None:
        """Refuse a file that has not exactly `count` more bytes."""
        left = _bytes_left(self._source)
        if left < count:
            raise _truncated(self._source, count - left)
        if left > count:
            raise _too_long(self._source, left - count)

    def finish(self) -> None:
        """Refuse a file that has more."""
        self.check_holds(0)


class Inflated:
    """Bytes that are packed by gzip or zlib, from where the file's stream is.

    Several gzip members one behind the other, and zeros behind the last, are taken as gzip itself takes them.

    Args:
        source: The file; its stream is read.
        container: `GZIP` or `ZLIB_OR_GZIP`.
    """

    def __init__(self, source: Source, container: int = GZIP) -> None:
        self._source = source
        self._stream = source.stream
        self._container = container
        self._unpacker = zlib.decompressobj(container)
        self._packed = b""  # read from the stream, but not yet unpacked
        self._members = 1
        self._unpacked = 0

    def fill(self, view: memoryview) -> None:
        """Fill `view` with the next bytes."""
        done = 0
        while done < len(view):
            piece = self._next(min(len(view) - done, _PIECE))
            if not piece:
                raise _truncated(self._source, len(view) - done)
            view[done : done + len(piece)] = piece
            done += len(piece)

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        while count:
            piece = self._next(min(count, _PIECE))
            if not piece:
                raise _truncated(self._source, count)
            count -= len(piece)

    def check_holds(self, count: int) -> None:
        """Refuse a file whose packed bytes are too few to hold `count` more."""
        most = _GREATEST_RATIO * (len(self._packed) + _bytes_left(self._source) + _PIECE)
        if count > most:
            raise _truncated(self._source, count - most)

    def finish(self) -> None:
        """Refuse a stream that unpacks to more, is cut off or has other than zeros behind it."""
        if self._next(1):
            raise self._source.refuse(
                "the file is damaged: it unpacks to more than the pixels that its header tells of"
            )
        if not self._unpacker.eof:
            raise self._source.refuse("the file is truncated: the end of its compressed pixels is missing")

    def _next(self, most: int) -> bytes:
        """Up to `most` bytes, none only at the end."""
        while True:
            if self._unpacker.eof and not self._begin_member():
                return b""
            if not self._packed:
                self._packed = self._stream.read(_PIECE)
                if not self._packed:
                    return b""
            piece = self._unpacker.decompress(self._packed, most)
            self._packed = (
                self._unpacker.unused_data if self._unpacker.eof else self._unpacker.unconsumed_tail
            )
            self._unpacked += len(piece)
            if piece:
                return piece

    def _begin_member(self) -> bool:
        """Whether another gzip member follows the one that ended."""
        while True:
            self._packed = self._packed or self._stream.read(_PIECE)
            if not self._packed:
                return False
            if self._packed.strip(b"\0"):
                break
            self._packed = b""
        self._members += 1
        if self._members > _MEMBERS + self._unpacked // _BYTES_A_MEMBER:
            raise self._source.refuse("the file is damaged: it is packed in far too many parts")
        if self._container != GZIP or self._packed[:1] != b"\x1f":
            raise self._source.refuse(
                "the file is damaged: something else stands behind its compressed pixels"
            )
        self._unpacker = zlib.decompressobj(self._container)
        return True


def _bytes_left(source: Source) -> int:
    here = source.stream.tell()
    end = source.stream.seek(0, io.SEEK_END)
    source.stream.seek(here)
    return end - here


def _truncated(source: Source, missing: int) -> Exception:
    return source.refuse(f"the file is truncated: at least {missing} bytes are missing at its end")


def _too_long(source: Source, more: int) -> Exception:
    return source.refuse(
        f"the file is damaged: it has {more} bytes more than the pixels that its header tells of"
    )
