"""Work done ahead in a thread, beside what the caller does."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

_Item = TypeVar("_Item")


@contextlib.contextmanager
def ahead(items: Iterator[_Item]) -> Iterator[Iterator[_Item]]:
    """Take items in a thread, one before it is asked for.

    Args:
        items: Used by that thread alone.

    Yields:
        The same items; what `items` raises is raised where they are asked for. When the block is left, no
        more are taken.
    """
    waiting: queue.Queue[tuple[bool, _Item | BaseException | None]] = queue.Queue(1)
    stopped = threading.Event()

    def put(more: bool, item: _Item | BaseException | None) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put((more, item), timeout=0.1)
                return

    def take() -> None:
        try:
            for item in items:
                put(True, item)
                if stopped.is_set():
                    return
            put(False, None)
        except BaseException as error:  # told where the items are wanted
            put(False, error)

    def given() -> Iterator[_Item]:
        while True:
            more, item = waiting.get()
            if more:
                yield item  # type: ignore[misc]  # which is no error where more are said to follow
            elif isinstance(item, BaseException):
                raise item
            else:
                return

    thread = threading.Thread(target=take, name="reading ahead", daemon=True)
    thread.start()
    try:
        yield given()
    finally:
        stopped.set()
        thread.join()
