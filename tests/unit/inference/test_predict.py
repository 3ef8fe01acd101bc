"""Prediction: what the net sees is what it was trained on, and the mask lies on the image's own grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from delineate.augment.settings import AugmentationSettings
from delineate.image import Geometry, Image, LabelSet, Mask
from delineate.inference.engines import TorchEngine
from delineate.inference.predict import decide, predict_mask, probabilities
from delineate.inference.preprocess import resize, to_working
from delineate.losses import LossSettings
from delineate.networks.settings import UNetSettings
from delineate.networks.unet import UNet
from delineate.plan import DataPlan, Plan, PredictionPlan, PreprocessingPlan, TrainingPlan
from delineate.training.cache import Store, build_cache

Kind = Literal["stretch", "pad", "patch"]
KINDS: list[Kind] = ["stretch", "pad", "patch"]
sides = st.integers(1, 70)


def plan_of(
    kind: Kind, *, labels: int = 1, flips: tuple[bool, bool] = (False, False), **prediction: Any
) -> Plan:
    how: dict[str, Any] = {"mode": "patch"} if kind == "patch" else {"mode": "whole", "fit": kind}
    return Plan(
        preset="auto",
        data=DataPlan(colour="grey", channels=1, labels=tuple(f"label {n}" for n in range(labels))),
        preprocessing=PreprocessingPlan(size=(16, 32), normalization="unit", **how),
        network=UNetSettings(
            input_channels=1, output_channels=1 if labels == 1 else labels + 1, widths=(2, 3)
        ),
        augmentation=AugmentationSettings(flip_horizontal=flips[0], flip_vertical=flips[1]),
        loss=LossSettings(),
        training=TrainingPlan(steps=1, batch_size=1, learning_rate=0.1),
        prediction=PredictionPlan(**prediction),
    )


class Brightness(nn.Module):
    """Says "foreground" where a pixel is brighter than one half, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(40.0))
        self.shown: list[Tensor] = []

    def forward(self, batch: Tensor) -> Tensor:
        self.shown.append(batch.clone())
        return (batch - 0.5) * self.slope


def noise(height: int, width: int, seed: int = 0) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (1, height, width), dtype=np.uint8)
    return Image(pixels, Geometry((0.7, 0.8)))


