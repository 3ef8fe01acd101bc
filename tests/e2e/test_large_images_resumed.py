"""A command killed in the middle of a large image goes on where it was, when it is given again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from commanding import ENVIRONMENT, delineate
from large_cases import blobs, model_of, save_tiled, save_to

SIZE = (2300, 700)  # five rows of tiles


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_to(
        tmp_path_factory.mktemp("model") / "model.safetensors", model_of(mirror=True, size=(32, 32))
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return save_tiled(tmp_path / "slide.tif", np.tile(blobs(100, 100), (23, 7)), tile=(256, 256))


def arguments(model: Path, picture: Path, out: Path) -> list[str]:
    return ["predict", *map(str, (model, picture)), "--out", str(out), "--max-megapixels", "1"]


def state_of(out: Path) -> dict[str, object]:
    """How far the image is."""
    for path in out.glob("unfinished/*/state.json"):
        saved: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))["saved"]
        return saved
    return {"rows": 0}


def killed(command: Sequence[str], out: Path, rows: int) -> None:
    """Run a command and kill it when so many rows of tiles are done."""
    process = subprocess.Popen(
        [sys.executable, "-m", "delineate", *command],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        while int(str(state_of(out)["rows"])) < rows:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_twice_the_mask_is_the_same(model: Path, picture: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    wanted = ["--probabilities", "--overlay"]
    done = delineate(*arguments(model, picture, whole), *wanted)
    assert done.returncode == 0, done.stderr
    for rows in (1, 3):
        killed([*arguments(model, picture, out), *wanted], out, rows)
        assert not (out / "slide.tif").exists()
    resumed = delineate(*arguments(model, picture, out), *wanted)
    assert resumed.returncode == 0, resumed.stderr
    assert "taken up again at row" in resumed.stdout
    for name in ("slide.tif", "probabilities/slide.tif", "overlays/slide.png"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    told = [json.loads((each / "manifest.json").read_text(encoding="utf-8")) for each in (out, whole)]
    assert told[0]["files"] == told[1]["files"]
    assert not (out / "unfinished").exists()
    assert not list(out.rglob("*.part"))
    assert delineate(*arguments(model, picture, out), *wanted).returncode == 2  # finished work is not touched
