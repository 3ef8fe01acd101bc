"""A prediction stopped by the user ends at once, and its manifest names the masks that are there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commanding import ENVIRONMENT
from example_model import content
from PIL import Image as Pillow

IMAGES = 400


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_while_it_predicts(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content())
    images, out = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    first = images / "000.png"
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)).save(first)
    for number in range(1, IMAGES):
        (images / f"{number:03}.png").write_bytes(first.read_bytes())
    command = ["predict", tmp_path / "model.safetensors", images, "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "delineate", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    end = time.monotonic() + 120
    while not (out / "000.png").is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    told = json.loads((out / "manifest.json").read_text())
    assert not told["complete"]
    assert 0 < len(told["files"]) < IMAGES
    assert [file["input"] for file in told["files"]] == [
        [f"{number:03}.png"] for number in range(len(told["files"]))
    ]
    assert {path.name for path in out.iterdir()} == {file["mask"] for file in told["files"]} | {
        "manifest.json"
    }
