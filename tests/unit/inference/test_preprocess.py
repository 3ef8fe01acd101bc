"""From an image to what the net sees: values by hand and what must hold for any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from delineate.augment.settings import AugmentationSettings
from delineate.errors import DataError
from delineate.image import IGNORED, Colour, Image
from delineate.inference.fitting import notes_on, working_size
from delineate.inference.preprocess import (
    pad_pixels_to,
    pad_to,
    resize,
    resize_mask,
    to_working,
)
from delineate.losses import LossSettings
from delineate.networks.settings import UNetSettings
from delineate.plan import DataPlan, Plan, PredictionPlan, PreprocessingPlan, TrainingPlan

sides = st.integers(1, 60)


def whole(height: int, width: int, **other: Any) -> PreprocessingPlan:
    return PreprocessingPlan(mode="whole", size=(height, width), **({"normalization": "unit"} | other))


def patch(scale: float, **other: Any) -> PreprocessingPlan:
    return PreprocessingPlan(mode="patch", size=(16, 16), scale=scale, **({"normalization": "unit"} | other))


def plan_of(preprocessing: PreprocessingPlan, **data: Any) -> Plan:
    described = DataPlan.model_validate({"colour": "grey", "channels": 1, "labels": ("lesion",)} | data)
    return Plan(
        preset="auto",
        data=described,
        preprocessing=preprocessing,
        network=UNetSettings(input_channels=described.channels, output_channels=1, widths=(2, 2)),
        augmentation=AugmentationSettings(),
        loss=LossSettings(),
        training=TrainingPlan(steps=1, batch_size=1, learning_rate=0.1),
        prediction=PredictionPlan(),
    )


def grey(values: object, dtype: npt.DTypeLike = np.uint8) -> Image:
    return Image(np.array(values, dtype=dtype)[None])


@pytest.mark.parametrize(
    ("preprocessing", "size", "expected"),
    [
        (whole(32, 48), (100, 7), (32, 48)),
        (whole(32, 48, fit="pad"), (64, 96), (32, 48)),
        (whole(32, 48, fit="pad"), (64, 64), (32, 32)),
        (whole(32, 48, fit="pad"), (10, 30), (16, 48)),
        (whole(32, 48, fit="pad"), (32, 47), (32, 47)),
        (whole(32, 48, fit="pad"), (1000, 3), (32, 1)),  # never without a pixel
        (patch(1.0), (37, 53), (37, 53)),
        (patch(0.5), (37, 53), (18, 26)),  # 18.5 and 26.5 to the even one
        (patch(0.25), (1, 3), (1, 1)),
        (patch(2.0), (7, 9), (14, 18)),
    ],
)
def test_working_size(
    preprocessing: PreprocessingPlan, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert working_size(size, preprocessing) == expected


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 6), st.integers(1, 6))
def test_padded_images_fit_and_touch_the_size(height: int, width: int, rows: int, columns: int) -> None:
    size = (16 * rows, 16 * columns)
    found = working_size((height, width), whole(*size, fit="pad"))
    assert all(1 <= own <= side for own, side in zip(found, size, strict=True))
    assert found[0] == size[0] or found[1] == size[1]
    scale = min(size[0] / height, size[1] / width)
    assert all(
        abs(own - scale * side) <= 0.5 or own == 1 for own, side in zip(found, (height, width), strict=True)
    )


def test_resizing_by_hand() -> None:
    pixels = torch.tensor([[[0.0, 4.0], [8.0, 4.0]]])
    assert resize(pixels, (1, 1)).tolist() == [[[4.0]]]
    assert resize(pixels, (2, 4))[0, 0].tolist() == [0.0, 1.0, 3.0, 4.0]
    # a triangle that reaches two pixels either way, and weighs the first three (3, 3, 1) / 7
    assert resize(torch.tensor([[[7.0, 0.0, 0.0, 0.0]]]), (1, 2))[0, 0].tolist() == pytest.approx([3.0, 0.0])
    assert resize(pixels, (2, 2)) is pixels


@given(sides, sides, sides, sides, st.floats(-5, 5))
def test_resizing_keeps_constants_bounds_and_mirror_images(
    height: int, width: int, new_height: int, new_width: int, value: float
) -> None:
    size = (new_height, new_width)
    assert torch.allclose(
        resize(torch.full((2, height, width), value), size), torch.full((2, *size), value), atol=1e-5
    )
    pixels = torch.rand(1, height, width, generator=torch.Generator().manual_seed(height * 61 + width))
    found = resize(pixels, size)
    assert found.shape == (1, *size)
    assert float(found.min()) >= float(pixels.min()) - 1e-6
    assert float(found.max()) <= float(pixels.max()) + 1e-6
    assert torch.allclose(resize(pixels.flip(1, 2), size), found.flip(1, 2), atol=1e-5)


@given(sides, sides, sides, sides)
def test_resizing_is_pillows(height: int, width: int, new_height: int, new_width: int) -> None:
    pixels = torch.rand(height, width, generator=torch.Generator().manual_seed(height * 61 + width))
    theirs = Pillow.fromarray(pixels.numpy()).resize((new_width, new_height), Pillow.Resampling.BILINEAR)
    ours = resize(pixels[None], (new_height, new_width))[0]
    assert np.allclose(ours.numpy(), np.asarray(theirs), atol=1e-5)


def test_each_pixel_takes_the_label_that_covers_most() -> None:
    mask = torch.tensor([[1, 1, 0, 2], [1, 0, 2, 2]], dtype=torch.uint8)
    assert resize_mask(mask, (1, 2), labels=2).tolist() == [[1, 2]]
    assert resize_mask(mask, (2, 4), labels=2) is mask
    line = torch.zeros(64, 64, dtype=torch.uint8)
    line[31] = 1
    assert not resize_mask(line, (8, 8), labels=1).any()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**31))
def test_masks_made_larger_by_whole_numbers_repeat_their_pixels(
    height: int, width: int, factor: int, seed: int
) -> None:
    mask = torch.randint(
        0, 4, (height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )
    blocks = mask.repeat_interleave(8, 0).repeat_interleave(8, 1)
    found = resize_mask(blocks, (height * 8 * factor, width * 8 * factor), labels=3)
    assert found.dtype == torch.uint8
    middles = slice(4 * factor, None, 8 * factor)
    assert torch.equal(found[middles, middles], mask)
    assert torch.equal(resize_mask(found, (height * 8, width * 8), labels=3)[4::8, 4::8], mask)


@given(sides, sides, sides, sides, st.integers(1, 3))
def test_masks_hold_no_new_labels(
    height: int, width: int, new_height: int, new_width: int, value: int
) -> None:
    mask = torch.full((height, width), value, dtype=torch.uint8)
    assert torch.equal(
        resize_mask(mask, (new_height, new_width), labels=3),
        torch.full((new_height, new_width), value, dtype=torch.uint8),
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_filling_up(dtype: torch.dtype) -> None:
    pixels = torch.tensor([[[1, 2], [3, 4]]], dtype=dtype)
    mask = torch.tensor([[0, 1], [1, 0]], dtype=torch.uint8)
    filled, scored = pad_to(pixels, mask, (3, 4))
    assert filled.dtype == dtype
    assert filled.tolist() == [[[1, 2, 2, 2], [3, 4, 4, 4], [3, 4, 4, 4]]]
    assert scored.dtype == torch.uint8
    i = IGNORED
    assert scored.tolist() == [[0, 1, i, i], [1, 0, i, i], [i, i, i, i]]
    assert torch.equal(pad_pixels_to(pixels, (3, 4)), filled)
    for size in ((2, 2), (1, 2)):
        assert pad_pixels_to(pixels, size) is pixels
        same, unchanged = pad_to(pixels, mask, size)
        assert same is pixels
        assert torch.equal(unchanged, mask)


def test_an_image_is_brought_to_units_and_size() -> None:
    working = to_working(grey([[0, 51], [102, 255]]), plan_of(patch(1.0)))
    assert working.pixels[0].tolist() == [pytest.approx([0, 0.2]), pytest.approx([0.4, 1])]
    assert torch.equal(working.normalized(), working.pixels)
    stretched = to_working(grey([[51] * 9] * 5), plan_of(whole(16, 32)))
    assert torch.allclose(stretched.pixels, torch.full((1, 16, 32), 0.2))
    padded = to_working(grey([[51] * 8] * 2), plan_of(whole(16, 16, fit="pad")))
    assert padded.pixels.shape == (1, 4, 16)  # not filled up yet


def test_normalization_by_the_data_set() -> None:
    preprocessing = patch(
        1.0, normalization="dataset", mean=(0.2, 0.0, 1.0), standard_deviation=(0.5, 1.0, 2.0)
    )
    pixels = np.array([[[51]], [[255]], [[0]]], np.uint8)
    working = to_working(Image(pixels), plan_of(preprocessing, colour="rgb", channels=3))
    assert working.normalized().flatten().tolist() == pytest.approx([0.0, 1.0, -0.5], abs=1e-6)


@pytest.mark.parametrize("unit", [1.0, 1e-10, 1e10])  # diffusion in m²/s has as small ones
def test_normalization_by_each_image(unit: float) -> None:
    values = np.random.default_rng(1).normal(300, 50, (40, 30)) * unit
    plan = plan_of(patch(1.0, normalization="image"), pixels="float")
    working = to_working(grey(values, np.float32), plan)
    assert float(working.normalized().mean()) == pytest.approx(0, abs=1e-4)
    assert float(working.normalized().std(correction=0)) == pytest.approx(1, abs=1e-4)
    constant = to_working(grey([[1000.1 * unit] * 4] * 4, np.float32), plan).normalized()
    assert torch.allclose(constant, torch.zeros(1, 4, 4), atol=1e-3)


def test_8_bit_16_bit_and_float_of_one_picture_are_alike() -> None:
    values = np.random.default_rng(2).integers(0, 256, (20, 30))
    plan = plan_of(whole(16, 16))
    pictures = [grey(values), grey(values * 257, np.uint16), grey(values / 255, np.float32)]
    found = [to_working(picture, plan).normalized() for picture in pictures]
    assert torch.allclose(found[0], found[1], atol=1e-6)
    assert torch.allclose(found[0], found[2], atol=1e-6)


@pytest.mark.parametrize(
    ("values", "told"),
    [([[0.0, 1.5]], "from 0 to 1.5"), ([[-0.25, 1.0]], "from -0.25 to 1"), ([[7.0]], "from 7 to 7")],
)
def test_floats_out_of_range_are_refused_where_integers_were_learned(values: object, told: str) -> None:
    with pytest.raises(
        DataError, match=rf"float pixels {told}, but the model was trained on integer images: scale"
    ):
        to_working(grey(values, np.float32), plan_of(patch(1.0)))
    working = to_working(grey(values, np.float32), plan_of(patch(1.0), pixels="float"))
    assert working.pixels[0].tolist() == values


@pytest.mark.parametrize(
    ("data", "channels", "message"),
    [
        ({}, 2, "it has 2 channels, but 1 are expected"),
        ({"colour": "rgb", "channels": 3}, 4, "it has 4 channels, but 3 are expected"),
        ({"colour": "channels", "channels": 5}, 3, "it has 3 channels, but 5 are expected"),
        ({"colour": "channels", "channels": 2}, 1, "it has 1 channels, but 2 are expected"),
    ],
)
def test_other_channels_are_refused(data: dict[str, Any], channels: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_working(Image(np.zeros((channels, 4, 4), np.uint8)), plan_of(patch(1.0), **data))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("pixels", ["integer", "float"])
def test_pixels_that_are_not_numbers_are_refused(value: float, pixels: str) -> None:
    image = grey([[0.5, value], [0.1, 0.2]], np.float32)
    with pytest.raises(DataError, match=r"^it has pixels that are not numbers \(NaN or infinite\)$"):
        to_working(image, plan_of(patch(1.0), pixels=pixels))


@pytest.mark.parametrize("kind", [np.int64, np.uint32, np.bool_, np.complex64])
def test_pixels_without_a_known_range_are_refused(kind: npt.DTypeLike) -> None:
    told = f"it has pixels of type {np.dtype(kind)}, which have no known range: give uint8, uint16 or floats"
    with pytest.raises(DataError, match=f"^{told}$"):
        to_working(grey([[0, 1]], kind), plan_of(patch(1.0)))


HINT = ". An array whose channels come first, (C, H, W), is given as array.transpose(1, 2, 0)"


@pytest.mark.parametrize(
    ("data", "shape", "hint"),
    [
        ({"colour": "rgb", "channels": 3}, (40, 3, 40), HINT),  # of an array (3, 40, 40)
        ({"colour": "rgb", "channels": 3}, (40, 1, 40), HINT),
        ({"colour": "grey", "channels": 1}, (40, 1, 40), HINT),
        ({"colour": "channels", "channels": 5}, (40, 5, 40), HINT),
        ({"colour": "channels", "channels": 5}, (40, 3, 40), ""),
        ({"colour": "rgb", "channels": 3}, (4, 40, 40), ""),
    ],
)
def test_channels_first_are_suspected(data: dict[str, Any], shape: tuple[int, ...], hint: str) -> None:
    with pytest.raises(DataError) as caught:
        to_working(Image(np.zeros(shape, np.uint8)), plan_of(patch(1.0), **data))
    told = f"it has {shape[0]} channels, but {data['channels']} are expected"
    assert str(caught.value) == told + hint


@pytest.mark.parametrize(
    ("mean", "deviation", "refused"),
    [(40.25, 300.0, True), (0.0, 1.0, True), (-0.1, 0.2, True), (0.4, 0.2, False)],
)
def test_integers_are_refused_where_floats_of_another_range_were_learned(
    mean: float, deviation: float, refused: bool
) -> None:
    preprocessing = patch(1.0, normalization="dataset", mean=(mean,), standard_deviation=(deviation,))
    plan = plan_of(preprocessing, pixels="float")
    image = grey([[0, 51], [102, 255]])
    if not refused:
        assert to_working(image, plan).pixels.flatten().tolist() == pytest.approx([0, 0.2, 0.4, 1])
        return
    with pytest.raises(DataError) as caught:
        to_working(image, plan)
    assert str(caught.value) == (
        "it has integer pixels (uint8), which are read as shares of their range, 0 to 1, but the float "
        f"images of the training had a mean of {mean:.4g}: give floats in the same units"
    )


def test_integers_are_taken_where_each_image_is_brought_to_one_scale() -> None:
    plan = plan_of(patch(1.0, normalization="image"), pixels="float")
    values = np.random.default_rng(3).integers(0, 256, (20, 30))
    found = [to_working(grey(values * scale, np.float32), plan).normalized() for scale in (1.0, 7.0)]
    for other in found:
        assert torch.allclose(to_working(grey(values), plan).normalized(), other, atol=1e-4)


@pytest.mark.parametrize(
    ("colour", "pixels", "note"),
    [
        ("grey", [[1], [1], [1]], None),
        ("grey", [[1], [1], [2]], "in colour, and turned to grey (its luminance) for a model of grey images"),
        ("grey", [[1]], None),
        ("rgb", [[1]], "grey, and repeated for a model of colour images"),
        ("rgb", [[1], [1], [1]], None),
        ("channels", [[1], [2], [3]], None),
    ],
)
def test_notes_on_colours(colour: Colour, pixels: list[list[int]], note: str | None) -> None:
    plan = plan_of(patch(1.0), colour=colour, channels={"grey": 1, "rgb": 3, "channels": 3}[colour])
    image = Image(np.array(pixels, np.uint8)[:, None])
    assert notes_on(image, plan) == ((note,) if note else ())
