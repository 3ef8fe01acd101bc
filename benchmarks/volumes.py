"""How good are models of the formats of the clinic after minutes of training on two cores?

    python -m benchmarks.volumes [--sets hippocampus sunnybrook] [--patients 1 2 3]

Hippocampus (NIfTI volumes): the first 48 are learned from, the last 12 held out, 15 minutes. Sunnybrook
(DICOM slices with PNG masks): two patients are learned from, one is held out, 5 minutes. Dice by `delineate
train` on the held-out part, each case on its own grid, mean over cases within each label.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.keras_side import run_process
from benchmarks.reporting import (
    ROOT,
    Record,
    argument_parser,
    machine,
    print_table,
    read_record,
    write_record,
)

from delineate.dataset.check import check
from delineate.dataset.check_report import CheckReport
from delineate.dataset.splits_file import Splits, write_splits
from delineate.inference.model import load

LABELS = {"hippocampus": "1=anterior,2=posterior", "sunnybrook": "255=blood pool"}
BUDGETS = {"hippocampus": "15m", "sunnybrook": "5m"}
AT_LEAST = {"hippocampus": 0.86, "sunnybrook": 0.85}
HELD_OUT_VOLUMES = 12


def main() -> None:
    """Train, print and write."""
    parser = argument_parser("volumes", "Minutes of training on NIfTI volumes and DICOM slices.")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", metavar="FOLDER")
    parser.add_argument("--sets", nargs="+", choices=tuple(BUDGETS), default=list(BUDGETS), metavar="SET")
    parser.add_argument(
        "--patients",
        nargs="+",
        type=int,
        default=[1, 2, 3],
        metavar="N",
        help="held out, one after the other",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=ROOT / "runs" / "volumes",
        metavar="FOLDER",
        help="kept runs (%(default)s)",
    )
    chosen = parser.parse_args()
    record = read_record(chosen.out) | {"benchmark": "volumes", "machine": machine()}
    results: Record = record.setdefault("sets", {})
    for name in chosen.sets:
        report = check(chosen.data / name, labels=LABELS[name])
        if name == "hippocampus":
            parts = {"the last 12": [case.name for case in report.cases][-HELD_OUT_VOLUMES:]}
        else:
            parts = {f"patient {n}": _of_patient(report, f"patient {n}") for n in chosen.patients}
        for how, held_out in parts.items():
            results[f"{name}, {how}"] = _trained(chosen.data / name, report, held_out, name, chosen.runs)
            write_record(chosen.out, record)
    _print(record)


def _of_patient(report: CheckReport, patient: str) -> list[str]:
    return [name for name, group in report.groups.items() if group == patient]


def _trained(data: Path, report: CheckReport, held_out: Sequence[str], name: str, runs: Path) -> Record:
    run = runs / time.strftime("%Y%m%d-%H%M%S")
    runs.mkdir(parents=True, exist_ok=True)
    learned = tuple(case.name for case in report.cases if case.name not in held_out)
    splits = Splits(
        train=learned,
        validation=tuple(held_out),
        test=(),
        seed=0,
        how="by hand, for the benchmark",
        groups={case.name: case.name for case in report.cases},
    )
    write_splits(run.with_suffix(".splits.json"), splits)
    options = ("--out", run, "--budget", BUDGETS[name], "--labels", LABELS[name])
    given = ("--splits", run.with_suffix(".splits.json"))
    done = run_process([sys.executable, "-m", "delineate", "train", data, *options, *given])
    card = load(run).card
    if card.scores is None or card.scores.dice is None:
        raise SystemExit(f"{run} was not scored.")
    dice = {label.name: label.metrics["dice"] for label in card.scores.labels}
    return {
        **done.facts(),
        "train_cases": len(learned),
        "held_out_cases": len(held_out),
        "train_seconds": round(card.training.seconds, 1),
        "steps": card.training.steps,
        "dice": {label: round(found.mean, 4) for label, found in dice.items() if found is not None},
        "dice_at_least": AT_LEAST[name],
    }


def _print(record: Record) -> None:
    print_table(
        "Dice on the held-out part",
        ("set", "Dice", "to reach", "steps", "s", "peak GB", "reached"),
        [
            (
                f"{name} ({result['train_cases']} + {result['held_out_cases']})",
                ", ".join(f"{label} {dice:.3f}" for label, dice in result["dice"].items()),
                f"≥ {result['dice_at_least']}",
                str(result["steps"]),
                f"{result['train_seconds']:.0f}",
                f"{result['peak_gb']:.2f}",
                "yes" if min(result["dice"].values()) >= result["dice_at_least"] else "NO",
            )
            for name, result in record["sets"].items()
        ],
    )


if __name__ == "__main__":
    main()
