"""How fast is a training step of the classic net, ours beside Keras's, and what holds ours back?

    python -m benchmarks.classic_step

Batch 32 of 128 × 128 × 1. Ours is the whole step as a user's training takes it: batch, augmentation,
forward, backward, Adam, Dice. Keras's is `train_on_batch` alone, on a batch ready in memory; what its
generator takes for the augmented images of one is told beside it. On the CPU, where Keras's side runs.
"""

from __future__ import annotations

import functools
import os
import statistics
import time

import torch
from benchmarks.classic_profile import profile_steps
from benchmarks.phantom_training import PRODUCT_SIDES, Precision, phantom_trainer, product_rate
from benchmarks.processes import Conversation, add_python_option, require_python
from benchmarks.quiet import Quiet
from benchmarks.reporting import Record, argument_parser, machine, print_table, write_record
from torch.utils.flop_counter import FlopCounterMode

from delineate.networks.unet import parameter_count
from delineate.training.trainer import Trainer

SIDE = 128
CPU = torch.device("cpu")
WARMUP_STEPS = 3
AT_LEAST = 1.6
OURS: tuple[Precision, ...] = ("bf16", "fp32")
KERAS = ("fp32", "fp32-jit", "bf16", "generator")


def main() -> None:
    """Measure, print and write."""
    parser = argument_parser("classic_step", "Training steps of the classic net, ours beside Keras's.")
    add_python_option(parser, "keras")
    parser.add_argument("--rounds", type=int, default=6, help="times each side has its turn (%(default)s)")
    parser.add_argument("--steps", type=int, default=3, help="steps a turn (%(default)s)")
    parser.add_argument(
        "--patience", type=float, default=20, metavar="MINUTES", help="to wait for others (%(default)s)"
    )
    chosen = parser.parse_args()
    python = require_python("keras", chosen.keras_python)
    trainers = {precision: phantom_trainer("classic", SIDE, precision) for precision in OURS}
    products: dict[str, list[float]] = {"bf16": [], "fp32": []}
    seconds: dict[str, list[float]] = {}
    with Conversation([python, "-m", "benchmarks.keras_step"]) as keras:
        for trainer in trainers.values():
            _steps(trainer, WARMUP_STEPS)
        for variant in KERAS:
            versions = keras.ask(f"{variant} {WARMUP_STEPS}")["versions"]
        quiet = Quiet((os.getpid(), keras.process_id), 60 * chosen.patience)
        for number in range(chosen.rounds):
            for precision, trainer in trainers.items():
                taken = quiet.measure(functools.partial(_steps, trainer, chosen.steps))
                seconds.setdefault(f"Delineate {precision}", []).extend(taken)
                products[precision].append(quiet.measure(functools.partial(product_rate, precision, CPU)))
            for variant in KERAS:
                answer = quiet.measure(functools.partial(keras.ask, f"{variant} {chosen.steps}"))
                seconds.setdefault(f"Keras {variant}", []).extend(answer["seconds"])
            print(f"round {number + 1} of {chosen.rounds}", flush=True)
        profiled = functools.partial(profile_steps, trainers["bf16"], 3)
        parts, convolutions = quiet.measure(profiled)
    record = _record(trainers["bf16"], seconds, products)
    record |= {"rounds": chosen.rounds, "steps_a_turn": chosen.steps}
    record["turns"] = {"taken": quiet.taken, "repeated": quiet.repeated, "disturbed": quiet.disturbed}
    record["machine"]["versions"] |= versions
    record["profile_ms"] = {name: round(1000 * value, 1) for name, value in parts.items()}
    record["convolutions"] = [
        vars(each) | {"seconds": round(each.seconds, 4), "gflop_per_s": round(each.gflop_per_s, 1)}
        for each in convolutions
    ]
    _print(record)
    write_record(chosen.out, record)


def _steps(trainer: Trainer, count: int) -> list[float]:
    """Seconds of each of `count` steps."""
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        trainer.take_step()
        seconds.append(time.perf_counter() - start)
    return seconds


def _record(trainer: Trainer, seconds: dict[str, list[float]], products: dict[str, list[float]]) -> Record:
    with FlopCounterMode(display=False) as counter:
        trainer.take_step()
    batch = trainer.plan.training.batch_size
    gflop = counter.get_total_flops() / 1e9
    median = {name: statistics.median(values) for name, values in seconds.items()}
    rate = {name: round(statistics.median(values), 1) for name, values in products.items()}
    return {
        "benchmark": "classic_step",
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "parameters": parameter_count(trainer.state.network),
        "batch_size": batch,
        "gflop_a_step": round(gflop, 1),
        "matrix_product_gflop_per_s": rate,
        "sides": {
            name: {
                "seconds": round(value, 4),
                "quartiles": [round(q, 4) for q in statistics.quantiles(seconds[name], n=4)[::2]],
                "images_per_second": round(batch / value, 2),
                "gflop_per_s": None if name == "Keras generator" else round(gflop / value, 1),
            }
            for name, value in median.items()
        },
        "ratio_to_keras_fp32": {
            name: round(median["Keras fp32"] / value, 3) for name, value in median.items()
        },
        "at_least": AT_LEAST,
        "reached": median["Keras fp32"] / median["Delineate bf16"] >= AT_LEAST,
        "share_of_bf16_product": round(gflop / median["Delineate bf16"] / rate["bf16"], 3),
        "share_of_fp32_product": round(gflop / median["Delineate fp32"] / rate["fp32"], 3),
    }


def _print(record: Record) -> None:
    print_table(
        f"Classic net, one training step, batch {record['batch_size']}, {record['gflop_a_step']} GFLOP",
        ("side", "s", "images/s", "GFLOP/s", "× Keras fp32"),
        [
            (name, f"{side['seconds']:.3f}", side["images_per_second"], side["gflop_per_s"] or "–", ratio)
            for (name, side), ratio in zip(
                record["sides"].items(), record["ratio_to_keras_fp32"].values(), strict=True
            )
        ],
    )
    print(
        f"\nMatrix product {PRODUCT_SIDES['cpu']}³: {record['matrix_product_gflop_per_s']} GFLOP/s. "
        f"The whole step reaches {record['share_of_bf16_product']:.0%} of it in bf16, "
        f"{record['share_of_fp32_product']:.0%} in fp32."
    )
    total = sum(record["profile_ms"].values())
    if record["turns"]["disturbed"]:
        print(f"Others worked during {record['turns']['disturbed']} of {record['turns']['taken']} turns.")
    print_table(
        "Where our bf16 step's time goes (profiled, which itself takes a little)",
        ("part", "ms", "share"),
        [(name, f"{ms:.1f}", f"{ms / total:.1%}") for name, ms in record["profile_ms"].items()],
    )
    print_table(
        "The convolutions furthest from the matrix product's rate",
        ("convolution", "direction", "ms", "GFLOP/s", "oneDNN"),
        [
            (
                each["shape"],
                each["direction"],
                round(1000 * each["seconds"], 1),
                each["gflop_per_s"],
                each["implementation"],
            )
            for each in record["convolutions"]
            if each["seconds"] > 0.01
        ][:8],
    )


if __name__ == "__main__":
    main()
