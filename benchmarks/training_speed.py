"""How fast is our training on the device at hand, and how much of a run is spent beside the network?

    python -m benchmarks.training_speed [--data FOLDER] [--budget 10m]

Whole steps as a user's training takes them (batch, augmentation, forward, backward, optimizer, Dice) of the
classic net on 128 × 128 and of the plan that is chosen for 512 × 512 images, in bf16, in turns with a large
matrix product; on a GPU also of the latter's net with 512 × 512 seen at once. Then one whole run of
`--budget`, on phantoms or on a data set, whose parts are added up. On a GPU, where there is one.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import tempfile
from pathlib import Path

import torch
from benchmarks.phantom_training import device_of, phantom_trainer, product_rate, seconds_of
from benchmarks.processes import bind
from benchmarks.quiet import Quiet
from benchmarks.reporting import ROOT, Record, machine, print_table, write_record
from benchmarks.run_sections import BACKWARD, FORWARD, LOOKS_FORWARD, REST, SPEED, TOTAL, Sections
from torch.utils.flop_counter import FlopCounterMode

from delineate import phantoms
from delineate.jobs.training import train
from delineate.networks.unet import parameter_count
from delineate.training.trainer import Trainer

WARMUP_STEPS = 3
PHANTOMS, PHANTOM_COUNT, LARGE = "vessels", 60, 512
AT_MOST_BESIDE = 0.08
AT_LEAST_OF_PRODUCT = {"cpu": 0.9, "cuda": 0.25}


def main() -> None:
    """Measure, print and write."""
    chosen = _options()
    bind(chosen.threads, chosen.cores)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    large = functools.partial(phantom_trainer, "auto", LARGE, "bf16", kind=PHANTOMS, cases=PHANTOM_COUNT)
    trainers = {"classic, 128²": phantom_trainer("classic", 128, "bf16"), f"auto, {LARGE}²": large()}
    if torch.cuda.is_available():
        trainers[f"the same net, {LARGE}² seen at once"] = large(seen=LARGE)
    device = device_of(next(iter(trainers.values())))
    record: Record = {"benchmark": "training_speed", "machine": machine() | {"device": _named(device)}}
    record |= {"threads": torch.get_num_threads(), "steps": _steps(trainers, device, chosen)}
    write_record(chosen.out, record)
    del trainers
    if chosen.budget != "0":
        record["run"] = _run(chosen.data, chosen.budget)
        write_record(chosen.out, record)
    _print(record, device)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_speed", description="Speed of our training steps and runs."
    )
    out = ROOT / "docs" / "benchmarks" / "training_speed.json"
    parser.add_argument("--out", type=Path, default=out, metavar="FILE", help="the record (%(default)s)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="for the whole run (phantoms)")
    parser.add_argument("--budget", default="10m", help="of the whole run; 0 for none (%(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="times each plan has its turn (%(default)s)")
    parser.add_argument("--steps", type=int, default=5, help="steps a turn (%(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="of the arithmetic (one a core)")
    parser.add_argument("--cores", nargs="+", type=int, metavar="N", help="to hold it to (all)")
    parser.add_argument(
        "--patience", type=float, default=10, metavar="MINUTES", help="to wait for others (%(default)s)"
    )
    return parser.parse_args()


def _steps(trainers: dict[str, Trainer], device: torch.device, chosen: argparse.Namespace) -> Record:
    """Each plan's rate, and its share of the matrix product's in the same turns."""
    quiet = Quiet((os.getpid(),), 60 * chosen.patience)
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    products = []
    for trainer in trainers.values():
        _take(trainer, WARMUP_STEPS)
    for number in range(chosen.rounds):
        for name, trainer in trainers.items():
            turn = functools.partial(seconds_of, functools.partial(_take, trainer, chosen.steps), device)
            seconds[name].append(quiet.measure(turn) / chosen.steps)
        products.append(quiet.measure(functools.partial(product_rate, "bf16", device)))
        print(f"round {number + 1} of {chosen.rounds}", flush=True)
    product = statistics.median(products)
    return {
        "turns": {"taken": quiet.taken, "repeated": quiet.repeated, "disturbed": quiet.disturbed},
        "matrix_product_gflop_per_s": round(product, 1),
        "plans": {name: _rates(trainers[name], seconds[name], product) for name in trainers},
    }


def _take(trainer: Trainer, count: int) -> None:
    for _ in range(count):
        trainer.take_step()


def _rates(trainer: Trainer, seconds: list[float], product: float) -> Record:
    with FlopCounterMode(display=False) as counter:
        trainer.take_step()
    gflop, step = counter.get_total_flops() / 1e9, statistics.median(seconds)
    batch = trainer.plan.training.batch_size
    return {
        "plan_sha256": trainer.plan.sha256(),
        "size": list(trainer.plan.preprocessing.size),
        "batch_size": batch,
        "parameters": parameter_count(trainer.state.network),
        "gflop_a_step": round(gflop, 1),
        "step_seconds": round(step, 5),
        "fastest_and_slowest": [round(min(seconds), 5), round(max(seconds), 5)],
        "images_per_second": round(batch / step, 2),
        "share_of_matrix_product": round(gflop / step / product, 3),
    }


def _run(data: Path | None, budget: str) -> Record:
    """One training from the data to its last step, in parts."""
    sections = Sections()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if data is None:
            data = phantoms.write(PHANTOMS, folder / "data", count=PHANTOM_COUNT, size=(LARGE, LARGE))
            called = f"{PHANTOM_COUNT} phantoms ({PHANTOMS}) of {LARGE}²"
        else:
            called = data.absolute().name
        print(f"a run of {budget} on {called}", flush=True)
        with sections.watching():
            done = train(data, out=folder / "run", budget=budget)
    seconds = sections.seconds()
    whole = seconds.pop(TOTAL) + seconds.get(SPEED, 0.0)
    seconds[REST] = whole - sum(seconds.values())
    beside = whole - sum(seconds.get(part, 0.0) for part in (FORWARD, LOOKS_FORWARD, BACKWARD))
    return {
        "data": called,
        "budget": budget,
        "steps": done.plan.training.last_step,
        "plan_sha256": done.plan.sha256(),
        "seconds": round(whole, 2),
        "parts_seconds": {part: round(value, 3) for part, value in sorted(seconds.items())},
        "share_beside_forward_and_backward": round(beside / whole, 4),
    }


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _print(record: Record, device: torch.device) -> None:
    steps = record["steps"]
    least = AT_LEAST_OF_PRODUCT[device.type]
    print_table(
        f"Whole training steps, bf16; matrix product: {steps['matrix_product_gflop_per_s']} GFLOP/s",
        ("plan", "batch", "GFLOP", "s a step", "images/s", f"of the product (≥ {least} wanted)"),
        [
            (
                f"{name} → {' × '.join(map(str, plan['size']))}",
                plan["batch_size"],
                plan["gflop_a_step"],
                f"{plan['step_seconds']:.4f}",
                plan["images_per_second"],
                f"{plan['share_of_matrix_product']:.1%}",
            )
            for name, plan in steps["plans"].items()
        ],
    )
    if steps["turns"]["disturbed"]:
        print(f"Others worked during {steps['turns']['disturbed']} of {steps['turns']['taken']} turns.")
    if "run" not in record:
        return
    run = record["run"]
    print_table(
        f"A run of {run['budget']} on {run['data']}: {run['steps']} steps, {run['seconds']:.0f} s",
        ("part", "s", "share"),
        [
            (part, f"{seconds:.1f}", f"{seconds / run['seconds']:.1%}")
            for part, seconds in sorted(run["parts_seconds"].items(), key=lambda each: -each[1])
        ],
    )
    print(
        f"\nBeside the network's forward and backward: {run['share_beside_forward_and_backward']:.1%} "
        f"(< {AT_MOST_BESIDE:.0%} wanted)"
    )


if __name__ == "__main__":
    main()
