"""Engines that compute a net from its ONNX graph."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

from delineate.inference.engines.engine import EngineName, Precision
from delineate.inference.engines.sessions import Session


class GraphEngine:
    """See `Engine`. It computes with as many threads as torch would at the time of a call.

    Args:
        name: Of the program that computes.
        precision: Of its arithmetic.
        members: Nets whose probabilities the graph averages.
        classes: K of the probabilities.
        open_session: Makes the session with so many threads.
    """

    def __init__(
        self,
        name: EngineName,
        precision: Precision,
        *,
        members: int,
        classes: int,
        open_session: Callable[[int], Session],
    ) -> None:
        self.name = name
        self.precision = precision
        self.members = members
        self.device = torch.device("cpu")
        self._classes = classes
        self._open_session = open_session
        self._session: Session | None = None
        self._threads = 0
        self._turn = threading.Lock()  # a session computes one batch at a time, with all threads

    def __call__(self, batch: Tensor) -> Tensor:
        """See `Engine`."""
        images = batch.to(self.device, torch.float32).contiguous()
        found = torch.empty(images.shape[0], self._classes, *images.shape[2:])
        with self._turn:
            self._ready().run(images.numpy(), found.numpy())
        return found

    def _ready(self) -> Session:
        """The session with the number of threads that now holds."""
        threads = torch.get_num_threads()
        if self._session is None or threads != self._threads:
            self._session = None  # before the next one takes memory
            self._session, self._threads = self._open_session(threads), threads
        return self._session
