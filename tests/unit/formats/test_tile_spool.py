"""Tiles in the making on a disk that fills up: what is said is what is so."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.errors import OutputError
from delineate.formats.tile_spool import TILE_PX, TileSpool


class Full:
    """A stream that keeps what is written, and fails when it shall bring it to the disk."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        if name in ("flush", "close", "seek"):
            return self.fail
        return getattr(self.stream, name)

    def fail(self, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_and_not_hidden_by_letting_go(tmp_path: Path) -> None:
    spool = TileSpool(tmp_path / "labels.tiles", (TILE_PX, 700), np.dtype(np.uint8), 1)
    spool.append(np.ones((TILE_PX, 700), np.uint8))
    assert spool.row(0)[:, :700].all()
    stream = spool._stream
    spool._stream = Full(stream)  # type: ignore[assignment]  # it is used like one
    with pytest.raises(OutputError, match="the disk is full"), spool:
        spool.flush()
    for read in (lambda: spool.row(0), lambda: list(spool.packed())):
        with pytest.raises(OutputError, match="the disk is full"):
            read()
    stream.close()
