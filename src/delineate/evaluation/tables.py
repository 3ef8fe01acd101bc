"""The scores as files: `cases.csv`, one row a case and label, and `summary.json`, which follows from it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import cast, get_args

from delineate.errors import DataError
from delineate.evaluation.scores import CaseScore, State, Unit
from delineate.evaluation.summary import Summary
from delineate.files import write_text

FOLD = "fold"
_COLUMNS = tuple(field.name for field in fields(CaseScore))


def write_cases_csv(
    path: Path, scores: Sequence[CaseScore], fold_of: Mapping[str, int] | None = None
) -> None:
    """Write one row a case and label, whole or not at all.

    Numbers stand in full precision, so that every mean can be recomputed; what is undefined is left blank.

    Args:
        path: The file.
        scores: Of all cases.
        fold_of: For each case its fold in a cross-validation, for a last column; None for no such column.

    Raises:
        OutputError: The place cannot be written.
    """
    text = io.StringIO()
    columns = _COLUMNS if fold_of is None else (*_COLUMNS, FOLD)
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for score in scores:
        writer.writerow(asdict(score) | ({} if fold_of is None else {FOLD: fold_of[score.case]}))
    write_text(path, text.getvalue())


def read_cases_csv(path: Path) -> tuple[CaseScore, ...]:
    """Read what `write_cases_csv` wrote.

    Raises:
        DataError: The file cannot be read or is not such a table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return tuple(_score(row) for row in csv.DictReader(stream))
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{path} is not a table of scores as Delineate writes it: {error}") from error


def write_summary_json(path: Path, summary: Summary) -> None:
    """Write the summary as JSON, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    write_text(path, summary.to_json())


def read_summary_json(path: Path) -> Summary:
    """Read what `write_summary_json` wrote.

    Raises:
        DataError: The file cannot be read or is not such a summary.
    """
    try:
        return Summary.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a summary as Delineate writes it: {error}") from error


def _score(row: dict[str, str]) -> CaseScore:
    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    state = row["state"]
    if state not in get_args(State) or row["hd95_is_diagonal"] not in {"True", "False"}:
        raise ValueError(f"the row of {row['case']} has a state that is none")
    if row["nsd_unit"] not in get_args(Unit):
        raise ValueError(f"the row of {row['case']} has a unit that is none")
    return CaseScore(
        case=row["case"],
        group=row["group"],
        label=row["label"],
        state=cast(State, state),  # checked above
        dice=number("dice"),
        iou=number("iou"),
        precision=number("precision"),
        recall=number("recall"),
        accuracy=number("accuracy"),
        hd95_px=number("hd95_px"),
        hd95_mm=number("hd95_mm"),
        nsd=number("nsd"),
        nsd_tolerance=float(row["nsd_tolerance"]),
        nsd_unit=cast(Unit, row["nsd_unit"]),  # likewise
        reference_px=int(row["reference_px"]),
        prediction_px=int(row["prediction_px"]),
        reference_ml=number("reference_ml"),
        prediction_ml=number("prediction_ml"),
        hd95_is_diagonal=row["hd95_is_diagonal"] == "True",
        pixel_accuracy=number("pixel_accuracy"),
        axes=int(row["axes"]),
    )
