"""How much memory and time does a large volume take, from the file to its mask on its own grid?

    python -m benchmarks.volume_prediction

A phantom like a CT of the trunk, 512 × 512 × 300 of int16 in .nii.gz, and the plan that `make_plan` chooses
for such volumes with two labels. The net has random weights: its masks mean nothing, but cost the same. The
whole command `delineate predict` runs in a process of its own, whose greatest memory the system tells.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import torch
from benchmarks.nifti_reading import AIR, DEPTH, HEIGHT, NOISE_HU, SPACING_MM, WIDTH
from benchmarks.reporting import Record, argument_parser, machine, print_table, write_record

from delineate import formats
from delineate.fingerprint import measure
from delineate.image import LabelSet, Mask
from delineate.model_file import ModelCard, TrainingFacts, save_model, weights_sha256
from delineate.networks.unet import UNet, parameter_count
from delineate.planner import Length, Planned, make_plan

LABELS = LabelSet.of("liver", "vessel")
AT_MOST_GB = 3.0


def main() -> None:
    """Measure, print and write."""
    parser = argument_parser("volume_prediction", "Memory and time of predicting a 512 × 512 × 300 volume.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planned, parameters = _prepare(folder)
        command = [
            sys.executable, "-m", "delineate", "predict", str(folder / "model.safetensors"),
            str(folder / "volume.nii.gz"), "--out", str(folder / "masks"),
        ]  # fmt: skip
        start = time.monotonic()
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        if status:
            raise SystemExit("The prediction failed.")
        mask = formats.read_mask(folder / "masks" / "volume.nii.gz").values
    record: Record = {
        "machine": machine(),
        "size": [DEPTH, HEIGHT, WIDTH],
        "spacing_mm": list(SPACING_MM[::-1]),
        "working_spacing_mm": list(planned.plan.preprocessing.spacing_mm or ()),
        "window": list(planned.plan.window),
        "widths": list(planned.plan.network.widths),
        "parameters": parameters,
        "mask_size": list(mask.shape),
        "seconds": round(seconds, 1),
        "peak_gb": round(usage.ru_maxrss * 1024 / 1e9, 3),
        "at_most_gb": AT_MOST_GB,
    }
    working = " × ".join(f"{step:g}" for step in planned.plan.preprocessing.spacing_mm or ())
    print_table(
        f"Predicting {WIDTH} × {HEIGHT} × {DEPTH} of int16",
        ("what", "measured", "asked"),
        [
            ("peak memory, GB", str(record["peak_gb"]), f"< {AT_MOST_GB}"),
            ("whole command, s", str(record["seconds"]), ""),
            ("window", " × ".join(map(str, planned.plan.window)), ""),
            ("working spacing, mm", working, ""),
        ],
    )
    write_record(chosen.out, record)


def _prepare(folder: Path) -> tuple[Planned, int]:
    """The volume and a model with the plan for such volumes, in a folder."""
    path = folder / "volume.nii.gz"
    values, labels = phantom()
    affine = np.diag([*SPACING_MM, 1.0])
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    image = formats.read(path)
    mask = Mask(np.ascontiguousarray(labels.T), LABELS, image.geometry)
    fingerprint = measure([(image, mask)], LABELS, "grey", "SPL")
    planned = make_plan(fingerprint, Length(budget_s=60.0))
    torch.manual_seed(0)
    network = UNet(planned.plan.network)
    weights = network.state_dict()
    card = ModelCard(
        weights_sha256=weights_sha256(weights),
        plan=planned.plan,
        fingerprint=fingerprint,
        training=TrainingFacts(cases=1, steps=0, seconds=0, precision="bf16", seed=0),
        software={},
    )
    save_model(folder / "model.safetensors", card, weights)
    return planned, parameter_count(network)


def phantom() -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """A trunk with an organ and a vessel so thin that no coarser grid holds it, `(W, H, D)`: HU; 0, 1, 2."""
    generator = np.random.default_rng(0)
    x, y, z = np.meshgrid(
        np.linspace(-1, 1, WIDTH),
        np.linspace(-1, 1, HEIGHT),
        np.linspace(-1, 1, DEPTH),
        indexing="ij",
        sparse=True,
    )
    values = np.full((WIDTH, HEIGHT, DEPTH), AIR, dtype=np.int16)
    labels = np.zeros(values.shape, dtype=np.uint8)
    values[np.broadcast_to((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, values.shape)] = -80
    liver = np.broadcast_to(((x + 0.3) / 0.3) ** 2 + (y / 0.3) ** 2 + (z / 0.4) ** 2 < 1, values.shape)
    vessel = np.broadcast_to((x + 0.1) ** 2 + (y - 0.2 * z) ** 2 < 0.008**2, values.shape)
    values[liver], labels[liver] = 60, 1
    values[vessel], labels[vessel] = 200, 2
    values += generator.normal(0, NOISE_HU, values.shape).astype(np.int16)
    return values, labels


if __name__ == "__main__":
    main()
