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
from delineate.model_file import save_model, weights_sha256
from delineate.networks.unet import UNet
from delineate.plan import Plan, output_channels

Pixels = npt.NDArray[np.uint8]


def model_of(
    *,
    colour: str = "grey",
    labels: tuple[str, ...] = ("lesion",),
    overlap: float = 0.25,
    mirror: bool = False,
    seed: int = 1,
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
    torch.manual_seed(seed)
    network = UNet(plan.network)
    with torch.no_grad():  # logits from about -2 to 2, so that few probabilities lie at the threshold
        found = network.eval()(torch.randn(4, channels, 32, 32)).transpose(0, 1).flatten(1)
        network.head.weight.mul_(1 / found.std(1).view(-1, 1, 1, 1))
        assert network.head.bias is not None
        network.head.bias.sub_(found.mean(1)).div_(found.std(1))
    weights = network.state_dict()
    return Model(card.model_copy(update={"plan": plan, "weights_sha256": weights_sha256(weights)}), weights)


def save_to(path: Path, model: Model) -> Path:
    """The model as a file."""
    assert isinstance(model.network, UNet)
    save_model(path, model.card, model.network.state_dict())
    return path


def blobs(height: int, width: int, channels: int = 1, seed: int = 0) -> Pixels:
    """`(H, W)` or `(H, W, C)`, smooth, from 0 to 255."""
    noise = np.random.default_rng(seed).random((height, width, channels))
    smooth = gaussian_filter(noise, (3, 3, 0))
    values = ((smooth - smooth.min()) / max(np.ptp(smooth), 1e-9) * 255).round().astype(np.uint8)
    picture: Pixels = values[..., 0] if channels == 1 else values
    return picture


def save_tiled(path: Path, pixels: npt.NDArray[np.generic], **options: Any) -> Path:
    """A tiled TIFF."""
    tifffile.imwrite(
        path, pixels, **({"tile": (32, 32), "compression": "deflate", "metadata": None} | options)
    )
    return path
