"""Readers that do what a reader must not, by the length of the file, to see that the harness sees it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from delineate.errors import ImageError
from delineate.formats import Header, Reading, StoredMask
from delineate.image import Image

WHOLE = np.zeros((1, 2, 2), np.uint8)
_KEPT: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = []


def header(path: Path, reading: Reading) -> Header:
    return Header((2, 3) if path.stat().st_size == 7 else (2, 2), "grey", "none", 1)


def read(path: Path, reading: Reading) -> Image:
    """By the length: 1 raises, 2 crashes, 3 hangs, 4 takes memory, 5 gives no reason, 6 a wrong image."""
    match path.stat().st_size:
        case 1:
            raise ValueError("what the library says")
        case 2:
            os.abort()
        case 3:
            while True:
                pass
        case 4:
            _KEPT.append(np.ones(2 << 30, np.uint8))
        case 5:
            raise ImageError(path, "")
        case 6:
            return Image(WHOLE + np.uint8(1))
        case 8:
            raise ImageError(path, "the file is truncated")
    return Image(WHOLE)


def read_mask(path: Path, reading: Reading) -> StoredMask:
    return StoredMask(WHOLE[0])
