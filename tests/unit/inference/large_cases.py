"""Small pictures that stand for large ones, and models for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import torch
from example_model import example
from scipy.ndimage import gaussian_filter

from delineate.inference.model import Model
from delineate.model_file import weights_sha256
from delineate.networks.unet import UNet
from delineate.plan import Plan, output_channels

Pixels = npt.NDArray[np.uint8]


def model_of(
    *,
    colour: str = "grey",
    labels: tuple[str, ...] = ("lesion",),
    overlap: float = 0.25,
    mirror: bool = False,
    **preprocessing: Any,
) -> Model:
    """A net of random weights."""
    channels = {"grey": 1, "rgb": 3}[colour]
    card, _ = example()
    plan = Plan.model_validate(
        card.plan.model_dump()
        | {
            "data": card.plan.data.model_dump() | {"colour": colour, "channels": channels, "labels": labels},
            "preprocessing": card.plan.preprocessing.model_dump()
            | {"mode": "patch", "mean": (0.5,) * channels, "standard_deviation": (0.2,) * channels}
            | preprocessing,
            "network": card.plan.network.model_dump()
            | {"input_channels": channels, "output_channels": output_channels(len(labels))},
            "prediction": card.plan.prediction.model_dump() | {"overlap": overlap, "mirror": mirror},
        }
    )
    torch.manual_seed(1)
    network = UNet(plan.network)
    weights = network.state_dict()
    return Model(card.model_copy(update={"plan": plan, "weights_sha256": weights_sha256(weights)}), weights)


def blobs(height: int, width: int, channels: int = 1, seed: int = 0) -> Pixels:
    """`(H, W)` or `(H, W, C)`, smooth, from 0 to 255."""
    noise = np.random.default_rng(seed).random((height, width, channels))
    smooth = gaussian_filter(noise, (3, 3, 0))
    values: Pixels = ((smooth - smooth.min()) / max(np.ptp(smooth), 1e-9) * 255).round().astype(np.uint8)
    return values[..., 0] if channels == 1 else values


def save_tiled(path: Path, pixels: npt.NDArray[np.generic], **options: Any) -> Path:
    """A tiled TIFF."""
    tifffile.imwrite(
        path, pixels, **({"tile": (32, 32), "compression": "deflate", "metadata": None} | options)
    )
    return path
