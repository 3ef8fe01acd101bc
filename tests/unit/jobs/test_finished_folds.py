"""Whether the net of a fold is finished: trained by the run's plan, whose threshold the training may set."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from example_model import PLAN, example

from delineate.errors import ModelFileError
from delineate.jobs.cross_validation import CrossValidation, _finished, joint_threshold
from delineate.model_file import Scores, save_model
from delineate.plan import Plan, PredictionPlan, write_plan


def fold(folder: Path, begun: float | None, trained: float | None) -> Plan:
    """A fold begun by a plan with a threshold, and its model with one; returns the plan."""
    card, weights = example()
    plans = [
        card.plan.model_copy(update={"prediction": PredictionPlan(threshold=threshold)})
        for threshold in (begun, trained)
    ]
    write_plan(folder / "plan.yaml", plans[0])
    save_model(folder / "model.safetensors", card.model_copy(update={"plan": plans[1]}), weights)
    return plans[0]


def with_threshold(plan: Plan, threshold: float | None) -> Plan:
    return plan.model_copy(update={"prediction": PredictionPlan(threshold=threshold)})


@pytest.mark.parametrize(("begun", "trained"), [(None, 0.41), (0.3, 0.3)])
def test_a_fold_by_the_runs_plan_is_finished(tmp_path: Path, begun: float | None, trained: float) -> None:
    plan = fold(tmp_path, begun, trained)
    found = _finished(tmp_path, plan)
    assert found is not None
    assert isinstance(found.scores, Scores)
    assert found.plan.threshold == trained


@pytest.mark.parametrize(
    ("begun", "trained", "now"), [(0.3, 0.3, None), (None, 0.41, 0.41), (None, 0.41, 0.5), (0.3, 0.3, 0.4)]
)
def test_a_fold_by_another_threshold_is_refused(
    tmp_path: Path, begun: float | None, trained: float, now: float | None
) -> None:
    plan = fold(tmp_path, begun, trained)
    with pytest.raises(ModelFileError, match="made by another plan"):
        _finished(tmp_path, with_threshold(plan, now))


def test_a_fold_without_a_model_is_not_finished(tmp_path: Path) -> None:
    assert _finished(tmp_path, example()[0].plan) is None


def test_nets_together_decide_at_the_mean_or_as_the_plan_says() -> None:
    assert joint_threshold([0.41, 0.42, 0.44]) == 0.423
    assert joint_threshold([0.41, 0.41, 0.44]) == 0.42
    assert joint_threshold([0.0004, 0.0004]) == 0.0004


@pytest.mark.parametrize(
    ("adjusted", "length"),
    [((), "10 steps, 40 steps"), (((4, 6),), "6 steps, 24 steps"), (((4, 6), (5, 9)), "9 steps, 36 steps")],
)
def test_the_length_that_is_announced_is_that_of_the_adjusted_plan(
    adjusted: tuple[tuple[int, int], ...], length: str
) -> None:
    job: Any = None
    parts: Any = SimpleNamespace(folds=range(3))
    said = CrossValidation(job, parts, ensemble=False)._outlook(PLAN.with_adjusted(adjusted))
    assert said == f"3 folds, then a net of all cases: 4 trainings of {length} in all."
