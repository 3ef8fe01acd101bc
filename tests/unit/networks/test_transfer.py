"""Weights taken over: exact where nothing changed, the same logits where it must be, new where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from same_weights import assert_same_weights
from torch import Tensor

from delineate.networks.settings import UNetSettings
from delineate.networks.transfer import Transferred, Weighted, adapt_channels, kept_logits, transfer
from delineate.networks.unet import UNet

ONE = ("polyp",)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"widths": (4, 6)},
    "pictures": {
        "widths": (5, 6, 8),
        "stem": 2,
        "residual": True,
        "normalization": "batch",
        "upsampling": "nearest",
    },
    "patches": {"widths": (5, 6), "residual": True, "normalization": "batch", "upsampling": "nearest"},
    "volumes": {
        "axes": 3,
        "widths": (5, 6, 7),
        "strides": ((1, 2, 2), (2, 2, 2)),
        "stem": 2,
        "stem_depth": 2,
        "residual": True,
        "normalization": "batch",
    },
}


def settings_of(kind: str, channels: int, labels: int) -> UNetSettings:
    outputs = 1 if labels == 1 else labels + 1
    return UNetSettings(input_channels=channels, output_channels=outputs, **KINDS[kind])


def net_of(settings: UNetSettings, seed: int) -> UNet:
    """A net with weights and statistics that no fresh one has."""
    torch.manual_seed(seed)
    net = UNet(settings)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) / 3)
    return net.eval()


def image_for(settings: UNetSettings) -> Tensor:
    size = (8, 16, 16) if settings.axes == 3 else (24, 16)
    generator = torch.Generator().manual_seed(5)
    return torch.randn(2, settings.input_channels, *size, generator=generator)


def moved(
    trained: UNet, labels: tuple[str, ...], channels: int, to: tuple[str, ...]
) -> tuple[Transferred, UNet]:
    """The weights moved, and a net with them."""
    outputs = 1 if len(to) == 1 else len(to) + 1
    changed = {"input_channels": channels, "output_channels": outputs}
    settings = trained.settings.model_copy(update=changed)
    torch.manual_seed(9)
    net = UNet(settings)
    found = transfer(
        Weighted(trained.settings, labels, trained.state_dict()), Weighted(settings, to, net.state_dict())
    )
    net.load_state_dict(found.weights)
    return found, net.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [ONE, ("liver", "spleen")])
@torch.inference_mode()
def test_the_same_labels_and_channels_give_the_very_same_net(kind: str, labels: tuple[str, ...]) -> None:
    trained = net_of(settings_of(kind, 2, len(labels)), 1)
    found, net = moved(trained, labels, 2, labels)
    assert_same_weights(found.weights, trained.state_dict())
    assert (found.adapted, found.fresh, found.dropped, found.new_labels) == ((), (), (), ())
    assert found.labels == labels
    image = image_for(trained.settings)
    assert torch.equal(net(image), trained(image))
    found.weights["head.weight"].zero_()
    assert trained.head.weight.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [2, 3])
@torch.inference_mode()
def test_a_grey_image_repeated_gives_the_grey_logits(kind: str, channels: int) -> None:
    trained = net_of(settings_of(kind, 1, 1), 2).double()
    found, net = moved(trained, ONE, channels, ONE)
    image = image_for(trained.settings).double()
    repeated = image.expand(-1, channels, *image.shape[2:])
    torch.testing.assert_close(net.double()(repeated), trained(image), rtol=0, atol=1e-5)
    shortcut = ["encoders.0.shortcut.0.weight"] if trained.settings.residual else []
    assert sorted(found.adapted) == ["encoders.0.convolutions.0.weight", *shortcut]


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_a_colour_net_sees_a_grey_image_as_it_saw_it_in_colour(kind: str) -> None:
    trained = net_of(settings_of(kind, 3, 1), 3)
    _, net = moved(trained, ONE, 1, ONE)
    image = image_for(settings_of(kind, 1, 1))
    repeated = image.expand(-1, 3, *image.shape[2:])
    torch.testing.assert_close(net(image), trained(repeated), rtol=1e-5, atol=1e-4)


def test_each_folded_pixel_keeps_its_own_sum_over_the_channels() -> None:
    weight = torch.tensor([1.0, 2, 3, 4, 10, 20, 30, 40]).view(1, 8, 1, 1)  # two channels of 2 × 2 pixels
    by_pixel = [11 / 4, 22 / 4, 33 / 4, 44 / 4]
    assert adapt_channels(weight, 2, 4).flatten().tolist() == by_pixel * 4
    assert adapt_channels(weight, 2, 1).flatten().tolist() == [11, 22, 33, 44]
    assert adapt_channels(weight[:, :4], 1, 2).flatten().tolist() == [0.5, 1, 1.5, 2] * 2


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (("a",), ("a",), {0: 0}),
        (("a",), ("b",), {}),
        (("a",), ("a", "b"), {}),
        (("a", "b"), ("a",), {}),
        (("a", "b"), ("a", "b"), {0: 0, 1: 1, 2: 2}),
        (("a", "b"), ("b", "a"), {0: 0, 1: 2, 2: 1}),
        (("a", "b"), ("c", "b", "d"), {0: 0, 2: 2}),
        (("a", "b"), ("c", "d"), {}),
    ],
)
def test_logits_go_by_the_names_of_labels(
    before: tuple[str, ...], after: tuple[str, ...], expected: dict[int, int]
) -> None:
    assert kept_logits(before, after) == expected


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_labels_of_the_same_name_keep_their_logits_and_others_begin_anew(kind: str) -> None:
    trained = net_of(settings_of(kind, 1, 3), 4)
    found, net = moved(trained, ("liver", "spleen", "aorta"), 1, ("aorta", "kidney", "liver"))
    assert (found.labels, found.new_labels) == (("aorta", "liver"), ("kidney",))
    image = image_for(trained.settings)
    now, then = net(image), trained(image)
    for ours, theirs in ((0, 0), (1, 3), (3, 1)):
        assert torch.equal(now[:, ours], then[:, theirs])
    torch.manual_seed(9)
    weight, fresh = net.head.weight, UNet(net.settings).head.weight
    folded = len(weight) // 4
    rows = slice(2 * folded, 3 * folded)
    assert torch.equal(weight[rows], fresh[rows])
    assert not found.weights["head.bias"][rows].any()
    assert all(torch.equal(weight[2 * folded], row) for row in weight[rows])  # no checkerboard


@pytest.mark.parametrize("labels", [("lesion",), ("polyp", "tool")])
def test_a_head_for_other_things_is_a_new_one(labels: tuple[str, ...]) -> None:
    found, net = moved(net_of(settings_of("pictures", 3, 1), 5), ONE, 3, labels)
    torch.manual_seed(9)
    fresh = UNet(net.settings)
    assert torch.equal(net.head.weight, fresh.head.weight)
    assert not found.weights["head.bias"].any()
    assert (found.labels, found.new_labels) == ((), labels)


def test_a_shortcut_that_was_none_begins_as_a_new_one() -> None:
    kind = KINDS["patches"] | {"widths": (3, 6)}  # as many channels as the image: no shortcut is needed
    trained = net_of(UNetSettings(input_channels=3, output_channels=1, **kind), 6)
    found, net = moved(trained, ONE, 1, ONE)
    assert "encoders.0.shortcut.0.weight" in found.fresh
    assert all(name.startswith("encoders.0.shortcut.") for name in found.fresh)
    back, _ = moved(net, ONE, 3, ONE)
    assert (found.dropped, back.fresh, back.dropped) == ((), (), found.fresh)
    assert back.weights.keys() == trained.state_dict().keys()


def test_nets_of_another_structure_are_refused() -> None:
    trained = net_of(settings_of("plain", 1, 1), 7)
    other = net_of(settings_of("patches", 1, 1), 7)
    given = [Weighted(net.settings, ONE, net.state_dict()) for net in (trained, other)]
    with pytest.raises(ValueError, match="more than their channels"):
        transfer(*given)
