"""A time budget that holds on a machine that grows busier: steps are taken off while there is time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from delineate.plan import Plan
from delineate.training.schedule import Schedule

CHECKS, LAST_CHECK = 20, 16  # every 5 % of the schedule, up to 80 %
TOLERANCE = 0.1  # of the budget that may be overrun
LEAST_DECAY = 0.1  # of the steps planned at first are left for the rate to come down


@dataclass(frozen=True)
class Budget:
    """The time a training may take.

    Attributes:
        seconds: From the first step to the last.
        keep: Given the plan with fewer steps before the training goes on by it, to write it down.
    """

    seconds: float
    keep: Callable[[Plan], None]


@dataclass
class Pace:
    """How long steps and looks at the validation part take; a window is what lies between two checks.

    Attributes:
        look_seconds: The last look's.
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

    def close_window(self) -> float | None:
        """A check is reached.

        Returns:
            Seconds of a step, as in the quicker of the last two windows, so that one busy moment decides
            nothing; None before there are two.
        """
        if self._seconds:
            self._windows.append(sum(self._seconds) / len(self._seconds))
            self._seconds = []
        return min(self._windows[-2:]) if len(self._windows) > 1 else None


def checks(schedule: Schedule) -> frozenset[int]:
    """The steps after which the clock is looked at."""
    return frozenset(schedule.marks(CHECKS)[:LAST_CHECK])


def fewer_steps(
    schedule: Schedule, step: int, *, left_s: float, spare_s: float, step_s: float, looks_s: float
) -> int | None:
    """To how many steps a training must be shortened.

    Args:
        schedule: As it stands.
        step: Steps done.
        left_s: Until the budget is used up; below 0 where it is.
        spare_s: By which it may be overrun.
        step_s: That a step takes now.
        looks_s: That the looks still to come will take.

    Returns:
        Fewer than now, so that they end with the budget, but at least `LEAST_DECAY` more than are done; None
        where they end in time, or nothing can be taken off.
    """
    if (schedule.last_step - step) * step_s + looks_s <= left_s + spare_s:
        return None
    fitting = max(0, math.floor((left_s - looks_s) / step_s))
    steps = step + max(fitting, math.ceil(LEAST_DECAY * schedule.steps))
    return steps if steps < schedule.last_step else None
