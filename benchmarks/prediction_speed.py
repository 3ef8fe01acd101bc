"""How much of the bare net's speed is left from files to masks, and how fast are Keras and nnU-Net at that?

    python -m benchmarks.prediction_speed [--side 512] [--count 200] [--rounds 3]

PNGs of 512², phantoms of ultrasound, become as many mask PNGs. Each side has the classic net of the widely
copied Keras script (32-64-128-256-512, two convolutions a level, no normalisation, no mirroring) in a process
that has loaded it already:

- bare: our engine alone, on the prepared pixels in memory.
- ours: `delineate.predict`, files to files.
- keras: the script's net by `predict`, files read and written with Pillow, as a user would write it; as many
  pixels a batch as the script's 32 × 128².
- nnunet: `nnUNetPredictor.predict_from_files` on a model folder whose plans name this very net (nnU-Net's own
  normalisation layers, which would slow it, left out) with windows as large as the images, without mirroring.
  With `--side 128` it is left out, for it does not shrink images.

With `--side 512` the net sees the images as they are; with 128 they are reduced to 128² and the masks
brought back to 512². The weights are random for all, but the last bias, which makes the masks empty: noise
would take 25 ms to pack as PNG, a real mask takes 2 and an empty one 1. The sides take turns. At the end the
whole command for a single image is timed, from a cold start.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from benchmarks.processes import Conversation, add_python_option, bind, require_python, run_process
from benchmarks.quiet import Quiet
from benchmarks.reporting import Record, argument_parser, machine, print_table, write_record
from PIL import Image as Pillow

from delineate import formats, phantoms
from delineate.export.onnx_model import onnx_model
from delineate.export.order import Form
from delineate.fingerprint import measure
from delineate.image import Image, Mask
from delineate.inference.loading import load_any
from delineate.inference.model import Model, load
from delineate.inference.predict import windows_of
from delineate.inference.together import windows_at_once
from delineate.jobs.prediction import predict
from delineate.model_file import ModelCard, TrainingFacts, save_model, weights_sha256
from delineate.networks.unet import UNet
from delineate.planner import Length, make_plan

KIND, DRAWN, SIDE = "ultrasound", 20, 512
AT_LEAST_OF_BARE = 0.9
EMPTY = -20.0  # the last layer's bias
FIRST_MASK_S = 1.5
Turn = Callable[[], float]
"""Does all images once and says how many seconds it took."""


def main() -> None:
    """Measure, print and write."""
    chosen = _options()
    threads = bind(chosen.threads, chosen.cores)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        images = _draw(folder / "images", chosen.count)
        path = _model(folder / "model.safetensors", chosen.side)
        quiet = Quiet([os.getpid()], chosen.patience * 60)
        turns = _ours(path, images, folder, chosen.variants)
        turns |= _peers(chosen, images, folder, stack, quiet)
        seconds = _taken(turns, chosen.rounds, quiet)
        rates = {side: chosen.count / statistics.median(each) for side, each in seconds.items()}
        starts = _first_masks(path, images, folder, chosen.starts)
    record: Record = {
        "machine": machine(),
        "threads": threads,
        "net_side": chosen.side,
        "images": chosen.count,
        "image_side": SIDE,
        "rounds": chosen.rounds,
        "seconds": {side: [round(each, 3) for each in taken] for side, taken in seconds.items()},
        "images_per_second": {side: round(rate, 3) for side, rate in rates.items()},
        "first_mask_seconds": starts,
        "turns_disturbed": quiet.disturbed,
        "turns_repeated": quiet.repeated,
    }
    _print(record, rates, starts, chosen.variants)
    write_record(chosen.out, record)


def _options() -> argparse.Namespace:
    parser = argument_parser("prediction_speed", "PNG to mask PNG, beside the bare net, Keras and nnU-Net.")
    parser.add_argument("--side", type=int, choices=(128, 512), default=512, help="of the net's images")
    parser.add_argument("--count", type=int, default=200, help="images (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (%(default)s)")
    parser.add_argument("--starts", type=int, default=5, help="cold starts of the command (%(default)s)")
    parser.add_argument(
        "--variants",
        nargs="+",
        default=["torch:bf16", "torch:fp32"],
        metavar="ENGINE:PRECISION",
        help="of ours (torch:bf16 torch:fp32)",
    )
    parser.add_argument("--peers", nargs="*", default=["keras", "nnunet"], choices=["keras", "nnunet"])
    parser.add_argument("--threads", type=int, metavar="N", help="of each side (one a core)")
    parser.add_argument("--cores", type=int, nargs="+", metavar="CORE", help="to run on (all)")
    parser.add_argument("--patience", type=float, default=10, metavar="MINUTES", help="for a quiet machine")
    for peer in ("keras", "nnunet"):
        add_python_option(parser, peer)
    return parser.parse_args()


def _draw(folder: Path, count: int) -> list[Path]:
    """So many PNGs, named as nnU-Net wants them; moved copies of a few phantoms."""
    folder.mkdir()
    drawn = [each.image for each in phantoms.generate(KIND, min(DRAWN, count), size=(SIDE, SIDE))]
    paths = [folder / f"case{number:04}_0000.png" for number in range(count)]
    for number, path in enumerate(paths):
        Pillow.fromarray(np.roll(drawn[number % len(drawn)], 9 * number, axis=1)).save(path)
    return paths


def _model(path: Path, side: int) -> Path:
    """The classic plan's model with random weights, its net seeing images of this side."""
    labels = phantoms.KINDS[KIND].labels
    pairs = [
        (Image(each.image[None]), Mask(each.mask, labels))
        for each in phantoms.generate(KIND, 4, size=(SIDE, SIDE))
    ]
    fingerprint = measure(pairs, labels, "grey")
    plan = make_plan(fingerprint, Length(epochs=1), preset="classic", precision="bf16").plan
    preprocessing = plan.preprocessing.model_copy(update={"size": (side, side)})
    plan = plan.model_copy(update={"preprocessing": preprocessing})
    torch.manual_seed(0)
    weights = UNet(plan.network).state_dict()
    weights["head.bias"].fill_(EMPTY)
    card = ModelCard(
        weights_sha256=weights_sha256(weights),
        plan=plan,
        fingerprint=fingerprint,
        training=TrainingFacts(cases=1, steps=0, seconds=0, precision="bf16", seed=0),
        software={},
    )
    save_model(path, card, weights)
    return path


