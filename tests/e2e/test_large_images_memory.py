"""The memory of predicting a large image does not grow with its height."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from commanding import ENVIRONMENT
from large_cases import blobs, model_of, save_to

TILE = 512
WIDTH = 3072


def peak_mb(model: Path, folder: Path, height: int) -> float:
    """The greatest memory of the command for an image of that height."""
    tile = zlib.compress(blobs(TILE, TILE).tobytes(), 1)
    path = folder / f"{height}.tif"
    tifffile.imwrite(
        path, iter([tile] * (height // TILE * WIDTH // TILE)), shape=(height, WIDTH), dtype=np.uint8,
        tile=(TILE, TILE), compression="adobe_deflate", photometric="minisblack", metadata=None,
    )  # fmt: skip
    process = subprocess.Popen(
        [
            sys.executable, "-m", "delineate", "predict", str(model), str(path),
            "--out", str(folder / f"out-{height}"), "--max-megapixels", "1",
        ],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert (folder / f"out-{height}" / f"{height}.tif").is_file()
    return usage.ru_maxrss / 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    model = save_to(tmp_path / "model.safetensors", model_of(size=(128, 128)))
    low, high = peak_mb(model, tmp_path, 1024), peak_mb(model, tmp_path, 16384)
    # held whole, the second would take 47 megabytes an 8-bit copy more, and many times that as floats
    assert high < low + 60
