"""A budget that holds on a machine that grows busier, by a clock that the steps themselves move."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from same_weights import assert_same_weights

from delineate.errors import Interrupted, ModelFileError
from delineate.plan import Plan, from_yaml, retold, to_yaml
from delineate.training.budget import Budget, Pace, checks, fitting_steps
from delineate.training.cache import CachedCase
from delineate.training.history import HistoryRow
from delineate.training.loop import Progress, fit
from delineate.training.optimization import learning_rate_at
from delineate.training.schedule import Schedule
from delineate.training.trainer import Trainer

PlanMaker = Callable[..., Plan]
CaseMaker = Callable[..., list[CachedCase]]
SHIFTED: dict[str, Any] = {"rotation_degrees": 20, "flip_horizontal": True}


class Machine:
    """Steps and looks that take as long as is said, whatever else the computer does.

    Where `learning` is false nothing is learned, for the sake of the tests' time.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        step_s: Callable[[int], float],
        look_s: float = 0.0,
        *,
        learning: bool = False,
    ) -> None:
        self.now = 0.0
        take_step, look = Trainer.take_step, Trainer.validation_dice

        def timed_step(trainer: Trainer) -> None:
            self.now += step_s(trainer.state.step)
            if learning:
                take_step(trainer)
                return
            trainer.state.step += 1
            trainer.state.losses.append(0.5)
            trainer.state.dices.append(0.5)

        def timed_look(trainer: Trainer, cases: list[CachedCase]) -> float | None:
            self.now += look_s
            return look(trainer, cases) if learning else None

        monkeypatch.setattr(Trainer, "take_step", timed_step)
        monkeypatch.setattr(Trainer, "validation_dice", timed_look)

    def clock(self) -> float:
        return self.now


