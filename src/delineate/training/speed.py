"""How many steps fit into a time budget on this machine: measured, then written down."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from delineate.plan import Plan
from delineate.training.cache import CachedCase
from delineate.training.loop import WATCHED_CASES
from delineate.training.trainer import Trainer

WARMUP_STEPS = 2
LEAST_STEPS = 10
LOOK_SHARE = 0.1  # of the budget at most goes into looking at the validation part
MARGIN = 0.97  # a share of the budget is left for checkpoints and a busier machine


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes:
        steps: That fit into the budget.
        evaluations: Looks at the validation part: the plan's, or as many as take a tenth of the budget.
        step_seconds: Median of the timed steps.
        look_seconds: One evaluation of the validation part on the way.
    """

    steps: int
    evaluations: int
    step_seconds: float
    look_seconds: float


def measure_steps(
    plan: Plan,
    cases: Sequence[CachedCase],
    validation: Sequence[CachedCase],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Speed:
    """Time a few steps of a net that is thrown away, and count how many fill the plan's budget.

    Args:
        plan: With `training.budget_s`.
        cases: The training cases.
        validation: Looked at on the way.
        clock: Seconds.

    Returns:
        The steps, at least `LEAST_STEPS`; the time the measuring took is taken off the budget.
    """
    budget_s = plan.training.budget_s
    if budget_s is None:
        raise ValueError("the plan has no budget")
    start = clock()
    trainer = Trainer(plan, cases, 1000)
    for _ in range(WARMUP_STEPS):
        trainer.take_step()
    seconds: list[float] = []
    allowed_s = min(8.0, 0.03 * budget_s)
    while len(seconds) < 3 or (sum(seconds) < allowed_s and len(seconds) < 50):
        before = clock()
        trainer.take_step()
        seconds.append(clock() - before)
    look = 0.0
    if validation:
        before = clock()
        trainer.validation_dice(validation[:2])
        look = (clock() - before) / min(2, len(validation)) * min(WATCHED_CASES, len(validation))
    looks = plan.training.evaluations
    if look > 0:
        looks = max(1, min(looks, int(LOOK_SHARE * budget_s / look)))
    left = MARGIN * budget_s - (clock() - start) - looks * look
    step = statistics.median(seconds)
    return Speed(max(LEAST_STEPS, int(left / step)), looks, step, look)
