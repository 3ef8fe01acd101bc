"""The benchmarks' own arithmetic: what is trained together, what a process answers, how a plan is changed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import cast

import pytest
from benchmarks import handing_over, processes, sides
from benchmarks.held_out import Divided
from benchmarks.processes import Finished
from benchmarks.quality import _trainings
from benchmarks.quality_record import Key
from benchmarks.sides import Task
from benchmarks.tables import quality_tables
from benchmarks.trials import _change, changed
from example_model import PLAN

from delineate.dataset.check_report import CheckReport


def test_budgets_of_sides_with_one_rate_are_found_in_one_training() -> None:
    missing: list[Key] = [
        ("drive", side, budget_s, seed, 1)
        for side in ("ours", "monai")
        for seed in (0, 1)
        for budget_s in (600.0, 120.0)
    ]
    found = _trainings(missing)
    assert sorted(key for keys in found for key in keys) == sorted(missing)
    together = [[key[2] for key in keys] for keys in found if keys[0][1] == "monai"]
    assert together == [[120.0, 600.0], [120.0, 600.0]]
    assert [len(keys) for keys in found if keys[0][1] == "ours"] == [1, 1, 1, 1]


def test_an_ensemble_takes_the_time_of_one_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def stop(command: list[object]) -> Finished:
        given.append([str(part) for part in command])
        raise SystemExit("enough")

    monkeypatch.setattr(processes, "run_process", stop)
    monkeypatch.setattr(handing_over, "write_tables", lambda *_: ("train.csv", "test.csv"))
    divided = Divided(cast(CheckReport, None), None, ("a",), ("b",), (), sided=False)
    for side in sides.OURS:
        with pytest.raises(SystemExit, match="enough"):
            sides.SIDES[side](Task(divided, (600.0,), 3, tmp_path, tmp_path / "runs", {}, 2.0))
    single, several = ([*command, ""] for command in given)
    assert [command[command.index("--budget") + 1] for command in (single, several)] == ["600s", "120s"]
    assert several[several.index("--folds") + 1] == "5"
    assert "--ensemble" in several
    assert "--folds" not in single


def test_the_last_line_of_a_process_is_its_answer() -> None:
    done = Finished('noise\n[{"steps": 3}, {"steps": 9}]\n', 1.0, 0.1, 0.0)
    assert done.answers() == [{"steps": 3}, {"steps": 9}]
    with pytest.raises(SystemExit, match="no record"):
        done.answer()
    with pytest.raises(SystemExit, match="no list of records"):
        Finished(json.dumps({"steps": 3}), 1.0, 0.1, 0.0).answers()


def test_a_trial_changes_what_it_names_and_nothing_else() -> None:
    found = changed(PLAN, dict([_change("network.widths=(4, 6)"), _change("prediction.mirror=True")]))
    assert (found.network.widths, found.prediction.mirror) == ((4, 6), True)
    back = {"network.widths": PLAN.network.widths, "prediction.mirror": PLAN.prediction.mirror}
    assert changed(found, back) == PLAN
    assert changed(PLAN, {}) == PLAN


@pytest.mark.parametrize("name", ["network.breadth", "network", "net.widths", "preset.auto"])
def test_a_trial_of_a_field_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(SystemExit, match="no field"):
        changed(PLAN, {name: 1})


def test_a_change_that_is_no_literal_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no Python literal"):
        _change("network.widths=os.getcwd()")


def test_results_of_one_training_count_as_one() -> None:
    facts = {"set": "drive", "seed": 0, "threads": 1, "train_cases": 15, "held_out_cases": 5, "steps": 9}
    facts |= {"cores_by_others": 0.0, "machine": {"processor": "a processor"}}
    long = {"side": "monai", "in_a_training_of_s": [120.0, 300.0]}
    entries = [
        facts | {"side": "ours", "budget_s": 120.0, "dice": 0.8},
        facts | long | {"budget_s": 120.0, "dice": 0.7},
        facts | long | {"budget_s": 300.0, "dice": 0.75},
        facts | {"side": "monai", "budget_s": 600.0, "dice": 0.9},
    ]
    found = quality_tables(entries)
    assert "4 results of 3 trainings, seeds 0, on a processor." in found
    assert "| drive (15 + 5) | **0.800**, 9 steps | 0.700, 9 steps |" in found
