"""Predict arrays in memory: masks, probabilities, and the area of each label.

    .venv/bin/python examples/predict_arrays.py [MODEL]

MODEL is a model file or a run folder for grey images; without it a small one is trained on phantoms first.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import delineate
from delineate import phantoms


def small_model() -> delineate.Model:
    """A model of organs in slices, trained for a few seconds: good for an example and for nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="delineate-"))
    data = phantoms.write("organs", folder / "data", count=12, size=(64, 64))
    return delineate.train(data, out=folder / "run", epochs=60).load()


def main(model: delineate.Segmenter) -> None:
    """Predict three new slices."""
    for number, phantom in enumerate(phantoms.generate("organs", 3, size=(96, 80), seed=7)):
        image = phantom.image  # (96, 80) uint8; (H, W, C), uint16, bool, floats and PIL images do as well
        mask = model.predict(image)
        shares = model.probabilities(image)
        print(f"image {number}: {image.shape} {image.dtype} → mask {mask.shape} {mask.dtype}")
        for label, share in zip(model.labels, shares, strict=True):
            area_px = int(np.count_nonzero(mask == label.value))
            print(f"  {label.value} {label.name}: {area_px} pixels, probability up to {share.max():.2f}")


if __name__ == "__main__":
    main(delineate.load(sys.argv[1]) if len(sys.argv) > 1 else small_model())
