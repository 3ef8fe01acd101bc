"""The widely copied Keras script's own job: the script beside `delineate demo --classic`, start to finish.

    python -m benchmarks.keras_script

Both make 100 noise images, learn which pixels are bright for 50 epochs, and score the fifth held out. Wall
time of the whole process: Python's start and, with ours, check, report and example predictions included.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.processes import add_python_option, require_python, run_process
from benchmarks.reporting import Record, argument_parser, machine, print_table, read_record, write_record

from delineate.evaluation.summary import Summary

AT_LEAST = 0.95


def main() -> None:
    """Run both, print and write."""
    parser = argument_parser("keras_script", "The Keras script's own job, by the script and by Delineate.")
    add_python_option(parser, "keras")
    parser.add_argument("--sides", choices=("ours", "keras", "both"), default="both")
    parser.add_argument("--epochs", type=int, default=50, help="of the Keras script (%(default)s)")
    chosen = parser.parse_args()
    record = read_record(chosen.out) | {"benchmark": "keras_script", "machine": machine()}
    if chosen.sides != "ours":
        python = require_python("keras", chosen.keras_python)
        done = run_process([python, "-m", "benchmarks.keras_original", str(chosen.epochs)])
        record["keras"] = done.answer() | done.facts()
        write_record(chosen.out, record)
    if chosen.sides != "keras":
        record["delineate"] = _ours()
        write_record(chosen.out, record)
    if {"keras", "delineate"} <= record.keys():
        ours, keras = record["delineate"], record["keras"]
        record["times_as_fast"] = round(keras["seconds"] / ours["seconds"], 2)
        record["reached"] = ours["pixel_accuracy"] >= AT_LEAST and ours["seconds"] < keras["seconds"]
        write_record(chosen.out, record)
    _print(record)


def _ours() -> Record:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        done = run_process([sys.executable, "-m", "delineate", "demo", "--classic", "--out", out])
        summaries = [path for path in out.rglob("summary.json") if path.parent.name == "evaluation"]
        if len(summaries) != 1:
            raise SystemExit(f"One evaluation/summary.json was expected below {out}, not {len(summaries)}.")
        summary = Summary.from_json(summaries[0].read_text(encoding="utf-8"))
    if summary.pixel_accuracy is None or summary.mean_dice is None:
        raise SystemExit("The demo's summary holds no accuracy.")
    return {
        **done.facts(),
        "pixel_accuracy": summary.pixel_accuracy.mean,
        "dice": summary.mean_dice.mean,
        "cases": summary.cases,
    }


def _print(record: Record) -> None:
    sides = {"Keras script": record.get("keras"), "delineate demo --classic": record.get("delineate")}
    print_table(
        f"100 noise images, 50 epochs (Keras: {(record.get('keras') or {}).get('epochs', '–')})",
        ("side", "wall s", "validation accuracy", "peak GB", "cores by others"),
        [
            (
                name,
                f"{side['seconds']:.0f}",
                f"{side['pixel_accuracy']:.4f}",
                f"{side['peak_gb']:.2f}",
                side["cores_by_others"],
            )
            for name, side in sides.items()
            if side
        ],
    )
    if "reached" in record:
        print(
            f"\n{record['times_as_fast']} times as fast; accuracy ≥ {AT_LEAST} in less time: "
            f"{'yes' if record['reached'] else 'NO'}"
        )


if __name__ == "__main__":
    main()
