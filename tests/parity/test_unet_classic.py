"""The U-Net beside a plain one written out by hand, and its parts beside torch's own."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain_nets import check_gradients, noise, seeded, share_weights
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from delineate.networks import CLASSIC, UNetSettings
from delineate.networks.blocks import ConvolutionBlock, UpConvolution, UpNearest
from delineate.networks.settings import most_parameters
from delineate.networks.unet import UNet, parameter_count

SMALL = UNetSettings(input_channels=1, output_channels=1, widths=(4, 6, 8))


class PlainUNet(nn.Module):
    """The script's net, written out: same-padded pairs, pooling, transposed convolution, concatenation."""

    def __init__(self, channels: int, outputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        ins = (channels, *widths[:-1])
        self.down = nn.ModuleList([self.pair(i, w) for i, w in zip(ins, widths, strict=True)])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(coarse, width, 2, stride=2) for width, coarse in self.ways(widths)]
        )
        self.join = nn.ModuleList([self.pair(2 * w, w) for w, _ in self.ways(widths)])
        self.head = nn.Conv2d(widths[0], outputs, 1)

    @staticmethod
    def pair(channels: int, width: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(channels, width, 3, padding="same"),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding="same"),
            nn.ReLU(),
        )

    @staticmethod
    def ways(widths: tuple[int, ...]) -> list[tuple[int, int]]:
        return list(reversed(list(itertools.pairwise(widths))))

    def forward(self, x: Tensor) -> Tensor:
        levels: list[Tensor] = []
        for pair in self.down:
            x = pair(functional.max_pool2d(x, 2) if levels else x)
            levels.append(x)
        for up, join, level in zip(self.up, self.join, levels[-2::-1], strict=True):
            x = join(torch.cat([up(x), level], dim=1))
        logits: Tensor = self.head(x)
        return logits


def test_classic_has_the_scripts_number_of_parameters() -> None:
    # 3×3 pairs: w·(9·in + 1) + w·(9·w + 1); transposed: w·(4·2w) + w, then a pair from 2w; head 32 + 1
    def pair(channels: int, width: int) -> int:
        return width * (9 * channels + 1) + width * (9 * width + 1)

    by_hand = sum(pair(i, w) for i, w in [(1, 32), (32, 64), (64, 128), (128, 256), (256, 512)])
    by_hand += sum(w * 8 * w + w + pair(2 * w, w) for w in (256, 128, 64, 32)) + 33
    assert by_hand == 7_759_521
    assert parameter_count(UNet(CLASSIC)) == 7_759_521


def test_classic_shapes_level_by_level() -> None:
    network = UNet(CLASSIC).eval()
    seen: list[tuple[int, ...]] = []
    for part in [*network.encoders, *network.decoders]:
        part.register_forward_hook(lambda _module, _inputs, output: seen.append(tuple(output.shape[1:])))
    with torch.inference_mode():
        logits = network(noise(1, 1, 128, 128))
    assert seen == [
        (32, 128, 128),
        (64, 64, 64),
        (128, 32, 32),
        (256, 16, 16),
        (512, 8, 8),
        (256, 16, 16),
        (128, 32, 32),
        (64, 64, 64),
        (32, 128, 128),
    ]
    assert tuple(logits.shape) == (1, 1, 128, 128)


def test_classic_equals_the_plain_net() -> None:
    ours, plain = seeded(CLASSIC), PlainUNet(1, 1, CLASSIC.widths)
    share_weights(ours, plain)
    image = noise(2, 1, 32, 48)
    with torch.inference_mode():
        mine, theirs = ours(image), plain(image)
    assert theirs.std() > 0.01
    assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_gradients_equal_those_of_the_plain_net() -> None:
    settings = UNetSettings(input_channels=3, output_channels=4, widths=(4, 8, 16))
    ours, plain = seeded(settings).double(), PlainUNet(3, 4, settings.widths).double()
    share_weights(ours, plain)
    image, weights = noise(2, 3, 16, 24).double(), noise(2, 4, 16, 24, seed=5).double()
    for network in (ours, plain):
        (network(image) * weights).sum().backward()
    check_gradients(ours, plain)


