"""How good is a model after ten minutes? `delineate train` beside the Keras script's net, on real sets.

    python -m benchmarks.quality [--sets drive kvasir] [--budget 10m] [--sides ours|keras|both]

Both learn the same cases for the same time and are scored on the same held-out part by the same code: Dice of
each case on its own grid, mean over cases within each label, then over labels. The Keras side is the script's
net and recipe with one fault mended, its masks moved with the images. What a record already holds is not run
again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
from benchmarks.held_out import SETS, Divided, divide, masks_from, write_for_delineate, write_for_keras
from benchmarks.keras_side import add_keras_option, require_keras, run_process
from benchmarks.reporting import (
    ROOT,
    Record,
    argument_parser,
    machine,
    print_table,
    read_record,
    write_record,
)

from delineate.image import IGNORED, LabelSet
from delineate.inference.model import load
from delineate.jobs.duration import parse_budget
from delineate.metrics.overlap import overlap

MEMORY_GB_BELOW = {"kvasir": 3.0}
Labelled = npt.NDArray[np.uint8]


def main() -> None:
    """Run what is missing, print and write."""
    parser = argument_parser("quality", "Ten minutes of training on real sets, ours beside Keras's.")
    add_keras_option(parser)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", metavar="FOLDER")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS), metavar="SET")
    parser.add_argument("--budget", default="10m", help="of each training: 30s, 10m, 1h (%(default)s)")
    parser.add_argument("--sides", choices=("ours", "keras", "both"), default="both")
    parser.add_argument(
        "--runs",
        type=Path,
        default=ROOT / "runs" / "quality",
        metavar="FOLDER",
        help="kept runs (%(default)s)",
    )
    chosen = parser.parse_args()
    budget_s = parse_budget(chosen.budget)
    sides = ("delineate", "keras") if chosen.sides == "both" else (chosen.sides.replace("ours", "delineate"),)
    if "keras" in sides:
        require_keras(chosen.keras_python)
    record = read_record(chosen.out) | {"benchmark": "quality", "machine": machine()}
    results: Record = record.setdefault("sets", {})
    for name in chosen.sets:
        result: Record = results.setdefault(name, {})
        missing = [side for side in sides if result.get(side, {}).get("budget_s") != budget_s]
        if not missing:
            continue
        print(f"{name}: reading", flush=True)
        divided = divide(chosen.data / name, SETS[name])
        result |= {
            "held_out": SETS[name].how,
            "train_cases": len(divided.splits.train),
            "held_out_cases": len(divided.splits.validation),
            "left_out_as_too_like": list(divided.left_out),
            "dice_at_least": SETS[name].dice_at_least,
        }
        for side in missing:
            print(f"{name}: {side}, {chosen.budget}", flush=True)
            if side == "delineate":
                result[side] = _ours(chosen.data / name, divided, chosen.budget, chosen.runs / name)
            else:
                result[side] = _keras(divided, budget_s, chosen.keras_python)
            result[side]["budget_s"] = budget_s
            write_record(chosen.out, record)
    _print(record)


def _ours(data: Path, divided: Divided, budget: str, runs: Path) -> Record:
    """Train by the command line, then predict each held-out case from the model it leaves."""
    run = runs / time.strftime("%Y%m%d-%H%M%S")
    runs.mkdir(parents=True, exist_ok=True)
    splits = run.with_suffix(".splits.json")
    write_for_delineate(splits, divided)
    options = ("--out", run, "--budget", budget, "--splits", splits)
    done = run_process([sys.executable, "-m", "delineate", "train", data, *options])
    model = load(run)
    training = model.card.training
    scored = model.card.scores
    return {
        **done.facts(),
        "train_seconds": round(training.seconds, 2),
        "steps": training.steps,
        "precision": training.precision,
        "dice_of_the_run": scored.dice.mean if scored and scored.dice else None,
    } | _scores(
        divided.labels,
        (
            (mask.values, model.predict_mask(image).values)
            for _, image, mask in divided.cases(divided.splits.validation)
        ),
    )


def _keras(divided: Divided, budget_s: float, python: Path) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
        write_for_keras(given, divided)
        done = run_process([python, "-m", "benchmarks.keras_budget", given, found, str(budget_s)])
        with np.load(found, allow_pickle=False) as stored:
            probabilities = stored["probabilities"]
    held_out = divided.cases(divided.splits.validation)
    return (
        done.facts()
        | done.answer()
        | _scores(
            divided.labels,
            (
                (mask.values, masks_from(each, (mask.values.shape[0], mask.values.shape[1])))
                for each, (_, _, mask) in zip(probabilities, held_out, strict=True)
            ),
        )
    )


def _scores(labels: LabelSet, pairs: Iterable[tuple[Labelled, Labelled]]) -> Record:
    """Dice of each case and label; where neither mask has the label there is none."""
    by_label: dict[str, list[float]] = {name: [] for name in labels.names}
    for reference, prediction in pairs:
        counted = reference != IGNORED
        for label in labels:
            dice = overlap(reference == label.value, (prediction == label.value) & counted).dice
            if dice is not None:
                by_label[label.name].append(dice)
    means = {name: fmean(values) for name, values in by_label.items() if values}
    return {
        "dice": fmean(means.values()),
        "dice_by_label": means,
        "cases_by_label": {name: len(values) for name, values in by_label.items()},
    }


def _print(record: Record) -> None:
    rows = []
    for name, result in record["sets"].items():
        ours, keras = result.get("delineate"), result.get("keras")
        verdict = "–"
        if ours:
            beaten = keras is None or ours["dice"] > keras["dice"]
            light = ours["peak_gb"] < MEMORY_GB_BELOW.get(name, float("inf"))
            verdict = "yes" if ours["dice"] >= result["dice_at_least"] and beaten and light else "NO"
        rows.append(
            (
                f"{name} ({result['train_cases']} + {result['held_out_cases']})",
                *((f"{side['dice']:.3f}" if side else "–") for side in (ours, keras)),
                f"≥ {result['dice_at_least']}",
                *((f"{side['steps']}" if side else "–") for side in (ours, keras)),
                *((f"{side['train_seconds']:.0f}" if side else "–") for side in (ours, keras)),
                *((f"{side['peak_gb']:.2f}" if side else "–") for side in (ours, keras)),
                verdict,
            )
        )
    print_table(
        "Mean Dice on the held-out part",
        (
            "set",
            "Delineate",
            "Keras net",
            "to reach",
            "steps",
            "Keras",
            "s",
            "Keras",
            "peak GB",
            "Keras",
            "reached",
        ),
        rows,
    )


if __name__ == "__main__":
    main()