def split_picture(height: int, width: int) -> Image:
    """Black left and top, white in the lower right quarter."""
    pixels = np.zeros((1, height, width), np.uint8)
    pixels[:, height // 2 :, width // 2 :] = 255
    return Image(pixels)


def net(plan: Plan, seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    network = UNet(plan.network)
    nn.init.normal_(network.head.weight)  # probabilities worth comparing
    return network.eval()


def test_windows_may_be_larger_than_the_patches() -> None:
    small, large = plan_of("patch"), plan_of("patch", window=(40, 48))
    network, image = net(small), noise(40, 48)
    found = probabilities(TorchEngine(network), large, image)
    with torch.inference_mode():
        seen = torch.from_numpy(image.pixels)[None].float() / 255
        assert torch.allclose(found, network(seen).sigmoid()[0], atol=1e-6)
    assert not torch.allclose(found, probabilities(TorchEngine(network), small, image), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "size", [(16, 32), (17, 33), (101, 64), (64, 101), (7, 300), (300, 7), (5, 5), (1, 1), (1, 40)]
)
@pytest.mark.parametrize("labels", [1, 2])
def test_masks_lie_on_the_images_own_grid(kind: Kind, size: tuple[int, int], labels: int) -> None:
    plan = plan_of(kind, labels=labels)
    image = noise(*size)
    found = probabilities(TorchEngine(net(plan)), plan, image)
    assert found.shape == (1 if labels == 1 else 3, *size)
    assert found.dtype == torch.float32
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    if labels > 1:
        assert torch.allclose(found.sum(0), torch.ones(size), atol=1e-5)
    mask = predict_mask(TorchEngine(net(plan)), plan, image)
    assert mask.values.shape == size
    assert mask.values.dtype == np.uint8
    assert mask.values.max() <= labels
    assert (mask.geometry, mask.labels) == (Geometry((0.7, 0.8)), plan.data.label_set)


@settings(max_examples=40)
@given(sides, sides, st.sampled_from(KINDS))
def test_what_lies_in_a_corner_is_found_in_that_corner(height: int, width: int, kind: Kind) -> None:
    plan, image = plan_of(kind), split_picture(height, width)
    found = predict_mask(TorchEngine(Brightness()), plan, image).values
    # an edge moves by no more than a pixel of the working image, seen at the image's own size
    reach = 1 + int(max(height / 16, width / 32, 1)) if kind != "patch" else 0
    inner = np.zeros((height, width), dtype=bool)
    inner[height // 2 + reach :, width // 2 + reach :] = True
    outer = np.ones((height, width), dtype=bool)
    outer[max(0, height // 2 - reach) :, max(0, width // 2 - reach) :] = False
    assert (found[inner] == 1).all()
    assert (found[outer] == 0).all()


@given(sides, sides)
def test_patches_of_a_pointwise_net_reproduce_it(height: int, width: int) -> None:
    plan, image = plan_of("patch"), noise(height, width, seed=height * 71 + width)
    found = probabilities(TorchEngine(Brightness()), plan, image)
    assert torch.allclose(found, ((torch.from_numpy(image.units()) - 0.5) * 40).sigmoid(), atol=1e-6)
    assert np.array_equal(
        predict_mask(TorchEngine(Brightness()), plan, image).values, (image.pixels[0] > 127).astype(np.uint8)
    )


@pytest.mark.parametrize("kind", ["stretch", "pad"])
@pytest.mark.parametrize("size", [(40, 40), (10, 60), (60, 10), (16, 32), (17, 29)])
def test_the_net_sees_what_it_was_trained_on(kind: Kind, size: tuple[int, int], tmp_path: Path) -> None:
    plan, image = plan_of(kind), noise(*size)
    mask = Mask(np.zeros(size, np.uint8), LabelSet.of("label 0"))
    (case,) = build_cache([("a", image, mask)], plan, Store(tmp_path))
    network = Brightness()
    probabilities(TorchEngine(network), plan, image)
    (shown,) = network.shown
    assert shown.shape == (1, 1, 16, 32)
    assert torch.allclose(shown[0], case.normalized(), atol=0.5 / 255 + 1e-6)  # the cache keeps 8 bits


def test_what_was_filled_up_is_taken_off_again() -> None:
    plan, image = plan_of("pad"), noise(32, 32)  # works at 16 × 16, with 16 columns of padding
    found = probabilities(TorchEngine(Brightness()), plan, image)
    working = to_working(image, plan).pixels
    assert working.shape == (1, 16, 16)
    assert torch.allclose(found, resize(((working - 0.5) * 40).sigmoid(), (32, 32)), atol=1e-6)


def test_a_net_sees_the_filling_beside_the_image() -> None:
    plan, image = plan_of("pad"), split_picture(32, 32)
    network = net(plan)
    filled = torch.nn.functional.pad(to_working(image, plan).pixels[None], (0, 16, 0, 0), mode="replicate")
    with torch.no_grad():
        expected = resize(network(filled).sigmoid()[0, :, :, :16], (32, 32))
        bare = resize(network(to_working(image, plan).pixels[None]).sigmoid()[0], (32, 32))
    assert torch.allclose(probabilities(TorchEngine(network), plan, image), expected, atol=1e-6)
    assert not torch.allclose(expected, bare, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flips", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("labels", [1, 2])
def test_mirroring_is_the_mean_over_the_mirror_images(
    kind: Kind, flips: tuple[bool, bool], labels: int
) -> None:
    # at a size that needs neither padding nor other windows, so that the mirror images can be made beforehand
    image = noise(16, 32)
    plain = plan_of(kind, labels=labels)
    mirrored = plan_of(kind, labels=labels, flips=flips, mirror=True)
    network = net(plain)
    axes = [axis for axis, flipped in zip((2, 1), flips, strict=True) if flipped]
    ways: list[tuple[int, ...]] = [(), *((axis,) for axis in axes), *([(1, 2)] if len(axes) == 2 else [])]
    parts = [
        probabilities(TorchEngine(network), plain, Image(np.flip(image.pixels, way).copy())).flip(way)
        for way in ways
    ]
    expected = torch.stack(parts).mean(0)
    assert torch.allclose(probabilities(TorchEngine(network), mirrored, image), expected, atol=1e-6)
    assert not torch.allclose(parts[0], expected, atol=1e-4)
    unmirrored = plan_of(kind, labels=labels, flips=flips, mirror=False)
    assert torch.equal(probabilities(TorchEngine(network), unmirrored, image), parts[0])


def test_mirroring_needs_to_have_been_trained() -> None:
    network = Brightness()
    probabilities(TorchEngine(network), plan_of("stretch", mirror=True), noise(16, 32))
    assert len(network.shown) == 1
    probabilities(TorchEngine(network), plan_of("stretch", flips=(True, True), mirror=True), noise(16, 32))
    assert len(network.shown) == 1 + 4


def test_a_symmetric_net_gives_a_mirror_image_for_a_mirror_image() -> None:
    plan = plan_of("stretch", flips=(True, True), mirror=True)
    network, image = net(plan), noise(16, 32)
    turned = Image(image.pixels[:, ::-1, ::-1].copy())
    assert torch.allclose(
        probabilities(TorchEngine(network), plan, turned),
        probabilities(TorchEngine(network), plan, image).flip(1, 2),
        atol=1e-6,
    )


def test_deciding_by_the_threshold() -> None:
    found = torch.tensor([[[0.0, 0.2999, 0.3, 0.7, 1.0]]])
    assert decide(found, plan_of("stretch", threshold=0.5)).tolist() == [[0, 0, 0, 1, 1]]
    assert decide(found, plan_of("stretch", threshold=0.3)).tolist() == [[0, 0, 1, 1, 1]]


def test_deciding_for_the_likeliest() -> None:
    found = torch.tensor([[[0.6, 0.2, 0.3, 0.4]], [[0.3, 0.5, 0.3, 0.2]], [[0.1, 0.3, 0.4, 0.4]]])
    values = decide(found, plan_of("stretch", labels=2, threshold=0.9))  # which is for one label alone
    assert values.dtype == np.uint8
    assert values.tolist() == [[0, 1, 2, 0]]  # a tie is background


def test_many_labels_keep_their_values() -> None:
    found = torch.eye(255).reshape(255, 1, 255)
    assert decide(found, plan_of("stretch", labels=254)).tolist() == [list(range(255))]


def test_bf16_is_near_fp32_and_comes_back_in_full() -> None:
    plan = plan_of("stretch", labels=2)
    network, image = net(plan), noise(20, 30)
    half, full = (probabilities(TorchEngine(network, bf16=bf16), plan, image) for bf16 in (True, False))
    assert half.dtype == torch.float32
    assert torch.allclose(half, full, atol=0.05)
    assert not torch.equal(half, full)


def test_no_gradients_are_kept() -> None:
    plan = plan_of("stretch")
    assert not probabilities(TorchEngine(net(plan)), plan, noise(16, 32)).requires_grad