@pytest.mark.parametrize(("inputs", "outputs", "size"), [(1, 1, (1, 1)), (3, 5, (5, 7)), (8, 4, (2, 9))])
def test_up_convolution_is_torchs_transposed_convolution(
    inputs: int, outputs: int, size: tuple[int, int]
) -> None:
    up, peer = UpConvolution(inputs, outputs).double(), nn.ConvTranspose2d(inputs, outputs, 2, 2).double()
    with torch.no_grad():
        up.weight.copy_(peer.weight)
        assert peer.bias is not None
        up.bias.copy_(peer.bias)
    x = noise(3, inputs, *size).double()
    assert torch.allclose(up(x), peer(x), atol=1e-12)


def test_up_nearest_repeats_each_projected_pixel() -> None:
    up = UpNearest(1, 1)
    with torch.no_grad():
        up.projection.weight.fill_(2)
        up.projection.bias.fill_(1)  # type: ignore[union-attr]  # a convolution made with a bias
    expected = torch.tensor([[[[3.0, 3, 5, 5], [3, 3, 5, 5]]]])
    assert torch.equal(up(torch.tensor([[[[1.0, 2]]]])), expected)


def test_a_shortcut_is_added_before_the_last_relu() -> None:
    # a 3×3 kernel with only its centre is a product: relu(-3 · relu(2x) + x)
    first, second = (nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(2))
    with torch.no_grad():
        for convolution, factor in ((first, 2.0), (second, -3.0)):
            convolution.weight.zero_()
            convolution.weight[0, 0, 1, 1] = factor
    x = torch.tensor([[[[1.0, -1.0], [0.5, 4.0]]]])
    plain = ConvolutionBlock([first, second], [nn.Identity(), nn.Identity()], None)
    assert torch.equal(plain(x), torch.zeros(1, 1, 2, 2))
    with torch.no_grad():
        second.weight[0, 0, 1, 1] = 3.0
    residual = ConvolutionBlock([first, second], [nn.Identity(), nn.Identity()], nn.Identity())
    assert torch.equal(residual(x), torch.tensor([[[[7.0, 0.0], [3.5, 28.0]]]]))
    assert torch.equal(
        x, torch.tensor([[[[1.0, -1.0], [0.5, 4.0]]]])
    )  # nothing was done in place to the input


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (7, 12), (13, 1)])
@pytest.mark.parametrize("stem", [1, 2, 4])
def test_any_size_is_that_of_the_image_with_its_edge_repeated(size: tuple[int, int], stem: int) -> None:
    network = seeded(SMALL.model_copy(update={"stem": stem}))
    image = noise(2, 1, *size)
    fill = [(0, -side % network.settings.stride) for side in size]
    padded = torch.from_numpy(np.pad(image.numpy(), [(0, 0), (0, 0), *fill], mode="edge"))
    with torch.inference_mode():
        mine, whole = network(image), network(padded)
    assert mine.shape[-2:] == size
    assert torch.equal(mine, whole[..., : size[0], : size[1]])


def test_a_stem_folds_pixels_into_channels_and_logits_back() -> None:
    network = seeded(UNetSettings(input_channels=2, output_channels=3, widths=(4, 6), stem=2))
    inside = seeded(UNetSettings(input_channels=8, output_channels=12, widths=(4, 6)))
    inside.load_state_dict(network.state_dict())
    image = noise(1, 2, 8, 12)
    # channel c, row 2i + a, column 2j + b goes to channel 4c + 2a + b, row i, column j
    folded = image.view(1, 2, 4, 2, 6, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 8, 4, 6)
    with torch.inference_mode():
        found = inside(folded).view(1, 3, 2, 2, 4, 6).permute(0, 1, 4, 2, 5, 3).reshape(1, 3, 8, 12)
        assert torch.equal(network(image), found)


