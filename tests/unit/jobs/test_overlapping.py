"""Threads do their work in order, hand over errors as they are, and begin nothing after one."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from delineate.jobs.overlapping import Threads


@pytest.mark.parametrize("number", [0, 1, 3])
def test_results_belong_to_their_work(number: int) -> None:
    threads = Threads(number, "test")
    results = [threads.submit(lambda at=at: at * at) for at in range(50)]  # type: ignore[misc]  # bound now
    threads.finish()
    assert [result.result() for result in results] == [at * at for at in range(50)]


def test_one_thread_keeps_the_order_and_is_another() -> None:
    done: list[tuple[int, bool]] = []
    threads = Threads(1, "test")
    main = threading.current_thread()
    for at in range(20):
        threads.submit(lambda at=at: done.append((at, threading.current_thread() is main)))  # type: ignore[misc]  # bound now
    threads.finish()
    assert done == [(at, False) for at in range(20)]


def test_without_threads_the_caller_does_it_at_once() -> None:
    seen: list[threading.Thread] = []
    Threads(0, "test").submit(lambda: seen.append(threading.current_thread()))
    assert seen == [threading.current_thread()]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("error", [KeyError("its own"), KeyboardInterrupt()])
def test_after_an_error_nothing_is_begun_and_the_error_is_kept(number: int, error: BaseException) -> None:
    threads = Threads(number, "test")
    before = threads.submit(lambda: "done")

    def fail() -> None:
        raise error

    failing, after = threads.submit(fail), threads.submit(lambda: "never")
    threads.finish()
    assert before.result() == "done"
    assert failing.exception() is error
    assert threads.fault is error
    assert after.cancelled()


def test_stopping_finishes_what_has_begun_and_nothing_else() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        go_on.wait(10)
        return "whole"

    threads = Threads(1, "test")
    first, second = threads.submit(slow), threads.submit(lambda: "never")
    begun.wait(10)
    start = time.monotonic()
    threads.stop(patience_s=0.01)  # does not wait for ever
    assert time.monotonic() - start < 5
    go_on.set()
    threads.stop()
    assert first.result() == "whole"
    assert second.cancelled()


def test_the_threads_see_the_context_of_their_maker() -> None:
    variable = ContextVar("variable", default=0)
    variable.set(7)
    threads = Threads(1, "test")
    found = threads.submit(variable.get)
    threads.finish()
    assert found.result() == 7
