"""How good is a model after minutes? `delineate train` beside what people would take instead, on real sets.

    python -m benchmarks.quality --sets drive kvasir --sides ours monai --budget 2m 10m --seeds 0 1 2

All sides learn the same cases for the same time on the same cores, and find the masks of the same held-out
cases at their own resolution; one scorer scores them: Dice of each case on its own grid, mean over cases
within each label, then over labels. Of a side whose learning rate does not depend on the length of the
training, one training gives the results of all its budgets. What the record holds already is not run again,
so that a list that was stopped is gone on with by the same command. `python -m benchmarks.tables` puts the
record into the docs.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.held_out import SETS, Divided, divide
from benchmarks.processes import add_python_option, bind, require_python
from benchmarks.quality_record import QUALITY, Key, add_entry, key_of, read_entries
from benchmarks.reporting import ROOT, Record, add_runs_option, machine
from benchmarks.sides import OURS, PASSING, PEERS, SIDES, Task, scores

from delineate.jobs.duration import parse_budget


def main() -> None:
    """Run what is missing, one after another; what fails is told and leaves the rest to run."""
    chosen = _options()
    threads = bind(chosen.threads, chosen.cores)
    pythons = {peer: getattr(chosen, f"{peer}_python") for peer in PEERS}
    for peer in set(chosen.sides) & set(PEERS):
        require_python(peer, pythons[peer])
    budgets = [parse_budget(budget) for budget in chosen.budget]
    wanted: list[Key] = [
        (name, side, budget, seed, threads)
        for name, budget, seed, side in itertools.product(chosen.sets, budgets, chosen.seeds, chosen.sides)
    ]
    held = {key_of(entry) for entry in read_entries(chosen.out)}
    missing = [key for key in wanted if chosen.again or key not in held]
    trainings = _trainings(missing)
    seconds = _duration(sum(keys[-1][2] for keys in trainings))
    print(f"{len(missing)} of {len(wanted)} results to find: {seconds} of training and more around it")
    failed, divided = [], dict[str, Divided]()
    for number, keys in enumerate(trainings, start=1):
        name, side, _, seed, _ = keys[0]
        lengths = ", ".join(f"{key[2]:g} s" for key in keys)
        progress = f"[{number}/{len(trainings)}] {time.strftime('%H:%M')}"
        print(f"{progress} {name}, {side}, {lengths}, seed {seed}", flush=True)
        try:
            if name not in divided:
                divided = {name: divide(chosen.data / name, SETS[name])}
            with tempfile.TemporaryDirectory(dir=chosen.scratch) as folder:
                task = Task(
                    divided[name],
                    tuple(key[2] for key in keys),
                    seed,
                    Path(folder),
                    chosen.runs / name,
                    pythons,
                    chosen.nnunet_memory_gb,
                )
                entries = _entries(keys, task, chosen.cores)
        except SystemExit as error:
            print(f"  failed: {error}", flush=True)
            failed.append(keys)
            continue
        for entry in entries:
            add_entry(chosen.out, entry)
            print(
                f"  Dice {entry['dice']:.4f} after {entry['steps']} steps in {entry['budget_s']:g} s; "
                f"{entry['seconds']:.0f} s in all, {entry['cores_by_others']} cores by others",
                flush=True,
            )
    if failed:
        raise SystemExit(f"{len(failed)} trainings failed; the same command tries them again.")


def _trainings(missing: Sequence[Key]) -> list[list[Key]]:
    """What is trained at once: all budgets of a set, side and seed, or one."""
    together: dict[object, list[Key]] = {}
    for key in missing:
        name, side, budget_s, seed, _ = key
        together.setdefault((name, side, seed, None if side in PASSING else budget_s), []).append(key)
    return [sorted(keys) for keys in together.values()]


def _entries(keys: Sequence[Key], task: Task, cores: Sequence[int] | None) -> list[Record]:
    name, side, _, seed, threads = keys[0]
    found = SIDES[side](task)
    computer = machine()
    own = computer.pop("versions")  # a peer says its own
    entries = []
    for (_, _, budget_s, _, _), (facts, masks) in zip(keys, found, strict=True):
        facts["versions"] = (own if side in OURS else {}) | facts["versions"]
        entry = {
            "set": name,
            "side": side,
            "budget_s": budget_s,
            "seed": seed,
            **scores(task.divided, masks),
            **facts,
            "in_a_training_of_s": list(task.budgets_s),
            "held_out": SETS[name].how,
            "train_cases": len(task.divided.train),
            "held_out_cases": len(task.divided.held_out),
            "left_out_cases": len(task.divided.left_out),
            "threads": threads,
            "pinned_to": list(cores or ()),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "machine": computer,
        }
        entries.append(entry)
    return entries


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description="Minutes of training on real sets, ours beside peers.",
    )
    parser.add_argument("--out", type=Path, default=QUALITY, metavar="FILE", help="the record (%(default)s)")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", metavar="FOLDER")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS), metavar="SET")
    parser.add_argument("--sides", nargs="+", choices=tuple(SIDES), default=list(SIDES), metavar="SIDE")
    parser.add_argument(
        "--budget", nargs="+", default=["10m"], metavar="TIME", help="of each training: 30s 2m 1h (10m)"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N")
    parser.add_argument("--threads", type=int, metavar="N", help="of a process's arithmetic (one a core)")
    parser.add_argument(
        "--cores", nargs="+", type=int, metavar="N", help="to hold it to, for runs side by side (all)"
    )
    parser.add_argument("--again", action="store_true", help="run also what is recorded, and replace it")
    parser.add_argument(
        "--nnunet-memory-gb",
        type=float,
        default=2.0,
        metavar="GB",
        help="of the card that nnU-Net plans for (%(default)s; its own default is 8: fewer, larger steps)",
    )
    add_runs_option(parser, "quality")
    parser.add_argument(
        "--scratch", type=Path, metavar="FOLDER", help="for what is handed over (the system's)"
    )
    for peer in PEERS:
        add_python_option(parser, peer)
    return parser.parse_args()


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    main()
