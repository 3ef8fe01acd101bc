"""A training on phantoms, ready to take steps, and the rate of the device's matrix products."""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from delineate import phantoms
from delineate.fingerprint import measure
from delineate.image import Image, Mask
from delineate.planner import Length, make_plan
from delineate.training.cache import Store, build_cache
from delineate.training.trainer import Trainer

Precision = Literal["bf16", "fp32"]
PRODUCT_SIDES = {"cpu": 4096, "cuda": 8192}
PRODUCTS = 5


def phantom_trainer(
    preset: Literal["auto", "classic"],
    side: int,
    precision: Precision,
    *,
    kind: str = "noise",
    cases: int = 80,
    seen: int | None = None,
) -> Trainer:
    """A training by the plan that `delineate train` makes for such images where the budget has no room.

    Args:
        preset: Of the plan.
        side: Of the square images, in pixels.
        precision: Of the computations.
        kind: Of the phantoms.
        cases: How many.
        seen: Side of what the net shall see, instead of what the plan chooses.
    """
    labels = phantoms.KINDS[kind].labels
    pairs = [
        (
            Image(np.ascontiguousarray(np.moveaxis(np.atleast_3d(drawn.image), -1, 0))),
            Mask(drawn.mask, labels),
        )
        for drawn in phantoms.generate(kind, cases, size=(side, side))
    ]
    length = Length(epochs=1) if preset == "classic" else Length(budget_s=600.0)
    fingerprint = measure(pairs, labels, "rgb" if pairs[0][0].channels == 3 else "grey")
    plan = make_plan(fingerprint, length, preset=preset, precision=precision).plan
    if seen is not None:
        plan = plan.model_copy(
            update={"preprocessing": plan.preprocessing.model_copy(update={"size": (seen, seen)})}
        )
    named = ((f"image_{number}", image, mask) for number, (image, mask) in enumerate(pairs))
    return Trainer(plan.with_steps(1000), build_cache(named, plan, Store(Path(tempfile.gettempdir()))))


def device_of(trainer: Trainer) -> torch.device:
    """Where its network is."""
    return next(trainer.state.network.parameters()).device


def finish(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of some work, to the end of what it gives the device."""
    finish(device)
    start = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - start


def product_rate(precision: Precision, device: torch.device) -> float:
    """GFLOP/s of a large matrix product: what the device gives to the best-fed code; median of some."""
    kind, side = torch.bfloat16 if precision == "bf16" else torch.float32, PRODUCT_SIDES[device.type]
    left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    out = torch.empty(side, side, dtype=kind, device=device)
    product = functools.partial(torch.mm, left, right, out=out)
    product()
    return 2e-9 * side**3 / statistics.median(seconds_of(product, device) for _ in range(PRODUCTS))