@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (3, 1), (1, 4), (4, 9)])
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_every_channel_and_every_output_counts(channels: int, outputs: int, normalization: str) -> None:
    settings = UNetSettings.model_validate(
        {
            "input_channels": channels,
            "output_channels": outputs,
            "widths": (6, 8),
            "residual": True,
            "normalization": normalization,
            "upsampling": "nearest",
        }
    )
    network, image = seeded(settings).train(), noise(2, channels, 8, 8).requires_grad_()
    logits = network(image)
    assert logits.shape == (2, outputs, 8, 8)
    logits.square().sum().backward()
    assert image.grad is not None
    assert (image.grad.abs().sum((0, 2, 3)) > 0).all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
    bias = dict(network.named_parameters())["head.bias"].grad
    assert bias is not None
    assert torch.allclose(bias, 2 * logits.sum((0, 2, 3)).detach(), rtol=1e-4, atol=1e-5)


def test_an_image_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    network, images = seeded(SMALL.model_copy(update={"normalization": "batch"})), noise(3, 1, 8, 8)
    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-6)


def test_weights_are_those_of_the_seed_and_logits_start_near_zero() -> None:
    first, again, other = seeded(SMALL), seeded(SMALL), seeded(SMALL, seed=1)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert not torch.equal(first.head.weight, other.head.weight)
    with torch.inference_mode():
        logits = seeded(CLASSIC)(noise(1, 1, 64, 64))
    assert logits.abs().mean() < 0.2
    # He: variance 2 / (9 · 256) in the first convolution of the bottleneck
    deepest = seeded(CLASSIC).state_dict()["encoders.4.convolutions.0.weight"]
    assert float(deepest.std()) == pytest.approx((2 / 2304) ** 0.5, rel=0.01)


@given(
    st.builds(
        UNetSettings,
        input_channels=st.integers(1, 9),
        output_channels=st.integers(1, 7),
        widths=st.lists(st.integers(1, 17), min_size=2, max_size=5).map(tuple),
        convolutions=st.integers(1, 4),
        decoder_convolutions=st.integers(1, 4),
        residual=st.booleans(),
        normalization=st.sampled_from(["none", "batch"]),
        upsampling=st.sampled_from(["transposed", "nearest"]),
        stem=st.sampled_from([1, 2, 4]),
    )
)
def test_most_parameters_is_an_upper_bound(settings: UNetSettings) -> None:
    with torch.device("meta"):
        count = parameter_count(UNet(settings))
    assert count <= most_parameters(settings)


def test_most_parameters_is_no_idle_bound() -> None:
    assert 7_759_521 <= most_parameters(CLASSIC) < 2 * 7_759_521


def test_stride_counts_stem_and_pooling() -> None:
    assert CLASSIC.stride == 16
    assert UNetSettings(input_channels=1, output_channels=1, widths=(2, 2), stem=4).stride == 8


@pytest.mark.parametrize(
    ("field", "value"),
    [("widths", (8,)), ("widths", (0, 4)), ("stem", 3), ("normalization", "group"), ("depth", 4)],
)
def test_settings_refuse_what_cannot_be_built(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        UNetSettings.model_validate({**SMALL.model_dump(), field: value})


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("outputs", [1, 3])
def test_unfolded_pixels_of_one_place_start_alike(stem: Literal[1, 2, 4], outputs: int) -> None:
    torch.manual_seed(0)
    settings = UNetSettings(input_channels=1, output_channels=outputs, widths=(8, 16), stem=stem)
    network = UNet(settings).eval()
    logits = network(torch.randn(1, 1, 8 * stem, 8 * stem))
    places = logits.unflatten(3, (8, stem)).unflatten(2, (8, stem))  # (1, K, 8, stem, 8, stem)
    assert torch.equal(places, places[:, :, :, :1, :, :1].expand_as(places))
    assert logits.std() > 0
    if outputs > 1:
        assert not torch.equal(logits[:, 0], logits[:, 1])
