"""What a run will take, in time and memory: measured before its first step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from delineate.dataset.naming import counted
from delineate.inference.hardware import ProcessMemory, computing_device, free_memory_bytes, process_memory
from delineate.jobs.duration import in_words
from delineate.jobs.scoring_cost import ToScore, measure_scoring
from delineate.plan import Plan
from delineate.training.cache import CachedCase
from delineate.training.speed import Speed, forget_peak_on_gpu, measure_speed, measure_steps

MEASURED_SHARE = 0.01  # of the training's time at most goes into measuring the scoring
MEASURED_SECONDS = 3.0  # and no more than this, but for the first case


class Expectation(BaseModel):
    """What a run was expected to take when it began.

    Attributes:
        steps: Of a training.
        step_seconds: One of them.
        training_seconds: All of them, with the looks at the validation part.
        trainings: How many there are that take as much; several in a cross-validation.
        scoring_seconds: Of all that is scored after trainings.
        memory_bytes: The most that this process will take; None where the system does not say.
        free_bytes: Of it, what this process could take in all; likewise.
        gpu_bytes: The most that will be taken on the GPU; None without one.
        gpu_free_bytes: What could be taken there in all; likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int
    step_seconds: float
    training_seconds: float
    trainings: int = 1
    scoring_seconds: float
    memory_bytes: int | None = None
    free_bytes: int | None = None
    gpu_bytes: int | None = None
    gpu_free_bytes: int | None = None

    def sentence(self) -> str:
        """It as the user is told."""
        long = in_words(max(1.0, self.training_seconds))
        what = f"{long} of training" if self.trainings == 1 else f"{self.trainings} trainings of {long} each"
        parts = [
            f"{what} ({counted(self.steps, 'step')} of {self.step_seconds:.2g} s)",
            f"about {in_words(max(1.0, self.scoring_seconds))} of scoring",
        ]
        for taken, free, where in (
            (self.memory_bytes, self.free_bytes, "memory"),
            (self.gpu_bytes, self.gpu_free_bytes, "GPU memory"),
        ):
            if taken is not None:
                left = "" if free is None else f" ({_gigabytes(free)} are free)"
                parts.append(f"{_gigabytes(taken)} of {where}{left}")
        expected = f"{', '.join(parts[:-1])}{',' * (len(parts) > 2)} and {parts[-1]}"
        if self.trainings == 1:
            return f"Expect {expected}."
        total = in_words(self.trainings * self.training_seconds + self.scoring_seconds)
        return f"Expect {expected}; about {total} in all."

    def warning(self) -> str | None:
        """What to do where the memory will not suffice; None where it will."""
        for taken, free, where in (
            (self.memory_bytes, self.free_bytes, "memory"),
            (self.gpu_bytes, self.gpu_free_bytes, "memory of the GPU"),
        ):
            if taken is not None and free is not None and taken > free:
                return (
                    f"More {where} is needed than is free, {_gigabytes(taken)} of {_gigabytes(free)}: the "
                    "training may be very slow, or be ended by the system. Close other programs, or stop it "
                    "and train by a copy of plan.yaml with a smaller training.batch_size or "
                    "preprocessing.size (--plan)."
                )
        return None


@dataclass(frozen=True)
class Outlook:
    """What was measured before a training.

    Attributes:
        speed: Of its steps.
        expectation: What all of it will take.
        shortage: What cannot be scored with the memory that there is, in words; None where all can.
    """

    speed: Speed
    expectation: Expectation
    shortage: str | None = None


def look_ahead(
    plan: Plan,
    cases: Sequence[CachedCase],
    validation: Sequence[CachedCase],
    to_score: Sequence[ToScore],
    trainings: int = 1,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Outlook:
    """Measure what a run will take; nothing of its training is changed by it.

    Args:
        plan: With its steps settled, or a budget to choose them for.
        cases: The training cases.
        validation: Looked at on the way.
        to_score: All that is scored after trainings.
        trainings: How many there will be that take as much.
        clock: Seconds.

    Raises:
        DataError: A case that is scored does not fit the plan.
    """
    before = process_memory()
    forget_peak_on_gpu()
    measure = measure_steps if plan.training.steps is None else measure_speed
    speed = measure(plan, cases, validation, clock=clock)
    allowed_s = min(MEASURED_SECONDS, MEASURED_SHARE * (plan.training.budget_s or speed.training_seconds))
    costs = [
        measure_scoring(plan, each, allowed_s=allowed_s / len(to_score), clock=clock) for each in to_score
    ]
    more_bytes = max((cost.more_bytes for cost in costs), default=0)
    memory, free = _memory(before, process_memory(), more_bytes)
    gpu, gpu_free = _gpu_memory()
    return Outlook(
        speed,
        Expectation(
            steps=speed.steps,
            step_seconds=round(speed.step_seconds, 6),
            training_seconds=round(speed.training_seconds, 1),
            trainings=trainings,
            scoring_seconds=round(sum(cost.seconds for cost in costs), 1),
            memory_bytes=memory,
            free_bytes=free,
            gpu_bytes=gpu,
            gpu_free_bytes=gpu_free,
        ),
        next((cost.shortage for cost in costs if cost.shortage), None),
    )


def _memory(
    before: ProcessMemory | None, after: ProcessMemory | None, more_bytes: int
) -> tuple[int | None, int | None]:
    """The most this process will take, and what it could take."""
    free = free_memory_bytes()
    if before is None or after is None:
        return None, None
    # what was freed is mostly kept (training.memory); an older peak was of another stage or job
    measured = after.peak_bytes if after.peak_bytes > before.peak_bytes else after.used_bytes
    most = max(measured, after.used_bytes + more_bytes)
    return most, None if free is None else free + after.used_bytes


def _gpu_memory() -> tuple[int | None, int | None]:
    import torch  # noqa: PLC0415  heavy

    if computing_device() != "cuda":
        return None, None
    free, _ = torch.cuda.mem_get_info()
    return torch.cuda.max_memory_reserved(), free + torch.cuda.memory_reserved()


def _gigabytes(size: int) -> str:
    """Bytes as people say them."""
    giga = size / 1e9
    return f"{giga:.1f} GB" if giga < 10 else f"{giga:.0f} GB"
