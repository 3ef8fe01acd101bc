"""How many threads compute: as many as the user says, and the caller's own number again afterwards."""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from delineate.errors import DelineateWarning, UsageError

P = ParamSpec("P")
R = TypeVar("R")
_limit: ContextVar[int | None] = ContextVar("threads", default=None)


@contextlib.contextmanager
def computing_threads(threads: int | None) -> Iterator[None]:
    """Compute with so many threads while the block runs.

    Args:
        threads: 1 or more, and no more than there are processors; None changes nothing.

    Raises:
        UsageError: It is no such number.
    """
    if threads is None:
        yield
        return
    try:
        number = 0 if isinstance(threads, bool) else operator.index(threads)
    except TypeError:
        number = 0
    if number < 1:
        raise UsageError(f"{threads!r} threads cannot compute: give --threads a whole number, 1 or more.")
    if number > processors():
        warnings.warn(
            f"{number} threads are more than the {processors()} processors, which would be slower: "
            f"{processors()} are taken. A run begun with more may differ in its last digits.",
            DelineateWarning,
            stacklevel=3,
        )
    threads = min(number, processors())
    import torch  # noqa: PLC0415  heavy

    before = torch.get_num_threads()
    limited = _limit.set(threads)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _limit.reset(limited)


def limiting_threads(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run with as many threads as its argument `threads` says."""

    @functools.wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        threads = kwargs.get("threads")
        with computing_threads(threads):  # type: ignore[arg-type]  # anything else is refused there
            return function(*args, **kwargs)

    return limited


def at_most(threads: int) -> int:
    """So many threads, or fewer where the user wants fewer."""
    limit = _limit.get()
    return threads if limit is None else min(threads, limit)


def processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usual_threads() -> int:
    """As many as OMP_NUM_THREADS says, which PyTorch heeds as well, else one a processor."""
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return max(1, min(int(told), processors())) if told.isdecimal() else processors()
