"""Copies are found, look-alikes are not."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter

from delineate.dataset.duplicates import alike_in_order, exact_duplicates, near_duplicates
from delineate.dataset.inspection import ImageFacts, describe
from delineate.image import Image

Pixels = npt.NDArray[np.uint8]


def picture(seed: int, size: int = 128) -> Pixels:
    """A smooth random picture, unlike that of any other seed."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 8)
    return np.asarray(255 * (field - field.min()) / np.ptp(field), dtype=np.uint8)


def disc(seed: int) -> Pixels:
    """Like a fundus photograph: a bright disc that all share, with faint structure of its own."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    inside = x**2 + y**2 < 0.9
    return np.asarray(inside * (120 + 60 * (1 - x**2 - y**2) + 0.15 * picture(seed)), dtype=np.uint8)


def facts(*pictures: Pixels) -> dict[str, ImageFacts]:
    return {
        str(n): describe(Image(p[None] if p.ndim == 2 else p.transpose(2, 0, 1)))
        for n, p in enumerate(pictures)
    }


def jpeg(pixels: Pixels) -> Pixels:
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, "JPEG", quality=70)
    return np.asarray(Picture.open(stream))


def smaller(pixels: Pixels) -> Pixels:
    return np.asarray(Picture.fromarray(pixels).resize((96, 96)))


def brighter(pixels: Pixels) -> Pixels:
    return (40 + pixels * 0.8).astype(np.uint8)


def noisy(pixels: Pixels) -> Pixels:
    return np.clip(pixels + np.random.default_rng(1).normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [jpeg, smaller, brighter, noisy])
@pytest.mark.parametrize("others", [0, 1, 20])
def test_a_changed_copy_is_near_and_not_exact(change: Callable[[Pixels], Pixels], others: int) -> None:
    found = facts(picture(0), change(picture(0)), *(picture(seed) for seed in range(1, others + 1)))
    assert near_duplicates(found) == (("0", "1"),)
    assert exact_duplicates(found) == ()


def test_equal_pixels_are_exact_also_as_rgb() -> None:
    grey = picture(0)
    found = facts(grey, np.repeat(grey[..., None], 3, axis=2), picture(1), grey.copy())
    assert exact_duplicates(found) == (("0", "1", "3"),)
    assert near_duplicates(found) == ()


def test_same_bytes_in_another_shape_are_not_equal_but_same_numbers_in_another_type_are() -> None:
    values = np.arange(64, dtype=np.uint8)
    found = {
        "a": describe(Image(values.reshape(1, 8, 8))),
        "b": describe(Image(values.reshape(1, 4, 16))),
        "c": describe(Image(values.reshape(1, 8, 8).astype(np.uint16))),
    }
    assert exact_duplicates(found) == (("a", "c"),)


def test_pictures_taken_alike_are_no_duplicates() -> None:
    found = facts(*(disc(seed) for seed in range(24)))
    assert near_duplicates(found) == ()
    assert near_duplicates(facts(*(disc(seed) for seed in range(24)), noisy(disc(7)))) == (("7", "24"),)


def test_constant_images_are_not_near_each_other() -> None:
    assert near_duplicates(facts(np.zeros((9, 9), np.uint8), np.full((9, 9), 7, np.uint8))) == ()


def test_the_one_copy_among_many_images_is_found() -> None:
    pictures = [picture(seed, 96) for seed in range(150)]
    found = facts(*pictures, pictures[3] // 2 + 9)
    assert near_duplicates(found) == (("3", "150"),)


def test_slices_in_a_row_are_told_from_independent_images() -> None:
    volume = gaussian_filter(np.random.default_rng(0).normal(size=(40, 64, 64)), (2, 4, 4))
    slices = (255 * (volume - volume.min()) / np.ptp(volume)).astype(np.uint8)
    assert alike_in_order(facts(*slices)) > 0.9
    assert alike_in_order(facts(*(picture(seed) for seed in range(40)))) < 0.4
    assert alike_in_order(facts(*slices[:11])) == 0
