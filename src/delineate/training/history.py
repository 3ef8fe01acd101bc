"""What is remembered of a training for its learning curves: one row an evaluation, in `metrics.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from delineate.files import write_text


@dataclass(frozen=True)
class HistoryRow:
    """Where the training stood.

    Attributes:
        step: Steps done.
        seconds: Training time so far, interruptions left out.
        learning_rate: Of the last step.
        train_loss: Mean over the steps since the row before.
        train_dice: Likewise: Dice of the batches, augmented and while learning.
        validation_dice: At the working size; None without a validation part.
    """

    step: int
    seconds: float
    learning_rate: float
    train_loss: float
    train_dice: float
    validation_dice: float | None


def write_history(path: Path, rows: Sequence[HistoryRow]) -> None:
    """Write `metrics.csv`, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(HistoryRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(path, text.getvalue())


def read_history(path: Path) -> list[HistoryRow]:
    """Read `metrics.csv`; an absent one has no rows."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            HistoryRow(
                step=int(row["step"]),
                validation_dice=float(row["validation_dice"]) if row["validation_dice"] else None,
                **{
                    name: float(row[name])
                    for name in ("seconds", "learning_rate", "train_loss", "train_dice")
                },
            )
            for row in csv.DictReader(stream)
        ]
