"""Threads beside the calling one, which do what they are given in the order in which it was given."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

R = TypeVar("R")


class Threads:
    """A few threads with one list of work.

    They never hold up the end of the program: what has not begun when they are stopped is left undone.

    Args:
        number: Of them; with 0 the caller does each work at once when it is submitted.
        name: For debuggers.

    Attributes:
        fault: The first error that a work ended with; no other is begun after it.
    """

    def __init__(self, number: int, name: str) -> None:
        self.fault: BaseException | None = None
        self._works: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._stopped = False
        self._threads = [
            threading.Thread(
                target=contextvars.copy_context().run, args=(self._go,), name=f"{name}-{at}", daemon=True
            )
            for at in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], R]) -> Future[R]:
        """Have something done.

        Returns:
            Its result to be, or its error; cancelled where it is not begun any more.
        """
        result: Future[R] = Future()

        def do() -> None:
            if self._stopped or self.fault is not None:
                result.cancel()
                return
            try:
                value = work()
            except BaseException as error:  # whoever asks for the result gets it
                self.fault = self.fault or error
                result.set_exception(error)
            else:
                result.set_result(value)

        if self._threads:
            self._works.put(do)
        else:
            do()
        return result

    def finish(self) -> None:
        """Wait until all is done."""
        for _ in self._threads:
            self._works.put(None)
        for thread in self._threads:
            thread.join()

    def stop(self, patience_s: float | None = None) -> None:
        """Begin nothing any more, and wait for what has begun.

        Args:
            patience_s: Not longer than this; None for as long as it takes.
        """
        self._stopped = True
        for _ in self._threads:
            self._works.put(None)
        for thread in self._threads:
            thread.join(patience_s)

    def _go(self) -> None:
        while (work := self._works.get()) is not None:
            work()
            del work  # and with it the image that it held, while the thread waits
