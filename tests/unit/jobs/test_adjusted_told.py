"""What a run says when its steps are changed on the way: the first time, and where what was told turns."""

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


SHORTENED = "The machine has become busier: to end in time, the training is shortened to"
LENGTHENED = "the training is lengthened to"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((8, 7, 6), [f"{SHORTENED} 8 steps in place of 10"]),
        ((14, 16, 18), [f"Steps take less time than was measured: {LENGTHENED} 14 steps in place of 10"]),
        ((8, 6, 7, 8), [f"{SHORTENED} 8 steps in place of 10"]),  # never more than was told
        (
            (8, 6, 7, 9, 10, 8),
            [
                f"{SHORTENED} 8 steps in place of 10",
                f"Steps take less time than before: {LENGTHENED} 9 steps in place of the 8 told before.",
                "Steps take longer again: to end in time, the training is shortened to 8 steps in place of "
                "the 9 told before.",
            ],
        ),
        (
            (14, 16, 15, 11, 9, 12),
            [
                f"Steps take less time than was measured: {LENGTHENED} 14 steps in place of 10",
                "Steps take longer again: to end in time, the training is shortened to 11 steps in place of "
                "the 14 told before.",
                f"Steps take less time than before: {LENGTHENED} 12 steps in place of the 11 told before.",
            ],
        ),
    ],
)
def test_the_first_change_and_each_turn_are_told_and_all_are_noted(
    steps: tuple[int, ...], told: list[str], tmp_path: Path
) -> None:
    write_plan(tmp_path / "plan.yaml", PLAN)  # of ten steps
    heard = Heard()
    nothing: Any = None
    job = Job(tmp_path, nothing, nothing, nothing, heard, nothing)
    changes = tuple(enumerate(steps, start=2))
    for done in range(1, len(changes) + 1):
        job._adjusted(PLAN.with_adjusted(changes[:done]))
        assert read_plan(tmp_path / "plan.yaml").training.adjusted == changes[:done]
    first, *turns = told
    noted = f"; this and later changes are noted in {tmp_path / 'plan.yaml'}."
    assert heard.said == [f"{first}{noted}", *turns]
