"""Volumes in memory, given to a model of volumes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from delineate.augment.settings import AugmentationSettings
from delineate.errors import DataError
from delineate.fingerprint import measure
from delineate.image import Geometry, Image, LabelSet, Mask
from delineate.inference.model import Model
from delineate.losses import LossSettings
from delineate.model_file import ModelCard, TrainingFacts, weights_sha256
from delineate.networks.settings import UNetSettings
from delineate.networks.unet import UNet
from delineate.plan import DataPlan, Plan, PredictionPlan, PreprocessingPlan, TrainingPlan

VALUES = np.random.default_rng(0).normal(500, 200, (9, 20, 24)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    """A net with random weights that sees volumes as they are stored."""
    plan = Plan(
        preset="auto",
        data=DataPlan(axes=3, colour="grey", channels=1, pixels="float", labels=("a", "b")),
        preprocessing=PreprocessingPlan(mode="patch", size=(8, 16, 16), normalization="image"),
        network=UNetSettings(axes=3, input_channels=1, output_channels=3, widths=(4, 8)),
        augmentation=AugmentationSettings(),
        loss=LossSettings(),
        training=TrainingPlan(steps=1, batch_size=2, learning_rate=0.1, precision="fp32"),
        prediction=PredictionPlan(),
    )
    torch.manual_seed(0)
    weights = UNet(plan.network).state_dict()
    image = Image(VALUES[None], shares=False)
    labels = LabelSet.of("a", "b")
    card = ModelCard(
        weights_sha256=weights_sha256(weights),
        plan=plan,
        fingerprint=measure([(image, Mask(np.zeros(image.size, np.uint8), labels))], labels, "grey"),
        training=TrainingFacts(cases=1, steps=1, seconds=0, precision="fp32", seed=0),
        software={},
    )
    return Model(card, weights)


def test_an_array_is_a_volume(model: Model) -> None:
    found = model.predict(VALUES)
    assert found.shape == VALUES.shape
    assert len(np.unique(found)) > 1
    assert np.array_equal(found, model.predict_mask(Image(VALUES[None], shares=False)).values)
    assert np.array_equal(found, model.predict(VALUES[..., None]))
    assert np.array_equal(found, model.predict(np.asfortranarray(VALUES)))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float64])
def test_the_type_of_whole_numbers_does_not_matter(model: Model, dtype: npt.DTypeLike) -> None:
    whole = VALUES.clip(0, 30000).round()
    assert np.array_equal(model.predict(whole.astype(dtype)), model.predict(whole))


def test_probabilities_are_those_the_mask_was_decided_from(model: Model) -> None:
    found = model.probabilities(VALUES)
    assert found.shape == (2, *VALUES.shape)
    every = np.concatenate([1 - found.sum(0, keepdims=True), found])
    clear = np.sort(every, axis=0)[-1] - np.sort(every, axis=0)[-2] > 0.01  # they are kept in half precision
    assert clear.mean() > 0.3
    assert np.array_equal(every.argmax(0)[clear], model.predict(VALUES)[clear])


def test_a_place_of_its_own_is_kept(model: Model) -> None:
    geometry = Geometry((2.0, 1.0, 1.0), (1.0, 2.0, 3.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    assert model.predict_mask(Image(VALUES[None], geometry, shares=False)).geometry == geometry


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 6)), r"a volume is an array \(D, H, W\) or \(D, H, W, C\), not one of shape \(5, 6\)"),
        (np.zeros((0, 5, 6)), "not one of shape"),
        (np.zeros((2, 9, 9, 70)), r"channels first; give \(D, H, W, C\)"),
        (np.full((3, 4, 5), np.nan), "not numbers"),
        (np.zeros((3, 4, 5), complex), "complex128 are no numbers"),
        (np.zeros((3, 4, 5, 2)), "it has 2 channels, but 1 are expected"),
    ],
)
def test_what_is_no_volume_is_refused(model: Model, array: npt.NDArray[np.generic], message: str) -> None:
    with pytest.raises(DataError, match=message):
        model.predict(array)


def test_a_slice_is_no_volume(model: Model) -> None:
    with pytest.raises(DataError, match="it is one slice, but the model segments volumes"):
        model.predict_mask(Image(VALUES[None, 0], shares=False))
