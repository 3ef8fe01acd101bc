"""Plans of several kinds as TorchScript files: what they say is what the model says, by torch alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exporting import image_for, model_of, saved

from delineate.export.agreement import compare
from delineate.export.order import Form
from delineate.export.torchscript import TorchScriptModel, torchscript_model
from delineate.inference.onnx_file import Channels, Pixels

KINDS: list[tuple[str, Pixels, Channels]] = [
    ("padded", "uint8", "last"),
    ("colour, several labels", "uint16", "first"),
    ("patches of larger images", "float32", "last"),
    ("larger windows", "uint8", "last"),
    ("mirrored, sides swapped", "uint8", "first"),
    ("clipped", "uint8", "last"),
    ("slices", "float32", "last"),
    ("volumes of another spacing", "float32", "first"),
]


@pytest.mark.parametrize(("kind", "pixels", "channels"), KINDS)
def test_every_plan_is_reproduced(kind: str, pixels: Pixels, channels: Channels) -> None:
    model, form = model_of(kind, members=2 if kind == "padded" else 1), Form(pixels, channels)
    sizes: list[tuple[int, ...]] = [(37, 53), (5, 61), (61, 5)]
    if model.plan.data.axes == 3:
        sizes = [(7, 19, 14), (3, 5, 9)]
    images = [image_for(model.plan, size, pixels, seed) for seed, size in enumerate(sizes)]
    found = compare(model, TorchScriptModel(torchscript_model(model, form), model.card, form), images)
    rounded = 5e-4 if model.plan.data.axes == 3 else 0  # volumes' probabilities are kept in half precision
    assert found.images == len(sizes)
    assert found.probability < 1e-5 + rounded
    assert found.differing <= 1


def test_torch_alone_runs_it(tmp_path: Path) -> None:
    model = model_of("colour, several labels")
    path = saved(tmp_path / "model.pt", torchscript_model(model, Form("uint8", "last")))
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    torch.save(torch.from_numpy(image), tmp_path / "image.pt")
    code = (
        "import sys, json, torch; told = {'labels': '', 'delineate': ''}; "
        f"module = torch.jit.load({str(path)!r}, _extra_files=told); "
        f"labels, shares = module(torch.load({str(tmp_path / 'image.pt')!r})); "
        "print(json.dumps([json.loads(told['labels']), json.loads(told['delineate'])['weights_sha256'], "
        "list(shares.shape), labels.tolist(), any(name.startswith('delineate') for name in sys.modules)]))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    labels, digest, shape, values, imported = json.loads(done.stdout)
    assert (labels, digest, shape) == (["a", "b"], model.card.weights_sha256, [2, 37, 53])
    assert np.array_equal(np.array(values), model.predict(image))
    assert not imported
