"""Cached volumes and slices: the values that the net sees in prediction, and where their labels are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from volume_cases import PLACED, Kind, noise, volume, volume_plan

from delineate.errors import DataError
from delineate.fingerprint import slices_to_learn
from delineate.image import BACKGROUND, IGNORED, Image, LabelSet, Mask, oriented, oriented_mask
from delineate.inference.engines import TorchEngine
from delineate.inference.fitting import prepared
from delineate.inference.predict import probabilities
from delineate.inference.preprocess import resize_mask, slices, to_working
from delineate.inference.volumes import predict_volume
from delineate.plan import Plan
from delineate.training import cache
from delineate.training.cache import CachedCase, Store, build_cache, places_of

LABELS = LabelSet.of("label 1", "label 2")


def case(*size: int, seed: int = 0, orientation: str = "SPL") -> tuple[str, Image, Mask]:
    """A volume with a label in some of its slices, stored as wanted."""
    image = volume(noise(*size, seed=seed) * 100, PLACED)
    values = np.zeros(size, np.uint8)
    values[1:3, size[1] // 2 :, : size[2] // 2] = 1
    values[2, : size[1] // 3] = 2
    mask = Mask(values, LABELS, PLACED)
    return f"case {seed}", oriented(image, orientation), oriented_mask(mask, orientation)


def cached(
    plan: Plan, folder: Path, *cases: tuple[str, Image, Mask], memory: int = 1 << 24
) -> list[CachedCase]:
    return build_cache(cases, plan, Store(folder, memory))


def plan_of(kind: Kind, **preprocessing: Any) -> Plan:
    return volume_plan(kind, labels=2, preprocessing={"orientation": "SPL"} | preprocessing)


@pytest.mark.parametrize("orientation", ["SPL", "LAI", "PSR"])
@pytest.mark.parametrize("spacing_mm", [None, [3.0, 1.5, 1.0], [1.0, 1.0, 1.0]])
def test_a_volume_is_kept_turned_and_at_its_working_size(
    tmp_path: Path, orientation: str, spacing_mm: list[float] | None
) -> None:
    plan = plan_of("volumes", spacing_mm=spacing_mm, normalization="image")
    _, image, mask = case(6, 10, 14)
    (kept,) = cached(plan, tmp_path, case(6, 10, 14, orientation=orientation))
    working = to_working(image, plan)
    assert kept.name == "case 0"
    assert kept.pixels.is_contiguous()
    assert kept.mask.is_contiguous()
    assert torch.allclose(kept.normalized(), working.normalized(), atol=1e-4)
    size = tuple(working.pixels.shape[1:])
    assert torch.equal(kept.mask, resize_mask(torch.from_numpy(mask.values), size, 2))


@pytest.mark.parametrize("kind", ["slices", "whole slices"])
@pytest.mark.parametrize("orientation", ["SPL", "LAI", "PSR"])
def test_the_slices_to_learn_are_kept_as_prediction_sees_them(
    tmp_path: Path, orientation: str, kind: Kind
) -> None:
    plan = plan_of(kind, normalization="image")
    given = case(12, 16, 20, orientation=orientation)
    kept = cached(plan, tmp_path, given)
    mask = case(12, 16, 20)[2]
    chosen = slices_to_learn(mask.values).tolist()
    assert chosen == [1, 2, 4, 9]
    assert [one.name for one in kept] == [f"case 0, slice {at + 1}" for at in chosen]
    cut, intensities = slices(prepared(given[1], plan), plan)
    for one, at in zip(kept, chosen, strict=True):
        seen = to_working(cut[at], plan, intensities)
        assert torch.allclose(one.normalized(), seen.normalized(), atol=1e-4)
        assert torch.equal(one.gain, intensities.gain)
        size = tuple(seen.pixels.shape[1:])
        assert torch.equal(one.mask, resize_mask(torch.from_numpy(mask.values[at]), size, 2))


def test_slices_of_volumes_keep_their_order(tmp_path: Path) -> None:
    plan = plan_of("slices")
    kept = cached(plan, tmp_path, case(12, 16, 20, seed=1), case(4, 16, 20, seed=2))
    assert [one.name.split(",")[0] for one in kept] == ["case 1"] * 4 + ["case 2"] * 4


def test_eight_bit_volumes_in_their_own_units_are_kept_as_they_are(tmp_path: Path) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 4, 8, 8)
    mask = Mask(np.zeros((4, 8, 8), np.uint8), LABELS)
    (own,) = cached(plan_of("volumes"), tmp_path, ("own", Image(pixels, shares=False), mask))
    assert torch.equal(own.normalized(), torch.from_numpy(pixels).float())
    (shares,) = cached(plan_of("volumes"), tmp_path, ("shares", Image(pixels), mask))
    assert shares.pixels.dtype == torch.uint8
    assert torch.allclose(shares.normalized(), torch.from_numpy(pixels) / 255)


@given(
    st.lists(st.sampled_from([0, 1, 2, 7, IGNORED]), min_size=24, max_size=24),
    st.sampled_from([(2, 3, 4), (4, 6), (1, 1, 24)]),
)
def test_places_are_where_each_label_is(values: list[int], size: tuple[int, ...]) -> None:
    mask = torch.tensor(values, dtype=torch.uint8).reshape(size)
    found = places_of(mask)
    labels = sorted(set(values) - {BACKGROUND, IGNORED})
    assert len(found) == len(labels)
    for places, value in zip(found, labels, strict=True):
        assert places.dtype == torch.int32
        assert places.tolist() == [at for at, own in enumerate(values) if own == value]


def test_of_many_places_some_are_kept_evenly_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_PLACES", 4)
    mask = torch.zeros(30, dtype=torch.uint8)
    mask[10:20], mask[25] = 1, 2
    (many, one) = places_of(mask.reshape(5, 6))
    assert many.tolist() == [10, 12, 15, 17]
    assert one.tolist() == [25]


@pytest.mark.parametrize("kind", ["volumes", "slices"])
def test_what_does_not_fit_into_memory_is_the_same_from_a_file(tmp_path: Path, kind: Kind) -> None:
    inside, spilled = (
        cached(plan_of(kind), tmp_path, case(6, 10, 14), memory=memory) for memory in (1 << 24, 100)
    )
    for one, other in zip(inside, spilled, strict=True):
        mine: list[Tensor] = [one.pixels, one.mask, *one.places]
        assert len(one.places) > 0 or not one.mask.any()
        for tensor, same in zip(mine, [other.pixels, other.mask, *other.places], strict=True):
            assert torch.equal(tensor, same)


def test_whole_slices_need_no_places(tmp_path: Path) -> None:
    assert all(one.places == () for one in cached(plan_of("whole slices"), tmp_path, case(6, 10, 14)))


@pytest.mark.parametrize("kind", ["volumes", "slices"])
def test_a_case_that_does_not_fit_is_named(tmp_path: Path, kind: Kind) -> None:
    name, image, mask = case(6, 10, 14, seed=4)
    two = Image(np.repeat(image.pixels, 2, 0), PLACED, shares=False)
    with pytest.raises(DataError, match=r"^Case case 4 does not fit the plan: it has 2 channels, but 1"):
        cached(plan_of(kind), tmp_path, case(6, 10, 14), (name, two, mask))


class Watching(torch.nn.Module):
    """Keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shown: list[Tensor] = []

    def forward(self, batch: Tensor) -> Tensor:
        self.shown.append(batch.clone())
        return torch.cat([batch, batch, batch], 1) * self.weight


