"""Small models of every kind of plan, as files, and images that fit them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from delineate.fingerprint import measure
from delineate.geometry import Geometry
from delineate.image import Image, Mask
from delineate.inference.model import Model
from delineate.model_file import ModelCard, TrainingFacts, together, weights_sha256
from delineate.networks.unet import UNet
from delineate.plan import Plan

PICTURE: dict[str, Any] = {
    "preset": "auto",
    "data": {"colour": "grey", "channels": 1, "labels": ["a"]},
    "preprocessing": {"mode": "whole", "size": [16, 32], "normalization": "unit"},
    "network": {"widths": [3, 4]},
    "augmentation": {},
    "loss": {},
    "training": {"steps": 1, "batch_size": 2, "learning_rate": 0.1},
    "prediction": {},
}
FLIPS = {"flip_horizontal": True, "flip_vertical": True}
DATASET = {"normalization": "dataset", "mean": [0.4, 0.5, 0.6], "standard_deviation": [0.2, 0.1, 0.3]}
RGB = {"colour": "rgb", "channels": 3}
LUNGS = {"labels": ["left lung", "right lung", "heart"], "left_right": [["left lung", "right lung"]]}
PATCH = {"mode": "patch", "size": [16, 16]}
OWN = {"normalization": "image"}
CT = {"axes": 3, "pixels": "float"}
RESNET = {"encoder": "resnet18", "widths": [2, 2, 2, 2, 3], "normalization": "batch"}
PLANS: dict[str, dict[str, dict[str, Any]]] = {
    "stretched": {},
    "padded": {"preprocessing": {"fit": "pad"}},
    "colour, several labels": {"data": RGB | {"labels": ["a", "b"]}, "preprocessing": DATASET},
    "channels": {"data": {"colour": "channels", "channels": 5}, "preprocessing": OWN},
    "patches": {"preprocessing": PATCH, "prediction": {"overlap": 0.5, "threshold": 0.3}},
    "patches of larger images": {"preprocessing": PATCH | {"scale": 0.37}},
    "patches of smaller images": {"preprocessing": PATCH | {"scale": 1.7} | OWN},
    "larger windows": {
        "preprocessing": PATCH | {"scale": 0.6},
        "prediction": {"window": [24, 32], "overlap": 0.1, "mirror": True},
        "augmentation": FLIPS,
    },
    "mirrored": {"prediction": {"mirror": True}, "augmentation": FLIPS},
    "mirrored, sides swapped": {
        "data": LUNGS,
        "preprocessing": PATCH,
        "prediction": {"mirror": True},
        "augmentation": FLIPS,
    },
    "clipped": {"preprocessing": {"clip": [[0.2, 0.7]]} | OWN},
    "float pictures": {"data": {"pixels": "float"}, "preprocessing": OWN | {"fit": "pad"}},
    "folded": {"network": {"stem": 2, "upsampling": "nearest", "residual": True, "normalization": "batch"}},
    "with a ResNet": {"network": RESNET, "preprocessing": {"size": [64, 64]}},
    "slices": {"data": CT, "preprocessing": PATCH | OWN | {"orientation": "SPL"}},
    "whole slices": {"data": CT | LUNGS, "preprocessing": OWN, "network": {"stem": 4, "widths": [3, 4]}},
    "volumes": {
        "data": CT,
        "network": {"axes": 3, "strides": [[1, 2, 2]], "stem_depth": 2},
        "preprocessing": {"mode": "patch", "size": [4, 8, 8]} | OWN,
    },
    "volumes of another spacing": {
        "data": CT | LUNGS,
        "network": {"axes": 3, "normalization": "batch", "upsampling": "nearest"},
        "preprocessing": {
            "mode": "patch",
            "size": [4, 8, 8],
            "orientation": "SPL",
            "spacing_mm": [2.0, 1.0, 1.0],
            "clip": [[-1.0, 1.5]],
        },
        "prediction": {"mirror": True, "overlap": 0.5},
        "augmentation": FLIPS | {"flip_depth": True},
    },
}
PLACED = Geometry((1.3, 0.8, 1.7), (-10.0, 20.0, 30.0), ((1, 0, 0), (0, 0, -1), (0, 1, 0)))


def plan_of(kind: str) -> Plan:
    """The plan of that kind."""
    values = {
        name: dict(section) if isinstance(section, dict) else section for name, section in PICTURE.items()
    }
    for name, changes in PLANS[kind].items():
        values[name] |= changes
    labels = len(values["data"]["labels"])
    values["network"] |= {
        "input_channels": values["data"]["channels"],
        "output_channels": 1 if labels == 1 else labels + 1,
    }
    return Plan.model_validate(values)


def weights_of(plan: Plan, seed: int) -> dict[str, torch.Tensor]:
    """Random weights, with which probabilities are worth comparing."""
    torch.manual_seed(seed)
    network = UNet(plan.network)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            torch.nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]  # it has one
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    with torch.no_grad():  # logits of mean 0 and deviation 2
        seen = network.eval()(torch.rand(1, plan.data.channels, *plan.preprocessing.size))
        gain = 2 / seen.std()
        network.head.weight.mul_(gain)
        if network.head.bias is not None:
            network.head.bias.mul_(gain).sub_(gain * seen.mean())
    return network.state_dict()


def model_of(kind: str, members: int = 1) -> Model:
    """A model of random weights, of one net or several."""
    plan = plan_of(kind)
    weights = together([weights_of(plan, seed) for seed in range(members)])
    image = image_for(plan, (21, 30) if plan.data.axes == 2 else (6, 11, 13), seed=5)
    mask = Mask(np.ones(image.size, np.uint8), plan.data.label_set)
    card = ModelCard(
        format_version=1 if members == 1 else 2,
        members=members,
        weights_sha256=weights_sha256(weights),
        plan=plan,
        fingerprint=measure([(image, mask)], plan.data.label_set, plan.data.colour),
        training=TrainingFacts(cases=1, steps=1, seconds=1, precision="fp32", seed=0),
        software={"delineate": "0"},
    )
    return Model(card, weights)


def image_for(plan: Plan, size: tuple[int, ...], kind: str = "uint8", seed: int = 0) -> Image:
    """Noise that fits the plan; floats in its own units where it wants those."""
    generator = np.random.default_rng(seed)
    shape = (plan.data.channels, *size)
    if plan.data.pixels == "float":
        values = generator.normal(0.5, 1.0, shape).astype(np.float32)
        return Image(values, PLACED if len(size) == 3 else Geometry(), shares=len(size) == 2)
    if kind == "float32":
        return Image(generator.random(shape, dtype=np.float32))
    return Image(generator.integers(0, np.iinfo(kind).max + 1, shape).astype(kind))


def saved(path: Path, content: bytes) -> Path:
    """A file of these bytes."""
    path.write_bytes(content)
    return path
