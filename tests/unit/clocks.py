"""Clocks for tests of what is timed."""

from __future__ import annotations

from collections.abc import Callable


def ticking() -> Callable[[], float]:
    """A clock that goes on by a second at each look."""
    now = [-1.0]

    def clock() -> float:
        now[0] += 1
        return now[0]

    return clock
