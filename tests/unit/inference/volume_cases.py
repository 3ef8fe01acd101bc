"""Plans, nets and volumes of a few voxels."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from delineate.geometry import Geometry
from delineate.image import Image
from delineate.networks.unet import UNet
from delineate.plan import Plan

Kind = Literal["volumes", "slices", "whole slices"]
WINDOW = {"volumes": (4, 8, 8), "slices": (16, 16), "whole slices": (16, 16)}
ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("RL", "AP", "IS"))
    for letters in itertools.product(*axes)
]


def volume_plan(kind: Kind, labels: int = 1, channels: int = 1, **sections: dict[str, Any]) -> Plan:
    """A plan for volumes of floats; sections are given as dictionaries of changes."""
    axes = 3 if kind == "volumes" else 2
    plan: dict[str, Any] = {
        "preset": "auto",
        "data": {
            "axes": 3,
            "colour": "channels",
            "channels": channels,
            "pixels": "float",
            "labels": [f"label {n}" for n in range(1, labels + 1)],
        },
        "preprocessing": {
            "mode": "whole" if kind == "whole slices" else "patch",
            "size": WINDOW[kind],
            "normalization": "unit",
        },
        "network": {
            "axes": axes,
            "input_channels": channels,
            "output_channels": 1 if labels == 1 else labels + 1,
            "widths": [4, 6],
            "strides": [[1, 2, 2]] if axes == 3 else None,
        },
        "augmentation": {},
        "loss": {},
        "training": {"steps": 1, "batch_size": 2, "learning_rate": 0.1},
        "prediction": {"overlap": 0.5},
    }
    for name, changes in sections.items():
        plan[name] |= changes
    return Plan.model_validate(plan)


class Brightness(nn.Module):
    """Says "foreground" where a voxel is brighter than one half, and keeps the shapes it was shown."""

    def __init__(self, slope: float = 40.0) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))
        self.shown: list[tuple[int, ...]] = []

    def forward(self, batch: Tensor) -> Tensor:
        self.shown.append(tuple(batch.shape))
        return (batch - 0.5) * self.slope


def net(plan: Plan, seed: int = 0) -> UNet:
    """A net with random weights, whose probabilities are worth comparing."""
    torch.manual_seed(seed)
    network = UNet(plan.network)
    nn.init.normal_(network.head.weight)
    return network.eval()


def volume(values: npt.ArrayLike, geometry: Geometry | None = None, **other: Any) -> Image:
    """One channel of floats."""
    return Image(np.asarray(values, np.float32)[None], geometry or Geometry(), shares=False, **other)


def noise(*size: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Values from 0 to 1."""
    return np.random.default_rng(seed).random(size, dtype=np.float32)


PLACED = Geometry((2.0, 1.0, 0.5), (-10.0, 20.0, 30.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
"""Slices to the head, rows to the back, columns to the left."""
