"""Where the time of a whole training run goes, by watching the trainer from outside."""

from __future__ import annotations

import contextlib
import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import ParamSpec, TypeVar
from unittest import mock

import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from delineate.jobs import expectation, job
from delineate.networks.unet import UNet
from delineate.training import loop, trainer

P = ParamSpec("P")
R = TypeVar("R")
Mark = float | torch.cuda.Event
SPEED, BATCH, FORWARD, BACKWARD = "measuring the speed", "making batches", "forward", "backward"
LOSS, DICE, OPTIMIZER = "loss", "Dice of the batch", "optimizer"
LOOKS, CHECKPOINTS, REST = "looks at the validation part", "checkpoints", "all else"
LOOKS_FORWARD = "forward, in looks"
TOTAL = "the whole training"
PLACES: tuple[tuple[ModuleType | type, str, str], ...] = (
    (expectation, "measure_steps", SPEED),
    (trainer.Trainer, "batch", BATCH),
    (UNet, "forward", FORWARD),
    (torch.Tensor, "backward", BACKWARD),
    (trainer, "segmentation_loss", LOSS),
    (trainer, "overlap_counts", DICE),
    (trainer.Trainer, "validation_dice", LOOKS),
    (loop, "save_checkpoint", CHECKPOINTS),
)


class Sections:
    """Adds up the time of parts of a run, each as its device sees it.

    On a GPU the marks are events in its own queue, so that nothing waits for them: a part's time is that of
    its work there with the gaps in which the GPU waited for it. What happens inside of a part is the part's,
    but for the network's forward in looks at the validation part.
    """

    def __init__(self) -> None:
        self._spans: list[tuple[str, Mark, Mark]] = []
        self._open: list[tuple[str, Mark]] = []
        self._learning = False

    def seconds(self) -> dict[str, float]:
        """Of each part, and of the whole as `TOTAL`."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds: dict[str, float] = defaultdict(float)
        for name, start, end in self._spans:
            seconds[name] += _between(start, end)
        if LOOKS_FORWARD in seconds:
            seconds[LOOKS] -= seconds[LOOKS_FORWARD]
        return dict(seconds)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch every training that happens meanwhile."""
        with contextlib.ExitStack() as stack:
            for owner, name, section in PLACES:
                watched = self._watched(getattr(owner, name), section)
                stack.enter_context(mock.patch.object(owner, name, watched))
            whole = self._whole(loop.fit)
            stack.enter_context(mock.patch.object(job, loop.fit.__name__, whole))
            for hook in (
                register_optimizer_step_pre_hook(lambda *_: self._begin(OPTIMIZER)),
                register_optimizer_step_post_hook(lambda *_: self._end(OPTIMIZER)),
            ):
                stack.callback(hook.remove)
            yield

    def _watched(self, work: Callable[P, R], section: str) -> Callable[P, R]:
        @functools.wraps(work)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            self._begin(section)
            try:
                return work(*args, **kwargs)
            finally:
                self._end(section)

        return timed

    def _whole(self, work: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(work)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            start, self._learning = _mark(), True
            try:
                return work(*args, **kwargs)
            finally:
                self._spans.append((TOTAL, start, _mark()))
                self._learning = False

        return timed

    def _begin(self, section: str) -> None:
        self._open.append((section, _mark()))

    def _end(self, section: str) -> None:
        _, start = self._open.pop()
        if not (self._learning or section == SPEED):  # what scores the model afterwards
            return
        within = [name for name, _ in self._open]
        if not within:
            self._spans.append((section, start, _mark()))
        elif within == [LOOKS] and section == FORWARD:
            self._spans.append((LOOKS_FORWARD, start, _mark()))


def _mark() -> Mark:
    if not torch.cuda.is_available():
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's is untyped
    event.record()
    return event


def _between(start: Mark, end: Mark) -> float:
    if isinstance(start, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        return float(start.elapsed_time(end)) / 1000
    if isinstance(start, float) and isinstance(end, float):
        return end - start
    raise ValueError("marks of two kinds")
