"""Volumes on their way to the net: resized by hand, clipped, cut into slices, refused where unfit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor
from volume_cases import PLACED, Brightness, noise, volume, volume_plan

from delineate.errors import DataError
from delineate.geometry import Geometry
from delineate.image import Image
from delineate.inference.engines import TorchEngine
from delineate.inference.fitting import SAMPLED_VOXELS, STRETCHED, notes_on, working_size
from delineate.inference.predict import probabilities
from delineate.inference.preprocess import (
    resize,
    resize_mask,
    slices,
    to_working,
)

sides = st.integers(1, 17)
sizes = st.tuples(sides, sides, sides)
Size = tuple[int, int, int]


def triangle(length: int, new_length: int) -> npt.NDArray[np.float64]:
    """`(new, old)` weights: a triangle as wide as the larger of an old and a new pixel, both ways."""
    ratio = length / new_length
    reach = max(ratio, 1.0)
    centres = (np.arange(new_length) + 0.5) * ratio
    away = np.abs(np.arange(length) + 0.5 - centres[:, None]) / reach
    weights = np.clip(1 - away, 0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def by_hand(pixels: Tensor, size: Size) -> npt.NDArray[np.float64]:
    values = pixels.numpy().astype(np.float64)
    for axis, new_length in enumerate(size, start=1):
        weights = triangle(values.shape[axis], new_length)
        values = np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)
    return values


@settings(max_examples=60)
@given(sizes, sizes, st.integers(1, 2))
def test_resizing_is_by_triangles_along_each_axis(size: Size, new_size: Size, channels: int) -> None:
    pixels = torch.from_numpy(noise(channels, *size))
    found = resize(pixels, new_size)
    assert found.shape == (channels, *new_size)
    assert np.allclose(found.numpy(), by_hand(pixels, new_size), atol=1e-5)


@given(sizes, sizes, st.floats(-5, 5))
def test_resizing_keeps_constants_bounds_and_mirror_images(size: Size, new_size: Size, value: float) -> None:
    constant = resize(torch.full((1, *size), value), new_size)
    assert torch.allclose(constant, torch.full((1, *new_size), value), atol=1e-5)
    pixels = torch.from_numpy(noise(1, *size))
    found = resize(pixels, new_size)
    assert float(found.min()) >= float(pixels.min()) - 1e-6
    assert float(found.max()) <= float(pixels.max()) + 1e-6
    for axes in ((1,), (2,), (3,), (1, 2, 3)):
        assert torch.allclose(resize(pixels.flip(axes), new_size), found.flip(axes), atol=1e-5)


@given(sizes, sizes)
def test_axes_are_alike(size: Size, new_size: Size) -> None:
    pixels = torch.from_numpy(noise(1, *size))
    turned = resize(pixels.permute(0, 3, 1, 2), (new_size[2], new_size[0], new_size[1]))
    assert torch.allclose(turned.permute(0, 2, 3, 1), resize(pixels, new_size), atol=1e-5)


@pytest.mark.parametrize("new_size", [(8, 14, 9), (24, 21, 9), (16, 7, 27)])
def test_making_larger_is_scipys_linear_zoom(new_size: Size) -> None:
    pixels = noise(8, 7, 9)
    zooms = [new / old for new, old in zip(new_size, pixels.shape, strict=True)]
    theirs = ndimage.zoom(pixels, zooms, order=1, mode="nearest", grid_mode=True)
    assert np.allclose(resize(torch.from_numpy(pixels)[None], new_size)[0].numpy(), theirs, atol=1e-5)


def test_halving_a_volume_by_hand() -> None:
    pixels = torch.tensor([7.0, 0, 0, 0]).reshape(1, 4, 1, 1).expand(1, 4, 2, 3)
    assert torch.allclose(resize(pixels, (2, 2, 3))[0, :, 0, 0], torch.tensor([3.0, 0.0]))
    assert resize(pixels, (4, 2, 3)) is pixels


def test_a_volume_that_lies_turned_in_memory_is_resized_alike() -> None:
    pixels = torch.from_numpy(noise(2, 6, 7, 8))
    turned = pixels.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert not turned.is_contiguous()
    for size in ((3, 9, 8), (9, 7, 4), (6, 7, 9)):
        assert torch.allclose(resize(turned, size), resize(pixels, size), atol=1e-6)


def test_each_voxel_takes_the_label_that_covers_most() -> None:
    mask = torch.zeros(2, 2, 4, dtype=torch.uint8)
    mask[:, :, :2], mask[0, 0, 0] = 1, 2
    mask[0, :, 2:], mask[1, 0, 2] = 3, 3
    assert resize_mask(mask, (1, 1, 2), labels=3).tolist() == [[[1, 3]]]
    assert resize_mask(mask, (2, 2, 4), labels=3) is mask
    plate = torch.zeros(64, 8, 8, dtype=torch.uint8)
    plate[31] = 1
    assert not resize_mask(plate, (8, 8, 8), labels=1).any()


@settings(max_examples=40)
@given(st.tuples(*[st.integers(1, 5)] * 3), st.integers(1, 3), st.integers(0, 2**31))
def test_masks_made_larger_by_whole_numbers_repeat_their_voxels(size: Size, factor: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.randint(0, 4, size, generator=generator, dtype=torch.uint8)
    blocks = mask
    for axis in range(3):
        blocks = blocks.repeat_interleave(4, axis)
    found = resize_mask(blocks, tuple(4 * factor * side for side in size), labels=3)
    middles = slice(2 * factor, None, 4 * factor)
    assert found.dtype == torch.uint8
    assert torch.equal(found[middles, middles, middles], mask)


@given(sizes, sizes, st.integers(0, 2**31))
def test_masks_hold_no_new_labels_and_follow_the_image(size: Size, new_size: Size, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = 2 * torch.randint(0, 2, size, generator=generator, dtype=torch.uint8)
    found = resize_mask(mask, new_size, labels=3)
    assert set(found.flatten().tolist()) <= {0, 2}
    covered = by_hand((mask > 0).float()[None], new_size)[0]
    clear = np.abs(covered - 0.5) > 1e-4
    assert np.array_equal(found.numpy()[clear], np.where(covered > 0.5, 2, 0)[clear])


@pytest.mark.parametrize(
    ("spacing_mm", "own_mm", "size", "expected"),
    [
        (None, (2.0, 1.0, 0.5), (6, 20, 30), (6, 20, 30)),
        ((1.0, 1.0, 1.0), None, (6, 20, 30), (6, 20, 30)),
        ((1.0, 1.0, 1.0), (2.0, 1.0, 0.5), (6, 20, 30), (12, 20, 15)),
        ((3.0, 0.3, 1.0), (2.0, 1.0, 0.5), (7, 2, 3), (5, 7, 2)),  # 4.67, 6.67 and 1.5
        ((50.0, 50.0, 50.0), (2.0, 1.0, 0.5), (6, 9, 15), (1, 1, 1)),  # never without a voxel
    ],
)
def test_working_size_of_volumes(
    spacing_mm: Size | None, own_mm: tuple[float, ...] | None, size: Size, expected: Size
) -> None:
    plan = volume_plan("volumes", preprocessing={"spacing_mm": spacing_mm})
    assert working_size(size, plan.preprocessing, own_mm) == expected
    image = volume(noise(*size), Geometry(own_mm))
    working = to_working(image, plan).pixels
    assert torch.equal(working, resize(torch.from_numpy(image.units()), expected))


def test_a_volume_of_which_nothing_would_be_left_is_refused_with_its_spacing() -> None:
    plan = volume_plan("volumes", preprocessing={"spacing_mm": (1.0, 1.0, 1.0)})
    image = volume(noise(6, 20, 30), Geometry((1e-3, 1e-3, 1e-3)))
    with pytest.raises(
        DataError, match=r"hardly a voxel .* are 0\.001 × 0\.001 × 0\.001 mm, but the model works"
    ):
        to_working(image, plan)
    assert any("are its units right?" in note for note in notes_on(image, plan))
    assert notes_on(volume(noise(6, 20, 30), Geometry((5.0, 0.7, 0.7))), plan) == ()


def test_slices_and_volumes_are_not_taken_for_each_other() -> None:
    picture = Image(noise(1, 20, 30), shares=False)
    with pytest.raises(DataError, match=r"^it is one slice, but the model segments volumes: give the whole"):
        to_working(picture, volume_plan("volumes"))
    with pytest.raises(DataError, match=r"^it is a volume, of which this net sees single slices$"):
        to_working(volume(noise(5, 20, 30)), volume_plan("slices"))
    with pytest.raises(DataError, match=r"^it is one slice"):
        probabilities(TorchEngine(Brightness()), volume_plan("volumes"), picture)
    assert to_working(picture, volume_plan("slices")).pixels.shape == (1, 20, 30)


@pytest.mark.parametrize("kind", ["volumes", "slices"])
def test_what_no_volume_of_the_training_was_is_refused(kind: Any) -> None:
    plan = volume_plan(kind)
    see = slices if kind == "slices" else to_working
    with pytest.raises(DataError, match="it has 2 channels, but 1 are expected"):
        see(Image(noise(2, 4, 8, 8), shares=False), plan)
    values = noise(4, 8, 8)
    values[2, 3, 4] = np.nan
    with pytest.raises(DataError, match=r"pixels that are not numbers \(NaN or infinite\)"):
        to_working(volume(values), volume_plan("volumes"))
    with pytest.raises(DataError, match="pixels of type int64"):
        see(Image(np.zeros((1, 4, 8, 8), np.int64), shares=False), plan)


def test_values_are_clipped_channel_by_channel() -> None:
    pixels = np.array([[-1000, -100, 0, 40, 3000], [0, 1, 2, 3, 4]], np.int16).reshape(2, 1, 1, 5)
    clip = [[-100.0, 200.0], [1.5, 2.5]]
    plan = volume_plan("volumes", channels=2, preprocessing={"clip": clip})
    working = to_working(Image(pixels, shares=False), plan).pixels
    assert working.flatten(1).tolist() == [[-100, -100, 0, 40, 200], [1.5, 1.5, 2, 2.5, 2.5]]
    assert pixels[0].min() == -1000


def test_values_are_clipped_before_their_mean_is_taken() -> None:
    preprocessing = {"normalization": "image", "clip": [[0.0, 10.0]]}
    pixels = np.array([[[[-5000.0, 0, 10, 9000]]]], np.float32)
    found = to_working(Image(pixels, shares=False), volume_plan("volumes", preprocessing=preprocessing))
    assert found.normalized().flatten().tolist() == pytest.approx([-1, -1, 1, 1], abs=1e-5)


def test_clipped_values_are_normalized_by_the_plans_numbers() -> None:
    preprocessing = {"normalization": "dataset", "mean": [50.0], "standard_deviation": [25.0]}
    plan = volume_plan("volumes", preprocessing=preprocessing | {"clip": [[0.0, 100.0]]})
    pixels = np.array([[[[-1000, 25, 50, 2000]]]], np.int16)
    found = to_working(Image(pixels, shares=False), plan).normalized()
    assert found.flatten().tolist() == pytest.approx([-2, -1, 0, 2], abs=1e-6)


def test_slices_are_the_volumes_with_its_intensities() -> None:
    values = noise(5, 20, 30) * np.arange(1, 6, dtype=np.float32)[:, None, None]
    image = volume(values, PLACED, notes=("a note",), modality="MR")
    plan = volume_plan("slices", preprocessing={"normalization": "image"})
    cut, intensities = slices(image, plan)
    assert [each.size for each in cut] == [(20, 30)] * 5
    for at, each in enumerate(cut):
        assert np.array_equal(each.pixels[0], values[at])
        assert each.geometry == Geometry((1.0, 0.5))
        assert (each.modality, each.shares, each.notes) == ("MR", False, ())
    assert float(intensities.gain) == pytest.approx(1 / values.std(), rel=1e-5)
    assert float(intensities.offset) == pytest.approx(-values.mean() / values.std(), rel=1e-5)
    brightness = [float(to_working(each, plan, intensities).normalized().mean()) for each in cut]
    assert brightness == sorted(brightness)
    assert brightness[-1] - brightness[0] > 1


def test_the_intensities_of_a_large_volume_are_those_of_a_part_spread_over_it() -> None:
    size = (130, 128, 128)
    assert np.prod(size) > SAMPLED_VOXELS
    ramp = np.broadcast_to(np.linspace(0, 1, size[0], dtype=np.float32)[:, None, None], size)
    _, intensities = slices(volume(ramp), volume_plan("slices", preprocessing={"normalization": "image"}))
    assert 1 / float(intensities.gain) == pytest.approx(ramp.std(), rel=0.01)
    assert -float(intensities.offset / intensities.gain) == pytest.approx(ramp.mean(), rel=0.02)


def of_pictures(**preprocessing: Any) -> Any:
    return volume_plan("slices", data={"axes": 2, "pixels": "integer"}, preprocessing=preprocessing)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint8])
def test_a_volume_for_a_model_of_pictures_is_stretched_as_a_whole(dtype: npt.DTypeLike) -> None:
    values = np.zeros((3, 4, 5), dtype)
    values[:] = np.reshape((50, 100, 150) if dtype is np.uint8 else (-1000, 0, 1000), (3, 1, 1))
    image = Image(values[None], PLACED, shares=False)
    cut, intensities = slices(image, of_pictures())
    seen = [to_working(each, of_pictures(), intensities).pixels for each in cut]
    for found, share in zip(seen, (0, 0.5, 1), strict=True):
        assert torch.allclose(found, torch.full((1, 4, 5), float(share)))
    assert STRETCHED in notes_on(image, of_pictures())
    assert image.pixels.dtype == dtype


def test_a_constant_volume_is_stretched_to_nothing() -> None:
    cut, _ = slices(Image(np.full((1, 3, 4, 5), 7, np.int16), shares=False), of_pictures())
    assert all(float(to_working(each, of_pictures()).pixels.abs().max()) == 0 for each in cut)


def test_notes_on_volumes() -> None:
    of_volumes = volume_plan("volumes", preprocessing={"orientation": "SPL", "spacing_mm": [3.0, 1.5, 1.25]})
    lost = volume(noise(4, 8, 8))
    place = "it does not say how it lies in the patient: taken as stored for SPL"
    distance = "it does not say how far its voxels lie apart: taken for 1.25 × 1.5 × 3 mm, as the model works"
    assert notes_on(lost, of_volumes) == (place, distance)
    assert notes_on(volume(noise(4, 8, 8), Geometry((1, 1, 1))), of_volumes) == (place,)
    assert notes_on(volume(noise(4, 8, 8), PLACED), of_volumes) == ()
    assert notes_on(lost, volume_plan("volumes")) == ()
    pictures = Image(np.zeros((1, 4, 8, 8), np.uint8))
    assert notes_on(pictures, of_pictures()) == ("a volume, segmented slice by slice by a model of pictures",)
