"""The examples run as they stand, and say what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commanding import ENVIRONMENT

EXAMPLES = Path(__file__).parents[2] / "examples"
PROMISED = {
    "train_on_phantoms.py": ("40 cases, ready to train: True", "Dice on the held-out part", "image_2.png"),
    "predict_arrays.py": ("(96, 80) uint8 → mask (96, 80) uint8", "6 spine"),
    "edit_a_plan.py": ("as planned: rotation ±180°", "without mirroring: rotation ±15°"),
    "score_your_own_masks.py": ("aorta: Dice", "missed 3", "Dice 0.875, HD95 2.0 px"),
}


def test_every_example_is_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PROMISED)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROMISED)
def test_it_runs(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=ENVIRONMENT | {"TMPDIR": str(tmp_path)},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    for text in PROMISED[name]:
        assert text in done.stdout
