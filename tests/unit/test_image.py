"""Images, labels and colours: values by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.geometry import Turn
from delineate.image import (
    Colour,
    Geometry,
    Image,
    Label,
    LabelSet,
    Mask,
    as_colour,
    oriented,
    oriented_mask,
    turn_of,
)

RAS = Geometry(
    (1.0, 2.0, 3.0), (10.0, 20.0, 30.0), ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
)  # as NIfTI stores it, the first index running to the right


def image(*channels: object, dtype: npt.DTypeLike = np.uint8) -> Image:
    return Image(np.array(channels, dtype=dtype), Geometry((0.5, 0.5)), ("a note",))


@pytest.mark.parametrize(
    ("dtype", "values", "units"),
    [
        (np.uint8, [0, 51, 255], [0, 0.2, 1]),
        (np.uint16, [0, 13107, 65535], [0, 0.2, 1]),
        (np.float32, [-1000, 0.25, 3000], [-1000, 0.25, 3000]),
    ],
)
def test_units(dtype: npt.DTypeLike, values: list[float], units: list[float]) -> None:
    stored = image([values], dtype=dtype)
    found = stored.units()
    assert found.dtype == np.float32
    assert found[0, 0] == pytest.approx(units)
    assert stored.pixels[0, 0].tolist() == pytest.approx(values)  # the image itself is left alone
    found[...] = 7
    assert stored.pixels[0, 0].tolist() == pytest.approx(values)


@pytest.mark.parametrize(
    ("dtype", "shares", "own"),
    [(np.uint8, True, False), (np.uint8, False, True), (np.int16, False, True), (np.float32, True, True)],
)
def test_whether_numbers_are_what_they_say(dtype: npt.DTypeLike, shares: bool, own: bool) -> None:
    stored = Image(np.array([[[7, 100]]], dtype), shares=shares)
    assert stored.in_own_units is own
    assert stored.units()[0, 0].tolist() == pytest.approx([7, 100] if own else [7 / 255, 100 / 255])


def test_what_identifies_is_not_in_what_is_printed() -> None:
    assert "DOE" not in repr(Image(np.zeros((1, 2, 2), np.uint8), identifying=frozenset({"DOE^JANE"})))


def test_8_and_16_bit_of_one_picture_have_the_same_units() -> None:
    values = np.arange(256)
    eight, sixteen = image([values]), image([values * 257], dtype=np.uint16)
    assert np.allclose(eight.units(), sixteen.units(), atol=1e-7)


def test_channels_and_size() -> None:
    assert image([[1, 2, 3]], [[4, 5, 6]]).channels == 2
    assert image([[1, 2, 3], [4, 5, 6]]).size == (2, 3)
    assert Image(np.zeros((1, 4, 5, 6), np.uint8)).size == (4, 5, 6)


def test_one_channel_stays_as_it_is_for_grey() -> None:
    grey = image([[1, 2]])
    assert as_colour(grey, "grey") is grey


def test_equal_channels_are_taken_once() -> None:
    found = as_colour(image([[1, 200]], [[1, 200]], [[1, 200]]), "grey")
    assert found.pixels.tolist() == [[[1, 200]]]
    assert (found.geometry, found.notes) == (Geometry((0.5, 0.5)), ("a note",))


@pytest.mark.parametrize(
    ("rgb", "grey"),
    [
        ((255, 0, 0), 76),  # 76.245
        ((0, 255, 0), 150),  # 149.685
        ((0, 0, 255), 29),  # 29.07
        ((255, 255, 254), 255),  # 254.886
        ((10, 20, 30), 18),  # 2.99 + 11.74 + 3.42
    ],
)
def test_luminance(rgb: tuple[int, int, int], grey: int) -> None:
    found = as_colour(image(*([[value]] for value in rgb)), "grey")
    assert found.pixels.dtype == np.uint8
    assert found.pixels.tolist() == [[[grey]]]


def test_luminance_of_deep_and_float_pixels() -> None:
    deep = as_colour(image([[65535]], [[65535]], [[65534]], dtype=np.uint16), "grey")
    assert deep.pixels.dtype == np.uint16
    assert deep.pixels.tolist() == [[[65535]]]
    floats = as_colour(image([[-1.0]], [[0.5]], [[2.0]], dtype=np.float32), "grey")
    assert floats.pixels.dtype == np.float32
    assert floats.pixels[0, 0, 0] == pytest.approx(-0.299 + 0.2935 + 0.228)


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=20))
def test_grey_lies_between_the_channels_and_stays(colours: list[tuple[int, int, int]]) -> None:
    stored = image(*np.array(colours).T[:, None])
    grey = as_colour(stored, "grey")
    assert (grey.pixels[0] >= stored.pixels.min(0)).all()
    assert (grey.pixels[0] <= stored.pixels.max(0)).all()
    assert as_colour(as_colour(grey, "rgb"), "grey").pixels.tolist() == grey.pixels.tolist()


def test_grey_pictures_as_colours() -> None:
    assert as_colour(image([[1, 2]]), "rgb").pixels.tolist() == [[[1, 2]]] * 3
    rgb = image([[1]], [[2]], [[3]])
    assert as_colour(rgb, "rgb") is rgb


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_channels_as_they_are(count: int) -> None:
    stored = image(*[[[1]]] * count)
    assert as_colour(stored, "channels") is stored


@pytest.mark.parametrize(
    ("colour", "count", "expected"), [("grey", 2, 1), ("grey", 4, 1), ("rgb", 2, 3), ("rgb", 4, 3)]
)
def test_channels_that_do_not_fit(colour: Colour, count: int, expected: int) -> None:
    with pytest.raises(ValueError, match=f"it has {count} channels, but {expected} are expected"):
        as_colour(image(*[[[1]]] * count), colour)


def test_label_sets() -> None:
    labels = LabelSet.of("liver", "spleen")
    assert tuple(labels) == (Label("liver", 1), Label("spleen", 2))
    assert (labels.names, len(labels)) == (("liver", "spleen"), 2)
    assert len(LabelSet.of(*(str(n) for n in range(254)))) == 254


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((), "1 to 254 labels, not 0"),
        (tuple(Label(str(n), n) for n in range(1, 256)), "1 to 254 labels, not 255"),
        ((Label("a", 0),), "must be 1, 2, …, n"),
        ((Label("a", 2), Label("b", 1)), "must be 1, 2, …, n"),
        ((Label("a", 1), Label("b", 3)), "must be 1, 2, …, n"),
        ((Label("a", 1), Label("a", 2)), "distinct and not empty: a, a"),
        ((Label(" ", 1),), "distinct and not empty"),
    ],
)
def test_label_sets_that_cannot_be(labels: tuple[Label, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelSet(labels)


def test_a_volume_is_turned_with_its_place() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 4)
    stored = Image(pixels, RAS, ("a note",), modality="MR", subject="digest")
    found = oriented(stored, "SPL")
    assert found.pixels.tolist() == pixels[0].transpose(2, 1, 0)[:, ::-1, ::-1][None].tolist()
    assert np.shares_memory(found.pixels, pixels)
    assert found.geometry == Geometry(
        (3.0, 2.0, 1.0), (9.0, 16.0, 30.0), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    )
    assert (found.notes, found.modality, found.subject) == (("a note",), "MR", "digest")


def test_a_mask_is_turned_as_its_image() -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    mask = oriented_mask(Mask(values, LabelSet.of("liver"), RAS), "SPL")
    image = oriented(Image(values[None], RAS), "SPL")
    assert (mask.values == image.pixels[0]).all()
    assert mask.values.dtype == np.uint8
    assert (mask.geometry, mask.labels) == (image.geometry, LabelSet.of("liver"))


@pytest.mark.parametrize(
    ("geometry", "axes", "orientation"),
    [
        (RAS, 3, None),
        (RAS, 3, "RAS"),
        (Geometry((1.0, 1.0, 1.0)), 3, "SPL"),
        (Geometry((1.0, 1.0), (0.0, 0.0, 0.0), ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))), 2, "SPL"),
    ],
)
def test_what_is_not_turned(geometry: Geometry, axes: int, orientation: str | None) -> None:
    assert turn_of(geometry, axes, orientation) is None
    pixels = np.zeros((1, 2, 3, 4)[: axes + 1], np.uint8)
    image, mask = Image(pixels, geometry), Mask(pixels[0], LabelSet.of("liver"), geometry)
    assert oriented(image, orientation) is image
    assert oriented_mask(mask, orientation) is mask


def test_how_a_volume_is_turned() -> None:
    assert turn_of(RAS, 3, "SPL") == Turn((2, 1, 0), (False, True, True))