class Run:
    """A run folder whose plan is written down as it changes."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        folder.mkdir()
        self.folder, self.path, self.at = folder, folder / "plan.yaml", list[int]()
        self.path.write_text(to_yaml(plan))

    @property
    def plan(self) -> Plan:
        return from_yaml(self.path.read_text())

    def keep(self, plan: Plan) -> None:
        self.path.write_text(retold(self.path.read_text(), self.plan, plan))


def from_the_middle(step: int) -> float:
    return 1.0 if step < 20 else 2.0


@pytest.fixture
def plan(tiny_plan: PlanMaker) -> Plan:
    """Of forty steps of a second."""
    return tiny_plan(augmentation=SHIFTED, training={"steps": 40, "budget_s": 40, "evaluations": 4})


def test_a_run_ends_in_time_when_each_step_takes_twice_as_long_from_the_middle_on(
    plan: Plan, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, run = tiny_cases(), Run(tmp_path / "run", plan)
    machine = Machine(monkeypatch, from_the_middle, learning=True)
    trained = fit(plan, cases, [], run.folder, budget=Budget(40, run.keep), clock=machine.clock)
    # after 24 steps, of which the last four took 8 s, 28 s are over: 12 s are left for 6 steps
    assert run.plan.training.adjusted == ((24, 30),)
    assert run.plan.training.steps == 40
    assert trained.plan == run.plan
    assert trained.seconds == 40
    # looks at a quarter, a half, three quarters (6 of 16 in 6 steps: 2.25) and the end
    assert [row.step for row in trained.history] == [10, 20, 26, 30]
    assert trained.history[-1].learning_rate == trainer_rate(run.plan, 29)
    assert trained.history[-1].learning_rate < 0.02 * plan.training.learning_rate
    # the plan that was written down gives the same weights and the same curve, however long it takes
    again = fit(run.plan, cases, [], Run(tmp_path / "again", plan).folder, clock=lambda: 0.0)
    assert_same_weights(again.weights, trained.weights)
    assert [(row.step, row.train_loss, row.learning_rate) for row in again.history] == [
        (row.step, row.train_loss, row.learning_rate) for row in trained.history
    ]


def trainer_rate(plan: Plan, step: int) -> float:
    """The learning rate by the formula of one-cycle, at the place that the step has among forty."""
    place = step if step <= 24 else 24 + (step - 24) * 16 / 6
    return learning_rate_at(place, 40, plan.training)


@pytest.mark.parametrize(
    ("step_s", "adjusted", "seconds"),
    [
        (lambda step: 1.09, (), 109.0),  # within a tenth
        (lambda step: 3.0 if 20 <= step < 25 else 1.0, (), 110.0),  # one busy moment
        (lambda step: 3.0 if step >= 80 else 1.0, (), 140.0),  # the last fifth is left alone
        # twice as long from the beginning: seen at a tenth, 80 s are left for 40 steps
        (lambda step: 2.0, ((10, 50),), 100.0),
        # ever busier
        # at 61, 91.5 s are over, and the ten steps that must be left take 40
        (lambda step: 1.0 if step < 30 else 1.5 if step < 55 else 4.0, ((40, 76), (61, 71)), 131.5),
    ],
)
def test_when_a_run_is_adjusted(
    step_s: Callable[[int], float],
    adjusted: tuple[tuple[int, int], ...],
    seconds: float,
    tiny_plan: PlanMaker,
    tiny_cases: CaseMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = tiny_plan(training={"steps": 100, "budget_s": 100, "evaluations": 1})
    run, machine = Run(tmp_path / "run", plan), Machine(monkeypatch, step_s)
    trained = fit(plan, tiny_cases(), [], run.folder, budget=Budget(100, run.keep), clock=machine.clock)
    assert run.plan.training.adjusted == adjusted
    assert trained.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("step_s", "adjusted", "seconds"),
    [
        (lambda step: 0.96, (), 96.0),  # less than a twentieth more would fit
        # seen at a tenth: of 91 s that are left, two are spared, and 98 steps of 0.9 s fit
        (lambda step: 0.9, ((10, 108),), 97.2),
        (lambda step: 0.5, ((10, 196),), 98.0),
        (lambda step: 0.2 if 20 <= step < 25 else 1.0, (), 96.0),  # one calm moment
        (lambda step: 0.5 if step >= 85 else 1.0, (), 92.5),  # the last fifth is left alone
        # calmer from the middle, then busy again: 196 steps would be too many
        (lambda step: 0.5 if step < 100 else 2.0, ((10, 196), (113, 138), (116, 126)), 102.0),
    ],
)
def test_when_a_run_is_lengthened(
    step_s: Callable[[int], float],
    adjusted: tuple[tuple[int, int], ...],
    seconds: float,
    tiny_plan: PlanMaker,
    tiny_cases: CaseMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = tiny_plan(training={"steps": 100, "budget_s": 100, "evaluations": 10})
    run, machine = Run(tmp_path / "run", plan), Machine(monkeypatch, step_s)
    trained = fit(plan, tiny_cases(), [], run.folder, budget=Budget(100, run.keep), clock=machine.clock)
    assert run.plan.training.adjusted == adjusted
    assert trained.seconds == pytest.approx(seconds)


def test_before_the_first_look_what_was_measured_counts(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(training={"steps": 100, "budget_s": 100, "evaluations": 1})
    run, machine = Run(tmp_path / "run", plan), Machine(monkeypatch, lambda step: 0.5, look_s=40)
    budget = Budget(100, run.keep, look_seconds=42)
    trained = fit(plan, tiny_cases(), [], run.folder, budget=budget, clock=machine.clock)
    # at a tenth 95 s are left, of which the look will take 42 and two are spared
    assert run.plan.training.adjusted == ((10, 112),)
    assert trained.seconds == 96


def test_a_lengthened_run_is_repeated_by_its_plan(
    plan: Plan, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, run = tiny_cases(), Run(tmp_path / "run", plan)
    machine = Machine(monkeypatch, lambda step: 0.8, learning=True)
    trained = fit(plan, cases, [], run.folder, budget=Budget(40, run.keep), clock=machine.clock)
    # seen at a tenth: of 36.8 s that are left 36 are for 45 steps
    assert run.plan.training.adjusted == ((4, 49),)
    assert trained.plan == run.plan
    again = fit(run.plan, cases, [], Run(tmp_path / "again", plan).folder, clock=lambda: 0.0)
    assert_same_weights(again.weights, trained.weights)
    untold = fit(plan, cases, [], Run(tmp_path / "shorter", plan).folder)
    assert not torch.equal(untold.weights["head.weight"], trained.weights["head.weight"])


def test_after_the_last_step_nothing_is_adjusted_though_a_check_falls_onto_it(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(training={"steps": 10, "budget_s": 10, "evaluations": 1})
    run = Run(tmp_path / "run", plan)
    machine = Machine(monkeypatch, lambda step: 2.2 if step == 12 else 0.3)
    # the look, which seemed to take 4 s, takes none: after the last step 3.9 s are left, for a step of 2.2 s
    budget = Budget(10, run.keep, look_seconds=4)
    trained = fit(plan, tiny_cases(), [], run.folder, budget=budget, clock=machine.clock)
    assert run.plan.training.adjusted == ((2, 19), (13, 14))
    assert 14 in checks(Schedule(10, ((2, 19), (13, 14))))
    assert trained.seconds == pytest.approx(6.1)


def test_without_a_budget_nothing_is_adjusted(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, machine = tiny_plan(training={"steps": 40, "budget_s": 40}), Machine(monkeypatch, lambda step: 5.0)
    trained = fit(plan, tiny_cases(), [], Run(tmp_path / "run", plan).folder, clock=machine.clock)
    assert (trained.plan, trained.seconds) == (plan, 200)


def test_looks_are_counted_apart(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, cases = tiny_plan(training={"steps": 100, "budget_s": 120, "evaluations": 10}), tiny_cases()
    run, machine = Run(tmp_path / "calm", plan), Machine(monkeypatch, lambda step: 1.0, look_s=2.0)
    fit(plan, cases, cases[:1], run.folder, budget=Budget(120, run.keep), clock=machine.clock)
    assert run.plan == plan
    assert machine.now == 120
    monkeypatch.undo()
    run, machine = Run(tmp_path / "busy", plan), Machine(monkeypatch, lambda step: 2.0, look_s=4.0)
    fit(plan, cases, cases[:1], run.folder, budget=Budget(120, run.keep), clock=machine.clock)
    # after ten steps and a look 24 s are over and nine looks of 4 s to come: 60 s for 30 steps
    assert run.plan.training.adjusted == ((10, 40),)
    assert machine.now == 120


@pytest.mark.parametrize("died", [22, 24, 25, 26, 28])
def test_a_run_killed_about_its_shortening_goes_on_to_the_same_weights(
    died: int, plan: Plan, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, run = tiny_cases(), Run(tmp_path / "run", plan)
    machine = Machine(monkeypatch, from_the_middle, learning=True)
    monkeypatch.setattr("delineate.training.loop.CHECKPOINT_SECONDS", 5.0)  # at each third step then

    def die(progress: Progress, row: HistoryRow | None) -> None:
        if progress.step == died:
            raise MemoryError

    with pytest.raises(MemoryError):
        fit(plan, cases, [], run.folder, watcher=die, budget=Budget(40, run.keep), clock=machine.clock)
    assert run.plan.training.adjusted == (((24, 30),) if died >= 24 else ())
    found = fit(run.plan, cases, [], run.folder, resume=True)
    again = fit(run.plan, cases, [], Run(tmp_path / "again", plan).folder)
    assert_same_weights(found.weights, again.weights)
    assert [row.train_loss for row in found.history] == [row.train_loss for row in again.history]


def test_a_run_stopped_at_the_shortening_itself_goes_on(
    plan: Plan, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, run = tiny_cases(), Run(tmp_path / "run", plan)
    machine = Machine(monkeypatch, from_the_middle, learning=True)

    def stop(progress: Progress, row: HistoryRow | None) -> None:
        if progress.step == 24:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="after step 24 of 30"):
        fit(plan, cases, [], run.folder, watcher=stop, budget=Budget(40, run.keep), clock=machine.clock)
    found = fit(run.plan, cases, [], run.folder, resume=True)
    again = fit(run.plan, cases, [], Run(tmp_path / "again", plan).folder)
    assert_same_weights(found.weights, again.weights)


def test_a_run_killed_before_the_plan_was_written_goes_on_by_the_old_one(
    plan: Plan, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, run = tiny_cases(), Run(tmp_path / "run", plan)
    machine = Machine(monkeypatch, from_the_middle, learning=True)
    monkeypatch.setattr("delineate.training.loop.CHECKPOINT_SECONDS", 1.0)

    def die(_: Plan) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        fit(plan, cases, [], run.folder, budget=Budget(40, die), clock=machine.clock)
    found = fit(run.plan, cases, [], run.folder, resume=True)
    assert found.plan == plan
    again = fit(plan, cases, [], Run(tmp_path / "again", plan).folder)
    assert_same_weights(found.weights, again.weights)


def test_a_resumed_run_takes_the_steps_of_its_plan(
    plan: Plan, tiny_cases: CaseMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, machine = Run(tmp_path / "run", plan), Machine(monkeypatch, lambda step: 9.0)
    assert fit(plan, tiny_cases(), [], run.folder, resume=True, clock=machine.clock).seconds == 360


@pytest.mark.parametrize("adjusted", [(), ((20, 30),), ((24, 31),), ((24, 30), (26, 28))])
def test_other_changes_than_those_that_were_made_are_refused(
    adjusted: tuple[tuple[int, int], ...],
    plan: Plan,
    tiny_cases: CaseMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cases, run = tiny_cases(), Run(tmp_path / "run", plan)
    machine = Machine(monkeypatch, from_the_middle)
    fit(plan, cases, [], run.folder, budget=Budget(40, run.keep), clock=machine.clock)
    assert fit(run.plan, cases, [], run.folder, resume=True).plan == run.plan
    with pytest.raises(ModelFileError, match="made by another plan"):
        fit(plan.with_adjusted(adjusted), cases, [], run.folder, resume=True)


def test_the_clock_is_looked_at_every_twentieth_up_to_four_fifths() -> None:
    assert sorted(checks(Schedule(200))) == list(range(10, 161, 10))
    assert sorted(checks(Schedule(200, ((100, 120),)))) == [*range(10, 101, 10), 102, 104, 106, 108, 110, 112]


def test_the_last_two_windows_count() -> None:
    pace = Pace()
    assert pace.close_window() is None
    for begun, stepped, now, look in ((0, None, 2, 0), (2, 6, 9, 3), (9, None, 11, 3)):
        pace.note(begun, stepped, now)
        assert pace.look_seconds == look
    assert pace.close_window() is None  # the first: 2, 4 and 2 s
    assert pace.close_window() is None  # nothing since
    pace.note(11, None, 12)
    assert pace.close_window() == (1, 8 / 3)
    pace.note(12, None, 17)
    assert pace.close_window() == (1, 5)
    pace.note(17, None, 20)
    assert pace.close_window() == (3, 5)


@pytest.mark.parametrize(
    ("left_s", "step_s", "looks_s", "steps"),
    [
        (50, (1, 1), 0, None),
        (40, (1, 1), 0, None),  # just within what may be overrun
        (39, (1, 1), 0, 89),
        (39, (0.9, 1), 0, None),  # at best it ends in time
        (50, (1, 1), 11, 89),
        (10, (1, 1), 0, 60),  # a tenth of the steps is left to come down
        (-20, (1, 1), 0, 60),
        (30, (0.9, 2), 0, 83),  # 33.3 fit
        (56.9, (1, 1), 0, None),  # 54 more would fit
        (57, (1, 1), 0, 105),
        (57, (1, 1), 1, None),
        (58, (1, 1), 1, 105),
        (58, (0.5, 1.01), 0, 105),  # 55.4 fit at worst
        (58, (0.5, 1.1), 0, None),
        (72, (1.2, 1.2), 0, 108),
    ],
)
def test_fitting_steps(left_s: float, step_s: tuple[float, float], looks_s: float, steps: int | None) -> None:
    found = fitting_steps(Schedule(100), 50, budget_s=100, left_s=left_s, step_s=step_s, looks_s=looks_s)
    assert found == steps


def test_where_not_one_step_more_fits_none_is_added() -> None:
    assert fitting_steps(Schedule(10), 9, budget_s=100, left_s=16, step_s=(10, 10), looks_s=0) is None


@pytest.mark.parametrize(("planned", "steps"), [(10, None), (11, 10), (20, 10), (90, 11), (200, 22)])
def test_ten_steps_are_left_in_all(planned: int, steps: int | None) -> None:
    found = fitting_steps(Schedule(planned), 2, budget_s=100, left_s=-20, step_s=(9, 9), looks_s=0)
    assert found == steps


def test_where_nothing_can_be_taken_off_nothing_is() -> None:
    late = Schedule(100, ((50, 60),))
    assert fitting_steps(late, 51, budget_s=100, left_s=-20, step_s=(1, 1), looks_s=0) is None
