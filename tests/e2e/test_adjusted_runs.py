"""A run on a machine that grows busier: told, written down, and repeated bit for bit by its plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import delineate
from delineate.jobs import job
from delineate.jobs.expectation import Outlook, look_ahead
from delineate.plan import Plan
from delineate.training.budget import Budget
from delineate.training.loop import Trained, fit
from delineate.training.trainer import Trainer


class Noting(delineate.Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slower", "why"), [(2.0, "busier: to end in time, the training is shortened"), (0.5, "lengthened")]
)
def test_an_adjusted_run_is_told_of_written_down_and_repeated(
    slower: float, why: str, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0, 0.0]  # the time, and what a step takes
    take_step = Trainer.take_step

    def timed(trainer: Trainer) -> None:
        now[0] += now[1]
        take_step(trainer)

    def otherwise(plan: Plan, *arguments: Any, budget: Budget | None, **options: Any) -> Trained:
        """Each step takes so many times as long as measured."""
        assert plan.training.steps is not None
        assert budget is not None
        now[1] = slower * budget.seconds / plan.training.steps
        return fit(plan, *arguments, budget=budget, clock=lambda: now[0], **options)

    def of_forty(*given: Any) -> Outlook:
        """However fast this machine is."""
        outlook = look_ahead(*given)
        return replace(outlook, speed=replace(outlook.speed, steps=40))

    monkeypatch.setattr(job, "look_ahead", of_forty)
    monkeypatch.setattr(Trainer, "take_step", timed)
    monkeypatch.setattr(job, "fit", otherwise)
    noting = Noting()
    run = delineate.train(small_data, out=tmp_path / "run", budget=1.0, reporter=noting)
    written = delineate.read_plan(run.folder / "plan.yaml")
    assert written == run.plan
    (at, steps), *_ = written.training.adjusted
    assert at < steps
    assert (steps < (written.training.steps or 0)) == (slower > 1)
    text = (run.folder / "plan.yaml").read_text()
    assert "# small batches take more steps" in text  # the reasons are kept
    (told,) = (said for said in noting.said if "changes are noted" in said)
    assert f"{why} to {steps} steps in place of {written.training.steps}; this and later changes" in told
    assert run.load().card.training.steps == written.training.last_step
    monkeypatch.undo()
    again = delineate.train(
        small_data,
        out=tmp_path / "again",
        plan=run.folder / "plan.yaml",
        splits=run.folder / "splits.json",
    )
    assert again.load().card.weights_sha256 == run.load().card.weights_sha256
    assert again.plan == run.plan
    assert delineate.resume(run.folder).load().card.weights_sha256 == run.load().card.weights_sha256
