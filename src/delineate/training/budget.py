"""A time budget that holds though a machine grows busier or calmer: steps are taken off or added."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from delineate.plan import Plan
from delineate.training.schedule import Schedule
from delineate.training.speed import LEAST_STEPS

CHECKS, LAST_CHECK = 20, 16  # every 5 % of the schedule, up to 80 %
OVERRUN = 0.1  # of the budget is allowed
WORTH = 1.05  # times as many steps are worth a change
SPARE = 0.02  # of the budget is left over where steps are added
LEAST_DECAY = 0.1  # of the steps planned at first are left for the rate to come down


@dataclass(frozen=True)
class Budget:
    """The time a training may take.

    Attributes:
        seconds: From the first step to the last.
        keep: Given the plan with other steps before the training goes on by it, to write it down.
        look_seconds: Measured for a look at the validation part.
    """

    seconds: float
    keep: Callable[[Plan], None]
    look_seconds: float = 0.0


@dataclass
class Pace:
    """How long steps and looks at the validation part take; a window is what lies between two checks.

    Attributes:
        look_seconds: The last look's; before the first what was measured.
    """

    look_seconds: float = 0.0
    _seconds: list[float] = field(default_factory=list)
    _windows: list[float] = field(default_factory=list)

    def note(self, begun: float, stepped: float | None, now: float) -> None:
        """A step was taken.

        Args:
            begun: When it was begun.
            stepped: When it ended, if a look at the validation part came after it.
            now: When both were done.
        """
        if stepped is not None:
            self.look_seconds = now - stepped
        self._seconds.append((now if stepped is None else stepped) - begun)

    def close_window(self) -> tuple[float, float] | None:
        """A check is reached.

        Returns:
            Seconds of a step, in the quicker and in the slower of the last two windows, so that one moment
            decides nothing; None before there are two.
        """
        if self._seconds:
            self._windows.append(sum(self._seconds) / len(self._seconds))
            self._seconds = []
        last = self._windows[-2:]
        return (min(last), max(last)) if len(last) > 1 else None


def checks(schedule: Schedule) -> frozenset[int]:
    """The steps after which the clock is looked at."""
    return frozenset(schedule.marks(CHECKS)[:LAST_CHECK])


def fitting_steps(
    schedule: Schedule,
    step: int,
    *,
    budget_s: float,
    left_s: float,
    step_s: tuple[float, float],
    looks_s: float,
) -> int | None:
    """To how many steps a training is to be adjusted.

    Args:
        schedule: As it stands.
        step: Steps done.
        budget_s: All of it.
        left_s: Until it is used up; below 0 where it is.
        step_s: That a step takes now, as it looks at best and at worst.
        looks_s: That the looks still to come will take.

    Returns:
        Fewer than now where too much of the budget would be overrun even at best, so that they end with it,
        but at least `LEAST_DECAY` more than are done, and `LEAST_STEPS` in all. More where a twentieth more
        end in time even at worst. None where they end in time, or nothing can be taken off.
    """
    ahead = schedule.last_step - step
    quick, slow = step_s
    time_s = left_s - looks_s
    if ahead * quick > time_s + OVERRUN * budget_s:
        left = max(math.floor(time_s / quick), math.ceil(LEAST_DECAY * schedule.steps))
        steps = max(LEAST_STEPS, step + left)
        return steps if steps < schedule.last_step else None
    steps = step + math.floor((time_s - SPARE * budget_s) / slow)
    return steps if steps >= WORTH * schedule.last_step else None
