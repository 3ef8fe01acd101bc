"""Where the time of one of our training steps goes, by torch's profiler and oneDNN's own log."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from delineate.training.batches import Batch
from delineate.training.trainer import Trainer

BATCH, OPTIMIZER = "making the batch", "optimizer"
PARTS = {
    "convolution: forward": r"onednn forward",
    "convolution: backward, data": r"onednn backward_data",
    "convolution: backward, weights": r"onednn backward_weights",
    "convolution: weights reordered": r"onednn reorder",
    "convolution: around oneDNN": r"aten::(mkldnn_convolution|convolution_backward)$",
    "casts and copies": r"aten::(copy_|_to_copy|to|clone|contiguous)$",
    "ReLU": r"aten::(relu_?|clamp_min_?|threshold_backward)$",
    "max pooling": r"aten::max_pool2d",
    "concatenation": r"aten::(cat|slice_backward|narrow)$",
    "pixel shuffle": r"aten::pixel_(un)?shuffle$",
    "sums of gradients": r"aten::add_?$",
    OPTIMIZER: rf"{OPTIMIZER}$",
    BATCH: rf"{BATCH}$",
}
REST = "loss, Dice and all else"
_ROOTS = {BATCH: BATCH, "Optimizer.step#Adam.step": OPTIMIZER, "aten::_fused_adam_": OPTIMIZER}


@dataclass(frozen=True)
class Convolutions:
    """One kind of convolution call of oneDNN in a step.

    Attributes:
        direction: "forward_training", "backward_data" or "backward_weights".
        implementation: As oneDNN names it.
        shape: Input and output channels, side, kernel.
        calls: In a step.
        seconds: In a step, all calls.
        gflop_per_s: The rate reached.
    """

    direction: str
    implementation: str
    shape: str
    calls: float
    seconds: float
    gflop_per_s: float


class _ProfiledTrainer(Trainer):
    """A trainer whose batches can be told from the rest in a profile."""

    def batch(self) -> Batch:
        with record_function(BATCH):
            return super().batch()


def profile_steps(trainer: Trainer, steps: int) -> tuple[dict[str, float], list[Convolutions]]:
    """Where a step's time goes.

    Args:
        trainer: Warmed up; it takes `steps` more steps.
        steps: To take the mean of.

    Returns:
        Seconds a step of each part, and the convolutions, slowest rate first.
    """
    trainer.__class__ = _ProfiledTrainer
    verbose = torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON)  # type: ignore[no-untyped-call]  # torch's is untyped
    with tempfile.TemporaryFile("w+", encoding="utf-8") as caught:
        with _output_to(caught), verbose, profile(activities=[ProfilerActivity.CPU]) as profiled:
            for _ in range(steps):
                trainer.take_step()
        caught.seek(0)
        log = caught.read()
    seconds: dict[str, float] = defaultdict(float)
    convolutions: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    work: dict[tuple[str, str, str], float] = {}
    for fields in _primitives(log):
        elapsed = float(fields[-1]) / 1000 / steps
        name = "onednn reorder" if fields[5] == "reorder" else f"onednn {fields[7]}"
        seconds[name] += elapsed
        if fields[5] == "convolution":
            key = (fields[7], fields[6], _shape(fields[-2]))
            convolutions[key].append(elapsed)
            work[key] = _gflop(fields[-2])
    for event in profiled.events() or ():
        seconds[_owner(event)] += event.self_cpu_time_total / 1e6 / steps
    in_onednn = sum(value for name, value in seconds.items() if name.startswith("onednn"))
    seconds["aten::mkldnn_convolution"] -= in_onednn  # the profiler sees both as one
    found = [
        Convolutions(*key, len(times) / steps, sum(times), work[key] * len(times) / steps / sum(times))
        for key, times in convolutions.items()
    ]
    return _by_part(seconds), sorted(found, key=lambda each: each.gflop_per_s)


def _by_part(seconds: dict[str, float]) -> dict[str, float]:
    parts = dict.fromkeys([*PARTS, REST], 0.0)
    for name, value in seconds.items():
        parts[next((part for part, names in PARTS.items() if re.match(names, name)), REST)] += value
    return parts


def _owner(event: torch.autograd.profiler_util.FunctionEvent) -> str:
    """The event's own name, or the part of the step that it happens in."""
    above: torch.autograd.profiler_util.FunctionEvent | None = event
    while above is not None:
        if above.name in _ROOTS:
            return _ROOTS[above.name]
        above = above.cpu_parent
    return str(event.name)


def _primitives(log: str) -> list[list[str]]:
    lines = (line.split(",") for line in log.splitlines() if line.startswith("onednn_verbose"))
    return [fields for fields in lines if "exec" in fields[:5] and len(fields) > 9]


def _numbers(problem: str) -> dict[str, int]:
    """`mb32_ic64oc32_ih128oh128kh3…` as numbers by name."""
    return {name: int(value) for name, value in re.findall(r"([a-z]+)(\d+)", problem)}


def _shape(problem: str) -> str:
    n = _numbers(problem)
    return f"{n['ic']}→{n['oc']}, {n['oh']}×{n['ow']}, {n['kh']}×{n['kw']}"


def _gflop(problem: str) -> float:
    n = _numbers(problem)
    return 2e-9 * math.prod(n[name] for name in ("mb", "ic", "oc", "oh", "ow", "kh", "kw"))


@contextlib.contextmanager
def _output_to(file: IO[str]) -> Iterator[None]:
    """Lead what C libraries write to standard output into a file."""
    library = ctypes.CDLL(None)
    sys.stdout.flush()
    library.fflush(None)
    kept = os.dup(1)
    os.dup2(file.fileno(), 1)
    try:
        yield
    finally:
        library.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
