"""The ResNet encoders beside a functional one written from the paper, straight from a state dict."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch
from monai.networks.nets.resnet import resnet18, resnet34, resnet50
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from delineate.networks import UNetSettings
from delineate.networks.blocks import Decoder
from delineate.networks.resnet import Architecture, ResNet
from delineate.networks.settings import ENCODER_WIDTHS, most_parameters
from delineate.networks.unet import UNet, parameter_count

ARCHITECTURES: tuple[Architecture, ...] = ("resnet18", "resnet34", "resnet50")
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
PARAMETERS = {"resnet18": 11_176_512, "resnet34": 21_284_672, "resnet50": 23_508_032}


def settings(encoder: str, /, **changes: object) -> UNetSettings:
    values: dict[str, object] = {
        "encoder": encoder,
        "input_channels": 3,
        "output_channels": 2,
        "widths": (4, 6, 8, 10, 12),
        "normalization": "batch",
    }
    return UNetSettings.model_validate(values | changes)


def stirred(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The network with noise in everything that it holds, statistics too, in evaluation mode."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.ndim > 1:
                tensor.copy_(torch.randn(tensor.shape, generator=noise) * tensor[0].numel() ** -0.5)
            elif tensor.ndim == 1:
                low = 0.5 if "var" in name or name.endswith("weight") else -0.5
                tensor.copy_(torch.rand(tensor.shape, generator=noise) + low)
    return network.eval()


def noise_image(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


class Written:
    """A ResNet as the paper and torchvision define it, applied from a state dict by plain functions."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def convolved(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return functional.conv2d(x, weight, stride=stride, padding=(weight.shape[-1] - 1) // 2)

    def normalized(self, name: str, x: Tensor) -> Tensor:
        mean, variance, weight, bias = (
            self.state[f"{name}.{each}"][:, None, None]
            for each in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def block(self, name: str, x: Tensor, stride: int) -> Tensor:
        y, count = x, 3 if f"{name}.conv3.weight" in self.state else 2
        halving = 2 if count == 3 else 1
        for number in range(1, count + 1):
            y = self.convolved(f"{name}.conv{number}", y, stride if number == halving else 1)
            y = self.normalized(f"{name}.bn{number}", y)
            y = y.clamp(min=0) if number < count else y
        if f"{name}.downsample.0.weight" in self.state:
            x = self.normalized(f"{name}.downsample.1", self.convolved(f"{name}.downsample.0", x, stride))
        return (x + y).clamp(min=0)

    def features(self, x: Tensor) -> Iterator[Tensor]:
        x = self.normalized("bn1", self.convolved("conv1", x, 2)).clamp(min=0)
        yield x
        x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1), value=0), 3, 2)
        for layer in range(1, 5):
            number = 0
            while f"layer{layer}.{number}.conv1.weight" in self.state:
                x = self.block(f"layer{layer}.{number}", x, 2 if layer > 1 and number == 0 else 1)
                number += 1
            yield x


def torchvision_names(architecture: str) -> Iterator[str]:
    """The names of torchvision's state dict, without the classifier."""
    statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    yield "conv1.weight"
    yield from (f"bn1.{each}" for each in statistics)
    for layer, depth in enumerate(DEPTHS[architecture], start=1):
        for block in range(depth):
            at = f"layer{layer}.{block}"
            for number in range(1, 4 if architecture == "resnet50" else 3):
                yield f"{at}.conv{number}.weight"
                yield from (f"{at}.bn{number}.{each}" for each in statistics)
            if block == 0 and (layer > 1 or architecture == "resnet50"):
                yield f"{at}.downsample.0.weight"
                yield from (f"{at}.downsample.1.{each}" for each in statistics)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_names_and_numbers_are_torchvisions(architecture: Architecture) -> None:
    with torch.device("meta"):
        network = ResNet(architecture, 3)
    assert set(network.state_dict()) == set(torchvision_names(architecture))
    assert parameter_count(network) == PARAMETERS[architecture]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_level_is_that_of_the_written_one(architecture: Architecture) -> None:
    network, image = stirred(ResNet(architecture, 3)), noise_image(2, 3, 96, 64)
    with torch.no_grad():
        found = network(image)
        expected = list(Written(dict(network.state_dict())).features(image))
    assert [features.shape[1] for features in found] == list(ENCODER_WIDTHS[architecture])
    for level, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours.shape[2:] == (96 >> level + 1, 64 >> level + 1)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))
        assert float(theirs.std()) > 0.01


