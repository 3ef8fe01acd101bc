"""Nets that Keras saved, imported and asked as a user does, give what Keras gave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras_nets import computed, contents, written

import delineate
from delineate import KerasWishes
from delineate.jobs.import_keras import PixelRange

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-4
FULL = """
import sys, numpy as np, keras
from benchmarks.keras_net import classic_unet
net = classic_unet()
random = np.random.default_rng(0)
net.set_weights([1.6 * w + random.normal(0, 0.02, w.shape).astype("float32") for w in net.get_weights()])
images = random.integers(0, 256, (2, 128, 128, 1), dtype=np.uint8)
net.save(sys.argv[1] + "/full.keras")
net.save(sys.argv[1] + "/full.h5")
net.save_weights(sys.argv[1] + "/full.weights.h5")
found = net.predict(images.astype("float32") / 255, verbose=0)
np.savez(sys.argv[1] + "/computed.npz", images=images, probabilities=found)
"""


def difference(file: Path, out: Path, wishes: KerasWishes, images: np.ndarray, expected: np.ndarray) -> float:
    """The most that a probability differs, asked by whole images."""
    delineate.import_keras(file, out, wishes=wishes)
    model = delineate.load(out)
    labels = expected if expected.shape[-1] == 1 else expected[..., 1:]
    found = np.stack(
        [model.probabilities(image if image.shape[2] > 1 else image[..., 0]) for image in images]
    )
    assert found.shape == np.moveaxis(labels, -1, 1).shape
    return float(np.abs(found - np.moveaxis(labels, -1, 1)).max())


@pytest.mark.parametrize("name", sorted(contents()))
def test_outputs_are_those_of_keras(name: str, tmp_path: Path) -> None:
    net, kind = name.split(".", 1)
    images, expected = computed()[f"{net}.images"], computed()[f"{net}.probabilities"]
    says_its_size = kind != "weights.h5" and net != "any_size"
    pixels: PixelRange | None = "0..1" if net == "normalizing" else None
    wishes = KerasWishes(
        size=None if says_its_size else (16, 16),
        pixels=pixels,
        skips_first=name == "skip_first.weights.h5",
    )
    file, out = written(tmp_path, name), tmp_path / "model.safetensors"
    assert difference(file, out, wishes, images, expected) < TOLERANCE


def test_the_fixtures_tell_faults_apart() -> None:
    """No net gives nearly the same everywhere, whatever its weights."""
    for name, values in computed().items():
        if name.endswith(".probabilities"):
            assert values.std(axis=(0, 1, 2)).min() > 0.1, name


@pytest.mark.parametrize(
    ("pixels", "gain", "offset"), [("0..1", 1 / 255, 0), ("0..255", 1, 0), ("-1..1", 1 / 127.5, -1)]
)
def test_pixels_go_in_as_they_did_in_the_training(
    tmp_path: Path, pixels: PixelRange, gain: float, offset: float
) -> None:
    """The intake of the same net, told another range, is that range: compared on a linear stand-in."""
    out = tmp_path / "model.safetensors"
    delineate.import_keras(written(tmp_path, "plain.keras"), out, wishes=KerasWishes(pixels=pixels))
    pre = delineate.load(out).plan.preprocessing
    levels = np.arange(256)
    mean, deviation = (pre.mean or (0.0,))[0], (pre.standard_deviation or (1.0,))[0]
    np.testing.assert_allclose((levels / 255 - mean) / deviation, levels * gain + offset, atol=1e-4)


def test_blue_first_is_red_last(tmp_path: Path) -> None:
    file = written(tmp_path, "colour.keras")
    delineate.import_keras(file, tmp_path / "rgb.safetensors")
    delineate.import_keras(file, tmp_path / "bgr.safetensors", wishes=KerasWishes(bgr=True))
    image = computed()["colour.images"][0]
    as_rgb = delineate.load(tmp_path / "rgb.safetensors").probabilities(
        np.ascontiguousarray(image[..., ::-1])
    )
    as_bgr = delineate.load(tmp_path / "bgr.safetensors").probabilities(image)
    np.testing.assert_allclose(as_bgr, as_rgb, atol=1e-6)
    assert np.abs(as_bgr - delineate.load(tmp_path / "rgb.safetensors").probabilities(image)).max() > 0.01


@pytest.mark.slow
def test_the_full_net(tmp_path: Path) -> None:
    """The script's net itself: 7,759,521 parameters, 31 MB."""
    python = Path(os.environ.get("DELINEATE_KERAS_PYTHON", ROOT / ".venv-keras" / "bin" / "python"))
    if not python.is_file():
        pytest.skip(f"no Python with TensorFlow at {python}; set DELINEATE_KERAS_PYTHON to one")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [python, "-c", FULL, tmp_path], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made = np.load(tmp_path / "computed.npz")
    assert made["probabilities"].std() > 0.01
    for kind in (".keras", ".h5", ".weights.h5"):
        wishes = KerasWishes(size=(128, 128) if kind == ".weights.h5" else None)
        file, out = tmp_path / f"full{kind}", tmp_path / f"full{kind}.safetensors"
        apart = difference(file, out, wishes, made["images"], made["probabilities"])
        sys.stdout.write(f"full{kind}: {apart:.2g}\n")
        assert apart < TOLERANCE