def test_the_net_is_shown_in_prediction_what_it_was_trained_on(tmp_path: Path) -> None:
    name, image, mask = case(4, 8, 8, orientation="LAI")
    plan = plan_of("volumes", normalization="image", clip=[[10.0, 90.0]])
    (kept,) = cached(plan, tmp_path, (name, image, mask))
    network = Watching()
    predict_volume(TorchEngine(network), plan, image)  # one window
    assert torch.allclose(network.shown[0][0], kept.normalized(), atol=1e-5)
    plan = plan_of("whole slices", normalization="image", clip=[[10.0, 90.0]])
    network = Watching()
    predict_volume(TorchEngine(network), plan, image)
    shown = [network.shown[at][0] for at in (0, 1, 2, 3)]
    for one in cached(plan, tmp_path, (name, image, mask)):
        at = int(one.name.rsplit(" ", maxsplit=1)[-1]) - 1
        assert torch.allclose(shown[at], one.normalized(), atol=1e-5)


def test_a_single_slice_is_predicted_as_a_picture(tmp_path: Path) -> None:
    values: npt.NDArray[np.float32] = noise(1, 16, 16)
    plan = plan_of("slices")
    network = Watching()
    found = probabilities(TorchEngine(network), plan, Image(values, shares=False))
    assert found.shape == (3, 16, 16)
    assert torch.equal(network.shown[0][0], torch.from_numpy(values))
