"""The U-Net of volumes beside a plain one written out by hand, beside that of images, and its rules."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain_nets import check_gradients, noise, seeded, share_weights
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from delineate.networks import UNetSettings
from delineate.networks.blocks import UpConvolution, UpNearest, channels_to_pixels, pixels_to_channels
from delineate.networks.settings import most_parameters
from delineate.networks.unet import UNet, parameter_count

SMALL = UNetSettings(axes=3, input_channels=1, output_channels=1, widths=(4, 6, 8))
THICK_SLICES = SMALL.model_copy(update={"strides": ((1, 2, 2), (2, 2, 2))})
TWO = (2, 2, 2)


class PlainUNet(nn.Module):
    """Same-padded pairs, pooling, transposed convolution, concatenation; kernels and strides as told."""

    def __init__(
        self, widths: tuple[int, ...], strides: list[tuple[int, ...]], kernels: list[tuple[int, ...]]
    ) -> None:
        super().__init__()
        self.strides = strides
        self.down = nn.ModuleList(
            self.pair(i, w, k) for i, w, k in zip((2, *widths[:-1]), widths, kernels, strict=True)
        )
        ways = list(zip(itertools.pairwise(widths), strides, kernels[:-1], strict=True))[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose3d(c, w, s, stride=s) for (w, c), s, _ in ways)  # type: ignore[arg-type]  # three numbers
        self.join = nn.ModuleList(self.pair(2 * w, w, k) for (w, _), _, k in ways)
        self.head = nn.Conv3d(widths[0], 3, 1)

    @staticmethod
    def pair(channels: int, width: int, kernel: Any) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv3d(channels, width, kernel, padding="same"),
            nn.ReLU(),
            nn.Conv3d(width, width, kernel, padding="same"),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.down[0](x)]
        for pair, stride in zip(self.down[1:], self.strides, strict=True):
            levels.append(pair(functional.max_pool3d(levels[-1], stride)))
        x = levels.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([up(x), levels.pop()], dim=1))
        logits: Tensor = self.head(x)
        return logits


@pytest.mark.parametrize(
    ("strides", "kernels"),
    [
        ([TWO, TWO], [(3, 3, 3)] * 3),
        ([(1, 2, 2), TWO], [(1, 3, 3), (3, 3, 3), (3, 3, 3)]),
        ([(1, 2, 2), (1, 2, 2)], [(1, 3, 3), (1, 3, 3), (3, 3, 3)]),
        ([(2, 1, 2), (2, 2, 1)], [(3, 1, 3), (3, 3, 3), (3, 3, 3)]),
    ],
    ids=["cubes", "thick slices", "very thick slices", "any"],
)
def test_equals_the_plain_net_in_value_and_gradient(
    strides: list[tuple[int, ...]], kernels: list[tuple[int, ...]]
) -> None:
    widths = (4, 6, 8)
    settings = UNetSettings.model_validate(
        {"axes": 3, "input_channels": 2, "output_channels": 3, "widths": widths, "strides": strides}
    )
    ours, plain = seeded(settings).double(), PlainUNet(widths, strides, kernels).double()
    share_weights(ours, plain)
    volume, weights = noise(2, 2, 4, 8, 12).double(), noise(2, 3, 4, 8, 12, seed=5).double()
    mine, theirs = ours(volume), plain(volume)
    assert theirs.std() > 0.01
    assert torch.allclose(mine, theirs, atol=1e-12)
    (mine * weights).sum().backward()
    (theirs * weights).sum().backward()
    check_gradients(ours, plain)


def test_number_of_parameters_by_hand() -> None:
    # pairs w·(27·in + 1) + w·(27·w + 1), thin ones with 9; transposed 8·coarse·w + w, or 4; head 4 + 1
    def pair(channels: int, width: int, volume: int) -> int:
        return width * (volume * channels + 1) + width * (volume * width + 1)

    cubes = pair(1, 4, 27) + pair(4, 6, 27) + pair(6, 8, 27) + pair(12, 6, 27) + pair(8, 4, 27) + 5
    assert parameter_count(UNet(SMALL)) == cubes + (8 * 8 * 6 + 6) + (8 * 6 * 4 + 4)
    thick = pair(1, 4, 9) + pair(4, 6, 27) + pair(6, 8, 27) + pair(12, 6, 27) + pair(8, 4, 9) + 5
    assert parameter_count(UNet(THICK_SLICES)) == thick + (8 * 8 * 6 + 6) + (4 * 6 * 4 + 4)


@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
@pytest.mark.parametrize("normalization", ["none", "batch"])
@pytest.mark.parametrize("stem", [1, 2])
def test_volumes_of_one_slice_are_that_slice_as_an_image(
    upsampling: str, normalization: str, stem: int
) -> None:
    common = {
        "input_channels": 2,
        "output_channels": 3,
        "widths": (4, 6, 8),
        "residual": True,
        "upsampling": upsampling,
        "normalization": normalization,
        "stem": stem,
    }
    settings = UNetSettings.model_validate({"axes": 3, "strides": [(1, 2, 2)] * 2, **common})
    volumes, images = seeded(settings), seeded(UNetSettings.model_validate(common))
    middle = {}
    for name, weight in volumes.state_dict().items():
        # of the kernels' three slices only the middle one meets the only slice there is
        middle[name] = weight[:, :, weight.shape[2] // 2] if weight.ndim == 5 else weight
    images.load_state_dict(middle)
    image = noise(2, 2, 13, 18)
    with torch.inference_mode():
        mine, expected = volumes(image[:, :, None])[:, :, 0], images(image)
    assert expected.std() > 1e-3
    assert torch.allclose(mine, expected, atol=1e-5)


def test_slices_are_not_mixed_before_their_axis_is_pooled() -> None:
    network = seeded(THICK_SLICES)
    volume = noise(1, 1, 4, 8, 8)
    changed = volume.clone()
    changed[:, :, 2] += 1
    with torch.inference_mode():
        first, second = network.encoders[0](volume), network.encoders[0](changed)
        fine, other = network(volume), network(changed)
    assert (first != second).any(dim=(0, 1, 3, 4)).tolist() == [False, False, True, False]
    assert (fine != other).any(dim=(0, 1, 3, 4)).all()  # the deeper levels do mix them


@pytest.mark.parametrize("stride", list(itertools.product((1, 2), repeat=3))[1:])
def test_up_convolution_is_torchs_transposed_convolution(stride: tuple[int, int, int]) -> None:
    up, peer = UpConvolution(3, 5, stride).double(), nn.ConvTranspose3d(3, 5, stride, stride).double()
    up.load_state_dict(peer.state_dict())
    x = noise(2, 3, 4, 3, 5).double()
    assert up(x).shape[2:] == tuple(side * step for side, step in zip((4, 3, 5), stride, strict=True))
    assert torch.allclose(up(x), peer(x), atol=1e-12)


@pytest.mark.parametrize("stride", list(itertools.product((1, 2), repeat=3))[1:])
def test_up_nearest_repeats_each_projected_pixel(stride: tuple[int, int, int]) -> None:
    up, x = UpNearest(3, 2, stride), noise(2, 3, 2, 3, 4)
    expected = up.projection(x)
    for axis, times in enumerate(stride, start=2):
        expected = expected.repeat_interleave(times, axis)
    assert torch.equal(up(x), expected)


@pytest.mark.parametrize("folding", [(1, 2, 2), (2, 2, 2), (4, 2, 2), (1, 4, 4), (2, 1, 1)])
def test_folded_pixels_come_back_and_lie_in_the_order_of_the_axes(folding: tuple[int, int, int]) -> None:
    x = noise(2, 3, 4, 8, 12)
    folded = pixels_to_channels(x, folding)
    d, h, w = folding
    assert folded.shape == (2, 3 * d * h * w, 4 // d, 8 // h, 12 // w)
    for channel, (a, b, c) in enumerate(itertools.product(range(d), range(h), range(w))):
        for image_channel in range(3):
            place = image_channel * d * h * w + channel
            assert torch.equal(folded[:, place], x[:, image_channel, a::d, b::h, c::w])
    assert torch.equal(channels_to_pixels(folded, folding), x)


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 5, 9), (4, 8, 12), (7, 1, 13)])
@pytest.mark.parametrize("folding", [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("settings", [SMALL, THICK_SLICES], ids=["cubes", "thick slices"])
def test_any_size_is_that_of_the_volume_with_its_edge_repeated(
    size: tuple[int, int, int], folding: tuple[int, int], settings: UNetSettings
) -> None:
    network = seeded(settings.model_copy(update={"stem": folding[0], "stem_depth": folding[1]}))
    volume = noise(2, 1, *size)
    steps = network.settings.total_strides
    fill = [(0, -side % step) for side, step in zip(size, steps, strict=True)]
    padded = torch.from_numpy(np.pad(volume.numpy(), [(0, 0), (0, 0), *fill], mode="edge"))
    with torch.inference_mode():
        mine, whole = network(volume), network(padded)
    assert mine.shape[2:] == size
    assert torch.equal(mine, whole[:, :, : size[0], : size[1], : size[2]])


@pytest.mark.parametrize(
    "settings", [SMALL, THICK_SLICES.model_copy(update={"normalization": "batch", "stem": 2})]
)
def test_the_order_in_memory_changes_no_value_and_is_kept_throughout(settings: UNetSettings) -> None:
    network, volume = seeded(settings), noise(2, 1, 4, 16, 16)
    with torch.inference_mode():
        expected = network(volume)
    assert network.memory_format == torch.channels_last_3d
    network = network.to(memory_format=network.memory_format)  # type: ignore[call-overload]  # torch's stubs miss this form
    kept: list[bool] = []

    def look(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        kept.append(output.is_contiguous(memory_format=torch.channels_last_3d))

    for part in [*network.encoders, *network.decoders]:
        part.register_forward_hook(look)
    with torch.inference_mode():
        found = network(volume.contiguous(memory_format=torch.channels_last_3d))
    assert torch.allclose(found, expected, atol=1e-5)
    assert kept == [True] * 5


@pytest.mark.parametrize(("stem", "depth"), [(2, 1), (2, 2), (4, 2)])
def test_unfolded_pixels_of_one_place_start_alike(stem: int, depth: int) -> None:
    settings = SMALL.model_copy(update={"output_channels": 3, "stem": stem, "stem_depth": depth})
    logits = seeded(settings)(noise(1, 1, 4 * depth, 8 * stem, 4 * stem))
    places = pixels_to_channels(logits, (depth, stem, stem))
    places = places.reshape(1, 3, -1, *places.shape[2:])
    assert torch.equal(places, places[:, :, :1].expand_as(places))
    assert logits.std() > 0
    assert not torch.equal(logits[:, 0], logits[:, 1])


SETTINGS = st.integers(2, 5).flatmap(
    lambda levels: st.builds(
        UNetSettings,
        axes=st.just(3),
        input_channels=st.integers(1, 5),
        output_channels=st.integers(1, 5),
        widths=st.tuples(*[st.integers(1, 13)] * levels),
        strides=st.none()
        | st.tuples(*[st.tuples(*[st.sampled_from([1, 2])] * 3).filter(any_pooled)] * (levels - 1)),
        convolutions=st.integers(1, 4),
        decoder_convolutions=st.integers(1, 4),
        residual=st.booleans(),
        normalization=st.sampled_from(["none", "batch"]),
        upsampling=st.sampled_from(["transposed", "nearest"]),
        stem=st.sampled_from([1, 2, 4]),
        stem_depth=st.sampled_from([1, 2, 4]),
    )
)


def any_pooled(stride: tuple[int, ...]) -> bool:
    return max(stride) > 1


@given(SETTINGS)
def test_most_parameters_is_an_upper_bound_and_no_idle_one(settings: UNetSettings) -> None:
    with torch.device("meta"):
        count = parameter_count(UNet(settings))
    assert count <= most_parameters(settings)
    if settings.convolutions == settings.decoder_convolutions > 1 and min(settings.widths) > 4:
        assert most_parameters(settings) < 3 * count


@given(SETTINGS)
def test_kernels_and_strides_follow_their_rules(settings: UNetSettings) -> None:
    pooling, kernels, folding = settings.pooling, settings.kernels, settings.folding
    assert kernels[-1] == (3, 3, 3)
    for axis in range(3):
        along = [kernel[axis] for kernel in kernels]
        assert along == sorted(along)  # once 3, then always
        pooled = [stride[axis] for stride in pooling]
        assert settings.total_strides[axis] == folding[axis] * 2 ** sum(step == 2 for step in pooled)
        first = (
            0 if folding[axis] > 1 else next((i for i, step in enumerate(pooled) if step == 2), len(pooled))
        )
        assert along == [1] * first + [3] * (len(kernels) - first)
    assert settings.stride == max(settings.total_strides)
    assert math.prod(folding) == settings.stem**2 * settings.stem_depth


def test_strides_of_images_are_those_they_were() -> None:
    settings = UNetSettings(input_channels=1, output_channels=1, widths=(2, 2, 2), stem=4)
    assert settings.total_strides == (16, 16)
    assert settings.stride == 16
    assert settings.pooling == ((2, 2), (2, 2))
    assert settings.kernels == ((3, 3),) * 3
    assert UNet(settings).memory_format == torch.channels_last


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": 4}, "axes"),
        ({"axes": 2, "strides": [(2, 2), (2, 2)]}, "strides and stem_depth are for volumes"),
        ({"axes": 2, "stem_depth": 2}, "strides and stem_depth are for volumes"),
        ({"strides": [TWO]}, "strides must have 2 entries, one between each two of the 3 widths, not 1"),
        ({"strides": [TWO, (2, 2)]}, r"one number for D, H and W: not \[2, 2\]"),
        ({"strides": [TWO, (1, 1, 1)]}, r"must pool along an axis: not \[1, 1, 1\]"),
        ({"strides": [TWO, (1, 3, 1)]}, "strides.1.1"),
        ({"stem_depth": 3}, "stem_depth"),
    ],
)
def test_settings_refuse_what_cannot_be_built(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        UNetSettings.model_validate({**SMALL.model_dump(), **changes})


def test_settings_come_back_from_json() -> None:
    assert UNetSettings.model_validate_json(THICK_SLICES.model_dump_json()) == UNetSettings.model_validate(
        THICK_SLICES.model_dump()
    )
