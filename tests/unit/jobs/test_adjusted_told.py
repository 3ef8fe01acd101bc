"""What a run says when its steps are changed on the way: the first time, and not again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from example_model import PLAN

from delineate.jobs.job import Job
from delineate.jobs.reporter import Reporter
from delineate.plan import read_plan, write_plan


class Heard(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (6, "The machine has become busier: to end in time, the training is shortened"),
        (14, "Steps take less time than was measured: the training is lengthened"),
    ],
)
def test_the_first_change_is_told_and_all_are_noted(steps: int, why: str, tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.yaml", PLAN)  # of ten steps
    heard = Heard()
    nothing: Any = None
    job = Job(tmp_path, nothing, nothing, nothing, heard, nothing)
    changes = ((2, steps), (4, 11), (5, 9))
    for done in range(1, 4):
        job._adjusted(PLAN.with_adjusted(changes[:done]))
        assert read_plan(tmp_path / "plan.yaml").training.adjusted == changes[:done]
    path = tmp_path / "plan.yaml"
    assert heard.said == [f"{why} to {steps} steps; this and later changes are noted in {path}."]
