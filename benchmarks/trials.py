"""What would a change of the plan bring? Trainings with one thing changed, on the training parts alone.

    python -m benchmarks.trials --name wider --change "network.widths=(32, 64, 128, 192)" --sets drive

The part of each set that `benchmarks.quality` trains on is divided once more, by groups, into what is
learned from and what is scored; the part that is held out there is never opened. Time is the processor's,
not the clock's, so that other work disturbs less. Whole images are seen no larger for a budget's room, so
that budgets can be compared. Changes are Python literals of the plan's fields. A trial without a change is
what the others are compared with; name it after the plan of the day. What the record holds already is not run
again; `--table` prints the record.
"""

from __future__ import annotations

import argparse
import ast
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks import handing_over
from benchmarks.handing_over import Labelled
from benchmarks.held_out import SETS, Divided, divide
from benchmarks.processes import bind
from benchmarks.quality_record import add_entry, key_of, read_entries
from benchmarks.reporting import ROOT, Record, machine, print_table
from benchmarks.sides import scores

from delineate.inference.model import Model
from delineate.jobs.duration import parse_budget
from delineate.jobs.environment import describe
from delineate.jobs.job import Job
from delineate.jobs.reporter import Reporter
from delineate.jobs.source import Parts, Source, measured
from delineate.jobs.watching import Watchers
from delineate.model_file import save_model
from delineate.plan import Plan
from delineate.planner import Length, make_plan
from delineate.training.budget import Budget
from delineate.training.cache import Store
from delineate.training.loop import fit
from delineate.training.speed import measure_steps
from delineate.training.trainer import precision_for

OUT = ROOT / "docs" / "benchmarks" / "trials.json"
SCORED = 5  # one group in so many is scored: the last ones, in natural order
THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55)  # at which one label is scored besides
APART = 6  # with so many groups, the one between the two parts is in neither


def main() -> None:
    """Run what is missing, one after another."""
    chosen = _options()
    if chosen.table:
        _print(read_entries(chosen.out))
        return
    threads = bind(chosen.threads, chosen.cores)
    torch.set_num_threads(threads)
    budget_s = parse_budget(chosen.budget)
    held = {key_of(entry) for entry in read_entries(chosen.out)}
    for name in chosen.sets:
        for seed in chosen.seeds:
            if (name, chosen.name, budget_s, seed, threads) in held:
                continue
            entry = _trial(name, budget_s, seed, chosen)
            key = {"set": name, "side": chosen.name, "budget_s": budget_s, "seed": seed, "threads": threads}
            add_entry(chosen.out, key | entry)
            print(
                f"{time.strftime('%H:%M')} {chosen.name}, {name}, seed {seed}: Dice {entry['dice']:.4f} "
                f"after {entry['steps']} steps",
                flush=True,
            )


