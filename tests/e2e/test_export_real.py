"""A model trained on real images, exported and compared with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import delineate

import delineate as package

pytestmark = [pytest.mark.slow, pytest.mark.data]


@pytest.mark.parametrize("name", ["drive", "wbc", "sunnybrook", "hippocampus"])
@pytest.mark.parametrize(("to", "suffix"), [("onnx", ".onnx"), ("torchscript", ".pt")])
def test_real_images_are_segmented_alike(
    name: str, to: str, suffix: str, data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = tmp_path_factory.getbasetemp() / f"exported-{name}"
    if not run.exists():
        done = delineate("train", data_root / name, "--out", run, "--budget", "20s")
        assert done.returncode == 0, done.stderr
    out = tmp_path_factory.mktemp("out") / f"model{suffix}"
    made = package.export_model(run, to, out, images=data_root / name / "images")
    assert made.agreement.holds
    assert made.given > made.agreement.images >= 3
    assert made.agreement.probability < (6e-4 if name == "hippocampus" else 1e-4)