def _ours(path: Path, images: Sequence[Path], folder: Path, variants: Sequence[str]) -> dict[str, Turn]:
    turns: dict[str, Turn] = {}
    for variant in variants:
        engine, _, precision = variant.partition(":")
        model = load_any(path, engine=engine, precision=precision)  # type: ignore[arg-type]  # checked there
        if not isinstance(model, Model):
            raise SystemExit(f"{path} is no model file.")
        turns[f"bare {variant}"] = functools.partial(_bare, model, _prepared(model, images))
        turns[f"ours {variant}"] = functools.partial(_files, model, images, folder / "ours")
    return turns


def _prepared(model: Model, images: Sequence[Path]) -> torch.Tensor:
    """All images as the net takes them, `(N, C, H, W)`."""
    return torch.stack([windows_of(model.engine, model.plan, formats.read(path)).cut(0) for path in images])


def _bare(model: Model, pixels: torch.Tensor) -> float:
    start = time.perf_counter()
    at_once = windows_at_once(model.engine, model.plan)
    with torch.inference_mode():
        for first in range(0, len(pixels), at_once):
            model.engine(pixels[first : first + at_once])
    return time.perf_counter() - start


def _files(model: Model, images: Sequence[Path], out: Path) -> float:
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    made = predict(model, list(images), out)
    seconds = time.perf_counter() - start
    if len(made.done) != len(images):
        raise SystemExit(f"{len(made.failed)} images failed: {made.messages[:3]}")
    return seconds


def _peers(
    chosen: argparse.Namespace, images: Sequence[Path], folder: Path, stack: ExitStack, quiet: Quiet
) -> dict[str, Turn]:
    """Each in a process of its own, that answers with the seconds it took."""
    turns: dict[str, Turn] = {}
    for peer in chosen.peers:
        if peer == "nnunet" and chosen.side != SIDE:
            continue
        python = require_python(peer, getattr(chosen, f"{peer}_python"))
        own = folder / peer
        own.mkdir()
        command = [python, "-m", f"benchmarks.{peer}_predict", images[0].parent, own, str(chosen.side)]
        talk = stack.enter_context(Conversation(command))
        quiet.processes = [*quiet.processes, talk.process_id]
        turns[peer] = functools.partial(_asked, talk, len(images))
    return turns


def _asked(talk: Conversation, count: int) -> float:
    answer = talk.ask("all")
    if answer["masks"] != count:
        raise SystemExit(f"{answer['masks']} masks were made of {count} images.")
    return float(answer["seconds"])


def _taken(turns: Mapping[str, Turn], rounds: int, quiet: Quiet) -> dict[str, list[float]]:
    """Seconds of each side's turns, the first of which are not counted."""
    seconds: dict[str, list[float]] = {side: [] for side in turns}
    for number in range(rounds + 1):
        for side, turn in turns.items():
            took = turn() if number == 0 else quiet.measure(turn)
            print(f"round {number} of {rounds}: {side} {took:.2f} s", file=sys.stderr, flush=True)
            if number:
                seconds[side].append(took)
    return seconds


def _first_masks(path: Path, images: Sequence[Path], folder: Path, starts: int) -> dict[str, list[float]]:
    """Seconds of the whole command for one image, of the model file and of the exported ONNX file."""
    exported = path.with_suffix(".onnx")
    exported.write_bytes(onnx_model(load(path), Form("uint8", "last")))
    seconds: dict[str, list[float]] = {}
    for model in (exported, path) if starts else ():
        seconds[model.suffix] = []
        for number in range(starts):
            out = folder / f"start{model.suffix}{number}"
            command = (sys.executable, "-m", "delineate", "predict", model, images[0], "--out", out)
            seconds[model.suffix].append(run_process(command).seconds)
    return seconds


def _print(
    record: Record, rates: Mapping[str, float], starts: Mapping[str, Sequence[float]], variants: Sequence[str]
) -> None:
    ours, bare = rates[f"ours {variants[0]}"], rates[f"bare {variants[0]}"]
    rows = []
    for side, rate in rates.items():
        own = rates.get(side.replace("ours", "bare"), 0.0)
        rows.append(
            (
                side,
                f"{rate:.2f}",
                f"{rate / own:.1%}" if side.startswith("ours") else "",
                "" if side.startswith("bare") else f"{ours / rate:.2f}×",
            )
        )
    print_table(
        f"{record['images']} PNG of {SIDE}² → mask PNG, net at {record['net_side']}²",
        ("side", "images/s", "of the bare net", f"ours {variants[0]} is faster by"),
        rows,
    )
    for suffix, seconds in starts.items():
        asked = f", asked < {FIRST_MASK_S} s" if suffix == ".onnx" else ""
        print(f"One image by the whole command, {suffix}: {statistics.median(seconds):.2f} s{asked}")
    reached = "reached" if ours / bare >= AT_LEAST_OF_BARE else "not reached"
    print(f"{ours / bare:.1%} of the bare net's speed; {AT_LEAST_OF_BARE:.0%} asked: {reached}")


if __name__ == "__main__":
    main()
