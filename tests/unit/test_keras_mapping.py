"""Normalizations, layouts and order of channels, one by one and by exact values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from delineate.networks.unet import UNet
from delineate.pretrained.keras.found import Convolved, FoundUNet, Norm, WayUp
from delineate.pretrained.keras.mapping import settings_of, weights_of
from delineate.pretrained.keras.refusal import Refusal

RANDOM = np.random.default_rng(0)


def convolved(*shape: int, norm: Norm | None = None) -> Convolved:
    width = shape[2] if shape[0] == 2 else shape[3]
    kernel = RANDOM.normal(0, 1, shape).astype(np.float32)
    return Convolved(f"conv{shape}", kernel, RANDOM.normal(0, 1, width).astype(np.float32), norm)


def norm_of(width: int, epsilon: float, variance: float = 0.5) -> Norm:
    drawn = RANDOM.normal(1, 0.2, (3, width))
    return Norm(drawn[0], drawn[1], drawn[2], np.full(width, variance), epsilon)


def net(*, first: Convolved | None = None, skip_first: bool = False, outputs: int = 1) -> FoundUNet:
    """One level and a bottleneck, with one convolution a block."""
    way = WayUp("transposed", convolved(2, 2, 2, 3), skip_first, (convolved(3, 3, 4, 2),))
    return FoundUNet(
        channels=1,
        size=(16, 16),
        gain=np.ones(1),
        offset=np.zeros(1),
        takes="unsaid",
        down=((first or convolved(3, 3, 1, 2),), (convolved(3, 3, 2, 3),)),
        up=(way,),
        head=convolved(1, 1, 2, outputs),
        output="sigmoid" if outputs == 1 else "softmax",
    )


def loaded(found: FoundUNet) -> UNet:
    network = UNet(settings_of(found)).eval()
    network.load_state_dict(weights_of(found))
    return network


@given(
    epsilon=st.sampled_from([0.0, 1e-12, 1e-7, 1e-5, 1e-3, 0.1]),
    variance=st.sampled_from([1e-12, 1e-9, 1e-6, 1e-3, 1.0, 100.0]),
)
def test_a_normalization_acts_as_in_keras_whatever_its_epsilon(epsilon: float, variance: float) -> None:
    if epsilon + variance < 1e-10:
        return
    norm = norm_of(2, epsilon, variance)
    every = [
        convolved(3, 3, 1, 2, norm=norm),
        *(convolved(3, 3, a, b, norm=norm_of(b, 1e-3)) for a, b in ((2, 3), (4, 2))),
    ]
    plain = net()
    way = WayUp("transposed", plain.up[0].up, False, (every[2],))
    found = FoundUNet(**(vars(plain) | {"down": ((every[0],), (every[1],)), "up": (way,)}))
    assert settings_of(found).normalization == "batch"
    held, at = weights_of(found), "encoders.0.normalizations.0."
    weight, bias, mean, spread = (
        held[f"{at}{name}"].double() for name in ("weight", "bias", "running_mean", "running_var")
    )
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None].expand(5, 2)  # (pixels, channels)
    before = x - torch.from_numpy(every[0].bias).double()  # as ours convolves without a bias
    ours = functional.batch_norm(before, mean, spread, weight, bias, eps=1e-5)
    gain = norm.scale / np.sqrt(norm.variance + epsilon)
    theirs = (x.numpy() - norm.mean) * gain + norm.shift
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-4 * np.abs(gain).max())


def test_normalizations_of_some_convolutions_are_folded_in() -> None:
    norm = norm_of(2, 1e-3)
    plain = convolved(3, 3, 1, 2)
    found = net(first=Convolved("first", plain.kernel, plain.bias, norm))
    assert settings_of(found).normalization == "none"
    gain = norm.scale / np.sqrt(0.5 + 1e-3)
    weights = weights_of(found)
    np.testing.assert_allclose(
        weights["encoders.0.convolutions.0.weight"], (plain.kernel * gain).transpose(3, 2, 0, 1), rtol=1e-6
    )
    np.testing.assert_allclose(
        weights["encoders.0.convolutions.0.bias"], norm.shift + (plain.bias - norm.mean) * gain, rtol=1e-5
    )


def test_a_transposed_convolution_lays_its_kernel_down_unmirrored() -> None:
    found = net()
    up = found.up[0].up
    x = torch.zeros(1, 3, 2, 2)
    x[0, 1, 0, 1] = 1  # row 0, column 1 of the second channel
    result = loaded(found).get_submodule("decoders.0.up")(x)[0].detach().numpy()
    expected = np.broadcast_to(up.bias[:, None, None], (2, 4, 4)).copy()
    expected[:, 0:2, 2:4] += up.kernel[:, :, :, 1].transpose(2, 0, 1)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_skipped_channels_that_come_first_are_moved_behind() -> None:
    found = net(skip_first=True)
    kernel = found.up[0].block[0].kernel.transpose(3, 2, 0, 1)
    ours = weights_of(found)["decoders.0.block.convolutions.0.weight"].numpy()
    np.testing.assert_array_equal(ours, kernel[:, [2, 3, 0, 1]])


def test_a_softmax_of_two_is_a_sigmoid_of_the_difference() -> None:
    found = net(outputs=2)
    assert settings_of(found).output_channels == 1
    head = loaded(found).head
    x = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    kernel, bias = (torch.from_numpy(each) for each in (found.head.kernel, found.head.bias))
    both = functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias).softmax(1)
    torch.testing.assert_close(head(x).sigmoid()[:, 0], both[:, 1])


def test_widths_that_differ_within_a_level_are_all_named() -> None:
    plain = net()
    wide = (convolved(3, 3, 1, 5), convolved(3, 3, 5, 2))
    way = WayUp("transposed", convolved(2, 2, 7, 3), False, (convolved(3, 3, 9, 2),))
    found = FoundUNet(**(vars(plain) | {"down": (wide, plain.down[1]), "up": (way,)}))
    with pytest.raises(Refusal) as caught:
        settings_of(found)
    for told in (
        "has 5 filters, where 2",
        "has 7 filters, where 2",
        "on the way down have [2, 1] convolutions",
    ):
        assert told in str(caught.value)
