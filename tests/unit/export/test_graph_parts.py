"""Each piece of the exported graph does what the piece of the predictor does."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from running import Run, runner

from delineate.export.graph_intensities import write_affine, write_sample
from delineate.export.graph_resizing import (
    write_filled,
    write_interpolated_rows,
    write_resized,
    write_resized_volume,
)
from delineate.export.graph_sizes import write_window_starts, write_working_size
from delineate.export.graph_windows import Windows
from delineate.image import Image
from delineate.inference.engines.onnx_graph import GraphWriter
from delineate.inference.fitting import sampled, working_size
from delineate.inference.preprocess import pad_pixels_to, resize
from delineate.inference.volumes import resampled_rows
from delineate.inference.windows import predict_windows, window_starts
from delineate.plan import PreprocessingPlan

sides = st.integers(1, 70)
long_sides = st.integers(1, 20_000)
IMAGE, VOLUME = [1, None, None, None], [1, None, None, None, None]
WHOLE = {"mode": "whole", "size": (160, 224), "normalization": "unit"}


@functools.cache
def sized(**changes: object) -> Run:
    preprocessing = PreprocessingPlan.model_validate(WHOLE | changes)
    if preprocessing.spacing_mm is None:
        return runner(lambda to, size: write_working_size(to, size, preprocessing), [("int64", [2])], "int64")
    return runner(
        lambda to, size, spacing: write_working_size(to, size, preprocessing, spacing),
        [("int64", [3]), ("float64", [3])],
        "int64",
    )


@given(long_sides, long_sides)
def test_padded_images_come_to_the_same_size(height: int, width: int) -> None:
    expected = working_size((height, width), PreprocessingPlan.model_validate(WHOLE | {"fit": "pad"}))
    assert tuple(sized(fit="pad")([height, width])) == expected


@pytest.mark.parametrize("scale", [0.5, 0.37, 0.25, 1.5, 2.0])
@given(height=long_sides, width=long_sides)
def test_scaled_images_come_to_the_same_size(scale: float, height: int, width: int) -> None:
    changes = {"mode": "patch", "scale": scale}
    expected = working_size((height, width), PreprocessingPlan.model_validate(WHOLE | changes))
    assert tuple(sized(**changes)([height, width])) == expected


steps = st.one_of(
    st.floats(0.1, 9), st.integers(1, 40).map(lambda n: n / 4), st.integers(1, 90).map(lambda n: n / 10)
)


@given(st.tuples(*[st.integers(1, 600)] * 3), st.tuples(steps, steps, steps))
def test_volumes_come_to_the_same_size(size: tuple[int, ...], spacing_mm: tuple[float, ...]) -> None:
    changes = {"mode": "patch", "size": (8, 8, 8), "spacing_mm": (2.5, 0.8, 0.8)}
    expected = working_size(size, PreprocessingPlan.model_validate(WHOLE | changes), spacing_mm)
    assert tuple(sized(**changes)(size, spacing_mm)) == expected


@functools.cache
def starts(window: int, overlap: float) -> Run:
    return runner(
        lambda to, length: write_window_starts(to, length, window, overlap), [("int64", [1])], "int64"
    )


@pytest.mark.parametrize(("window", "overlap"), [(16, 0.25), (128, 0.25), (16, 0.5), (17, 0.9), (40, 0.0)])
@given(length=long_sides)
def test_windows_start_at_the_same_places(window: int, overlap: float, length: int) -> None:
    length += window - 1  # what is smaller is filled up before
    assert starts(window, overlap)([length]).tolist() == window_starts(length, window, overlap)


@functools.cache
def resizing() -> Run:
    return runner(write_resized, [("float32", IMAGE), ("int64", [2])], "float32")


@given(sides, sides, sides, sides)
def test_pictures_are_resized_alike(height: int, width: int, new_height: int, new_width: int) -> None:
    pixels = torch.rand(2, height, width, generator=torch.Generator().manual_seed(height * width))
    found = resizing()(pixels[None].numpy(), [new_height, new_width])
    assert np.allclose(found[0], resize(pixels, (new_height, new_width)).numpy(), atol=2e-5)


@functools.cache
def resizing_volumes() -> Run:
    return runner(write_resized_volume, [("float32", VOLUME), ("int64", [3])], "float32")


few = st.integers(1, 14)


@given(st.tuples(few, few, few), st.tuples(few, few, few))
def test_volumes_are_resized_alike(size: tuple[int, int, int], new: tuple[int, int, int]) -> None:
    pixels = torch.rand(2, *size, generator=torch.Generator().manual_seed(sum(size)))
    found = resizing_volumes()(pixels[None].numpy(), new)
    assert np.allclose(found[0], resize(pixels, new).numpy(), atol=2e-5)


@functools.cache
def rows() -> Run:
    return runner(write_interpolated_rows, [("float32", VOLUME), ("int64", [1])], "float32")


@given(few, st.integers(1, 40))
def test_rows_lie_between_the_same_slices(depth: int, new_depth: int) -> None:
    slices = torch.rand(2, depth, 3, 4, generator=torch.Generator().manual_seed(depth))
    expected = torch.stack(list(resampled_rows([slices], depth, new_depth)), dim=1)
    assert np.allclose(rows()(slices[None].numpy(), [new_depth])[0], expected.numpy(), atol=1e-6)


@functools.cache
def filling() -> Run:
    return runner(lambda to, pixels: write_filled(to, pixels, (16, 32)), [("float32", IMAGE)], "float32")


@given(sides, sides)
def test_edges_are_filled_up_alike(height: int, width: int) -> None:
    pixels = torch.rand(2, height, width)
    assert np.array_equal(filling()(pixels[None].numpy())[0], pad_pixels_to(pixels, (16, 32)).numpy())


WINDOW, OVERLAP = (8, 16), 0.4


def seen(to: GraphWriter, part: str) -> str:
    """Of a window its pixels, and a ramp that tells where in a window a pixel lay."""
    ramp = np.arange(WINDOW[0] * WINDOW[1], dtype=np.float32).reshape(1, 1, *WINDOW)
    return to.op("Concat", part, to.op("Mul", part, to.constant(ramp, "float32")), axis=1)


def seen_by_torch(batch: torch.Tensor) -> torch.Tensor:
    ramp = torch.arange(WINDOW[0] * WINDOW[1], dtype=torch.float32).reshape(1, 1, *WINDOW)
    return torch.cat([batch, batch * ramp], dim=1)


@functools.cache
def blending() -> Run:
    def write(to: GraphWriter, image: str) -> str:
        return Windows(WINDOW, OVERLAP, 2).write(to, write_filled(to, image, WINDOW), seen)

    return runner(write, [("float32", IMAGE)], "float32")


@given(sides, sides)
def test_windows_are_blended_alike(height: int, width: int) -> None:
    image = torch.rand(1, height, width, generator=torch.Generator().manual_seed(height))
    expected = predict_windows(seen_by_torch, image, WINDOW, OVERLAP).numpy()
    found = blending()(image[None].numpy())[0, :, :height, :width]
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(3, 4, 5), (130, 127, 126), (64, 300, 301), (128, 128, 128)])
def test_the_same_voxels_are_sampled(size: tuple[int, int, int]) -> None:
    run = runner(write_sample, [("float32", VOLUME)], "float32")
    values = np.arange(np.prod(size), dtype=np.float32).reshape(1, *size)
    assert np.array_equal(run(values[None])[0], sampled(Image(values)).pixels)


def write_normalized(to: GraphWriter, pixels: str) -> str:
    affine = write_affine(to, pixels, PreprocessingPlan.model_validate(WHOLE | {"normalization": "image"}))
    assert affine is not None
    return affine.write(to, pixels, 2)


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_the_images_own_numbers_are_exact_far_from_zero(offset: float, unit: float) -> None:
    generator = np.random.default_rng(0)
    values = unit * (offset + generator.normal(0, [[[3.0]], [[80.0]]], (2, 301, 203)))
    run = runner(write_normalized, [("float32", IMAGE)], "float32")
    found = run(values[None].astype(np.float32))[0].astype(np.float64)
    assert np.allclose(found.mean((1, 2)), 0, atol=1e-4)
    assert np.allclose(found.std((1, 2)), 1, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 5e-8, 1000.1])
def test_equal_pixels_are_not_made_much_of(value: float) -> None:
    run = runner(write_normalized, [("float32", IMAGE)], "float32")
    assert np.allclose(run(np.full((1, 2, 30, 20), value, np.float32)), 0, atol=1e-3)
