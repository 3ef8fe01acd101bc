"""Overlays: lines lie on the boundary and nowhere else, and every kind of image can be shown."""

from __future__ import annotations

import io
import math
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from delineate.evaluation.outlines import BLUE, HUES, YELLOW, outline_colours
from delineate.evaluation.overlays import draw_overlay, encode_png
from delineate.image import Image, LabelSet, Mask

ONE = LabelSet.of("lesion")


def square(size: int, start: int, stop: int, labels: LabelSet = ONE, value: int = 1) -> Mask:
    """A square label in a square image."""
    values = np.zeros((size, size), np.uint8)
    values[start:stop, start:stop] = value
    return Mask(values, labels)


def grey(size: int, value: int = 128) -> Image:
    """A constant grey image."""
    return Image(np.full((1, size, size), value, np.uint8))


def has(picture: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    """Where the picture has exactly this colour."""
    return np.asarray((picture == np.array(colour)).all(axis=-1))


def test_lines_run_along_the_edge_of_the_mask_and_leave_the_rest_alone() -> None:
    picture = draw_overlay(grey(500), square(500, 100, 300), square(500, 200, 400))
    rows, columns = np.nonzero(has(picture, BLUE))
    for edge in (rows.min(), columns.min()):
        assert abs(int(edge) - 100) <= 3
    for edge in (rows.max(), columns.max()):
        assert abs(int(edge) - 299) <= 3
    rows, columns = np.nonzero(has(picture, YELLOW))
    assert abs(int(rows.min()) - 200) <= 3
    assert abs(int(columns.max()) - 399) <= 3
    untouched = np.ones((500, 500), bool)
    for start, stop in ((100, 300), (200, 400)):
        untouched[start - 6 : stop + 6, start - 6 : stop + 6] = False
        untouched[start + 6 : stop - 6, start + 6 : stop - 6] = True
    untouched[94:306, 94:106] = untouched[94:306, 294:306] = False
    untouched[94:106, 94:306] = untouched[294:306, 94:306] = False
    assert (picture[untouched] == 128).all()


def test_the_prediction_is_dashed_only_beside_a_reference() -> None:
    # the share of the square's left edge that has the prediction's colour
    mask = square(500, 100, 400)
    nothing = Mask(np.zeros((500, 500), np.uint8), ONE)
    dashed = has(draw_overlay(grey(500), nothing, mask), YELLOW)[120:380, 94:106].any(axis=1).mean()
    solid = has(draw_overlay(grey(500), None, mask), YELLOW)[120:380, 94:106].any(axis=1).mean()
    assert solid == 1.0
    assert 0.35 < dashed < 0.65


def test_where_both_agree_both_colours_show() -> None:
    mask = square(500, 100, 400)
    edge = draw_overlay(grey(500), mask, mask)[120:380, 94:106]
    assert has(edge, BLUE).any()
    assert has(edge, YELLOW).any()


def test_a_mask_over_the_whole_image_is_outlined_at_its_border() -> None:
    picture = draw_overlay(grey(500), None, square(500, 0, 500))
    for side in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert has(side, YELLOW).any()


@pytest.mark.parametrize(("size", "enlarged"), [(20, 160), (100, 500), (480, 480), (700, 700)])
def test_small_images_are_enlarged_by_whole_numbers(size: int, enlarged: int) -> None:
    picture = draw_overlay(grey(size), None, square(size, size // 4, size // 2))
    assert picture.shape == (enlarged, enlarged, 3)
    rows, _ = np.nonzero(has(picture, YELLOW))
    assert abs(int(rows.min()) - enlarged // 4) <= 6


def test_many_thin_structures_get_room() -> None:
    values = np.zeros((500, 500), np.uint8)
    values[::20] = 1
    assert draw_overlay(grey(500), None, Mask(values, ONE)).shape == (1000, 1000, 3)


def test_each_label_has_its_hue_and_the_prediction_a_lighter_tint() -> None:
    three = LabelSet.of("a", "b", "c")
    values = np.zeros((500, 500), np.uint8)
    for label in three:
        values[100:400, 140 * label.value - 100 : 140 * label.value] = label.value
    picture = draw_overlay(grey(500), Mask(values, three), Mask(values, three))
    for colours in outline_colours(3):
        assert has(picture, colours.reference).any()
        assert has(picture, colours.prediction).any()
        assert all(light >= dark for light, dark in zip(colours.prediction, colours.reference, strict=True))


def test_no_two_labels_share_a_colour() -> None:
    colours = outline_colours(254)
    assert tuple(each.reference for each in colours[:7]) == HUES
    assert colours[7].reference == (10, 184, 184)
    assert len({tint for each in colours for tint in (each.reference, each.prediction)}) == 2 * 254
    for one, other in combinations(colours[:21], 2):
        assert math.dist(one.reference, other.reference) > 45


def test_neighbouring_hues_differ_in_lightness_or_hue_for_everyone() -> None:
    # as seen without the red-green difference (a rough deuteranope: red and green averaged)
    for one, other in pairwise(HUES):
        seen = [((colour[0] + colour[1]) / 2, colour[2]) for colour in (one, other)]
        assert max(abs(a - b) for a, b in zip(*seen, strict=True)) > 40


NOTHING = Mask(np.zeros((500, 500), np.uint8), ONE)


def test_grey_is_stretched_between_its_percentiles() -> None:
    ramp = np.broadcast_to(np.linspace(1000, 3000, 500), (500, 500)).astype(np.uint16)
    ramp = ramp.copy()
    ramp[0, 0] = 65535  # one hot pixel must not darken the rest
    picture = draw_overlay(Image(ramp[None]), None, NOTHING)
    assert picture[250, 0].tolist() == [0, 0, 0]
    assert picture[250, 499].tolist() == [255, 255, 255]
    assert 120 < picture[250, 250, 0] < 136


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_image_is_mid_grey(value: int) -> None:
    assert (draw_overlay(grey(500, value), None, NOTHING) == 128).all()


def test_eight_bit_colour_is_shown_as_it_is() -> None:
    pixels = np.zeros((3, 500, 500), np.uint8)
    pixels[0], pixels[1] = 90, 10
    assert (draw_overlay(Image(pixels), None, NOTHING) == [90, 10, 0]).all()


def test_sixteen_bit_colour_is_stretched_together() -> None:
    pixels = np.zeros((3, 500, 500), np.uint16)
    pixels[0, :, 250:], pixels[1, :, 250:] = 1000, 500
    picture = draw_overlay(Image(pixels), None, NOTHING)
    assert picture[100, 400].tolist() == [255, 128, 0]


def test_of_other_numbers_of_channels_the_first_is_shown() -> None:
    pixels = np.zeros((4, 500, 500), np.float32)
    pixels[0, :, 250:] = 0.5
    pixels[3] = 9
    picture = draw_overlay(Image(pixels), None, NOTHING)
    assert picture[100, 100].tolist() == [0, 0, 0]
    assert picture[100, 400].tolist() == [255, 255, 255]


def test_other_grids_and_numbers_of_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"size, not \(20, 20\)"):
        draw_overlay(grey(20), None, square(21, 2, 4))
    row = np.zeros((1, 5), np.uint8)
    with pytest.raises(ValueError, match=r"size, not \(5,\)"):
        draw_overlay(Image(row), None, Mask(row[0], ONE))
    volume = np.zeros((3, 4, 5), np.uint8)
    with pytest.raises(ValueError, match=r"size, not \(3, 4, 5\)"):
        draw_overlay(Image(volume[None]), None, Mask(volume[:2], ONE))


def test_png_comes_back_and_can_be_reduced() -> None:
    picture = draw_overlay(grey(500), None, square(500, 100, 400))
    with PIL.Image.open(io.BytesIO(encode_png(picture))) as whole:
        assert np.array_equal(np.asarray(whole), picture)
    with PIL.Image.open(io.BytesIO(encode_png(picture[:250], longest_px=100))) as reduced:
        assert reduced.size == (100, 50)
    with PIL.Image.open(io.BytesIO(encode_png(picture[:200], longest_px=100))) as wide:
        assert wide.size == (200, 80)  # planes side by side


@pytest.mark.parametrize("size", [(900, 600), (600, 900)])
def test_large_images_are_reduced_with_their_outlines_in_place(size: tuple[int, int]) -> None:
    values = np.zeros(size, np.uint8)
    values[150:450, 300:480] = 1
    image = Image(np.full((1, *size), 128, np.uint8))
    picture = draw_overlay(image, None, Mask(values, ONE), longest_px=300)
    assert picture.shape == (size[0] // 3, size[1] // 3, 3)
    rows, columns = np.nonzero(has(picture, YELLOW))
    found = (rows.min(), rows.max(), columns.min(), columns.max())
    for edge, expected in zip(found, (50, 149, 100, 159), strict=True):
        assert abs(int(edge) - expected) <= 3
    assert (picture[:40] == 128).all()
    assert draw_overlay(image, None, Mask(values, ONE), longest_px=900).shape == (*size, 3)


def test_many_thin_structures_are_not_reduced() -> None:
    values = np.zeros((1000, 1000), np.uint8)
    values[::20] = 1
    assert draw_overlay(grey(1000), None, Mask(values, ONE), longest_px=300).shape == (1000, 1000, 3)


@pytest.mark.parametrize(("side", "optimized"), [(1000, True), (1001, False)])
def test_only_small_pictures_take_the_time_to_be_packed_best(
    side: int, optimized: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    saved = PIL.Image.Image.save

    def save(picture: PIL.Image.Image, stream: io.BytesIO, **options: Any) -> None:
        asked.append(options["optimize"])
        saved(picture, stream, **options)

    monkeypatch.setattr(PIL.Image.Image, "save", save)
    content = encode_png(np.zeros((1000, side, 3), np.uint8))
    assert asked == [optimized]
    with PIL.Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (side, 1000)
