"""How long a step takes here, and how many fit into a time budget: measured, then written down."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from delineate.inference.hardware import computing_device
from delineate.plan import Plan
from delineate.training.cache import CachedCase, places_of
from delineate.training.checkpoint import checkpoint_content
from delineate.training.trainer import Trainer

LEAST_STEPS = 10
LOOK_SHARE = 0.1  # of the budget at most goes into looking at the validation part
MOST_STEPS = 50  # that are timed
MARGIN = 0.97  # a share of the budget is left for checkpoints and a busier machine


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes:
        steps: Of the run: those that fit into the budget, or the plan's.
        evaluations: Looks at the validation part: the plan's, or as many as take a tenth of the budget.
        watched_cases: In a look, at most: the plan's, or as many as let one look take no more than that.
        step_seconds: Median of the timed steps.
        look_seconds: One evaluation of the validation part on the way.
        seconds: That the measuring took.
    """

    steps: int
    evaluations: int
    watched_cases: int
    step_seconds: float
    look_seconds: float
    seconds: float

    @property
    def training_seconds(self) -> float:
        """What the training will take."""
        return self.steps * self.step_seconds + min(self.steps, self.evaluations) * self.look_seconds


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
    step, case = _timed(plan, cases, validation, allowed_s=min(2.5, 0.02 * budget_s), warm_up=2, clock=clock)
    looks, watched = plan.training.evaluations, plan.training.watched_cases
    share_s = LOOK_SHARE * budget_s
    if case * min(watched, len(validation)) > share_s:
        watched = max(1, int(share_s / case))
    look = case * min(watched, len(validation))
    if look > 0:
        looks = max(1, min(looks, int(share_s / look)))
    spent = clock() - start
    left = MARGIN * budget_s - spent - looks * look
    return Speed(max(LEAST_STEPS, int(left / step)), looks, watched, step, look, spent)


def measure_speed(
    plan: Plan,
    cases: Sequence[CachedCase],
    validation: Sequence[CachedCase],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Speed:
    """Time a few steps of a net that is thrown away, where the plan's steps are settled.

    Args:
        plan: With `training.steps`; nothing of it is changed.
        cases: The training cases.
        validation: Looked at on the way.
        clock: Seconds.

    Returns:
        The plan's steps and looks, with what each takes.
    """
    steps = plan.training.last_step
    if steps is None:
        raise ValueError("the plan's steps are not settled; see measure_steps")
    start = clock()
    most = min(MOST_STEPS, steps // 10)  # of a short training few, so that it is not made much longer
    step, case = _timed(plan, cases, validation, allowed_s=1.0, warm_up=1, most=most, clock=clock)
    training = plan.training
    look = case * min(training.watched_cases, len(validation))
    return Speed(steps, training.evaluations, training.watched_cases, step, look, clock() - start)


def measure_step(plan: Plan, *, clock: Callable[[], float] = time.monotonic) -> float:
    """Time a few steps on a made-up case, where no case has been brought to the plan's size yet.

    Args:
        plan: Steps or budget do not matter.
        clock: Seconds.

    Returns:
        Seconds of a step.
    """
    shape = plan.preprocessing.size
    mask = torch.zeros(shape, dtype=torch.uint8)
    mask[tuple(slice(side // 4, side // 2) for side in shape)] = 1
    pixels = mask.float().expand(plan.network.input_channels, *shape).contiguous()
    scale = torch.ones(plan.network.input_channels)
    case = CachedCase("made up", pixels, mask, scale, 0 * scale, places_of(mask))
    seconds, _ = _timed(plan, [case], (), allowed_s=1.0, warm_up=1, clock=clock)
    return seconds


def forget_peak_on_gpu() -> None:
    """Give back what earlier nets took on the GPU, so that the peak from now on is that of what comes."""
    if computing_device() == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _timed(
    plan: Plan,
    cases: Sequence[CachedCase],
    validation: Sequence[CachedCase],
    *,
    allowed_s: float,
    warm_up: int,
    most: int = MOST_STEPS,
    clock: Callable[[], float],
) -> tuple[float, float]:
    """Seconds of a step and of a look at a case; all that a training keeps is kept once, a checkpoint too.

    At least `warm_up` + 1 steps are timed, and more while they took less than `allowed_s`, up to `most`.
    """
    trainer = Trainer(plan.with_steps(1000), cases)
    for _ in range(warm_up + trainer.reports.steps_ahead):  # from then on a step waits for an earlier one
        trainer.take_step()
    seconds: list[float] = []
    while len(seconds) < warm_up + 1 or (sum(seconds) < allowed_s and len(seconds) < most):
        before = clock()
        trainer.take_step()
        seconds.append(clock() - before)
    trainer.settle()
    look = 0.0
    if validation:
        if computing_device() == "cuda":  # where the first use of a size is many times slower
            trainer.validation_dice(validation[:1])
        before = clock()
        trainer.validation_dice(validation[:2])
        look = (clock() - before) / min(2, len(validation))
    checkpoint_content(trainer.state.network, trainer.state.optimizer, {})
    return statistics.median(seconds), look
