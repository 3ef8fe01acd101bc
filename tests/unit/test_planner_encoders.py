"""Plans with a pretrained encoder: what changes for it, and that all else stays as it suits the data."""

from __future__ import annotations

from typing import Any

import pytest
from test_planner import THIN, fingerprint
from test_planner_of_volumes import fingerprint as fingerprint_of_volumes

from delineate.errors import PlanError
from delineate.fingerprint import Fingerprint
from delineate.networks.settings import Encoder
from delineate.networks.unet import UNet
from delineate.plan import from_yaml, to_yaml
from delineate.planner import Length, Planned, make_plan
from delineate.planner.encoders import with_encoder


def both(data: Fingerprint, encoder: Encoder = "resnet34", **asked: Any) -> tuple[Planned, Planned]:
    plain = make_plan(data, Length(), dims=2, **asked)
    return plain, with_encoder(plain, data, encoder)


@pytest.mark.parametrize("encoder", ["resnet18", "resnet34", "resnet50"])
@pytest.mark.parametrize(
    "data",
    [
        fingerprint(),
        fingerprint(colour="rgb", channels=3, **THIN),
        fingerprint(colour="channels", channels=5, labels=("a", "b", "c")),
        fingerprint(pixels="float"),
        fingerprint(median=(20, 24), **THIN),
        fingerprint_of_volumes(),
    ],
)
def test_only_what_the_encoder_asks_for_changes(data: Fingerprint, encoder: Encoder) -> None:
    plain, planned = both(data, encoder)
    plan = planned.plan
    assert from_yaml(to_yaml(plan, planned.reasons)) == plan
    assert (plan.network.encoder, plan.network.total_strides) == (encoder, (32, 32))
    assert plan.network.input_channels == data.channels
    assert plan.network.output_channels == plain.plan.network.output_channels
    assert plan.training.encoder_learning_rate == 1e-4
    assert all(side % 32 == 0 for side in plan.preprocessing.size)
    for ours, theirs in zip(plan.preprocessing.size, plain.plan.preprocessing.size, strict=True):
        assert theirs <= ours < theirs + 32
    for section in ("data", "augmentation", "loss"):
        assert getattr(plan, section) == getattr(plain.plan, section)
    assert (
        plan.prediction.model_copy(update={"window": plain.plan.prediction.window}) == plain.plan.prediction
    )
    assert all(
        theirs <= ours < theirs + 32 for ours, theirs in zip(plan.window, plain.plan.window, strict=True)
    )
    rate = {"encoder_learning_rate": None}
    assert plan.training.model_copy(update=rate) == plain.plan.training
    for name in planned.reasons:
        section, _, field = name.partition(".")
        assert hasattr(getattr(plan, section), field) if field else hasattr(plan, section)
    assert "network.stem" not in planned.reasons
    assert "not one that was measured" in planned.reasons["training.encoder_learning_rate"]


@pytest.mark.parametrize(
    ("other", "mean", "deviation"),
    [
        ({"colour": "rgb", "channels": 3}, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ({"colour": "grey", "channels": 1}, (0.449,), (0.226,)),
        ({"colour": "channels", "channels": 3, "label_share": (0.3,)}, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    ],
)
def test_pictures_are_normalized_as_the_weights_expect(
    other: dict[str, Any], mean: tuple[float, ...], deviation: tuple[float, ...]
) -> None:
    found = both(fingerprint(**other))[1]
    preprocessing = found.plan.preprocessing
    assert preprocessing.normalization == "dataset"
    assert preprocessing.mean == mean
    assert preprocessing.standard_deviation == deviation
    imagenet = "ImageNet" in found.reasons["preprocessing.normalization"]
    assert imagenet == (other["colour"] != "channels")


GREY_LEAST = 0.113
RGB: dict[str, Any] = {"colour": "rgb", "channels": 3}


@pytest.mark.parametrize(
    ("other", "imagenet"),
    [
        ({"standard_deviation": (GREY_LEAST,)}, True),
        ({"standard_deviation": (GREY_LEAST - 0.001,)}, False),
        ({"standard_deviation": (0.004,)}, False),  # 10 bits in 16
        ({"standard_deviation": (0.004,), "label_share": (0.3,)}, False),
        (RGB | {"standard_deviation": (0.25, 0.1, 0.03)}, True),  # of retinas
        (RGB | {"standard_deviation": (0.11, 0.11, 0.11)}, False),
        (RGB | {"standard_deviation": (1.0, 1.0, 0.01)}, False),  # two channels of equal pixels
        (RGB | {"standard_deviation": (1.0, 1.0, 0.2)}, True),
    ],
)
def test_imagenets_numbers_are_only_for_images_that_vary_about_as_much(
    other: dict[str, Any], imagenet: bool
) -> None:
    plain, planned = both(fingerprint(**other))
    preprocessing, reason = planned.plan.preprocessing, planned.reasons["preprocessing.normalization"]
    before = plain.reasons["preprocessing.normalization"]
    if imagenet:
        assert preprocessing.standard_deviation in {(0.226,), (0.229, 0.224, 0.225)}
        return
    for field in ("normalization", "mean", "standard_deviation", "clip"):
        assert getattr(preprocessing, field) == getattr(plain.plan.preprocessing, field)
    assert reason == f"{before}; they vary less than half as much as ImageNet's"


@pytest.mark.parametrize("data", [fingerprint_of_volumes(), fingerprint(pixels="float")])
def test_other_images_are_normalized_as_ever(data: Fingerprint) -> None:
    plain, planned = both(data)
    for field in ("normalization", "mean", "standard_deviation", "clip"):
        assert getattr(planned.plan.preprocessing, field) == getattr(plain.plan.preprocessing, field)
    assert planned.reasons["preprocessing.normalization"] == plain.reasons["preprocessing.normalization"]


def test_volumes_are_seen_slice_by_slice() -> None:
    planned = both(fingerprint_of_volumes())[1]
    assert (planned.plan.data.axes, planned.plan.network.axes) == (3, 2)
    assert planned.reasons["network.axes"] == "slices: such encoders see nothing else"


def test_the_decoder_is_small_beside_the_encoder() -> None:
    network = UNet(both(fingerprint())[1].plan.network)
    shares = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert shares["decoders"] < shares["encoder"] / 5


def test_a_net_of_volumes_has_no_such_encoder() -> None:
    data = fingerprint_of_volumes()
    planned = make_plan(data, Length(), dims=3)
    with pytest.raises(PlanError, match="The plan with this encoder cannot be used"):
        with_encoder(planned, data, "resnet18")
