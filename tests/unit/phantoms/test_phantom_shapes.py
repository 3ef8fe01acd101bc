"""Outlines, and random fields with a stated smoothness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.phantoms.ct_noise import ct_noise
from delineate.phantoms.scan import View, speckle_db
from delineate.phantoms.shapes import Outline, coverage, draw_outline, pixel_centres
from delineate.phantoms.texture import blur, smooth_noise, to_grey


def test_pixel_centres_lie_about_the_middle_in_units_of_the_shorter_side() -> None:
    y, x = pixel_centres((2, 4))
    assert y.tolist() == [[-0.25], [0.25]]
    assert x.tolist() == [[-0.75, -0.25, 0.25, 0.75]]


def test_the_level_of_a_circle_is_the_distance_from_it() -> None:
    y, x = pixel_centres((40, 60))
    level = Outline(0.1, -0.2, 0.3, 0.3).level(y, x)
    assert np.allclose(level, 0.3 - np.hypot(y - 0.1, x + 0.2), atol=1e-6)


def test_an_ellipse_has_its_half_axes_and_turns_from_x_to_y() -> None:
    down = np.array([0.4], np.float32), np.array([0.0], np.float32)
    right = np.array([0.0], np.float32), np.array([0.2], np.float32)
    upright = Outline(0, 0, 0.4, 0.2)
    assert upright.level(*down)[0] == pytest.approx(0, abs=1e-6)
    assert upright.level(*right)[0] == pytest.approx(0, abs=1e-6)
    lying = Outline(0, 0, 0.2, 0.4, turn=np.pi / 2)
    assert lying.level(*down)[0] == pytest.approx(0, abs=1e-6)
    slanted = Outline(0, 0, 0.1, 0.4, turn=np.pi / 4)
    ahead = np.array([0.25], np.float32)
    assert slanted.level(ahead, ahead)[0] > 0 > slanted.level(-ahead, ahead)[0]


def test_swings_move_the_outline_by_their_share() -> None:
    swung = Outline(0, 0, 0.2, 0.2, swings=(0.25,), phases=(0.0,))
    zero = np.zeros(1, np.float32)
    assert swung.level(zero, zero + 0.25)[0] == pytest.approx(0, abs=1e-6)  # cos(2·0°) = 1
    assert swung.level(zero + 0.15, zero)[0] == pytest.approx(0, abs=1e-6)  # cos(2·90°) = −1


@given(seed=st.integers(0, 10_000), irregularity=st.floats(0, 0.5))
def test_nothing_inside_is_missed_by_looking_near_the_outline_only(seed: int, irregularity: float) -> None:
    random = np.random.default_rng(seed)
    centre, radii = random.uniform(-0.5, 0.5, 2), random.uniform(0.02, 0.3, 2)
    outline = draw_outline(
        random,
        (float(centre[0]), float(centre[1])),
        (float(radii[0]), float(radii[1])),
        turn=1.0,
        irregularity=irregularity,
    )
    assert sum(map(abs, outline.swings)) <= 0.6 + 1e-9
    y, x = pixel_centres((40, 56))
    near, everywhere = outline.level_near(y, x, 0.1), outline.level(y, x)
    assert np.array_equal(near >= 0, everywhere >= 0)
    assert np.array_equal(near[everywhere >= 0], everywhere[everywhere >= 0])


def test_coverage_is_one_half_on_the_outline() -> None:
    level = np.array([-1.0, -0.05, 0.0, 0.025, 0.05, 1.0], np.float32)
    assert coverage(level, 0.1).tolist() == pytest.approx([0, 0, 0.5, 0.75, 1, 1])


def test_smooth_noise_has_unit_variance_everywhere_and_the_stated_correlation() -> None:
    random = np.random.default_rng(0)
    fields = np.stack([smooth_noise(random, (24, 30), (3.0, 6.0)) for _ in range(3000)])
    assert np.abs(fields.mean(axis=0)).max() < 0.1
    assert np.abs(fields.std(axis=0) - 1).max() < 0.1
    # two Gaussians of scale s, d apart, overlap by exp(−d²/4s²)
    assert (fields[:, 12, 10] * fields[:, 12, 16]).mean() == pytest.approx(np.exp(-0.25), abs=0.06)
    assert (fields[:, 8, 10] * fields[:, 14, 10]).mean() == pytest.approx(np.exp(-1), abs=0.06)


def test_blur_keeps_the_mean_and_a_constant() -> None:
    field = np.random.default_rng(0).random((20, 20), dtype=np.float32)
    assert blur(field, 2.0).mean() == pytest.approx(field.mean(), rel=1e-3)
    assert np.allclose(blur(np.full((9, 9), 0.3, np.float32), 1.5), 0.3)


def test_grey_is_rounded_and_clipped() -> None:
    assert to_grey(np.array([-1, 0, 0.5, 1, 3], np.float32)).tolist() == [0, 0, 128, 255, 255]


def test_speckle_is_rayleigh_and_wider_across_the_beams_than_along() -> None:
    grain = speckle_db(np.random.default_rng(0), (400, 400), (1.0, 2.0))
    magnitude = 10 ** (grain / 20)
    assert magnitude.mean() / magnitude.std() == pytest.approx(1.913, abs=0.06)  # √(π/(4−π))
    assert np.square(magnitude).mean() == pytest.approx(1, abs=0.01)

    def correlation(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])

    assert correlation(magnitude[:, :-2], magnitude[:, 2:]) > correlation(magnitude[:-2], magnitude[2:]) + 0.2


@pytest.mark.parametrize("view", [View((80, 100)), View((80, 100), 0.5, 0.3), View((120, 70), 0.3, 0.2)])
def test_a_view_shows_a_place_where_it_lies(view: View) -> None:
    """A scan holding its own y, or x, gives a picture holding its own y, or x."""
    expected_y, expected_x = np.broadcast_arrays(*pixel_centres(view.size))
    scanned_y, scanned_x = view.point(*view.beams())
    for scanned, expected in ((scanned_y, expected_y), (scanned_x, expected_x)):
        picture, seen = view.picture(np.ascontiguousarray(scanned))
        assert 0.2 < seen.mean() <= 1
        assert np.abs(picture - expected)[seen].max() < 1 / min(view.size)
        assert not picture[~seen].any()


def test_ct_noise_is_standardised_without_slow_waves_and_streaked_along_the_width() -> None:
    noise = ct_noise(np.random.default_rng(0), (128, 120), 1.0, lengthening=0.8)
    assert noise.shape == (128, 120)
    assert noise.mean() == pytest.approx(0, abs=1e-5)
    assert noise.std() == pytest.approx(1, abs=1e-5)
    blocks = noise[:, :112].reshape(8, 16, 7, 16).mean(axis=(1, 3))
    left_by_blurred_white_noise = np.sqrt(4 * np.pi) / 16  # of unit deviation, blurred by one pixel
    assert blocks.std() < 0.5 * left_by_blurred_white_noise
    assert (noise[:, 1:] * noise[:, :-1]).mean() > (noise[1:] * noise[:-1]).mean() + 0.1
