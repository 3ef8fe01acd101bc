"""Windows: percentiles, soft tissue for Hounsfield units alone, and one window for all slices of a volume."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from delineate.evaluation.display import for_display, volume_window, window_of
from delineate.image import Image


def values(low: float, high: float) -> npt.NDArray[np.float32]:
    """A volume of 1 × 10 × 10 × 10 with evenly spread values."""
    return np.linspace(low, high, 1000, dtype=np.float32).reshape(1, 10, 10, 10)


@pytest.mark.parametrize(
    ("low", "high", "modality", "words"),
    [
        (-1000, 1000, "CT", "CT soft-tissue window, -160 to 240 HU"),
        (-300, 300, "CT", "CT soft-tissue window, -160 to 240 HU"),
        (0, 2000, "CT", "percentiles"),  # shifted by 1024, as CT is stored
        (-1000, 1000, None, "soft-tissue window, -160 to 240, the values being taken for those of CT"),
        (-300, 300, None, "percentiles"),
        (-1000, 30000, None, "percentiles"),
        (-3, 3, None, "percentiles"),
        (-1000, 1000, "MR", "percentiles"),
        (7, 7, None, "shown from 7 to 7, the least and the greatest value"),
    ],
)
def test_soft_tissue_is_shown_of_ct_alone(low: float, high: float, modality: str | None, words: str) -> None:
    window = volume_window(Image(values(low, high), modality=modality))
    assert words in window.words
    if "soft" in words:
        assert (window.low, window.high) == (-160, 240)


def test_shares_of_a_range_are_no_hounsfield_units() -> None:
    pixels = values(0, 255).astype(np.uint8)
    window = volume_window(Image(pixels, modality="CT"))
    assert window.low == pytest.approx(1, abs=0.3)
    assert window.high == pytest.approx(253, abs=0.9)


def test_percentiles_of_large_volumes_are_those_of_a_grid_of_them() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(100, 10, (1, 180, 170, 160)).astype(np.float32)
    window = window_of(Image(pixels))
    assert window.low == pytest.approx(100 - 2.576 * 10, abs=0.3)
    assert window.high == pytest.approx(100 + 2.576 * 10, abs=0.3)


def test_a_slice_is_shown_through_the_window_of_its_volume() -> None:
    volume = Image(values(-1000, 1000), modality="CT")
    window = volume_window(volume)
    slice_ = np.array([[[-160.0, 40.0, 240.0, -999.0]]], np.float32)
    assert for_display(slice_, window)[0, :, 0].tolist() == [0, 128, 255, 0]


def test_a_grey_slice_of_a_colour_volume_stays_in_its_colours() -> None:
    pixels = np.zeros((3, 2, 4, 4), np.uint8)
    pixels[0, 0] = 200
    pixels[:, 1] = 90
    window = volume_window(Image(pixels))
    assert window.colour
    assert (for_display(pixels[:, 0], window) == [200, 0, 0]).all()
    assert (for_display(pixels[:, 1], window) == [90, 90, 90]).all()
