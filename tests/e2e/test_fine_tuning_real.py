"""Blood cells are learned in fewer steps after nuclei than from random weights, on the same network."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import delineate
from delineate.plan import read_plan, write_plan

TARGET_DICE = 0.91
SEEDS = (0, 1)


def steps_to_target(run: Path) -> int:
    """The first look that reaches the target; beyond the last step if none does."""
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    reached = [int(row["step"]) for row in rows if float(row["validation_dice"]) >= TARGET_DICE]
    return min(reached, default=int(rows[-1]["step"]) + 1)


@pytest.mark.slow
@pytest.mark.data
def test_blood_cells_after_nuclei_take_fewer_steps(data_root: Path, tmp_path: Path) -> None:
    first = delineate.train(data_root / "dsb2018", epochs=14, out=tmp_path / "first")
    names = [case.name for case in delineate.check(data_root / "wbc").cases]
    parts = {
        "train": [name for name in names if int(name) % 5 in (2, 3, 4)],
        "validation": [name for name in names if int(name) % 5 == 1],  # and 0 is for benchmarks alone
    }
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps(parts), encoding="utf-8")
    taken = {"from": 0, "random": 0}
    for seed in SEEDS:
        after = delineate.train(
            data_root / "wbc",
            splits=splits,
            start_from=first.model_path,
            epochs=5,
            seed=seed,
            out=tmp_path / f"from-{seed}",
        )
        plan = read_plan(after.folder / "plan.yaml")
        usual = plan.training.model_copy(update={"adam_share": 0.5})  # as in plans for random weights
        write_plan(tmp_path / "plan.yaml", plan.model_copy(update={"training": usual}))
        alone = delineate.train(
            data_root / "wbc", splits=splits, plan=tmp_path / "plan.yaml", out=tmp_path / f"random-{seed}"
        )
        assert after.plan.network == alone.plan.network
        taken["from"] += steps_to_target(after.folder)
        taken["random"] += steps_to_target(alone.folder)
    assert taken["from"] < taken["random"]
