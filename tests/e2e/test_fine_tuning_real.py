"""More cases of a known task are learned in fewer steps than from random weights, with the same plan."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import delineate

TARGET_DICE = 0.88


def looks_to_target(run: Path) -> int:
    """The step of the first look that reaches the target; beyond the last one if none does."""
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    reached = [int(row["step"]) for row in rows if float(row["validation_dice"]) >= TARGET_DICE]
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
    assert looks_to_target(after.folder) < looks_to_target(alone.folder)
