"""Whether phantoms are built like what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, label

from delineate.phantoms import KINDS, generate
from delineate.phantoms.vessel_raster import rasterise
from delineate.phantoms.vessel_tree import Eye, Segments, branch_angles, divide, grow

EYE = Eye(disc=(-0.03, 0.65), fovea=(0.03, -0.02), disc_radius=0.14)


@given(radius=st.floats(0.01, 10), ratio=st.floats(0.1, 1))
def test_branches_follow_murrays_law(radius: float, ratio: float) -> None:
    larger, smaller = divide(np.array([radius]), np.array([ratio]))
    assert larger[0] ** 3 + smaller[0] ** 3 == pytest.approx(radius**3)
    assert smaller[0] / larger[0] == pytest.approx(ratio)


def test_branch_angles_are_murrays() -> None:
    larger, smaller = branch_angles(np.array([1.0, 0.2]))
    assert np.degrees(larger[0]) == pytest.approx(37.47, abs=0.01)  # equal branches stand 74.9° apart
    assert smaller[0] == pytest.approx(larger[0])
    # by hand: cos = (1.008^(4/3) + 1 − 0.2⁴) / (2 · 1.008^(2/3)), and likewise for the smaller
    assert np.degrees(larger[1]) == pytest.approx(2.27, abs=0.01)
    assert np.degrees(smaller[1]) == pytest.approx(81.2, abs=0.05)


def test_a_tree_starts_at_the_disc_thins_and_leaves_the_fovea_free() -> None:
    tree = grow(np.random.default_rng(0), EYE, thinnest=0.005)
    assert (tree.end_radius < tree.start_radius).all()
    assert tree.start_radius.min() > 0.005
    assert np.hypot(*(tree.start[:8] - EYE.disc).T).max() < EYE.disc_radius
    assert np.hypot(*(tree.start - EYE.fovea).T).min() > 0.13
    assert tree.artery.any()
    assert not tree.artery.all()
    started = {tuple(place) for place in tree.end.round(9)} | {tuple(p) for p in tree.start[:8].round(9)}
    assert all(tuple(place) in started for place in tree.start.round(9))  # every piece hangs on another


def test_pieces_are_drawn_where_they_are() -> None:
    random = np.random.default_rng(1)
    start = random.uniform(2, 28, (6, 2))
    end = start + random.uniform(-6, 6, (6, 2))
    first, last = random.uniform(0.7, 3, (2, 6))
    drawn = rasterise(Segments(start, end, first, last, np.arange(6) % 2 == 0), (30, 32))
    y, x = np.mgrid[:30, :32]
    depths = []
    for piece in range(6):  # the nearest of many points along each piece
        share = np.linspace(0, 1, 400)[:, None, None]
        centre = start[piece] + np.linspace(0, 1, 400)[:, None] * (end[piece] - start[piece])
        distance = np.hypot(y - centre[:, :1, None], x - centre[:, 1:, None])
        nearest = distance.argmin(axis=0)
        depths.append(
            first[piece] + share[nearest, 0, 0] * (last[piece] - first[piece]) - distance.min(axis=0)
        )
    deepest = np.max(depths, axis=0)
    assert np.abs(drawn.level_px - np.maximum(deepest, -1.5)).max() < 0.02
    clear = deepest > np.sort(depths, axis=0)[-2] + 0.1
    inside = clear & (deepest > 0)
    assert np.array_equal(drawn.artery[inside], (np.argmax(depths, axis=0) % 2 == 0)[inside])


def test_a_retina_is_round_on_black_and_its_vessels_hang_together() -> None:
    for phantom in generate("vessels", 3, size=(192, 192)):
        corners = phantom.image[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert not corners.any()
        red, green, blue = phantom.image[80:110, 80:110].reshape(-1, 3).mean(axis=0)
        assert red > green > blue
        pieces, count = label(phantom.mask, np.ones((3, 3)))
        assert np.bincount(pieces.ravel())[1:].max() > 0.8 * phantom.mask.sum()
        assert count < 30


def test_organs_lie_where_they_belong_in_radiological_convention() -> None:
    names = KINDS["organs"].labels.names
    assert names == ("liver", "spleen", "left kidney", "right kidney", "aorta", "spine")
    for phantom in generate("organs", 8, size=(128, 160)):
        y, x = (
            dict(zip(names, (axis[phantom.mask == value].mean() for value in range(1, 7)), strict=True))
            for axis in np.mgrid[:128, :160]
        )
        assert x["liver"] < x["right kidney"] < x["spine"] < x["left kidney"] < x["spleen"]
        assert x["spine"] < x["aorta"] + 6
        assert y["aorta"] < y["spine"]
        assert y["liver"] < y["right kidney"]


def test_ultrasound_is_not_solved_by_any_threshold() -> None:
    """Even the best threshold, chosen for each image with the truth in hand, raw or smoothed, falls short."""
    best = {0.0: [], 1.0: [], 2.0: []}  # type: dict[float, list[float]]
    for phantom in generate("ultrasound", 12, size=(96, 96)):
        lesion = phantom.mask == 1
        for sigma_px, scores in best.items():
            smoothed = gaussian_filter(phantom.image.astype(float), sigma_px)
            dark = [smoothed <= threshold for threshold in range(0, 256, 4)]
            scores.append(max(dice(found, lesion) for found in [*dark, *(~found for found in dark)]))
    assert max(np.mean(scores) for scores in best.values()) < 0.6


def test_lesions_are_darker_than_the_tissue_about_them() -> None:
    for phantom in generate("ultrasound", 6, size=(128, 128), noise=0.0):
        lesion = phantom.mask == 1
        rim = (gaussian_filter(lesion.astype(float), 3) > 0.05) & ~lesion
        assert phantom.image[lesion].mean() < 0.75 * phantom.image[rim].mean()


def test_nuclei_touch() -> None:
    """Fewer connected pieces than nuclei: some pieces are far larger than the usual one."""
    for phantom in generate("nuclei", 4, size=(192, 192)):
        areas = np.bincount(label(phantom.mask)[0].ravel())[1:]
        assert areas.max() > 2.2 * np.median(areas)


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1))
