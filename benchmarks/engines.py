"""How fast does each engine compute a net, beside OpenVINO and ONNX Runtime driven bare?

    python -m benchmarks.engines

The classic net on 512 × 512, and nets of automatic plans on their own windows, as many at once as prediction
gives them. Weights are random: they cost the same. Ours go through the engines that `--engine` names, from a
torch tensor to a torch tensor; the bare ones are compiled by the engine's defaults for a short answer, with
the same number of threads, from a NumPy array to a NumPy array, OpenVINO a window at a time. All sides have
their turns in one run, one after another, again and again; told are medians. Then the start-up: the whole
command `delineate predict` with one image by each engine, at first (when a child process tries it) and again.
"""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.engines_bare import bare_sides
from benchmarks.quiet import Quiet
from benchmarks.reporting import Record, argument_parser, machine, print_table, write_record
from PIL import Image as Pillow
from torch.utils.flop_counter import FlopCounterMode

from delineate import phantoms
from delineate.choices import FloatPrecision
from delineate.fingerprint import Fingerprint, measure
from delineate.image import Geometry, Image, LabelSet, Mask
from delineate.inference.engines.agreement import changed_labels
from delineate.inference.engines.engine import EngineName
from delineate.inference.engines.making import Net, make_engine
from delineate.inference.engines.sessions import Numbers
from delineate.inference.engines.trials import probing_batch
from delineate.model_file import ModelCard, TrainingFacts, save_model, weights_sha256
from delineate.networks.unet import UNet, parameter_count
from delineate.plan import Plan
from delineate.planner import Length, make_plan

