"""Several nets in one model: its probabilities are the mean of theirs, in every kind of prediction."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch

from delineate.augment.settings import AugmentationSettings
from delineate.errors import DataError
from delineate.fingerprint import measure
from delineate.image import Image, Mask
from delineate.inference.model import Model
from delineate.inference.volumes import needed_bytes
from delineate.losses import LossSettings
from delineate.model_file import ModelCard, TrainingFacts, together, weights_sha256
from delineate.networks.settings import UNetSettings, most_parameters
from delineate.networks.unet import UNet
from delineate.plan import DataPlan, Plan, PredictionPlan, PreprocessingPlan, TrainingPlan, output_channels

KINDS = (
    "whole, one label",
    "whole, three labels",
    "patches",
    "larger windows, mirrored",
    "slices",
    "volumes",
)
Weights = dict[str, torch.Tensor]


def plan_of(kind: str) -> Plan:
    labels = ("a", "b", "c") if kind != "whole, one label" else ("a",)
    axes: Literal[2, 3] = 3 if kind in ("slices", "volumes") else 2
    net_axes: Literal[2, 3] = 3 if kind == "volumes" else 2
    return Plan(
        preset="auto",
        data=DataPlan(axes=axes, colour="grey", channels=1, labels=labels),
        preprocessing=PreprocessingPlan(
            mode="whole" if kind.startswith("whole") else "patch",
            size=(8, 16, 16) if net_axes == 3 else (16, 16),
            normalization="image",
        ),
        network=UNetSettings(
            axes=net_axes, input_channels=1, output_channels=output_channels(len(labels)), widths=(4, 6)
        ),
        augmentation=AugmentationSettings(flip_horizontal=True),
        loss=LossSettings(),
        training=TrainingPlan(steps=1, batch_size=2, learning_rate=0.1),
        prediction=PredictionPlan(
            window=(20, 24) if kind.startswith("larger") else None, mirror=kind.endswith("mirrored")
        ),
    )


def net(plan: Plan, seed: int) -> Weights:
    torch.manual_seed(seed)
    weights = UNet(plan.network).state_dict()
    weights["head.weight"] = 30 * weights["head.weight"]  # so that the nets differ
    return weights


def model(plan: Plan, *members: Weights) -> Model:
    weights = together(members)
    image = Image(np.zeros((1, *(8,) * plan.data.axes), np.uint8))
    mask = Mask(np.ones(image.size, np.uint8), plan.data.label_set)
    card = ModelCard(
        format_version=1 if len(members) == 1 else 2,
        members=len(members),
        weights_sha256=weights_sha256(weights),
        plan=plan,
        fingerprint=measure([(image, mask)], plan.data.label_set, "grey"),
        training=TrainingFacts(cases=1, steps=1, seconds=1, precision="fp32", seed=0),
        software={},
    )
    return Model(card, weights)


def picture(plan: Plan) -> Image:
    size = (1, 10, 25, 30) if plan.data.axes == 3 else (1, 25, 30)
    values = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    return Image(values)


def shares(of: Model, image: Image) -> npt.NDArray[np.floating]:
    return of.probabilities(image).astype(np.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_the_probabilities_are_the_mean_of_the_members(kind: str) -> None:
    plan = plan_of(kind)
    image, nets = picture(plan), [net(plan, seed) for seed in range(3)]
    alone = [shares(model(plan, each), image) for each in nets]
    assert max(np.abs(alone[0] - each).max() for each in alone[1:]) > 0.1
    tolerance = 1e-3 if plan.data.axes == 3 else 1e-6  # volumes' are kept in half precision
    assert np.allclose(shares(model(plan, *nets), image), np.mean(alone, axis=0), atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [2, 4])  # of which the mean of equal numbers is exact
def test_members_of_equal_weights_predict_as_one(kind: str, count: int) -> None:
    plan = plan_of(kind)
    image, weights = picture(plan), net(plan, 1)
    one, several = model(plan, weights), model(plan, *[weights] * count)
    assert np.array_equal(one.probabilities(image), several.probabilities(image))
    assert np.array_equal(one.predict(image), several.predict(image))


@pytest.mark.parametrize("kind", ["whole, three labels", "volumes"])
def test_the_mask_is_decided_from_the_mean_and_no_vote(kind: str) -> None:
    plan = plan_of(kind)
    image, nets = picture(plan), [net(plan, seed) for seed in range(3)]
    together_found = model(plan, *nets)
    labels = shares(together_found, image)
    background = 1 - labels.sum(0)
    expected = np.concatenate([background[None], labels]).argmax(0)
    assert (together_found.predict(image) == expected).mean() > 0.999  # but for ties of rounded shares
    votes = sum((model(plan, each).predict(image) == together_found.predict(image)).mean() for each in nets)
    assert votes < 3


def test_the_weights_of_all_members_count_as_memory() -> None:
    plan = plan_of("volumes")
    one, five = (needed_bytes(plan, picture(plan), members=members) for members in (1, 5))
    assert five - one == 4 * 4 * most_parameters(plan.network)
    with pytest.raises(DataError, match=r"GB are allowed by --memory"):
        model(plan, *[net(plan, 0)] * 5).found_in(picture(plan), memory_bytes=(one + five) // 2)
    model(plan, net(plan, 0)).found_in(picture(plan), memory_bytes=(one + five) // 2)
