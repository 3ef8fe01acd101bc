"""What is said of all folds together: tables, curves, and sentences."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from delineate.errors import DataError, UsageError
from delineate.evaluation.scores import CaseScore, score_case
from delineate.evaluation.summary import summarise
from delineate.evaluation.tables import read_cases_csv, write_cases_csv
from delineate.image import LabelSet, Mask
from delineate.jobs.manifest import MANIFEST, Predicted
from delineate.jobs.out_of_fold import Masks, how_scored, mean_curves, nothing_chosen, table_by_fold
from delineate.jobs.source import Source
from delineate.training.history import HistoryRow

ORGANS = LabelSet.of("liver", "spleen")


def scores(case: str, reference: list[int], prediction: list[int]) -> tuple[CaseScore, ...]:
    masks = (Mask(np.array([values], np.uint8), ORGANS) for values in (reference, prediction))
    return score_case(case, case, *masks)


def test_each_fold_has_its_row_with_a_dash_where_there_was_nothing() -> None:
    first = summarise(scores("a", [1, 1, 2, 0], [1, 0, 2, 0]), ORGANS)  # liver 2/3, spleen 1
    second = summarise(
        (*scores("b", [1, 1, 0, 0], [1, 1, 0, 0]), *scores("c", [1, 0, 0, 0], [0, 0, 0, 0])), ORGANS
    )
    table = table_by_fold([first, second])
    assert table.header == ("fold", "cases held out", "Dice, liver", "Dice, spleen", "mean Dice")
    assert table.rows == (("1", "1", "0.667", "1.000", "0.833"), ("2", "2", "0.500", "–", "0.500"))


def test_curves_are_the_means_of_the_folds_step_by_step() -> None:
    rows = [HistoryRow(10, 1.0, 0.1, 0.8, 0.2, 0.3), HistoryRow(20, 2.0, 0.05, 0.4, 0.6, None)]
    others = [replace(row, train_loss=row.train_loss + 0.2, seconds=9.0) for row in rows]
    others[0] = replace(others[0], validation_dice=0.5)
    first, second = mean_curves([rows, others])
    assert (first.step, second.step) == (10, 20)
    assert [first.train_loss, second.train_loss] == pytest.approx([0.9, 0.5])
    assert first.validation_dice == pytest.approx(0.4)
    assert second.validation_dice is None
    assert mean_curves([rows, []]) == []


def test_the_sentences_tell_a_plan_of_ones_own_and_an_ensemble() -> None:
    assert "made once for all folds" in nothing_chosen(plan_given=False)
    assert "given by hand" in nothing_chosen(plan_given=True)
    one = how_scored(5, 40, ensemble=False, plan_given=False)
    assert "about 4 in 5 of the cases" in one
    assert "learned from all 40 cases by that plan; it is not scored here" in one
    several = how_scored(5, 40, ensemble=True, plan_given=True)
    assert "these 5 nets together" in several
    assert "each case was learned from by all nets but one" in several


def test_a_table_of_folds_is_read_as_any_other(tmp_path: Path) -> None:
    found = (*scores("a", [1, 1, 2, 0], [1, 0, 2, 0]), *scores("b", [1, 1, 0, 0], [1, 1, 0, 0]))
    write_cases_csv(tmp_path / "cases.csv", found, {"a": 2, "b": 1})
    assert read_cases_csv(tmp_path / "cases.csv") == found
    with (tmp_path / "cases.csv").open(newline="") as stream:
        assert [(row["case"], row["fold"]) for row in csv.DictReader(stream)] == [
            ("a", "2"),
            ("a", "2"),
            ("b", "1"),
            ("b", "1"),
        ]
    write_cases_csv(tmp_path / "plain.csv", found)
    assert "fold" not in (tmp_path / "plain.csv").read_text()


def test_a_manifest_is_taken_over_when_a_run_goes_on(tmp_path: Path) -> None:
    masks = Masks(tmp_path, ORGANS, {"a.png": Predicted(("a.png",), ("0",), mask="a.png")}, ["f"], 1.5)
    masks.write(complete=False)
    again = Masks(tmp_path, ORGANS)
    again.go_on()
    assert list(again.files) == ["a.png"]
    assert again.seconds == 1.5
    Masks(tmp_path / "none", ORGANS).go_on()
    (tmp_path / MANIFEST).write_text('{"seconds": 1, "files": [{"mask": "a.png"}]}')
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        Masks(tmp_path, ORGANS).go_on()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "give 2 or more"),
        ({"folds": -5}, "There cannot be -5 folds"),
        ({"ensemble": True}, "give --folds"),
        ({"folds": 3, "splits": True}, "Give either --folds or --splits"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, object], message: str) -> None:
    if "splits" in options:
        (tmp_path / "splits.json").touch()
        options = options | {"splits": tmp_path / "splits.json"}
    with pytest.raises(UsageError, match=message):
        Source(tmp_path, **options)  # type: ignore[arg-type]  # of several types
