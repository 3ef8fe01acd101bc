"""A model in TorchScript gives the very probabilities of the model it was made from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ensembles import KINDS, model, net, plan_of

from delineate.export.monai_bundle import BundledModel, takes_reversed
from delineate.export.scripted import rounded_ratio, window_corners, window_starts
from delineate.export.scripted_model import scripted_model
from delineate.geometry import Geometry
from delineate.image import Image
from delineate.inference import windows
from delineate.plan import Plan

LPS = ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0))  # to the head, to the front, to the left
CHANGES: dict[str, dict[str, object]] = {
    "padded": {"mode": "whole", "fit": "pad"},
    "scaled": {"mode": "patch", "scale": 0.6},
    "of the data set": {"normalization": "dataset", "mean": (0.4,), "standard_deviation": (0.2,)},
    "clipped": {"clip": ((0.2, 0.7),)},
    "as it is": {"normalization": "unit"},
}


def changed(plan: Plan, **fields: object) -> Plan:
    values = plan.model_dump()
    values["preprocessing"] |= fields
    return Plan.model_validate(values)


def picture(plan: Plan, seed: int = 0) -> Image:
    """A volume that lies otherwise than a plan would have it, or a picture."""
    random = np.random.default_rng(seed)
    if plan.data.axes == 2:
        return Image(random.integers(0, 256, (plan.data.channels, 25, 30), dtype=np.uint8))
    geometry = Geometry((2.0, 1.5, 1.0), (0.0, 0.0, 0.0), LPS)
    return Image(random.normal(size=(1, 10, 25, 30)).astype(np.float32), geometry, shares=False)


def of_floats(plan: Plan) -> Plan:
    """A plan of volumes whose numbers are what they say."""
    values = plan.model_dump()
    values["data"]["pixels"] = "float" if plan.data.axes == 3 else "integer"
    return Plan.model_validate(values)


def differences(plan: Plan, members: int = 1) -> float:
    made = model(plan, *(net(plan, seed) for seed in range(members)))
    script = scripted_model(made.network, plan, reversed_axes=takes_reversed(plan))
    image = picture(plan)
    ours = made.probabilities(image).astype(np.float32)
    assert ours.max() - ours.min() > 0.05  # else everything would agree
    theirs = BundledModel(plan, script).found_in(image).probabilities
    assert theirs is not None
    return float(np.abs(theirs - ours).max())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_gives_the_same(kind: str) -> None:
    kept_in = 5e-4 if plan_of(kind).data.axes == 3 else 1e-6  # ours of volumes are kept in half precision

    assert differences(of_floats(plan_of(kind)), members=2) < kept_in


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["patches", "whole, one label"])
def test_every_preprocessing_gives_the_same(kind: str, change: str) -> None:
    assert differences(changed(plan_of(kind), **CHANGES[change])) < 1e-6


def test_volumes_turned_and_resampled_give_the_same() -> None:
    plan = changed(of_floats(plan_of("volumes")), orientation="SPL", spacing_mm=(1.0, 2.0, 1.5))

    assert not takes_reversed(plan)
    assert differences(plan) < 5e-4


def test_resampled_only_where_the_spacing_is_known() -> None:
    plan = changed(of_floats(plan_of("volumes")), spacing_mm=(1.0, 2.0, 1.5))
    made = model(plan, net(plan, 0))
    network = BundledModel(plan, scripted_model(made.network, plan, reversed_axes=False)).network
    image = picture(plan)
    batch = torch.from_numpy(image.units())[None]

    unknown = network(batch)
    known = network(batch, torch.tensor([[1.0, 2.0, 1.5]]))
    other = network(batch, torch.tensor([[2.0, 1.5, 1.0]]))

    assert torch.equal(unknown, known)
    assert not torch.allclose(unknown, other)


def test_each_image_of_a_batch_is_normalized_by_itself() -> None:
    plan = plan_of("whole, three labels")
    made = model(plan, net(plan, 0))
    network = BundledModel(plan, scripted_model(made.network, plan, reversed_axes=False)).network
    batch = torch.rand(3, 1, 20, 24, generator=torch.Generator().manual_seed(1))

    together = network(batch)

    for at in range(3):
        assert torch.equal(together[at], network(batch[at : at + 1])[0])


def test_images_are_normalized_in_whatever_unit_they_are() -> None:
    plan = changed(plan_of("whole, three labels"), normalization="image")
    network = BundledModel(
        plan, scripted_model(model(plan, net(plan, 0)).network, plan, reversed_axes=False)
    ).network
    image = torch.rand(1, 1, 20, 24, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(network(1e-9 * image), network(image), atol=1e-5)
    nothing = network(torch.zeros_like(image))
    assert torch.allclose(network(torch.full_like(image, 1000.1)), nothing, atol=1e-3)
    assert not torch.allclose(network(image), nothing, atol=1e-3)


@given(st.integers(0, 3000), st.integers(1, 60))
def test_ratios_are_rounded_as_python_does(numerator: int, denominator: int) -> None:
    assert rounded_ratio(numerator, denominator) == round(numerator / denominator)


@settings(max_examples=200)
@given(st.integers(1, 900), st.integers(1, 128), st.floats(0, 0.9))
def test_windows_begin_where_ours_do(length: int, window: int, overlap: float) -> None:
    step = max(1, round(window * (1 - overlap)))

    assert window_starts(length, window, step) == windows.window_starts(length, window, overlap)


def test_corners_run_along_the_last_axis_first() -> None:
    assert window_corners([4, 6], [4, 4], [4, 2]) == [[0, 0], [0, 2]]
    assert window_corners([6, 6], [4, 4], [2, 2]) == [[0, 0], [0, 2], [2, 0], [2, 2]]
