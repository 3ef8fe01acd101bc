"""Libraries kept quiet while they read or write: their warnings may tell what stands in a file."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class _Quiet:
    """How many blocks are within, and what is brought back when the last is left."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    blocks: int = 0
    before: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


_quiet = _Quiet()


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """No warnings while the block runs, in whichever threads such blocks run at the same time.

    Python's filters of warnings are the whole process's: the first block that is entered keeps them, and the
    last that is left brings them back.
    """
    with _quiet.lock:
        if not _quiet.blocks:
            _quiet.before.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _quiet.blocks += 1
    try:
        yield
    finally:
        with _quiet.lock:
            _quiet.blocks -= 1
            if not _quiet.blocks:
                _quiet.before.close()