SIDES: tuple[tuple[EngineName, FloatPrecision], ...] = (
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("onnxruntime", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
)
BARE = "OpenVINO bf16, bare"
TORCH = "torch fp32"
OF_BARE, OF_TORCH = 1.0, 2.0
MINUTE = Length(budget_s=60.0)
LABELS = LabelSet.of("organ", "vessel")


@dataclass(frozen=True)
class Case:
    """A net and what it computes at once."""

    name: str
    net: Net
    batch: torch.Tensor


def main() -> None:
    """Measure, print and write."""
    parser = argument_parser("engines", "Engines beside OpenVINO and ONNX Runtime driven bare.")
    parser.add_argument("--rounds", type=int, default=9, help="times each side has its turn (%(default)s)")
    parser.add_argument("--starts", type=int, default=5, help="commands of each engine (%(default)s)")
    parser.add_argument(
        "--patience", type=float, default=20, metavar="MINUTES", help="to wait for others (%(default)s)"
    )
    chosen = parser.parse_args()
    quiet = Quiet((os.getpid(),), 60 * chosen.patience)
    record: Record = {
        "benchmark": "engines",
        "machine": machine(("delineate", "torch", "numpy", "onnxruntime", "openvino")),
        "threads": torch.get_num_threads(),
        "rounds": chosen.rounds,
        "cases": [],
    }
    for case in cases() if chosen.rounds else ():
        record["cases"].append(_measured(case, chosen.rounds, quiet))
        _print(record["cases"][-1])
    record["turns"] = {"taken": quiet.taken, "repeated": quiet.repeated, "disturbed": quiet.disturbed}
    if chosen.starts:
        record["start_s"] = _starts(chosen.starts)
        _print_starts(record["start_s"])
    write_record(chosen.out, record)


def cases() -> list[Case]:
    """The classic net at two sizes, and automatic plans of a picture, of small windows, and of a volume."""
    classic = make_plan(_of_pictures("noise", (128, 128)), Length(epochs=1), preset="classic").plan
    return [
        _case("classic net, 1 × 512²", _at(classic, (512, 512))),
        _case("classic net, 1 × 128²", classic),
        _case("automatic, ultrasound 256²", make_plan(_of_pictures("ultrasound", (256, 256)), MINUTE).plan),
        _case("automatic, vessels 768²", make_plan(_of_pictures("vessels", (768, 768)), MINUTE).plan),
        _case("automatic, volume 48 × 160²", make_plan(_of_volume(), MINUTE).plan),
    ]


def _case(name: str, plan: Plan) -> Case:
    torch.manual_seed(0)
    network = UNet(plan.network).eval()
    network = network.to(memory_format=network.memory_format)  # type: ignore[call-overload]  # torch's stubs miss this form
    net = Net(network, plan, 1, "bf16", weights_sha256(network.state_dict()))
    batch = probing_batch(net)
    return Case(f"{name} ({' × '.join(map(str, batch.shape))})", net, batch)


def _at(plan: Plan, size: tuple[int, int]) -> Plan:
    return plan.model_copy(update={"preprocessing": plan.preprocessing.model_copy(update={"size": size})})


def _of_pictures(kind: str, size: tuple[int, int]) -> Fingerprint:
    labels = phantoms.KINDS[kind].labels
    pairs = [
        (
            Image(np.ascontiguousarray(np.moveaxis(np.atleast_3d(drawn.image), -1, 0))),
            Mask(drawn.mask, labels),
        )
        for drawn in phantoms.generate(kind, 4, size=size)
    ]
    return measure(pairs, labels, "rgb" if pairs[0][0].channels == 3 else "grey")


def _of_volume() -> Fingerprint:
    values = np.random.default_rng(0).integers(-100, 200, (1, 48, 160, 160)).astype(np.int16)
    labels = np.zeros(values.shape[1:], np.uint8)
    labels[10:40, 40:100, 40:100], labels[20:30, 90:130, 60:64] = 1, 2
    geometry = Geometry((2.0, 1.0, 1.0))
    image = Image(values, geometry, shares=False)
    return measure([(image, Mask(labels, LABELS, geometry))], LABELS, "grey", "SPL")


def _measured(case: Case, rounds: int, quiet: Quiet) -> Record:
    images = np.ascontiguousarray(case.batch.numpy())
    threads = torch.get_num_threads()
    sides: dict[str, Callable[[], object]] = {}
    found: dict[str, torch.Tensor] = {}
    for engine_name, precision in SIDES:
        engine = make_engine(case.net, engine_name, precision)
        sides[f"{engine_name} {precision}"] = functools.partial(engine, case.batch)
    sides |= bare_sides(case.net.graph, images, threads)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with torch.inference_mode():
        for name, side in sides.items():
            result = side()  # warms it up, too
            if isinstance(result, torch.Tensor):
                found[name] = result
        with FlopCounterMode(display=False) as counter:
            sides[TORCH]()
        for _ in range(rounds):
            for name, side in sides.items():
                seconds[name].append(quiet.measure(functools.partial(_seconds_of, side)))
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    gflop = counter.get_total_flops() / 1e9
    reference = found[TORCH].numpy()
    return {
        "name": case.name,
        "batch": list(images.shape),
        "parameters": parameter_count(case.net.network),
        "gflop": round(gflop, 2),
        "sides": {
            name: {
                "ms": round(1000 * value, 2),
                "quartiles_ms": [round(1000 * q, 2) for q in statistics.quantiles(seconds[name], n=4)[::2]],
                "gflop_per_s": round(gflop / value, 1),
                "times_torch_fp32": round(median[TORCH] / value, 3),
                "times_bare_openvino_bf16": round(median[BARE] / value, 3),
                **(_apart(found[name].numpy(), reference) if name in found else {}),
            }
            for name, value in median.items()
        },
    }


def _apart(found: Numbers, reference: Numbers) -> Record:
    return {
        "largest_difference": float(f"{np.abs(found - reference).max():.2g}"),
        "labels_changed": round(changed_labels(found, reference, 0.5), 6),
    }


def _seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _print(case: Record) -> None:
    rows = [
        (
            name,
            f"{side['ms']:.1f}",
            f"{side['gflop_per_s']:.0f}",
            f"{side['times_torch_fp32']:.2f}",
            f"{side['times_bare_openvino_bf16']:.2f}",
        )
        for name, side in case["sides"].items()
    ]
    print_table(case["name"], ("side", "ms", "GFLOP/s", "× torch fp32", "× bare OpenVINO bf16"), rows)
    ours = [side for name, side in case["sides"].items() if "bare" not in name]
    best = max(ours, key=lambda side: side["times_torch_fp32"])
    print(
        f"best: {best['times_bare_openvino_bf16']:.2f} × bare OpenVINO bf16 (asked {OF_BARE}), "
        f"{best['times_torch_fp32']:.2f} × torch fp32 (asked {OF_TORCH})",
        flush=True,
    )


def _starts(count: int) -> Record:
    """Seconds of the whole command with one image, by engine."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _save_classic(folder / "model.safetensors")
        pixels = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
        Pillow.fromarray(pixels).save(folder / "image.png")
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        taken: dict[str, list[float]] = {}
        for turn in range(count + 1):
            for name in ("torch", "onnxruntime", "openvino"):
                command = [
                    sys.executable, "-m", "delineate", "predict", str(folder / "model.safetensors"),
                    str(folder / "image.png"), "--out", str(folder / f"{name}-{turn}"), "--engine", name,
                ]  # fmt: skip
                start = time.perf_counter()
                subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
                taken.setdefault(name, []).append(round(time.perf_counter() - start, 2))
    return {name: {"first": each[0], "again": statistics.median(each[1:])} for name, each in taken.items()}


def _save_classic(path: Path) -> None:
    fingerprint = _of_pictures("noise", (128, 128))
    plan = _at(make_plan(fingerprint, Length(epochs=1), preset="classic").plan, (512, 512))
    weights = UNet(plan.network).state_dict()
    facts = TrainingFacts(cases=1, steps=0, seconds=0, precision="bf16", seed=0)
    digest = weights_sha256(weights)
    card = ModelCard(weights_sha256=digest, plan=plan, fingerprint=fingerprint, training=facts, software={})
    save_model(path, card, weights)


def _print_starts(starts: Record) -> None:
    rows = [(name, f"{each['first']:.2f}", f"{each['again']:.2f}") for name, each in starts.items()]
    print_table("delineate predict, one image of 512²", ("engine", "first time, s", "again, s"), rows)


if __name__ == "__main__":
    main()
