"""A picture read window by window gives what it gives when it is held in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from large_cases import blobs, model_of, save_tiled

from delineate import formats
from delineate.formats.regions import open_regions
from delineate.inference.large.predict import LargeImage
from delineate.inference.model import Model
from delineate.inference.predict import decide, probabilities
from delineate.plan import Plan

PLANS: list[dict[str, Any]] = [
    {},
    {"overlap": 0.0},
    {"overlap": 0.7},
    {"size": (16, 48)},
    {"mirror": True},
    {"labels": ("a", "b", "c")},
    {"normalization": "unit"},
    {"normalization": "image"},
    {"clip": ((0.3, 0.6),)},
    {"scale": 0.5},
    {"scale": 0.37, "normalization": "image"},
    {"scale": 1.6},
    {"colour": "rgb"},
    {"colour": "rgb", "scale": 0.6},
    {"mode": "whole"},
    {"mode": "whole", "fit": "pad", "size": (32, 16)},
    {"mode": "whole", "normalization": "image", "labels": ("a", "b")},
]
PICTURES = [(70, 101, 1), (9, 130, 1), (130, 9, 3), (64, 64, 3), (1, 1, 1)]


def replace_threshold(plan: Plan, threshold: float) -> Plan:
    prediction = plan.prediction.model_copy(update={"threshold": threshold})
    return plan.model_copy(update={"prediction": prediction})


def large(model: Model, path: Path, first: int = 0) -> torch.Tensor:
    with open_regions(path) as regions, torch.inference_mode():
        image = LargeImage(model.engine, model.plan, regions)
        return torch.cat(list(image.probability_rows(image.working.intensities(), first)), 1)


@pytest.mark.parametrize("options", PLANS, ids=str)
def test_the_same_as_in_memory(options: dict[str, Any], tmp_path: Path) -> None:
    model = model_of(**options)
    for at, shape in enumerate(PICTURES):
        path = save_tiled(tmp_path / f"{at}.tif", blobs(*shape))
        held = probabilities(model.engine, model.plan, formats.read(path))
        found = large(model, path)
        assert found.shape == held.shape
        assert torch.allclose(found, held, atol=2e-5), shape
        threshold = float(held.flatten(1)[-1].median())
        plan = replace_threshold(model.plan, threshold)
        unlike = (decide(found, plan) != decide(held, plan)).sum()
        assert unlike <= 2  # whose probability is the threshold, but for rounding


@pytest.mark.parametrize("options", [{}, {"scale": 0.5}, {"scale": 1.6}, {"mode": "whole"}], ids=str)
@pytest.mark.parametrize("first", [1, 31, 69])
def test_begun_at_any_row_the_rows_are_the_same(options: dict[str, Any], first: int, tmp_path: Path) -> None:
    model = model_of(**options)
    path = save_tiled(tmp_path / "a.tif", blobs(70, 50))
    assert torch.equal(large(model, path, first), large(model, path)[:, first:])


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_other_types(dtype: type[np.generic], tmp_path: Path) -> None:
    pixels = blobs(60, 77).astype(np.float64) / 255 * (65535 if dtype == np.uint16 else 1)
    path = save_tiled(tmp_path / "a.tif", pixels.astype(dtype))
    model = model_of()
    held = probabilities(model.engine, model.plan, formats.read(path))
    assert torch.allclose(large(model, path), held, atol=2e-5)
