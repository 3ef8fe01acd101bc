"""A model that knows something takes fewer steps to a target than random weights do."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import delineate
from delineate.plan import write_plan


def looks_to(target_dice: float, run: Path) -> int:
    """The step of the first look that reaches the target; beyond the last one if none does."""
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    reached = [int(row["step"]) for row in rows if float(row["validation_dice"]) >= target_dice]
    return min(reached, default=int(rows[-1]["step"]) + 1)


@pytest.mark.slow
@pytest.mark.data
def test_other_blood_cells_take_fewer_steps_after_blood_cells(data_root: Path, tmp_path: Path) -> None:
    data = data_root / "wbc"
    names = [case.name for case in delineate.check(data).cases]
    splits = {}
    for part, remainders in (("first", (2, 3)), ("second", (4,))):  # 112 and 139 are one image, in both
        splits[part] = tmp_path / f"{part}.json"
        parts = {
            "train": [name for name in names if int(name) % 5 in remainders],
            "validation": [name for name in names if int(name) % 5 == 1],
        }
        splits[part].write_text(json.dumps(parts), encoding="utf-8")
    first = delineate.train(data, splits=splits["first"], epochs=10, out=tmp_path / "first")
    after = delineate.train(
        data, splits=splits["second"], start_from=first.model_path, epochs=8, out=tmp_path / "after"
    )
    alone = delineate.train(
        data, splits=splits["second"], plan=after.folder / "plan.yaml", out=tmp_path / "alone"
    )
    assert after.plan == alone.plan
    assert looks_to(0.88, after.folder) < looks_to(0.88, alone.folder)


@pytest.mark.slow
@pytest.mark.data
def test_blood_cells_take_fewer_steps_after_nuclei(data_root: Path, tmp_path: Path) -> None:
    """Another label, another stain, another last layer; steps alone: docs/benchmarks.md has seconds."""
    first = delineate.train(data_root / "dsb2018", epochs=3, out=tmp_path / "first")  # 192 steps
    data = data_root / "wbc"
    names = [case.name for case in delineate.check(data).cases]
    parts = {
        "train": [name for name in names if int(name) % 5 > 0],
        "validation": [name for name in names if int(name) % 5 == 0],
    }
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps(parts), encoding="utf-8")
    runs = {}
    for name, start in (("after", first.model_path), ("alone", None)):
        planned = delineate.train(
            data, splits=splits, start_from=start, epochs=1, out=tmp_path / f"{name}-plan"
        )
        plan = tmp_path / f"{name}.yaml"
        write_plan(plan, planned.plan.with_steps(112, 14))
        runs[name] = delineate.train(data, splits=splits, start_from=start, plan=plan, out=tmp_path / name)
    assert looks_to(0.9, runs["after"].folder) < looks_to(0.9, runs["alone"].folder)
