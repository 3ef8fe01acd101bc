"""Settings of the C library: all of them, or on an old one the most it takes."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator

import pytest

from delineate.training.memory import keep_freed_memory

TRIM, TOP, MMAP = -1, -2, -3  # names of glibc's malloc.h


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    keep_freed_memory.cache_clear()
    yield
    keep_freed_memory.cache_clear()


class Library:
    """A C library that takes mmap thresholds up to a limit, and notes what holds."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.settings: dict[int, int] = {}

    def mallopt(self, name: int, value: int) -> int:
        if name == MMAP and value > self.most:
            return 0
        self.settings[name] = value
        return 1


@pytest.mark.parametrize(("most", "threshold"), [(1 << 40, 1 << 30), (32 << 20, 32 << 20)])
def test_large_blocks_are_kept_as_far_as_the_library_allows(
    monkeypatch: pytest.MonkeyPatch, most: int, threshold: int
) -> None:
    # older versions refuse thresholds above 32 MiB, and what is then set alone would hold it at 128 KiB
    library = Library(most)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.31"))
    keep_freed_memory()
    assert library.settings == {MMAP: threshold, TRIM: (1 << 31) - 1, TOP: 256 << 20}


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str | None) -> Library:
        raise AssertionError("no library is to be opened")

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    keep_freed_memory()