def inner(divided: Divided) -> Divided:
    """The training part of a set, divided once more; what was held out is in neither part."""
    groups = divided.report.case_groups()
    order = list(dict.fromkeys(groups[name] for name in divided.train))
    count = max(1, len(order) // SCORED)
    scored, apart = set(order[-count:]), order[-count - 1] if len(order) >= APART else None
    names = [name for name in divided.train if groups[name] not in {*scored, apart}]
    held_out = [name for name in divided.train if groups[name] in scored]
    return replace(divided, train=tuple(names), held_out=tuple(held_out), left_out=())


def _trial(of_set: str, budget_s: float, seed: int, chosen: argparse.Namespace) -> Record:
    divided = inner(divide(chosen.data / of_set, SETS[of_set]))
    with tempfile.TemporaryDirectory() as name:
        folder, reporter = Path(name), Reporter()
        tables = handing_over.write_tables(folder, divided)
        source = Source(tables[0], tables[1], labels=divided.option)
        parts = Parts.read(source, reporter)
        facts = measured(parts.train, reporter)
        planned = make_plan(facts.fingerprint, Length(budget_s), seed=seed).plan
        plan = changed(planned, dict(chosen.change))
        environment = describe(
            source, data_sha256=facts.sha256, precision=precision_for(plan), plan_given=True
        )
        job = Job(folder, parts, facts, environment, reporter, Watchers(None, reporter))
        cases = job.cached(parts.train, plan, Store(folder), "preparing")
        speed = measure_steps(plan, cases, (), clock=time.process_time)
        plan = plan.with_steps(speed.steps, 1)
        budget = Budget(budget_s - speed.seconds, lambda _: None)
        trained = fit(plan, cases, (), folder, budget=budget, clock=time.process_time)
        card = job.card(trained.plan, trained)
        if chosen.keep is not None:
            chosen.keep.mkdir(parents=True, exist_ok=True)
            save_model(chosen.keep / f"{chosen.name}, {of_set}, {seed}.safetensors", card, trained.weights)
        model = Model(card, trained.weights)
        masks, begun = [], time.process_time()
        at: dict[float, list[Labelled]] = {
            each: [] for each in THRESHOLDS if model.plan.network.output_channels == 1
        }
        for image, _ in divided.cases(divided.held_out):
            found = model.found_in(image, keep_probabilities=bool(at))
            masks.append(found.mask.values)
            for threshold, kept in at.items():
                if found.probabilities is not None:
                    kept.append((found.probabilities[0] >= threshold).astype(np.uint8))
        predicted = time.process_time() - begun
    return {
        **scores(divided, masks),
        "change": dict(chosen.change),
        "threshold": model.plan.threshold,
        "dice_at": {str(threshold): scores(divided, kept)["dice"] for threshold, kept in at.items()},
        "steps": trained.plan.training.last_step,
        "train_seconds": round(trained.seconds, 2),
        "prediction_seconds": round(predicted, 2),
        "parameters": model.parameters,
        "plan_sha256": plan.sha256(),
        "train_cases": len(divided.train),
        "held_out_cases": len(divided.held_out),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": machine(),
    }


def changed(plan: Plan, change: Mapping[str, Any]) -> Plan:
    """The plan with fields changed, given by dotted names."""
    values = plan.model_dump(mode="json")
    for name, value in change.items():
        section, _, field = name.partition(".")
        if section not in values or not isinstance(values[section], dict) or field not in values[section]:
            raise SystemExit(f"A plan has no field {name}.")
        values[section][field] = value
    return Plan.model_validate(values)


def _change(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{value!r} is no Python literal") from error


def _print(entries: Sequence[Record]) -> None:
    """A line a trial and budget, a column a set; means over seeds."""
    for budget_s in sorted({entry["budget_s"] for entry in entries}):
        of_budget = [entry for entry in entries if entry["budget_s"] == budget_s]
        rows = []
        for side in dict.fromkeys(entry["side"] for entry in of_budget):
            cells = []
            for name in SETS:
                found = [e["dice"] for e in of_budget if (e["side"], e["set"]) == (side, name)]
                cells.append(f"{sum(found) / len(found):.4f} ({len(found)})" if found else "–")
            rows.append((side, *cells))
        print_table(f"{budget_s:g} s", ("trial", *SETS), rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trials", description="Trainings with one thing changed."
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help="the record (%(default)s)")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", metavar="FOLDER")
    parser.add_argument("--name", default="nothing changed", help="of the trial (%(default)s)")
    parser.add_argument("--change", nargs="+", type=_change, default=[], metavar="FIELD=VALUE")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS), metavar="SET")
    parser.add_argument("--budget", default="2m", metavar="TIME", help="of each training (%(default)s)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N")
    parser.add_argument("--threads", type=int, metavar="N", help="of the arithmetic (one a core)")
    parser.add_argument("--cores", nargs="+", type=int, metavar="N", help="to hold it to (all)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the trained models (not kept)")
    parser.add_argument("--table", action="store_true", help="only print the record")
    return parser.parse_args()


if __name__ == "__main__":
    main()
