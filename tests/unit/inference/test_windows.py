"""Windows: they cover everything, and a predictor that knows each pixel by itself is reproduced exactly."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from delineate.inference.windows import predict_windows, window_starts, window_weight, windows_of_one

sides = st.integers(1, 40)
overlaps = st.floats(0, 0.95)


@pytest.mark.parametrize(
    ("length", "window", "overlap", "starts"),
    [
        (10, 10, 0.5, [0]),
        (3, 10, 0.5, [0]),
        (11, 10, 0.0, [0, 1]),
        (20, 10, 0.0, [0, 10]),
        (20, 10, 0.5, [0, 5, 10]),
        (21, 10, 0.5, [0, 4, 7, 11]),  # even steps of 11 / 3
        (584, 128, 0.25, [0, 91, 182, 274, 365, 456]),
        (5, 1, 0.9, [0, 1, 2, 3, 4]),
    ],
)
def test_starts_by_hand(length: int, window: int, overlap: float, starts: list[int]) -> None:
    assert window_starts(length, window, overlap) == starts


@given(st.integers(1, 3000), st.integers(1, 300), overlaps)
def test_windows_cover_all_and_overlap_as_asked(length: int, window: int, overlap: float) -> None:
    starts = window_starts(length, window, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - window)
    gaps = [after - before for before, after in pairwise(starts)]
    assert all(0 < gap <= window for gap in gaps)
    # to the pixel: half a pixel from rounding the step, half from rounding the places
    assert all(window - gap >= overlap * window - 1 for gap in gaps)
    assert len(starts) <= 1 + -(-max(0, length - window) // max(1, round(window * (1 - overlap))))


@given(st.integers(1, 64), st.integers(1, 64))
def test_weights_fall_from_the_centre_and_are_never_zero(height: int, width: int) -> None:
    weight = window_weight((height, width))
    assert weight.shape == (height, width)
    assert torch.equal(weight, weight.flip(0))
    assert torch.equal(weight, weight.flip(1))
    assert float(weight.min()) >= 1e-3
    assert float(weight.max()) == float(weight[height // 2, width // 2]) <= 1
    if height % 2 and width % 2:
        assert float(weight[height // 2, width // 2]) == 1


def test_weights_by_hand() -> None:
    # sigma = 8 / 8 = 1 px; distances from the centre are 0.5, 1.5, 2.5 and 3.5 px
    along = torch.exp(-0.5 * torch.tensor([3.5, 2.5, 1.5, 0.5, 0.5, 1.5, 2.5, 3.5]) ** 2)
    assert torch.allclose(window_weight((8, 8)), torch.outer(along, along).clamp(min=1e-3), atol=1e-7)


def pointwise(batch: Tensor) -> Tensor:
    return torch.stack([batch[:, 0] * 2 - 1, batch.sum(1).sin()], dim=1)


@given(sides, sides, sides, sides, overlaps, st.integers(0, 2**31))
def test_a_pointwise_predictor_is_reproduced(
    height: int, width: int, window_height: int, window_width: int, overlap: float, seed: int
) -> None:
    image = torch.rand(2, height, width, generator=torch.Generator().manual_seed(seed))
    found = predict_windows(pointwise, image, (window_height, window_width), overlap)
    assert torch.allclose(found, pointwise(image[None])[0], atol=1e-6)


def test_a_constant_stays_constant() -> None:
    found = predict_windows(torch.ones_like, torch.zeros(1, 100, 37), (16, 16), 0.5)
    assert torch.allclose(found, torch.ones(1, 100, 37), atol=1e-6)


def test_windows_are_cut_and_laid_down_at_the_same_place() -> None:
    image = torch.arange(50 * 70, dtype=torch.float32).reshape(1, 50, 70)
    found = predict_windows(lambda batch: batch, image, (16, 24), 0.3)
    assert torch.allclose(found, image, rtol=1e-6)


def test_overlapping_predictions_are_blended_by_their_weights() -> None:
    # windows of 8 at 0 and 4; the first says 0, the second 1: in between the share of the second's weight
    def numbered(batch: Tensor) -> Tensor:
        return torch.stack([torch.full_like(one, float(n)) for n, one in enumerate(batch)])

    found = predict_windows(numbered, torch.zeros(1, 8, 12), (8, 8), 0.5)
    row = window_weight((8, 8))[4]
    share = row[:4] / (row[:4] + row[4:])
    assert torch.equal(found[0, 4, :4], torch.zeros(4))
    assert torch.allclose(found[0, 4, 4:8], share, atol=1e-6)
    assert torch.equal(found[0, 4, 8:], torch.ones(4))


@given(sides, sides)
def test_every_window_has_the_size_asked_for(height: int, width: int) -> None:
    seen: list[tuple[int, ...]] = []

    def watching(batch: Tensor) -> Tensor:
        seen.append(tuple(batch.shape))
        return batch

    predict_windows(watching, torch.rand(3, height, width), (24, 16), 0.25)
    windows = len(window_starts(max(24, height), 24, 0.25)) * len(window_starts(max(16, width), 16, 0.25))
    assert sum(shape[0] for shape in seen) == windows
    assert {shape[1:] for shape in seen} == {(3, 24, 16)}
    assert max(shape[0] for shape in seen) <= windows_of_one((24, 16), torch.device("cpu"))


def test_small_images_are_filled_up_with_their_edge() -> None:
    seen: list[Tensor] = []

    def watching(batch: Tensor) -> Tensor:
        seen.append(batch)
        return batch

    found = predict_windows(watching, torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), (3, 4), 0.5)
    assert seen[0][0, 0].tolist() == [[1, 2, 2, 2], [3, 4, 4, 4], [3, 4, 4, 4]]
    assert torch.allclose(found, torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), atol=1e-6)


def test_half_precision_predictions_are_blended_in_full() -> None:
    found = predict_windows(lambda batch: batch.bfloat16() * 0 + 0.5, torch.rand(1, 40, 40), (16, 16), 0.5)
    assert found.dtype == torch.float32
    assert torch.allclose(found, torch.full((1, 40, 40), 0.5), atol=1e-6)


def test_an_image_without_pixels() -> None:
    with pytest.raises((ValueError, RuntimeError)):
        predict_windows(pointwise, torch.zeros(2, 0, 5), (8, 8), 0.5)
