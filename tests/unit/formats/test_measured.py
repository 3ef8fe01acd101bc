"""A stream that is never asked for more than it has."""

from __future__ import annotations

import io

import pytest

from delineate.formats.measured import Measured


class Watched(io.BytesIO):
    """Remembers how much it was asked for."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        self.most = max(self.most, size)
        return super().read(size)


@pytest.mark.parametrize(("size", "expected"), [(3, b"cde"), (2**40, b"cdefgh"), (-1, b"cdefgh"), (0, b"")])
def test_reads_what_is_left(size: int, expected: bytes) -> None:
    stream = Watched(b"abcdefgh")
    stream.seek(2)
    measured = Measured(stream)
    assert measured.tell() == 2
    assert measured.read(size) == expected
    assert stream.most <= 6
    assert measured.tell() == stream.tell() == 2 + len(expected)


def test_behind_the_end_there_is_nothing() -> None:
    measured = Measured(Watched(b"abcdefgh"))
    assert measured.seek(20) == 20
    assert measured.read(5) == b""
    assert measured.seek(-2, io.SEEK_END) == 6
    assert measured.read() == b"gh"
