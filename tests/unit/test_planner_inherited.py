"""Plans with a model's network: sizes that it takes, the data's own choices else, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from delineate.errors import PlanError, UsageError
from delineate.fingerprint import Fingerprint, measure
from delineate.geometry import Geometry
from delineate.image import Image, LabelSet, Mask
from delineate.networks.settings import CLASSIC, UNetSettings
from delineate.plan import Plan, from_yaml, to_yaml
from delineate.planner import Length, Planned, Seen, make_plan
from delineate.planner.inherited import inherit, refuse_other_network

PICTURES = UNetSettings(input_channels=3, output_channels=5, widths=(8, 16, 24), stem=4, residual=True)
VOLUMES = UNetSettings(
    axes=3, input_channels=2, output_channels=1, widths=(4, 6, 8), strides=((1, 2, 2), (2, 2, 2)), stem=2
)


def data(*size: int, label_px: int = 9) -> Fingerprint:
    mask = np.zeros(size, np.uint8)
    middle = tuple(
        slice(side // 2 - label_px // 2, side // 2 - label_px // 2 + label_px) for side in size[-2:]
    )
    mask[..., middle[0], middle[1]] = 1
    labels = LabelSet.of("lesion")
    geometry = Geometry((2.0, 1.0, 1.0)) if len(size) == 3 else Geometry()
    values = np.random.default_rng(0).integers(0, 255, (1, *size), np.uint8)
    return measure([(Image(values, geometry), Mask(mask, labels, geometry))] * 3, labels, "grey")


def trained_with(network: UNetSettings, **preprocessing: Any) -> Plan:
    """A plan whose network is this one, whatever else it says."""
    plan = make_plan(data(24, 40, 40) if network.axes == 3 else data(40, 40), Length(epochs=1)).plan
    seen = plan.preprocessing.model_copy(update=preprocessing)
    return plan.model_copy(update={"network": network, "preprocessing": seen})


def planned(*size: int, **options: Any) -> Planned:
    return make_plan(data(*size), Length(epochs=3), **options)


@pytest.mark.parametrize("size", [(40, 72), (100, 128), (300, 200)])
def test_sizes_grow_to_multiples_of_the_models_strides(size: tuple[int, int]) -> None:
    own = planned(*size)
    plan = inherit(own, trained_with(PICTURES), "0123456789ab").plan
    before, after = own.plan.preprocessing.size, plan.preprocessing.size
    for side, grown in zip(before, after, strict=True):
        assert grown % 16 == 0
        assert side <= grown < side + 16
    assert plan.network == PICTURES.model_copy(update={"input_channels": 1, "output_channels": 1})


def test_all_but_the_network_and_the_size_is_the_datas_own() -> None:
    own = planned(40, 72)
    plan = inherit(own, trained_with(PICTURES), "0123456789ab").plan
    kept = {"network", "preprocessing", "training"}
    assert plan.model_dump(exclude=kept) == own.plan.model_dump(exclude=kept)
    assert plan.training == own.plan.training.model_copy(update={"adam_share": 2.0})
    size = {"size"}
    assert plan.preprocessing.model_dump(exclude=size) == own.plan.preprocessing.model_dump(exclude=size)


def test_what_differs_is_told_in_the_plan() -> None:
    own = planned(40, 72)
    told = inherit(own, trained_with(PICTURES.model_copy(update={"widths": (8, 8, 8, 8, 8)})), "0123456789ab")
    assert told.plan.preprocessing.size == (64, 128)
    text = to_yaml(told.plan, told.reasons)
    assert from_yaml(text) == told.plan
    assert "# that of the model 0123456789ab, whose weights the training starts from\nnetwork:" in text
    assert "rounded up to multiples of 64 × 64, the strides of that model's network" in text
    assert "four times the steps" not in text  # the reason of the network that the data would have had
    same = inherit(own, trained_with(own.plan.network), "0123456789ab")
    assert "rounded" not in to_yaml(same.plan, same.reasons)


def test_volumes_go_on_from_volumes() -> None:
    plan = inherit(planned(24, 40, 40), trained_with(VOLUMES), "0123456789ab").plan
    assert plan.network.strides == VOLUMES.strides
    assert all(side % by == 0 for side, by in zip(plan.preprocessing.size, (2, 8, 8), strict=True))


@pytest.mark.parametrize(
    ("size", "dims", "network", "said"),
    [
        ((24, 40, 40), None, PICTURES, "seen as volumes. Have them seen as the model does: --dims 2"),
        ((24, 40, 40), 2, VOLUMES, "Have them seen as the model does: --dims 3"),
        ((40, 40), None, VOLUMES, "Pictures cannot be seen as volumes: start from another model"),
    ],
)
def test_other_axes_are_refused_with_what_to_do(
    size: tuple[int, ...], dims: Any, network: UNetSettings, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        inherit(planned(*size, dims=dims), trained_with(network), "0123456789ab")
    assert not isinstance(caught.value, PlanError)


def test_slices_go_on_from_slices() -> None:
    assert inherit(planned(24, 40, 40, dims=2), trained_with(PICTURES), "0123456789ab").plan.network.stem == 4


def test_the_classic_preset_goes_on_from_the_classic_net_alone() -> None:
    own = planned(40, 40, preset="classic")
    assert inherit(own, trained_with(CLASSIC.model_copy(update={"input_channels": 3})), "0123456789ab") == own
    with pytest.raises(
        PlanError, match=r"preset classic has another network .* network\.stem is 1 there and 4"
    ):
        inherit(own, trained_with(PICTURES), "0123456789ab")


def test_all_differences_of_a_given_plan_are_named() -> None:
    plan = planned(40, 40).plan
    refuse_other_network(plan, plan.network.model_copy(update={"output_channels": 4}), "The plan x")
    other = plan.network.model_copy(update={"widths": (4, 8), "residual": False, "input_channels": 7})
    with pytest.raises(PlanError) as caught:
        refuse_other_network(plan, other, "The plan x.yaml")
    message = str(caught.value)
    assert message.startswith("The plan x.yaml has another network than the model to start from")
    assert "network.widths is [32, 64, 128, 192, 256] there and [4, 8] in the model" in message
    assert "network.residual is True there and False in the model" in message
    assert "channels" not in message


def test_a_resnet_of_a_model_learns_slowly_here_too() -> None:
    resnet = UNetSettings(
        encoder="resnet18", input_channels=3, output_channels=1, widths=(4, 4, 4, 4, 4), normalization="batch"
    )
    plan = inherit(planned(100, 128), trained_with(resnet), "0123456789ab").plan
    assert plan.network.encoder == "resnet18"
    assert (plan.training.encoder_learning_rate, plan.training.adam_share) == (1e-4, 2.0)
    assert all(side % 32 == 0 for side in plan.preprocessing.size)
    assert (
        inherit(planned(100, 128), trained_with(PICTURES), "0123456789ab").plan.training.encoder_learning_rate
        is None
    )


def test_a_network_without_normalization_keeps_the_intensities_it_learned_from() -> None:
    own, plain = planned(100, 128), CLASSIC.model_copy(update={"widths": (4, 8)})
    assert own.plan.preprocessing.normalization == "image"
    kept = inherit(own, trained_with(plain, normalization="unit"), "0123456789ab")
    assert kept.plan.preprocessing.normalization == "unit"
    assert "no batch normalization" in kept.reasons["preprocessing.normalization"]
    learned = {"normalization": "dataset", "mean": (0.3,), "standard_deviation": (0.2,)}
    kept = inherit(own, trained_with(plain, **learned), "0123456789ab")
    assert kept.plan.preprocessing.model_dump(include=set(learned)) == learned
    batch = plain.model_copy(update={"normalization": "batch"})
    assert inherit(own, trained_with(batch, **learned), "0123456789ab").plan.preprocessing == (
        own.plan.preprocessing
    )


@pytest.mark.parametrize(
    ("side", "models", "size"), [(192, 3, 16), (256, 3, 3), (256, 16, 16), (256, 32, 16)]
)
def test_batches_of_large_images_are_no_larger_than_the_models(side: int, models: int, size: int) -> None:
    large = Seen(side**2, "", as_is=True)
    own = make_plan(data(300, 300, label_px=90), Length(epochs=100), seen=large)
    assert own.plan.preprocessing.size == (side, side)
    assert own.plan.training.steps == 19
    model = trained_with(PICTURES)
    training = model.training.model_copy(update={"batch_size": models})
    kept = inherit(own, model.model_copy(update={"training": training}), "0123456789ab")
    assert kept.plan.training.batch_size == size
    assert kept.plan.training.steps == -(-19 * 16 // size)  # as many images as 19 batches of 16 have
    assert ("the model's" in kept.reasons["training.batch_size"]) == (size == 3)
