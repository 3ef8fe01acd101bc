"""A small model, its file's bytes, and files like it that are wrong somewhere."""

from __future__ import annotations

import functools
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from delineate.augment.settings import AugmentationSettings
from delineate.errors import ModelFileError
from delineate.fingerprint import measure
from delineate.image import Image, LabelSet, Mask
from delineate.losses import LossSettings
from delineate.model_file import (
    ENTRY,
    Estimate,
    LabelScores,
    ModelCard,
    Scores,
    TrainingFacts,
    load_model,
    weights_sha256,
)
from delineate.networks.settings import UNetSettings
from delineate.networks.unet import UNet
from delineate.plan import DataPlan, Plan, PredictionPlan, PreprocessingPlan, TrainingPlan

Weights = dict[str, torch.Tensor]
PLAN = Plan(
    preset="auto",
    data=DataPlan(colour="grey", channels=1, labels=("lesion",)),
    preprocessing=PreprocessingPlan(mode="whole", size=(16, 16), mean=(0.5,), standard_deviation=(0.1,)),
    network=UNetSettings(input_channels=1, output_channels=1, widths=(2, 3), normalization="batch"),
    augmentation=AugmentationSettings(),
    loss=LossSettings(),
    training=TrainingPlan(steps=10, batch_size=2, learning_rate=0.1),
    prediction=PredictionPlan(),
)
SCORES = Scores(
    part="validation",
    used_to_choose="They were not used to choose anything.",
    cases=3,
    groups=2,
    dice=Estimate(mean=1 / 3, low=0.1, high=0.9),
    pixel_accuracy=None,
    labels=(
        LabelScores(
            name="lesion",
            metrics={"dice": Estimate(mean=0.1 + 0.2), "hd95_px": None},
            cases_scored=3,
            cases_empty=0,
            cases_missed=1,
            cases_false_alarm=0,
        ),
    ),
)


@functools.cache
def example() -> tuple[ModelCard, Weights]:
    torch.manual_seed(3)
    weights = UNet(PLAN.network).state_dict()
    image = Image(np.arange(400, dtype=np.uint16).reshape(1, 20, 20))
    mask = Mask(np.eye(20, dtype=np.uint8), LabelSet.of("lesion"))
    card = ModelCard(
        weights_sha256=weights_sha256(weights),
        plan=PLAN,
        fingerprint=measure([(image, mask)], mask.labels, "grey"),
        training=TrainingFacts(
            cases=1, steps=10, seconds=1 / 7, precision="fp32", seed=0, case_digests=("0123456789abcdef",)
        ),
        scores=SCORES,
        software={"delineate": "0.1.0"},
    )
    return card, weights


def packed(header: object, data: bytes) -> bytes:
    """A file of this header and these bytes, in the layout of safetensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@functools.cache
def content() -> bytes:
    """The bytes of the example's file."""
    card, weights = example()
    return save(weights, metadata={ENTRY: card.model_dump_json()})


def parts() -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The example's table of weights, card as plain values, and weights' bytes."""
    length = struct.unpack("<Q", content()[:8])[0]
    header = json.loads(content()[8 : 8 + length])
    card = json.loads(header.pop("__metadata__")[ENTRY])
    return header, card, content()[8 + length :]


def rebuilt(table: object, card: object, data: bytes) -> bytes:
    assert isinstance(table, dict)
    text = card if isinstance(card, str) else json.dumps(card)
    return packed({"__metadata__": {ENTRY: text}, **table}, data)


def opened(path: Path, held: bytes) -> tuple[ModelCard, Weights]:
    path.write_bytes(held)
    return load_model(path)


def refusal(path: Path, held: bytes) -> str:
    with pytest.raises(ModelFileError) as caught:
        opened(path, held)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 500
    return message.replace(str(path), "FILE")
