"""A model that was exported to ONNX predicts a picture without the libraries that take long to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from example_model import example
from PIL import Image as Pillow

from delineate.export.onnx_model import onnx_model
from delineate.export.order import Form
from delineate.inference.model import Model

HEAVY = "torch scipy skimage matplotlib pydicom highdicom nibabel tifffile imagecodecs onnx openvino zarr"
CODE = """
import sys
from delineate.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *sorted(set({heavy}) & set(sys.modules)))
"""


def test_an_exported_model_predicts_a_picture_without_what_takes_long_to_import(tmp_path: Path) -> None:
    model = Model(*example())
    (tmp_path / "model.onnx").write_bytes(onnx_model(model, Form("uint8", "last")))
    values = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    Pillow.fromarray(values).save(tmp_path / "a.png")
    code = CODE.format(heavy=HEAVY.split())
    command = ["predict", tmp_path / "model.onnx", tmp_path / "a.png", "--out", tmp_path / "masks"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "imported:"
    found = np.asarray(Pillow.open(tmp_path / "masks" / "a.png"))
    assert np.array_equal(found, model.predict(tmp_path / "a.png") * 255)
