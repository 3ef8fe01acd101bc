"""Slabs of windows and resampled rows: the same as the whole at once, in order, and never much of it held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise, product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from delineate.inference.volumes import resampled_rows
from delineate.inference.windows import predict_windows, slabs_of_windows, window_starts, window_weight

Triple = tuple[int, int, int]
sides = st.integers(1, 14)
sizes = st.tuples(sides, sides, sides)
windows = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
overlaps = st.sampled_from([0.0, 0.25, 0.5, 0.9]) | st.floats(0, 0.95)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def pointwise(batch: Tensor) -> Tensor:
    return torch.stack([batch[:, 0] * 2 - 1, batch.sum(1).sin()], dim=1)


def by_place(batch: Tensor) -> Tensor:
    """Depends on where in its window a voxel lies, and on the whole window."""
    ramp = torch.linspace(0, 1, batch[0, 0].numel()).reshape(batch.shape[2:])
    return torch.cat([batch[:, :1] + ramp, batch.mean((2, 3, 4), keepdim=True) * ramp.cos()], 1)


def at_once(volume: Tensor, window: Triple, overlap: float) -> Tensor:
    """All windows blended in one buffer, in double precision."""
    missing = [max(0, side - own) for side, own in zip(window, volume.shape[1:], strict=True)]
    padded = functional.pad(volume[None], (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate")[0]
    weight = window_weight(window).double()
    total, weights = torch.zeros(2, *padded.shape[1:]).double(), torch.zeros(padded.shape[1:]).double()
    starts = (
        window_starts(length, side, overlap) for length, side in zip(padded.shape[1:], window, strict=True)
    )
    for corner in product(*starts):
        part = tuple(slice(at, at + side) for at, side in zip(corner, window, strict=True))
        total[:, *part] += by_place(padded[:, *part][None])[0].double() * weight
        weights[part] += weight
    depth, height, width = volume.shape[1:]
    return (total / weights)[:, :depth, :height, :width].float()


@settings(max_examples=60)
@given(sizes, windows, overlaps, st.integers(1, 5))
def test_a_pointwise_predictor_is_reproduced(
    size: Triple, window: Triple, overlap: float, batch_size: int
) -> None:
    volume = noise(2, *size)
    slabs = list(slabs_of_windows(pointwise, volume, window, overlap, batch_size=batch_size))
    assert torch.allclose(torch.cat(slabs, 1), pointwise(volume[None])[0], atol=1e-6)


@settings(max_examples=40)
@given(sizes, windows, overlaps)
def test_slabs_are_the_whole_volume_blended_at_once(size: Triple, window: Triple, overlap: float) -> None:
    volume = noise(1, *size, seed=1)
    slabs = list(slabs_of_windows(by_place, volume, window, overlap))
    assert torch.allclose(torch.cat(slabs, 1), at_once(volume, window, overlap), atol=1e-5)


@settings(max_examples=40)
@given(sizes, windows, overlaps)
def test_slabs_end_where_the_next_windows_begin(size: Triple, window: Triple, overlap: float) -> None:
    slabs = list(slabs_of_windows(by_place, noise(1, *size), window, overlap))
    ends = [*window_starts(max(size[0], window[0]), window[0], overlap)[1:], size[0]]
    assert list(accumulate(slab.shape[1] for slab in slabs)) == ends
    assert all(slab.shape[1] <= window[0] for slab in slabs)
    assert {slab.shape[2:] for slab in slabs} == {size[1:]}


def test_a_slab_is_ready_before_later_slices_are_seen() -> None:
    shown: list[float] = []

    def watching(batch: Tensor) -> Tensor:
        shown.append(float(batch.max()))
        return batch

    volume = torch.arange(40.0).reshape(1, 40, 1, 1).expand(1, 40, 6, 6).contiguous()
    latest = []
    for _ in slabs_of_windows(watching, volume, (8, 4, 4), 0.5):
        latest.append(max(shown))
    assert latest == [7, 11, 15, 19, 23, 27, 31, 35, 39]  # no window of the next slices yet


class Largest(TorchFunctionMode):
    """Notes the largest tensor that any operation makes."""

    voxels = 0

    def __torch_function__(
        self, function: Callable[..., Any], _types: Any, arguments: tuple[Any, ...] = (), named: Any = None
    ) -> Any:
        made = function(*arguments, **(named or {}))
        if isinstance(made, Tensor):
            self.voxels = max(self.voxels, made.numel())
        return made


def test_no_more_than_one_windows_depth_is_held() -> None:
    volume = noise(1, 200, 16, 16)
    with Largest() as largest:
        for _ in slabs_of_windows(pointwise, volume, (8, 8, 8), 0.5):
            pass
    assert largest.voxels == 2 * 8 * 16 * 16  # both classes of one window's slices


def test_a_slab_stays_as_it_was_given() -> None:
    volume = noise(1, 20, 5, 5)
    kept, copies = [], []
    for slab in slabs_of_windows(by_place, volume, (8, 4, 4), 0.5):
        kept.append(slab)
        copies.append(slab.clone())
    assert all(torch.equal(one, other) for one, other in zip(kept, copies, strict=True))


@given(sizes, windows, overlaps, st.integers(1, 5))
@settings(max_examples=30)
def test_progress_counts_every_window_once(
    size: Triple, window: Triple, overlap: float, batch_size: int
) -> None:
    told: list[tuple[int, int]] = []
    seen: list[tuple[int, ...]] = []

    def watching(batch: Tensor) -> Tensor:
        seen.append(tuple(batch.shape))
        return batch

    volume = noise(3, *size)
    for _ in slabs_of_windows(
        watching, volume, window, overlap, batch_size=batch_size, progress=lambda *at: told.append(at)
    ):
        pass
    expected = 1
    for length, side in zip(size, window, strict=True):
        expected *= len(window_starts(max(length, side), side, overlap))
    assert told[-1] == (expected, expected)
    assert all(before[0] < after[0] for before, after in pairwise(told))
    assert sum(shape[0] for shape in seen) == expected
    assert {shape[1:] for shape in seen} == {(3, *window)}
    assert max(shape[0] for shape in seen) <= batch_size


def test_one_slice_is_a_picture() -> None:
    picture = noise(1, 30, 41)
    flat = predict_windows(lambda batch: batch.cumsum(3), picture, (8, 10), 0.3)
    (slab,) = slabs_of_windows(lambda batch: batch.cumsum(4), picture[:, None], (1, 8, 10), 0.3)
    assert torch.allclose(slab[:, 0], flat, atol=1e-5)


def test_small_volumes_are_filled_up_with_their_edge() -> None:
    seen: list[Tensor] = []

    def watching(batch: Tensor) -> Tensor:
        seen.append(batch)
        return batch

    volume = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    (found,) = slabs_of_windows(watching, volume, (3, 2, 3), 0.5)
    assert seen[0][0, 0].tolist() == [[[1, 2, 2]] * 2, [[3, 4, 4]] * 2, [[3, 4, 4]] * 2]
    assert torch.allclose(found, volume, atol=1e-6)


def test_half_precision_predictions_are_blended_in_full() -> None:
    slabs = list(
        slabs_of_windows(lambda batch: batch.bfloat16() * 0 + 0.5, noise(1, 9, 9, 9), (4, 4, 4), 0.5)
    )
    assert {slab.dtype for slab in slabs} == {torch.float32}
    assert torch.allclose(torch.cat(slabs, 1), torch.full((1, 9, 9, 9), 0.5), atol=1e-6)


def divided(whole: Tensor, depths: list[int]) -> Iterator[Tensor]:
    start = 0
    for depth in depths:
        yield whole[:, start : start + depth]
        start += depth


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 60))
def test_rows_are_the_whole_resampled_however_it_is_divided(depths: list[int], new_depth: int) -> None:
    depth = sum(depths)
    whole = noise(2, depth, 3, 2)
    rows = list(resampled_rows(divided(whole, depths), depth, new_depth))
    assert len(rows) == new_depth
    expected = functional.interpolate(whole.flatten(2).mT, size=new_depth, mode="linear", align_corners=False)
    assert torch.allclose(torch.stack(rows, 1), expected.mT.reshape(2, new_depth, 3, 2), atol=1e-5)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_as_many_rows_are_the_same_rows(depths: list[int]) -> None:
    depth = sum(depths)
    whole = noise(2, depth, 3, 2)
    assert torch.equal(torch.stack(list(resampled_rows(divided(whole, depths), depth, depth)), 1), whole)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 60))
def test_other_divisions_give_the_same_bits(depths: list[int], new_depth: int) -> None:
    depth = sum(depths)
    whole = noise(1, depth, 4, 4)
    one = list(resampled_rows(divided(whole, depths), depth, new_depth))
    for other in ([depth], [1] * depth):
        rows = resampled_rows(divided(whole, other), depth, new_depth)
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, rows, strict=True))


def test_rows_by_hand() -> None:
    whole = torch.tensor([0.0, 4.0, 8.0]).reshape(1, 3, 1, 1)

    def rows(new_depth: int) -> list[float]:
        return [float(row) for row in resampled_rows([whole[:, :1], whole[:, 1:]], 3, new_depth)]

    assert rows(1) == [4.0]
    assert rows(2) == [1.0, 7.0]  # the edges stay: centres at 0.25 and 1.75 slices
    assert rows(6) == [0.0, 1.0, 3.0, 5.0, 7.0, 8.0]


def test_rows_come_as_soon_as_their_slabs_are_there() -> None:
    whole = noise(1, 12, 2, 2)
    taken: list[int] = []

    def watched() -> Iterator[Tensor]:
        for number, slab in enumerate(divided(whole, [4, 4, 4])):
            taken.append(number)
            yield slab

    rows = resampled_rows(watched(), 12, 24)
    counts = []
    for _ in rows:
        counts.append(len(taken))
    # the row half a slice before a slab's end needs the slab behind it
    assert [counts.count(slabs) for slabs in (1, 2, 3)] == [7, 8, 9]


@pytest.mark.parametrize("new_depth", [1, 3, 7, 20])
def test_a_constant_stays_constant(new_depth: int) -> None:
    rows = list(resampled_rows([torch.full((1, 7, 2, 2), 0.3)], 7, new_depth))
    assert torch.allclose(torch.stack(rows), torch.tensor(0.3))
