"""Is a model for new data there sooner when it starts from a model for other data?

    python -m benchmarks.fine_tuning [--first 10m] [--steps 240] [--target 0.93] [--seeds 0 1 2]

A model is trained on dsb2018 (nuclei in fluorescence and stained tissue). Then wbc (blood cells in smears,
two other labels) is learned from that model's weights; from random weights with the same network; and from
random weights with the plan that wbc has by itself, whose network is another. All take as many steps, with
the same seeds. On the held-out part, the numbers that 5 divides, Dice at the working size is looked at now
and then; the first look that reaches the target gives steps and seconds, of the second training alone.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

from benchmarks.held_out import SETS, divide
from benchmarks.processes import run_train
from benchmarks.reporting import (
    ROOT,
    Record,
    add_runs_option,
    argument_parser,
    machine,
    print_table,
    read_record,
    write_record,
)

from delineate.dataset.splits_file import Splits, write_splits
from delineate.inference.model import load
from delineate.plan import read_plan, write_plan

LOOKS = 30
FIRST, SECOND = "dsb2018", "wbc"
KINDS = ("from the model", "random, same network", "random, own plan")


def main() -> None:
    """Train, print and write."""
    parser = argument_parser("fine_tuning", "Training from another model's weights and from random ones.")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", metavar="FOLDER")
    parser.add_argument("--first", default="10m", metavar="TIME", help="for the first model (%(default)s)")
    parser.add_argument("--steps", type=int, default=240, metavar="N", help="of the second (%(default)s)")
    parser.add_argument("--target", type=float, default=0.93, metavar="DICE", help="%(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    add_runs_option(parser, "fine_tuning")
    chosen = parser.parse_args()
    runs = chosen.runs / time.strftime("%Y%m%d-%H%M%S")
    runs.mkdir(parents=True)
    record = read_record(chosen.out) | {"benchmark": "fine_tuning", "machine": machine()}
    record |= {"target_dice": chosen.target, "second": SECOND, "steps": chosen.steps}
    first = runs / "first"
    done = _train(chosen.data / FIRST, "--out", first, "--budget", chosen.first)
    card = load(first).card
    record["first"] = {**done, "set": FIRST, "steps": card.training.steps, "cases": card.training.cases}
    splits = runs / "splits.json"
    divided = divide(chosen.data / SECOND, SETS[SECOND])
    groups = divided.report.case_groups()
    kept = {name: groups[name] for name in (*divided.train, *divided.held_out)}
    write_splits(
        splits, Splits(divided.train, divided.held_out, (), 0, f"held out: {SETS[SECOND].how}", kept)
    )
    data, start = (chosen.data / SECOND, "--splits", splits), ("--from", first)
    its_own = _plan(runs / "own", chosen.steps, *data)
    inherited = _plan(runs / "inherited", chosen.steps, *data, *start)
    ways = ((*start, "--plan", inherited), ("--plan", inherited), ("--plan", its_own))
    results: Record = {kind: {} for kind in KINDS}
    for seed in chosen.seeds:
        for number, (kind, way) in enumerate(zip(KINDS, ways, strict=True)):
            run = runs / f"way-{number}-seed-{seed}"
            facts = _train(*data, *way, "--seed", str(seed), "--out", run)
            results[kind][str(seed)] = facts | _curve(run, chosen.target)
            record["results"] = results
            write_record(chosen.out, record)
    _print(record)


def _train(*options: str | Path) -> Record:
    """Train by the command line."""
    return run_train(*options).facts()


def _plan(run: Path, steps: int, *options: str | Path) -> Path:
    """The plan that is made with these options, with so many steps and as many looks as are wanted here."""
    _train(*options, "--out", run, "--epochs", "1")
    path = run.with_suffix(".yaml")
    write_plan(path, read_plan(run / "plan.yaml").with_steps(steps, min(LOOKS, steps)))
    return path


def _curve(run: Path, target: float) -> Record:
    """When the target was reached, and where the run ended."""
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["validation_dice"]]
    curve = [[int(row["step"]), float(row["seconds"]), float(row["validation_dice"])] for row in rows]
    reached = next(((step, seconds) for step, seconds, dice in curve if dice >= target), (None, None))
    scores = load(run).card.scores
    return {
        "steps_to_target": reached[0],
        "seconds_to_target": reached[1],
        "steps": curve[-1][0],
        "train_seconds": curve[-1][1],
        "dice": round(scores.dice.mean, 4) if scores and scores.dice else None,
        "curve": curve,
    }


def _print(record: Record) -> None:
    print_table(
        f"{record['second']}: Dice of {record['target_dice']} at the working size, "
        f"after {record['first']['set']} ({record['first']['steps']} steps) and without",
        ("start, seed", "steps to it", "seconds to it", "all steps", "all seconds", "Dice at the end"),
        [
            (
                f"{kind}, {seed}",
                *(
                    str(found[name]) if found[name] is not None else "never"
                    for name in ("steps_to_target", "seconds_to_target")
                ),
                found["steps"],
                found["train_seconds"],
                f"{found['dice']:.4f}" if found["dice"] is not None else "–",
            )
            for kind, by_seed in record["results"].items()
            for seed, found in by_seed.items()
        ],
    )


if __name__ == "__main__":
    main()
