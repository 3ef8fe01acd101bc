"""Warnings are off while any thread reads, and on again afterwards, in whatever order the threads end."""

from __future__ import annotations

import threading
import warnings

import pytest

from delineate.formats.quiet import without_warnings


def test_filters_come_back_when_the_first_to_enter_is_not_the_last_to_leave() -> None:
    before = warnings.filters
    entered, leave = threading.Event(), threading.Event()

    def second() -> None:
        with without_warnings():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=second)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        inside = warnings.filters
        with without_warnings():
            thread.start()
            entered.wait(10)
        warnings.warn("nobody hears this", stacklevel=1)  # the other thread still reads
        leave.set()
        thread.join()
        assert warnings.filters is inside
        warnings.warn("told", stacklevel=1)
    assert [str(each.message) for each in told] == ["told"]
    assert warnings.filters is before


def test_filters_come_back_after_an_error() -> None:
    before = warnings.filters
    with pytest.raises(KeyError), without_warnings():
        raise KeyError
    assert warnings.filters is before
