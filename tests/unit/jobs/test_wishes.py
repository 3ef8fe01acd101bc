from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delineate.errors import PlanError, UsageError
from delineate.jobs.source import Source
from delineate.jobs.wishes import Wishes


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"preset": "huge"}, "auto, classic"),
        ({"precision": "fp64"}, "bf16"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 1.5}, "seed 1.5"),
        ({"seed": True}, "seed True"),
        ({"preset": "auto", "plan": Path("plan.yaml")}, "--plan or --preset"),
    ],
)
def test_wishes_that_cannot_be_met(wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Wishes(**wishes)


def test_a_missing_or_broken_plan_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        Wishes(plan=tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("training: {")
    with pytest.raises(PlanError, match="not YAML"):
        Wishes(plan=tmp_path / "broken.yaml")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"log": "wandb"}, "tensorboard"),
        ({"splits": Path("none.json")}, "none.json"),
        ({"split_seed": -1}, "-1"),
    ],
)
def test_sources_that_cannot_be(source: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        Source(tmp_path, **source)
