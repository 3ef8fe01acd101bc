"""Plans and cases so small that a training takes a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from delineate.plan import Plan
from delineate.training.cache import CachedCase, places_of


@pytest.fixture
def tiny_plan() -> Callable[..., Plan]:
    """Makes a plan of 16 × 16 pixels and widths (4, 8); sections are given as dictionaries of changes."""

    def make(*, labels: int = 1, channels: int = 1, **sections: dict[str, Any]) -> Plan:
        plan: dict[str, Any] = {
            "preset": "auto",
            "data": {
                "colour": "channels",
                "channels": channels,
                "labels": [f"label {value}" for value in range(1, labels + 1)],
            },
            "preprocessing": {"mode": "whole", "size": [16, 16], "normalization": "unit"},
            "network": {
                "input_channels": channels,
                "output_channels": 1 if labels == 1 else labels + 1,
                "widths": [4, 8],
                "normalization": "batch",
                "residual": True,
                "upsampling": "nearest",
            },
            "augmentation": {},
            "loss": {},
            "training": {"steps": 12, "batch_size": 4, "learning_rate": 5e-3, "precision": "fp32"},
            "prediction": {},
        }
        for name, changes in sections.items():
            plan[name] |= changes
        return Plan.model_validate(plan)

    return make


@pytest.fixture
def tiny_cases() -> Callable[..., list[CachedCase]]:
    """Makes cases of bright discs on a dark ground, each label a shade of its own."""

    def make(count: int = 6, size: int = 16, labels: int = 1) -> list[CachedCase]:
        generator = torch.Generator().manual_seed(11)
        rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
        cases = []
        for number in range(count):
            mask = torch.zeros(size, size, dtype=torch.uint8)
            for value in range(1, labels + 1):
                row, column = (size * (0.25 + 0.5 * torch.rand(2, generator=generator))).tolist()
                radius = size * (0.15 + 0.1 * float(torch.rand((), generator=generator)))
                mask[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = value
            grain = torch.randint(0, 40, (size, size), generator=generator)
            pixels = (mask.long() * (200 // labels) + grain).to(torch.uint8)[None]
            gain, offset = torch.tensor([1 / 255]), torch.tensor([0.0])
            cases.append(CachedCase(f"disc {number}", pixels, mask, gain, offset, places_of(mask)))
        return cases

    return make
