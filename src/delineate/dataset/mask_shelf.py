"""Masks kept packed between the looks that are taken at them."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from delineate import formats
from delineate.dataset.case_files import CaseFiles, Structure
from delineate.dataset.joining import Joined, join, painted
from delineate.formats import USUAL, Reading, StoredMask

SHELF_BYTES = 256 << 20


class MaskShelf:
    """Stored masks, each read from disk once and kept packed, up to a limit of memory.

    Attributes:
        reading: How files are read.
        order: The values of the labels where masks are joined of several files: of those that overlap the
            last in it is seen.
    """

    def __init__(self, reading: Reading = USUAL, limit_bytes: int = SHELF_BYTES) -> None:
        self.reading = reading
        self.order: Sequence[int] = ()
        self._left_bytes = limit_bytes
        self._packed: dict[Path, tuple[bytes, StoredMask]] = {}
        self._joined: dict[Path, tuple[tuple[Structure, ...], Joined]] = {}
        self._lock = threading.Lock()

    def read(self, path: Path) -> StoredMask:
        """The stored mask of a file, or the one joined of several of which this is the first.

        Raises:
            ImageError: It cannot be read.
        """
        if path not in self._joined:
            return self._kept(path, lambda: formats.read_mask(path, self.reading))
        structures, joined = self._joined[path]
        image = joined.stored
        again = self._kept(path, lambda: join(structures, image.size, image.geometry, self.reading).stored)
        return painted(again, joined.sets, self.order)

    def put(self, case: CaseFiles, joined: Joined) -> None:
        """Keep the mask of a case that is joined of several files."""
        if case.mask is not None:
            self._keep(case.mask, joined.stored)
            self._joined[case.mask] = (
                case.structures,
                replace(joined, stored=_without_values(joined.stored)),
            )

    def _kept(self, path: Path, read: Callable[[], StoredMask]) -> StoredMask:
        if path in self._packed:
            packed, empty = self._packed[path]
            flat = np.frombuffer(zlib.decompress(packed), empty.values.dtype)
            return replace(empty, values=flat.reshape(empty.values.shape))
        stored = read()
        self._keep(path, stored)
        return stored

    def _keep(self, path: Path, stored: StoredMask) -> None:
        packed = zlib.compress(stored.values.tobytes(), 1)
        empty = _without_values(stored)
        with self._lock:
            if self._left_bytes >= len(packed):
                self._left_bytes -= len(packed)
                self._packed[path] = (packed, empty)


def _without_values(stored: StoredMask) -> StoredMask:
    """The same with nothing in it, that tells dtype and shape without the memory."""
    nothing = np.broadcast_to(np.zeros((), stored.values.dtype), stored.values.shape)
    return replace(stored, values=nothing)
