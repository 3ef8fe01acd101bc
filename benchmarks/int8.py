"""How fast is a net in int8, and what does it cost in Dice?

    python -m benchmarks.int8 --data DATA kvasir=runs/kvasir jsrt=runs/jsrt

DATA holds the sets by their names; each model is one that did not learn from its set's held-out part. The net
is calibrated on cases of the other part, written as an OpenVINO IR, and compared with the model: speed of the
net alone, one image at a time, and Dice on the held-out cases, each on its own grid. Speeds are the best of
many runs; keep other programs off the processor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from benchmarks.held_out import SETS, Divided, divide
from benchmarks.reporting import Record, argument_parser, machine, print_table, write_record

from delineate.export.agreement import Finds
from delineate.export.openvino import converted, exported, write_ir
from delineate.export.order import in_fp32
from delineate.export.quantization import export_int8
from delineate.image import Image, LabelSet, Mask
from delineate.inference.engines import Engine
from delineate.inference.model import ComputedModel, Model, load
from delineate.metrics.overlap import overlap

LEAST_RUNS, LEAST_SECONDS = 20, 5.0
PACKAGES = ("delineate", "torch", "openvino", "nncf", "numpy")


@dataclass(frozen=True)
class Way:
    """A way to compute a net."""

    name: str
    model: ComputedModel


def main() -> None:
    """Measure, print and write."""
    parser = argument_parser("int8", "Speed and Dice of nets in int8.")
    parser.add_argument("models", nargs="+", type=_named, metavar="SET=MODEL", help="a set and its model")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="that holds the sets")
    parser.add_argument("--calibration", type=int, default=100, metavar="N", help="cases (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="(%(default)s)")
    chosen = parser.parse_args()
    record: Record = {"machine": machine(PACKAGES), "threads": chosen.threads, "sets": {}}
    torch.set_num_threads(chosen.threads)
    for name, model in chosen.models:
        divided = divide(chosen.data / name, SETS[name])
        with tempfile.TemporaryDirectory() as folder:
            rows = _measured(load(model), divided, chosen.calibration, Path(folder))
        record["sets"][name] = {"held_out": len(divided.held_out), "part": SETS[name].how, "ways": rows}
        print_table(
            f"{name}, {len(divided.held_out)} held-out cases ({SETS[name].how})",
            ("computed by", "ms an image", "faster than torch fp32", "Dice", "lost"),
            [
                (
                    row["way"],
                    f"{row['ms']:.1f}",
                    f"{rows[0]['ms'] / row['ms']:.2f}×",
                    f"{row['dice']:.4f}",
                    f"{rows[0]['dice'] - row['dice']:+.4f}",
                )
                for row in rows
            ],
        )
        write_record(chosen.out, record)


def _named(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if name not in SETS or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not SET=MODEL with one of {', '.join(SETS)}")
    return name, Path(path)


def _measured(model: Model, divided: Divided, calibration: int, folder: Path) -> list[Record]:
    """A row for each way to compute the net; the first is torch's fp32."""
    exact = in_fp32(model)
    step = max(1, len(divided.train) // calibration)
    given = divided.train[::step][:calibration]
    write_ir(folder / "fp32", converted(exact), exact, "fp32")
    windows = export_int8(exact, (image for image, _ in divided.cases(given)), folder / "int8")
    ways = [Way("torch fp32", exact), Way("OpenVINO fp32", exported(folder / "fp32"))]
    if model.engine.precision == "bf16":
        ways.insert(1, Way("torch bf16", model))
    ways.append(Way("OpenVINO int8", exported(folder / "int8")))
    plan = exact.plan
    image = torch.randn(1, plan.data.channels, *plan.window, generator=torch.Generator().manual_seed(0))
    return [
        {
            "way": way.name,
            "ms": 1000 * _seconds(way.model.engine, image),
            "dice": _dice(way.model, divided.cases(divided.held_out), divided.labels),
            "calibrated_on": {"cases": len(given), "windows": windows} if way.name.endswith("int8") else None,
        }
        for way in ways
    ]


def _seconds(engine: Engine, image: torch.Tensor) -> float:
    """The shortest time of one image: others on the machine make a run longer, never shorter."""
    taken: list[float] = []
    with torch.inference_mode():
        engine(image)
        while len(taken) < LEAST_RUNS or sum(taken) < LEAST_SECONDS:
            start = time.perf_counter()
            engine(image)
            taken.append(time.perf_counter() - start)
    return min(taken)


def _dice(model: Finds, cases: Iterable[tuple[Image, Mask]], labels: LabelSet) -> float:
    """The mean over the cases within each label that have it in either mask, then over the labels."""
    found: list[list[float]] = [[] for _ in labels]
    for image, mask in cases:
        values = model.found_in(image).mask.values
        for label in labels:
            dice = overlap(mask.values == label.value, values == label.value).dice
            if dice is not None:
                found[label.value - 1].append(dice)
    return fmean(fmean(each) for each in found if each)


if __name__ == "__main__":
    main()
