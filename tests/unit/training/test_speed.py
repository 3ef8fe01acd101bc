"""Steps from a budget: exact with a clock that ticks by itself, and without a trace in the training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from clocks import ticking
from same_weights import assert_same_weights

from delineate.plan import Plan
from delineate.training.cache import CachedCase
from delineate.training.loop import fit
from delineate.training.speed import Speed, measure_speed, measure_step, measure_steps

PlanMaker = Callable[..., Plan]
CaseMaker = Callable[..., list[CachedCase]]


@pytest.mark.parametrize(
    ("budget_s", "validation", "steps", "looks", "watched", "look_s", "spent_s"),
    [
        # three timed steps of 1 s fill 2.5 s: 970 less the 7 s that the clock was looked at
        (1000, 0, 963, 10, 32, 0, 7),
        # one look at two of six cases took 1 s, so all six 3 s, ten times; two more seconds went by
        (1000, 6, 970 - 9 - 30, 10, 32, 3, 9),
        (1000, 1, 970 - 9 - 10, 10, 32, 1, 9),
        # at most 32 cases are looked at on the way, and no longer than a tenth of the budget
        (1000, 70, 970 - 9 - 6 * 16, 6, 32, 16, 9),
        # at least three steps are timed, also where 2 % of the budget are less: 19.4 less 7
        (20, 0, 12, 10, 32, 0, 7),
        # where one look would take more than a tenth, it is at fewer cases: four of half a second
        (20, 6, 10, 1, 4, 2, 9),
        # never fewer than ten steps and one look at one case
        (4, 6, 10, 1, 1, 0.5, 9),
    ],
)
def test_steps_fill_the_budget(
    tiny_plan: PlanMaker,
    tiny_cases: CaseMaker,
    budget_s: float,
    validation: int,
    steps: int,
    looks: int,
    watched: int,
    look_s: float,
    spent_s: float,
) -> None:
    plan = tiny_plan(training={"steps": None, "budget_s": budget_s})
    cases = tiny_cases()
    speed = measure_steps(plan, cases, tiny_cases(validation), clock=ticking())
    assert speed == Speed(steps, looks, watched, 1, look_s, spent_s)
    assert speed.training_seconds == steps + looks * look_s


@pytest.mark.parametrize(("budget_s", "timed"), [(1000, 13), (100, 10), (20, 3)])
def test_no_more_steps_are_timed_than_the_budget_bears(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, budget_s: float, timed: int
) -> None:
    """Steps of 0.2 s: 2.5 s of them, or 2 % of the budget, but at least three."""
    looked = [0]
    tick = ticking()

    def clock() -> float:
        looked[0] += 1
        return 0.2 * tick()

    measure_steps(tiny_plan(training={"steps": None, "budget_s": budget_s}), tiny_cases(), [], clock=clock)
    assert looked[0] == 2 * timed + 2  # about each timed step, and about all


@pytest.mark.parametrize("mode", ["whole", "patch"])
def test_a_step_is_timed_before_there_are_cases(tiny_plan: PlanMaker, mode: str) -> None:
    """One second is filled by steps of a fifth; the clock ticks twice a step."""
    plan = tiny_plan(training={"steps": None, "budget_s": 600}, preprocessing={"mode": mode})
    looked = [0]
    tick = ticking()

    def clock() -> float:
        looked[0] += 1
        return 0.2 * tick()

    assert measure_step(plan, clock=clock) == pytest.approx(0.2)
    assert looked[0] == 2 * 5


def test_measuring_leaves_no_trace(tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path) -> None:
    plan, cases = tiny_plan(training={"steps": 3, "budget_s": 20}), tiny_cases()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    expected = fit(plan, cases, [], tmp_path / "a").weights
    measure_steps(plan, cases, cases[:2], clock=ticking())
    measure_speed(plan, cases, cases[:2], clock=ticking())
    found = fit(plan, cases, [], tmp_path / "b").weights
    assert_same_weights(found, expected)


def test_a_plan_without_a_budget_has_nothing_to_fill(tiny_plan: PlanMaker, tiny_cases: CaseMaker) -> None:
    with pytest.raises(ValueError, match="no budget"):
        measure_steps(tiny_plan(), tiny_cases(), [])


def test_settled_steps_are_timed_and_left_as_they_are(tiny_plan: PlanMaker, tiny_cases: CaseMaker) -> None:
    plan = tiny_plan(training={"steps": 7, "evaluations": 2})
    # two steps of 1 s fill the second; one look at two of six cases took 1 s
    assert measure_speed(plan, tiny_cases(), tiny_cases(6), clock=ticking()) == Speed(7, 2, 32, 1, 3, 7)
    assert measure_speed(plan, tiny_cases(), [], clock=ticking()).training_seconds == 7
    unsettled = tiny_plan(training={"steps": None, "budget_s": 60})
    with pytest.raises(ValueError, match="not settled; see measure_steps"):
        measure_speed(unsettled, tiny_cases(), [])


@pytest.mark.parametrize(("steps", "timed"), [(3, 2), (30, 3), (70, 7), (5000, 50)])
def test_a_short_training_is_not_made_much_longer(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, steps: int, timed: int
) -> None:
    looked = [0]

    def standing() -> float:
        looked[0] += 1
        return 0.0

    measure_speed(tiny_plan(training={"steps": steps}), tiny_cases(), [], clock=standing)
    assert looked[0] == 2 * timed + 2  # about each timed step, and about all
