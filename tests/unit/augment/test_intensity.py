"""Recolouring: small examples by hand, zero settings that do nothing, ranges as stated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from delineate.augment.intensity import Recolouring, draw_recolouring, recolour
from delineate.augment.settings import AugmentationSettings

ALL = AugmentationSettings(
    brightness=0.5,
    contrast=0.3,
    gamma=0.5,
    colour=0.2,
    noise=0.1,
    blur_sigma_px=2.0,
    intensity_probability=0.7,
)


def same(count: int = 1, channels: int = 1) -> Recolouring:
    """The recolouring that changes nothing."""
    zero, one = torch.zeros(count), torch.ones(count)
    colour = torch.zeros(count, channels)
    return Recolouring(zero, one, one, colour, zero, 0, 0.0, torch.zeros(count, dtype=torch.bool))


def image(*values: float, channels: int = 1) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, channels, 1, -1)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


def test_brightness_is_added() -> None:
    found = recolour(image(-1, 0, 2), replace(same(), brightness=torch.tensor([0.5])))
    assert torch.equal(found, image(-0.5, 0.5, 2.5))


def test_contrast_multiplies_about_the_images_mean() -> None:
    # mean 1 over both channels
    found = recolour(image(-1, 0, 2, 3, channels=2), replace(same(1, 2), contrast=torch.tensor([1.5])))
    assert torch.equal(found, image(-2, -0.5, 2.5, 4, channels=2))


def test_gamma_bends_between_the_images_ends() -> None:
    # from -1 to 3: shares 0, 1/4, 1/2, 1 become their squares, or their roots
    squared = recolour(image(-1, 0, 1, 3), replace(same(), gamma=torch.tensor([2.0])))
    assert torch.allclose(squared, image(-1, -0.75, 0, 3))
    rooted = recolour(image(-1, 0, 1, 3), replace(same(), gamma=torch.tensor([0.5])))
    assert torch.allclose(rooted, image(-1, 1, 4 * 0.5**0.5 - 1, 3))


def test_gamma_leaves_a_constant_image_as_it_is() -> None:
    found = recolour(image(0.7, 0.7, 0.7), replace(same(), gamma=torch.tensor([1.4])))
    assert torch.equal(found, image(0.7, 0.7, 0.7))


def test_colour_is_added_to_each_channel_by_itself() -> None:
    found = recolour(image(0, 1, 2, 3, channels=2), replace(same(1, 2), colour=torch.tensor([[0.5, -1.0]])))
    assert torch.equal(found, image(0.5, 1.5, 1, 2, channels=2))


def test_the_order_is_gamma_then_contrast_then_brightness() -> None:
    given_all = replace(
        same(), gamma=torch.tensor([2.0]), contrast=torch.tensor([0.5]), brightness=torch.tensor([1.0])
    )
    # shares 0, 1/2, 1 → 0, 1/4, 1, mean 5/12; halved about it, plus 1
    expected = image(0 + 5 / 24 + 1, 1 / 8 + 5 / 24 + 1, 1 / 2 + 5 / 24 + 1)
    assert torch.allclose(recolour(image(0, 0.5, 1), given_all), expected)


@pytest.mark.parametrize("sigma_px", [0.4, 1.0, 2.3])
def test_blur_is_scipys_gaussian_with_the_edge_repeated(sigma_px: float) -> None:
    images = noise(2, 3, 12, 17)
    blurring = replace(same(2, 3), blur_sigma_px=sigma_px, blurred=torch.tensor([False, True]))
    found = recolour(images, blurring)
    assert torch.equal(found[0], images[0])
    radius = max(1, round(3 * sigma_px))
    for channel in range(3):
        expected = ndimage.gaussian_filter(
            images[1, channel].double().numpy(), sigma_px, mode="nearest", radius=radius
        )
        assert np.abs(found[1, channel].numpy() - expected).max() < 1e-5


def test_noise_has_its_deviation_and_follows_its_seed() -> None:
    images = torch.zeros(2, 1, 128, 128)
    noisy = replace(same(2), noise=torch.tensor([0.0, 0.25]), noise_seed=3)
    found = recolour(images, noisy)
    assert torch.equal(found[0], images[0])
    assert float(found[1].std()) == pytest.approx(0.25, rel=0.02)
    assert float(found[1].mean()) == pytest.approx(0, abs=0.01)
    torch.manual_seed(99)
    assert torch.equal(recolour(images, noisy), found)
    assert not torch.equal(recolour(images, replace(noisy, noise_seed=4)), found)


@pytest.mark.parametrize(
    "settings",
    [AugmentationSettings(), ALL.model_copy(update={"intensity_probability": 0.0})],
    ids=["zero amounts", "zero probability"],
)
def test_zero_settings_change_no_bit(settings: AugmentationSettings) -> None:
    images = 1e3 * noise(8, 3, 9, 7)
    drawn = draw_recolouring(settings, 8, 3, torch.Generator().manual_seed(0))
    assert torch.equal(recolour(images, drawn), images)


def test_a_batch_is_its_images_one_by_one_and_the_originals_stay() -> None:
    images = noise(6, 3, 10, 8)
    before = images.clone()
    drawn = draw_recolouring(ALL.model_copy(update={"noise": 0.0}), 6, 3, torch.Generator().manual_seed(1))
    assert drawn.blurred.any()
    assert not drawn.blurred.all()
    together = recolour(images, drawn)
    for position in range(6):
        one = slice(position, position + 1)
        alone = replace(
            drawn,
            brightness=drawn.brightness[one],
            contrast=drawn.contrast[one],
            gamma=drawn.gamma[one],
            colour=drawn.colour[one],
            noise=drawn.noise[one],
            blurred=drawn.blurred[one],
        )
        assert torch.allclose(recolour(images[one], alone), together[one], atol=1e-6)
    assert torch.equal(images, before)


AMOUNTS = st.builds(
    AugmentationSettings,
    brightness=st.floats(0, 5),
    contrast=st.floats(0, 0.99),
    gamma=st.floats(0, 4),
    colour=st.floats(0, 5),
    noise=st.floats(0, 5),
    blur_sigma_px=st.floats(0, 10),
    intensity_probability=st.floats(0, 1),
)


@given(AMOUNTS, st.integers(0, 2**31))
def test_drawn_values_lie_within_the_stated_ranges(settings: AugmentationSettings, seed: int) -> None:
    drawn = draw_recolouring(settings, 32, 3, torch.Generator().manual_seed(seed))
    most = 1 + 1e-5
    assert float(drawn.brightness.abs().max()) <= settings.brightness * most + 1e-40
    assert float((drawn.contrast - 1).abs().max()) <= settings.contrast * most + 1e-6
    assert float(drawn.gamma.max()) <= (1 + settings.gamma) * most
    assert float(drawn.gamma.min()) >= 1 / (1 + settings.gamma) / most
    assert float(drawn.colour.abs().max()) <= settings.colour * most + 1e-40
    assert float(drawn.noise.min()) >= 0
    assert float(drawn.noise.max()) <= settings.noise * most + 1e-40
    assert 0 <= drawn.blur_sigma_px <= settings.blur_sigma_px


def test_both_ends_are_reached_by_the_stated_share_of_the_images() -> None:
    drawn = draw_recolouring(ALL, 4000, 3, torch.Generator().manual_seed(0))
    touched = drawn.brightness != 0
    assert float(touched.float().mean()) == pytest.approx(0.7, abs=0.03)
    for values in (drawn.contrast - 1, drawn.gamma - 1, drawn.colour[:, 0], drawn.colour[:, 2], drawn.noise):
        assert torch.equal(values != 0, touched)
    assert not drawn.blurred[~touched].any()
    assert float(drawn.blurred[touched].float().mean()) == pytest.approx(0.5, abs=0.03)
    for values, low, high in (
        (drawn.brightness, -0.5, 0.5),
        (drawn.contrast, 0.7, 1.3),
        (drawn.gamma, 1 / 1.5, 1.5),
        (drawn.colour, -0.2, 0.2),
        (drawn.noise[touched], 0, 0.1),
    ):
        assert float(values.min()) == pytest.approx(low, abs=0.003)
        assert float(values.max()) == pytest.approx(high, abs=0.003)
    assert float((drawn.gamma[touched] > 1).float().mean()) == pytest.approx(0.5, abs=0.03)
    sigmas = [
        draw_recolouring(ALL, 1, 1, torch.Generator().manual_seed(seed)).blur_sigma_px for seed in range(200)
    ]
    assert min(sigmas) < 0.05
    assert max(sigmas) > 1.95


def test_a_seed_gives_its_recolourings() -> None:
    first, again, other = (draw_recolouring(ALL, 4, 3, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    images = noise(4, 3, 6, 6)
    assert torch.equal(recolour(images, first), recolour(images, again))
    assert not torch.equal(recolour(images, first), recolour(images, other))


def test_volumes_are_recoloured_as_images_are() -> None:
    volumes = noise(4, 2, 3, 6, 5)
    drawn = replace(draw_recolouring(ALL, 4, 2, torch.Generator().manual_seed(1)), blur_sigma_px=0.0)
    assert float((drawn.gamma - 1).abs().max()) > 0
    # all but blur is of the pixels alone, so that a volume is the image of all its slices
    expected = recolour(volumes.flatten(2, 3), drawn).view(volumes.shape)
    assert torch.allclose(recolour(volumes, drawn), expected, atol=1e-6)
    assert not torch.equal(expected, volumes)


@pytest.mark.parametrize(
    ("spacing", "sigmas_px"),
    [
        (None, (1.2, 1.2, 1.2)),
        ((1.5, 0.5, 0.5), (0.4, 1.2, 1.2)),
        ((0.5, 1.0, 0.75), (1.2, 0.6, 0.8)),
        ((20.0, 1.0, 1.0), (0.0, 1.2, 1.2)),  # slices far apart are not mixed
    ],
)
def test_blur_reaches_as_far_along_each_axis(
    spacing: tuple[float, ...] | None, sigmas_px: tuple[float, ...]
) -> None:
    volumes = noise(2, 2, 7, 12, 9)
    blurring = replace(same(2, 2), blur_sigma_px=1.2, blurred=torch.tensor([False, True]))
    found = recolour(volumes, blurring, spacing)
    assert torch.equal(found[0], volumes[0])
    radius = [max(1, round(3 * sigma)) if sigma else 0 for sigma in sigmas_px]
    for channel in range(2):
        expected = ndimage.gaussian_filter(
            volumes[1, channel].double().numpy(), sigmas_px, mode="nearest", radius=radius
        )
        assert np.abs(found[1, channel].numpy() - expected).max() < 1e-5


def test_noise_of_volumes_differs_in_every_voxel() -> None:
    volumes = torch.zeros(2, 1, 8, 32, 32)
    found = recolour(volumes, replace(same(2), noise=torch.tensor([0.0, 0.25]), noise_seed=3))
    assert torch.equal(found[0], volumes[0])
    assert float(found[1].std()) == pytest.approx(0.25, rel=0.03)
    assert len(set(found[1].flatten().tolist())) > 8000