@pytest.mark.parametrize(
    ("architecture", "theirs"), [("resnet18", resnet18), ("resnet34", resnet34), ("resnet50", resnet50)]
)
def test_the_coarsest_level_is_monais(architecture: Architecture, theirs: object) -> None:
    assert callable(theirs)
    peer = theirs(
        spatial_dims=2,
        n_input_channels=3,
        feed_forward=False,
        conv1_t_stride=2,
        shortcut_type="B",
        bias_downsample=False,
    ).eval()
    ours, image = stirred(ResNet(architecture, 3)), noise_image(1, 3, 64, 96)
    peer.load_state_dict(ours.state_dict())
    with torch.no_grad():
        pooled, expected = ours(image)[-1].mean(dim=(2, 3)), peer(image)
    torch.testing.assert_close(pooled, expected, rtol=1e-3, atol=1e-4 * float(pooled.abs().max()))


@pytest.mark.parametrize("encoder", ARCHITECTURES)
def test_the_net_around_it(encoder: Architecture) -> None:
    made = settings(encoder, input_channels=2)
    torch.manual_seed(0)
    network, image = UNet(made).eval(), noise_image(2, 2, 70, 45)
    inside = {
        name.removeprefix("encoder."): tensor.shape
        for name, tensor in network.state_dict().items()
        if name.startswith("encoder.")
    }
    assert set(inside) == set(torchvision_names(encoder))
    assert {re.sub(r"\..*", "", name) for name in network.state_dict()} == {"encoder", "decoders", "head"}
    with torch.no_grad():
        logits = network(image)
        padded = functional.pad(image, (0, 19, 0, 26), mode="replicate")
        levels = list(Written(dict(network.encoder.state_dict())).features(padded))
        x = levels.pop()
        for decoder in network.decoders:
            assert isinstance(decoder, Decoder)
            x = decoder.up(x)
            x = decoder.block(torch.cat([x, levels.pop()], dim=1) if levels else x)
        expected = network.head(x)[..., :70, :45]
    assert logits.shape == (2, 2, 70, 45)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    assert made.total_strides == (32, 32)
    assert parameter_count(network) <= most_parameters(made) < 1.5 * parameter_count(network)


def test_all_of_it_learns() -> None:
    network = UNet(settings("resnet18"))
    network(noise_image(2, 3, 64, 64)).square().sum().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert still == []
    assert network.memory_format == torch.channels_last


def test_new_weights_are_of_a_size_that_learns() -> None:
    torch.manual_seed(0)
    network = UNet(settings("resnet18")).train()
    weight = network.get_parameter("encoder.layer2.1.conv2.weight")
    assert float(weight.detach().std()) == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    with torch.no_grad():
        logits = network(noise_image(4, 3, 64, 64))
    assert 0.005 < float(logits.std()) < 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"axes": 3}, "axes to 2"),
        ({"stem": 2}, "stem to 1"),
        ({"convolutions": 1, "stem": 4}, "stem to 1, convolutions to 2"),
        ({"normalization": "none"}, "normalization to batch"),
        ({"widths": (4, 6, 8, 10)}, "must have 5 numbers, of the way up alone, not 4"),
        ({"encoder": "resnet101"}, "'plain', 'resnet18', 'resnet34' or 'resnet50'"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        settings("resnet18", **changes)


def test_plain_nets_keep_their_names() -> None:
    plain = UNetSettings(input_channels=1, output_channels=1, widths=(4, 6))
    assert plain.encoder == "plain"
    assert {re.sub(r"\..*", "", name) for name in UNet(plain).state_dict()} == {
        "encoders",
        "decoders",
        "head",
    }
