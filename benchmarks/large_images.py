"""How much memory does a slide of 40,000 × 40,000 take, and how near is its speed to the bare engine's?

    python -m benchmarks.large_images --scratch FOLDER
    python -m benchmarks.large_images --side 4096 --model runs/data/model.safetensors

A tiled, deflated 8-bit TIFF of ultrasound phantoms side by side is predicted by `delineate predict` in a
process of its own, whose greatest memory the system tells; its time is the manifest's, without the start.
The bare engine computes the same windows, in batches of the same size, of noise that is there already:
before and after, for what else a machine does changes. Without `--model` the net is the classic one with
random weights, on windows of 512 × 512: its masks mean nothing, but cost the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
import torch
from benchmarks.reporting import Record, argument_parser, machine, print_table, write_record

from delineate.augment.settings import AugmentationSettings
from delineate.fingerprint import measure
from delineate.image import Image, LabelSet, Mask
from delineate.inference.fitting import working_size
from delineate.inference.large.bands import Windows
from delineate.inference.model import Model, load
from delineate.inference.predict import predictor_of
from delineate.losses import LossSettings
from delineate.model_file import ModelCard, TrainingFacts, save_model, weights_sha256
from delineate.networks.settings import CLASSIC
from delineate.networks.unet import UNet
from delineate.phantoms.catalogue import generate
from delineate.plan import DataPlan, Plan, PredictionPlan, PreprocessingPlan, TrainingPlan

SIDE = 40_000
TILE = 512
PHANTOMS = 16
BARE_S = 10.0
AT_MOST_GB, AT_LEAST_SHARE = 1.5, 0.85


def main() -> None:
    """Measure, print and write."""
    parser = argument_parser("large_images", "Memory and speed of predicting an image larger than memory.")
    parser.add_argument("--side", type=int, default=SIDE, help="of the image, in pixels (%(default)s)")
    parser.add_argument("--model", type=Path, metavar="FILE", help="of pictures (the classic net)")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="for the image (the system's)")
    parser.add_argument(
        "--engine", choices=("auto", "torch", "onnxruntime", "openvino"), default="auto", help="(%(default)s)"
    )
    parser.add_argument("--threads", type=int, help="to compute with (PyTorch's number)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as name:
        record = _measured(Path(name), chosen)
    record |= {"machine": machine(), "at_most_gb": AT_MOST_GB, "at_least_share": AT_LEAST_SHARE}
    side = record["side"]
    print_table(
        f"Predicting {side:,} × {side:,} pixels of 8 bits, windows of {record['window']}, "
        f"by {' in '.join(record['engine'])}",
        ("what", "measured", "asked"),
        [
            ("peak memory, GB", record["peak_gb"], f"< {AT_MOST_GB}"),
            ("megapixels a second", record["megapixels_per_s"], ""),
            ("bare engine's, before", record["bare_megapixels_per_s"][0], ""),
            ("bare engine's, after", record["bare_megapixels_per_s"][1], ""),
            ("share of the bare engine's", record["share"], f"≥ {AT_LEAST_SHARE}"),
            ("image on the disk, GB", record["image_gb"], ""),
            ("mask on the disk, MB", record["mask_mb"], ""),
        ],
    )
    write_record(chosen.out, record)


def _measured(folder: Path, chosen: argparse.Namespace) -> Record:
    path = chosen.model or _classic(folder / "model.safetensors")
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    model = load(path, engine=chosen.engine)
    image = folder / "slide.tif"
    _draw(image, chosen.side, model.plan.data.channels)
    before = _bare_megapixels_per_s(model, chosen.side)
    options = ["--engine", model.engine.name, "--precision", model.engine.precision, "--max-megapixels", "1"]
    if chosen.threads:
        options += ["--threads", str(chosen.threads)]
    masks = folder / "masks"
    command = [sys.executable, "-m", "delineate", "predict", path, image, "--out", masks, *options]
    process = subprocess.Popen(list(map(str, command)))
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("The prediction failed.")
    manifest = json.loads((masks / "manifest.json").read_text(encoding="utf-8"))
    after = _bare_megapixels_per_s(model, chosen.side)
    rate = chosen.side**2 / 1e6 / manifest["seconds"]
    return {
        "side": chosen.side,
        "model": chosen.model.name if chosen.model else "classic",
        "window": list(model.plan.window),
        "mirrored": model.plan.prediction.mirror,
        "engine": [model.engine.name, model.engine.precision],
        "threads": torch.get_num_threads(),
        "seconds": manifest["seconds"],
        "peak_gb": round(usage.ru_maxrss * 1024 / 1e9, 3),
        "megapixels_per_s": round(rate, 3),
        "bare_megapixels_per_s": [round(before, 3), round(after, 3)],
        "share": round(rate / ((before + after) / 2), 3),
        "image_gb": round(image.stat().st_size / 1e9, 3),
        "mask_mb": round((masks / "slide.tif").stat().st_size / 1e6, 1),
    }


def _bare_megapixels_per_s(model: Model, side: int) -> float:
    """Of the image, if the engine had nothing to do but the windows that cover it."""
    plan = model.plan
    height, width = working_size((side, side), plan.preprocessing)
    if plan.preprocessing.mode != "patch":
        raise SystemExit("This model sees whole images at once: give one that sees windows.")
    size = (plan.window[-2], plan.window[-1])
    windows = Windows((height, width), size, plan.prediction.overlap)
    batch = torch.randn(windows.batch_size, plan.data.channels, *size, device=model.engine.device)
    predictor = predictor_of(model.engine, plan)
    count, start = 0, 0.0
    with torch.inference_mode():
        predictor(batch)
        start = time.monotonic()
        while time.monotonic() - start < BARE_S:
            predictor(batch).sum().item()
            count += len(batch)
    seconds_a_window = (time.monotonic() - start) / count
    return side**2 / 1e6 / (len(windows.tops) * len(windows.lefts) * seconds_a_window)


def _draw(path: Path, side: int, channels: int) -> None:
    """Phantoms side by side in an order that does not repeat soon."""
    tiles = []
    for phantom in generate("ultrasound", PHANTOMS, size=(TILE, TILE), seed=0):
        grey = phantom.image
        tiles.append(zlib.compress(np.repeat(grey[..., None], channels, -1).tobytes(), 1))
    count = (-(-side // TILE)) ** 2
    order = np.random.default_rng(0).integers(PHANTOMS, size=count)

    def packed() -> Iterator[bytes]:
        yield from (tiles[at] for at in order)

    tifffile.imwrite(
        path,
        packed(),
        shape=(side, side) if channels == 1 else (side, side, channels),
        dtype=np.uint8,
        tile=(TILE, TILE),
        compression="adobe_deflate",
        photometric="rgb" if channels == 3 else "minisblack",
        bigtiff=True,
        metadata=None,
    )


def _classic(path: Path) -> Path:
    """The classic net with random weights, on windows of 512 × 512."""
    plan = Plan(
        preset="classic",
        data=DataPlan(colour="grey", channels=1, labels=("lesion",)),
        preprocessing=PreprocessingPlan(mode="patch", size=(512, 512), normalization="unit"),
        network=CLASSIC,
        augmentation=AugmentationSettings(),
        loss=LossSettings(),
        training=TrainingPlan(steps=1, batch_size=1, learning_rate=1e-3),
        prediction=PredictionPlan(),
    )
    torch.manual_seed(0)
    weights = UNet(plan.network).state_dict()
    image = Image(np.random.default_rng(0).integers(0, 256, (1, TILE, TILE), dtype=np.uint8))
    mask = Mask(np.eye(TILE, dtype=np.uint8), LabelSet.of("lesion"))
    card = ModelCard(
        weights_sha256=weights_sha256(weights),
        plan=plan,
        fingerprint=measure([(image, mask)], mask.labels, "grey"),
        training=TrainingFacts(cases=1, steps=1, seconds=0, precision="bf16", seed=0),
        software={},
    )
    save_model(path, card, weights)
    return path


if __name__ == "__main__":
    main()
