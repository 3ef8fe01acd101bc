"""Pictures computed together: each as if it were alone, to the last bit, whatever is with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from example_model import PLAN, example
from torch import Tensor

from delineate.errors import DataError
from delineate.image import Image
from delineate.inference.engines import Engine, TorchEngine
from delineate.inference.engines.engine import EngineName, Precision
from delineate.inference.found import Found
from delineate.inference.hardware import has_fast_bf16
from delineate.inference.model import Model
from delineate.inference.predict import probabilities
from delineate.inference.together import Together, windows_at_once
from delineate.networks.unet import UNet
from delineate.plan import Plan


def plan_of(mode: str, *, mirror: bool = False) -> Plan:
    preprocessing = PLAN.preprocessing.model_copy(update={"mode": mode})
    prediction = PLAN.prediction.model_copy(update={"mirror": mirror})
    return PLAN.model_copy(update={"preprocessing": preprocessing, "prediction": prediction})


def pictures(*sizes: tuple[int, int]) -> list[Image]:
    random = np.random.default_rng(7)
    return [Image(random.integers(0, 256, (1, *size), dtype=np.uint8)) for size in sizes]


class Watched:
    """Brightness as probability; may say something else for some numbers of windows, or fail for them."""

    name: EngineName = "torch"
    precision: Precision = "bf16"
    device = torch.device("cpu")
    members = 1

    def __init__(self, odd: tuple[int, ...] = (), failing: tuple[int, ...] = ()) -> None:
        self.odd, self.failing = odd, failing
        self.calls: list[int] = []

    def __call__(self, batch: Tensor) -> Tensor:
        self.calls.append(len(batch))
        if len(batch) in self.failing:
            raise RuntimeError("out of memory")
        return batch.sigmoid() + 1e-6 * (len(batch) in self.odd)


def together(engine: Engine, plan: Plan, images: list[Image], at_once: int) -> list[Tensor | Exception]:
    return list(Together(engine, plan, at_once).probabilities(images))


MIXED = pictures((20, 20), (9, 40), (33, 16), (16, 16), (50, 50), (16, 17), (8, 8), (20, 30), (64, 40))


@pytest.mark.parametrize("mode", ["whole", "patch"])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("at_once", [1, 2, 4, 8])
@pytest.mark.parametrize("bf16", [True, False])
def test_alone_or_among_others_the_same_to_the_last_bit(
    mode: str, mirror: bool, at_once: int, bf16: bool
) -> None:
    torch.manual_seed(1)
    network = UNet(PLAN.network).eval()
    engine, plan = TorchEngine(network, bf16=bf16 and has_fast_bf16()), plan_of(mode, mirror=mirror)
    found = together(engine, plan, MIXED, at_once)
    for image, one in zip(MIXED, found, strict=True):
        assert isinstance(one, Tensor)
        assert torch.equal(one, probabilities(engine, plan, image))


def test_calls_are_full_and_the_first_is_checked_once() -> None:
    engine = Watched()
    found = together(engine, plan_of("whole"), pictures(*[(16, 16)] * 11), 4)
    assert len(found) == 11
    # 4 and two single ones to compare with; 4; then three that fill no call, each alone
    assert engine.calls == [4, 1, 1, 4, 1, 1, 1]


def test_windows_of_several_pictures_fill_a_call() -> None:
    engine = Watched()
    together(
        engine, plan_of("patch"), pictures((16, 28), (16, 28), (16, 28), (16, 28)), 4
    )  # two windows each
    assert engine.calls == [4, 4, 1, 4]  # the last single one and the first four to compare with


@pytest.mark.parametrize("mode", ["whole", "patch"])
def test_an_engine_that_changes_its_digits_gets_each_picture_alone(mode: str) -> None:
    engine, plan, images = Watched(odd=(8,)), plan_of(mode), pictures(*[(16, 16)] * 20)
    found = together(engine, plan, images, 8)
    assert engine.calls.count(8) == 1
    alone = Watched()
    for image, one in zip(images, found, strict=True):
        assert isinstance(one, Tensor)
        assert torch.equal(one, probabilities(alone, plan, image))


def test_where_together_is_too_much_each_is_computed_alone() -> None:
    plan, images = plan_of("whole"), pictures(*[(16, 16)] * 5)
    found = together(Watched(failing=(4,)), plan, images, 4)
    alone = Watched()
    for image, one in zip(images, found, strict=True):
        assert isinstance(one, Tensor)
        assert torch.equal(one, probabilities(alone, plan, image))


def test_the_fault_of_one_is_its_own_and_the_order_is_kept() -> None:
    images = pictures((16, 16), (20, 20), (24, 24), (28, 28), (32, 32))
    images[2] = Image(np.zeros((2, 24, 24), np.uint8))
    found = together(Watched(), plan_of("whole"), images, 4)
    assert isinstance(found[2], DataError)
    sizes = [tuple(one.shape[1:]) for one in found if isinstance(one, Tensor)]
    assert sizes == [(16, 16), (20, 20), (28, 28), (32, 32)]


def test_pictures_are_taken_only_as_needed() -> None:
    taken: list[int] = []

    def given() -> Iterator[Image]:
        for at, image in enumerate(pictures(*[(16, 16)] * 9)):
            taken.append(at)
            yield image

    found = Together(Watched(), plan_of("whole"), 3).probabilities(given())
    for _ in range(4):
        next(found)
    assert taken == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("size", "at_once"), [(128, 8), (256, 2), (512, 1), (16, 16)])
def test_small_windows_are_taken_several_at_a_time(size: int, at_once: int) -> None:
    preprocessing = PLAN.preprocessing.model_copy(update={"size": (size, size)})
    plan = PLAN.model_copy(update={"preprocessing": preprocessing})
    assert windows_at_once(Watched(), plan) == at_once
    other = Watched()
    other.precision = "fp32"
    assert windows_at_once(other, plan) == 1


def test_a_model_finds_in_many_what_it_finds_in_each(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(*example())
    monkeypatch.setattr(model, "engine", Watched())
    images = [*MIXED[:3], Image(np.zeros((2, 9, 9), np.uint8)), *MIXED[3:]]
    many = list(model.found_in_each(iter(images), keep_probabilities=True))
    for image, found in zip(images, many, strict=True):
        if image.channels == 2:
            assert isinstance(found, DataError)
            continue
        alone = model.found_in(image, keep_probabilities=True)
        assert isinstance(found, Found)
        assert np.array_equal(found.mask.values, alone.mask.values)
        assert np.array_equal(np.asarray(found.probabilities), np.asarray(alone.probabilities))
