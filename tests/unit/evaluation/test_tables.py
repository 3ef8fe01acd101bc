"""The files: what is read back equals what was written, and the summary follows from the table alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from delineate.errors import DataError, OutputError
from delineate.evaluation.scores import CaseScore, score_case
from delineate.evaluation.summary import summarise
from delineate.evaluation.tables import (
    read_cases_csv,
    read_summary_json,
    write_cases_csv,
    write_summary_json,
)
from delineate.image import Geometry, LabelSet, Mask

LABELS = LabelSet.of("left lung", 'heart, "all"')


def scores() -> list[CaseScore]:
    """Random masks of two labels; odd names; some cases without a label, some with a spacing."""
    rng = np.random.default_rng(5)
    found: list[CaseScore] = []
    for number in range(12):
        reference, prediction = (
            Mask(
                np.where(rng.random((9, 7)) < 0.5, 0, rng.choice(rng.integers(0, 3, 2), (9, 7))).astype(
                    np.uint8
                ),
                LABELS,
                Geometry((0.3, 0.7) if number % 2 else None),
            )
            for _ in range(2)
        )
        found += score_case(f'cäse\n{number}, "x"', f"patient {number // 3}", reference, prediction)
    for number, spacing_mm in enumerate([(5.0, 0.8, 0.8), None]):
        stack, other = (
            Mask(rng.integers(0, 3, (2, 4, 5), np.uint8), LABELS, Geometry(spacing_mm)) for _ in range(2)
        )
        found += score_case(f"volume {number}", "v", stack, other, tolerance_mm=0.7)
    assert {score.state for score in found} == {"scored", "both empty", "missed", "false alarm"}
    return found


def test_cases_come_back_exactly(tmp_path: Path) -> None:
    write_cases_csv(tmp_path / "cases.csv", scores())
    assert read_cases_csv(tmp_path / "cases.csv") == tuple(scores())


def test_summary_can_be_recomputed_from_the_table(tmp_path: Path) -> None:
    summary = summarise(scores(), LABELS)
    write_cases_csv(tmp_path / "cases.csv", scores())
    write_summary_json(tmp_path / "summary.json", summary)
    assert summarise(read_cases_csv(tmp_path / "cases.csv"), LABELS) == read_summary_json(
        tmp_path / "summary.json"
    )


def test_a_reader_without_delineate_gets_the_same_mean(tmp_path: Path) -> None:
    write_cases_csv(tmp_path / "cases.csv", scores())
    with (tmp_path / "cases.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["label"] == "left lung" and row["dice"]]
    dice = summarise(scores(), LABELS).labels[0].metrics["dice"]
    assert dice is not None
    assert dice.n == len(rows)
    assert dice.mean == pytest.approx(sum(float(row["dice"]) for row in rows) / len(rows))


def test_foreign_files_are_named(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.csv"
    with pytest.raises(DataError, match=r"foreign\.csv"):
        read_cases_csv(foreign)
    foreign.write_text("case,state\na,scored\n")
    with pytest.raises(DataError, match=r"foreign\.csv"):
        read_cases_csv(foreign)
    with pytest.raises(DataError, match=r"foreign\.csv"):
        read_summary_json(foreign)
    write_cases_csv(foreign, scores())
    foreign.write_text(foreign.read_text().replace("scored", "solved"))
    with pytest.raises(DataError, match="has a state that is none"):
        read_cases_csv(foreign)
    write_cases_csv(foreign, scores())
    foreign.write_text(foreign.read_text().replace(",mm,", ",cm,"))
    with pytest.raises(DataError, match="has a unit that is none"):
        read_cases_csv(foreign)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cases\.csv"):
        write_cases_csv(tmp_path / "absent" / "cases.csv", scores())
