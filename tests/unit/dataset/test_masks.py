"""Masks of every encoding as they are met: understood exactly, or refused with a way out that works."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as Pillow
from scipy import ndimage

from delineate.dataset.masks import MaskEncoding, understand
from delineate.errors import ImageError, MaskError
from delineate.formats import StoredMask

Array = npt.NDArray[Any]  # masks of every type
SIDE = 64
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def disc(row: float, column: float, radius: float) -> npt.NDArray[np.bool_]:
    inside: npt.NDArray[np.bool_] = (ROWS - row) ** 2 + (COLUMNS - column) ** 2 < radius**2
    return inside


def discs(*values: int, dtype: str = "uint8", shift: int = 0) -> Array:
    """Non-touching discs, one a value, in rows of four."""
    mask = np.zeros((SIDE, SIDE), dtype)
    for at, value in enumerate(values):
        mask[disc(8 + 15 * (at // 4), 8 + 15 * (at % 4) + shift % 3, 6)] = value
    return mask


def numbered(count: int, draw: int, *, row_by_row: bool = False, dtype: str = "uint8") -> Array:
    """Squares numbered 1…count, at places of their own in each draw."""
    places = np.random.default_rng(draw).permutation(64)[:count]
    mask = np.zeros((SIDE, SIDE), dtype)
    for number, place in enumerate(sorted(places) if row_by_row else places, start=1):
        row, column = 8 * (int(place) // 8), 8 * (int(place) % 8)
        mask[row : row + 6, column : column + 6] = number
    return mask


def organs(*lacking: int) -> Array:
    """Labels 1…12, each at its own place, but for those that a patient lacks."""
    return discs(*(0 if value in lacking else value for value in range(1, 13)))


def understood(masks: Sequence[Array | StoredMask], **options: object) -> MaskEncoding:
    """What a set in memory means; decoding it must agree with the table."""
    stored = {
        Path(f"{at:03}.png"): mask if isinstance(mask, StoredMask) else StoredMask(mask)
        for at, mask in enumerate(masks)
    }
    encoding = understand(list(stored), read=stored.__getitem__, **options)  # type: ignore[arg-type]
    assert MaskEncoding.from_json(json.loads(json.dumps(encoding.to_json()))) == encoding
    decoded = [encoding.decode(mask, path) for path, mask in stored.items()]
    assert sum(row.share for row in encoding.rows) == pytest.approx(1)
    pixels = sum(mask.size for mask in decoded)
    for value, name in enumerate((None, *encoding.labels.names)):
        share = sum(int((mask == value).sum()) for mask in decoded) / pixels
        assert sum(row.share for row in encoding.rows if row.label == name) == pytest.approx(share)
    return encoding


def decoded(encoding: MaskEncoding, mask: Array | StoredMask) -> Array:
    return encoding.decode(mask if isinstance(mask, StoredMask) else StoredMask(mask), Path("x.png"))


def options_in(error: MaskError) -> list[str]:
    """The --labels texts that a refusal offers."""
    return re.findall(r'--labels "([^"]+)"', str(error))


def refused(masks: Sequence[Array | StoredMask], match: str) -> list[MaskEncoding]:
    """The encodings that the offered options lead to: each must be accepted."""
    with pytest.raises(MaskError, match=match) as caught:
        understood(masks)
    offered = options_in(caught.value)
    assert offered
    return [understood(masks, labels=option) for option in offered]


def jpeg(mask: Array, quality: int = 75) -> StoredMask:
    stream = io.BytesIO()
    Pillow.fromarray(mask).save(stream, format="JPEG", quality=quality)
    return StoredMask(np.asarray(Pillow.open(stream)), lossy=True)


def smoothed(mask: Array, sigma_px: float = 0.7) -> npt.NDArray[np.float64]:
    """As an anti-aliased outline: blurred, but flat inside."""
    blurred: npt.NDArray[np.float64] = ndimage.gaussian_filter(mask.astype(np.float64), sigma_px, truncate=2)
    return blurred


@pytest.mark.parametrize("value", [1, 7, 128, 255])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_one_value_is_foreground(value: int, dtype: str) -> None:
    masks = [discs(value, value, dtype=dtype), discs(0, dtype=dtype)]
    encoding = understood(masks)
    assert (encoding.kind, encoding.labels.names, encoding.notes) == ("values", ("foreground",), ())
    assert [(row.value, row.label, row.cases) for row in encoding.rows] == [
        ("0", None, 2),
        (str(value), "foreground", 1),
    ]
    np.testing.assert_array_equal(decoded(encoding, masks[0]), masks[0] != 0)


def test_several_values_in_order_of_value() -> None:
    masks = [discs(255, 128), discs(128), discs(255, 255)]
    encoding = understood(masks)
    assert encoding.labels.names == ("label 128", "label 255")
    np.testing.assert_array_equal(decoded(encoding, masks[0]), discs(2, 1))
    assert [row.cases for row in encoding.rows] == [3, 2, 2]


def test_five_classes_that_are_not_in_every_mask_are_no_objects() -> None:
    masks = [discs(1, 3), discs(2), discs(1, 2, 5), discs(4, 5, 3), discs(1, 4), discs(5)]
    encoding = understood(masks)
    assert encoding.labels.names == tuple(f"label {n}" for n in range(1, 6))
    np.testing.assert_array_equal(decoded(encoding, masks[3]), masks[3])


def test_nine_classes_in_every_mask() -> None:
    assert len(understood([discs(*range(1, 10)) for _ in range(4)]).labels) == 9


def test_thin_labels_of_small_numbers_stay_labels() -> None:
    mask = discs(1, 1)
    contour = ndimage.binary_dilation(mask == 1) & (mask == 0)
    encoding = understood([np.where(contour, 2, mask).astype(np.uint8)])
    assert encoding.labels.names == ("label 1", "label 2")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32"])
def test_objects_numbered_in_each_mask(dtype: str) -> None:
    masks = [numbered(k, draw=k, dtype=dtype) for k in (12, 3, 7, 10, 1, 5)]
    encoding = understood(masks)
    assert (encoding.kind, encoding.labels.names) == ("instances", ("foreground",))
    assert [row.value for row in encoding.rows] == ["0", "1–12"]
    assert [row.cases for row in encoding.rows] == [6, 6]
    assert len(encoding.notes) == 1
    np.testing.assert_array_equal(decoded(encoding, masks[0]), masks[0] > 0)
    assert decoded(encoding, discs(4000, dtype="uint16")).max() == 1  # a new number is an object too


def test_objects_numbered_over_the_whole_set() -> None:
    masks = [discs(*range(100 * k, 100 * k + 5), dtype="uint16") for k in range(1, 5)]
    assert understood(masks).kind == "instances"


@pytest.mark.parametrize("row_by_row", [False, True])
@pytest.mark.parametrize(("fewest", "most"), [(5, 60), (30, 40), (34, 36)])
def test_many_objects_in_every_mask_are_objects(fewest: int, most: int, row_by_row: bool) -> None:
    """All masks then share the low numbers, as they would share labels, but not their places."""
    counts = np.linspace(fewest, most, 12).astype(int).tolist()
    masks = [numbered(count, draw, row_by_row=row_by_row) for draw, count in enumerate(counts)]
    assert understood(masks).kind == "instances"


def test_organs_of_which_some_patients_lack_one_or_two_are_labels() -> None:
    masks = [organs()] * 15 + [organs(4), organs(7), organs(4, 7), organs(2), organs(9, 12)]
    encoding = understood(masks)
    assert encoding.labels.names == tuple(f"label {n}" for n in range(1, 13))
    np.testing.assert_array_equal(decoded(encoding, masks[17]), masks[17])


@pytest.mark.parametrize("rare", [[(11, 12)] * 7 + [(12,), ()], [(12,), (11, 12), (5,)] + [()] * 20])
def test_labels_of_which_the_last_are_rare_are_refused(rare: list[tuple[int, ...]]) -> None:
    """Their values run 1…k without a gap, as numbers of objects do, but come back to their places."""
    objects, labels = refused([organs(*lacking) for lacking in rare], "may number the objects of each mask")
    assert objects.kind == "instances"
    assert len(labels.labels) == 12


def test_labels_of_volumes_that_are_cut_and_turned_otherwise_are_refused() -> None:
    """The last labels are rare; the volumes have other sizes and borders, and half of them are mirrored."""
    masks = []
    for at in range(8):
        depth, border = 1 + at % 3, 2 * at
        values = np.pad(organs(*([12], [11, 12], [])[at % 3]), border)
        masks.append(StoredMask(np.repeat(values[None], depth, 0)[:, :: (-1) ** (at // 2)], volume=True))
    with pytest.raises(MaskError, match="may number the objects of each mask"):
        understood(masks)


def test_too_few_shared_numbers_are_refused() -> None:
    """Of number 1 alone one cannot see whether it comes back to its place."""
    refused([numbered(12, 0), numbered(1, 1), numbered(1, 2), numbered(2, 3), numbered(1, 4)], "may number")


def test_few_numbered_objects_are_refused() -> None:
    masks = [discs(*range(1, k + 1)) for k in (2, 5, 3, 1, 4)]
    objects, labels = refused(masks, "may number the objects of each mask, or be labels")
    assert (objects.kind, objects.labels.names) == ("instances", ("foreground",))
    assert len(labels.labels) == 5


def test_two_numbers_are_labels_with_a_note() -> None:
    encoding = understood([discs(1), discs(1, 2), discs(1, 2)])
    assert encoding.labels.names == ("label 1", "label 2")
    assert '--labels ">0=foreground"' in encoding.notes[0]


def test_one_mask_of_many_numbers_is_refused() -> None:
    refused([discs(*range(1, 13))], "may number the objects")


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_jpeg_edges(quality: int) -> None:
    masks = [discs(255, 255, 255), discs(255), discs(255, 255, 255, 255, 255)]
    stored = [jpeg(mask, quality) for mask in masks]
    encoding = understood(stored)
    assert (encoding.kind, encoding.labels.names) == ("threshold", ("foreground",))
    assert encoding.ranges[0] == (0, 127, 0)
    assert [row.value for row in encoding.rows] == ["0–127", "128–255"]
    assert re.search(
        r"lossy compression left values in between \(\d+\.\d\d % of the pixels\)", encoding.notes[0]
    )
    assert (decoded(encoding, stored[0]) != (masks[0] > 0)).mean() < 0.01


def test_jpeg_saved_on_as_png() -> None:
    stored = [StoredMask(jpeg(discs(255, 255), 90).values) for _ in range(3)]
    assert understood(stored).kind == "threshold"


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535)])
def test_smoothed_edges(dtype: str, top: int) -> None:
    mask = discs(1, 1, 1)
    encoding = understood([np.rint(smoothed(mask) * top).astype(dtype), discs(top, dtype=dtype)])
    assert (encoding.kind, encoding.ranges[0]) == ("threshold", (0, top // 2, 0))
    assert "smoothed edges" in encoding.notes[0]


def test_edges_smoothed_slice_by_slice_are_edges_in_a_volume_too() -> None:
    """Blurred in plane, straight down: in other planes a blurred edge looks like an area."""
    box = np.zeros((12, 40, 40), np.uint8)
    box[:, 10:30, 8:30] = 1
    soft = np.rint(np.stack([smoothed(slice_) for slice_ in box]) * 255).astype(np.uint8)
    volumes = [StoredMask(values, volume=True) for values in (soft, box * np.uint8(255))]
    encoding = understood(volumes)
    assert (encoding.kind, encoding.ranges[0]) == ("threshold", (0, 127, 0))
    np.testing.assert_array_equal(decoded(encoding, volumes[0]), soft > 127)


def test_shares_from_0_to_1() -> None:
    soft = smoothed(discs(1, 1)).astype(np.float32)
    encoding = understood([soft, discs(1, dtype="float32"), discs(1)])
    assert (encoding.kind, encoding.fractions) == ("threshold", True)
    assert "above 0.5" in encoding.notes[0]
    np.testing.assert_array_equal(decoded(encoding, soft), soft > 0.5)
    told = understood([soft], labels=">0.25=lesion")
    np.testing.assert_array_equal(decoded(told, soft), np.rint(soft * 255) > 63)


def test_jpeg_of_three_levels_is_refused() -> None:
    masks = [discs(128, 255, 128), discs(255, 128)]
    told, one = refused([jpeg(mask, 90) for mask in masks], "more than blurred edges")
    assert told.labels.names == ("label 127", "label 255")  # the levels as compression left them
    assert one.labels.names == ("foreground",)
    truth = np.searchsorted([0, 128, 255], masks[0])
    # the rim of a bright disc passes through the middle level: that is why it is not done unasked
    assert (decoded(told, jpeg(masks[0], 90)) != truth).mean() < 0.05


@pytest.mark.parametrize("level", [20, 60, 128, 215])
@pytest.mark.parametrize("quality", [30, 75, 90])
def test_jpeg_with_a_third_level_in_one_mask_is_refused(level: int, quality: int) -> None:
    two = [jpeg(discs(255, 255, 255), quality) for _ in range(9)]
    with pytest.raises(MaskError, match=r'(?s)(more than blurred edges|has blurred).*--labels "'):
        understood([*two, jpeg(discs(255, level, level), quality)])


def test_grey_ramp_is_refused() -> None:
    ramp = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // 103 * 6).astype(np.uint8)
    assert len(np.unique(ramp)) == 40
    objects, labels, shades = refused([ramp], "may number the objects")
    assert (objects.kind, len(labels.labels), shades.kind) == ("instances", 39, "threshold")


def test_two_labels_enlarged_smoothly_can_be_kept() -> None:
    masks = [discs(128, 255, 128), discs(255, 128)]
    enlarged = [
        np.asarray(Pillow.fromarray(mask).resize((256, 256), Pillow.Resampling.BICUBIC)) for mask in masks
    ]
    both, objects, *_ = refused(enlarged, "may number the objects")
    assert (both.labels.names, objects.kind) == (("label 128", "label 255"), "instances")
    assert [both.ranges[0], *both.ranges[1:3]] == [(0, 64, 0), (65, 191, 1), (192, 255, 2)]
    truth = np.searchsorted([0, 128, 255], masks[0]).repeat(4, 0).repeat(4, 1)
    # the rim of a bright disc passes through the middle level, as after JPEG
    assert (decoded(both, enlarged[0]) != truth).mean() < 0.05


def test_contour_or_smoothed_edge_is_refused() -> None:
    mask = discs(255, 255)
    contour = ndimage.binary_dilation(mask > 0) & (mask == 0)
    mask[contour] = 128
    soft, labels = refused([mask], "lie only on edges")
    assert len(soft.labels) == 1
    assert labels.labels.names == ("label 128", "label 255")


def test_1_here_and_255_there_is_refused() -> None:
    one, two = refused([discs(1), discs(255), discs(1, 1)], "Some masks use 1 and others 255")
    assert one.labels.names == ("foreground",)
    assert len(two.labels) == 2
    assert len(understood([discs(1, 255), discs(1)]).labels) == 2  # together in one mask they are two


def test_no_zero_is_refused() -> None:
    masks = [np.where(discs(1) > 0, 2, 1).astype(np.uint8), np.where(discs(1, 1) > 0, 3, 1).astype(np.uint8)]
    background, _ = refused(masks, "No pixel is 0")
    assert background.labels.names == ("label 2", "label 3")


@given(
    masks=st.lists(
        arrays.arrays(
            st.sampled_from(["uint8", "uint16", "int32", "float32"]),
            st.sampled_from([(12, 9), (12, 9, 3)]),
            elements=st.sampled_from([0, 0, 0, 1, 2, 7, 128, 254, 255]),
        ).map(lambda a: a if a.ndim == 2 else a.astype(np.uint8)),
        min_size=1,
        max_size=4,
    ),
    lossy=st.booleans(),
)
def test_anything_is_understood_or_refused_with_options_that_work(masks: list[Array], lossy: bool) -> None:
    # colours that are noise and lossy have no nearest label: their refusal is tested with real compression
    lossy = lossy and all(mask.ndim == 2 for mask in masks)
    stored = [StoredMask(mask, lossy=lossy) for mask in masks]
    try:
        understood(stored)
    except MaskError as error:
        offered = options_in(error)
        assert bool(offered) != all(not mask.any() for mask in masks)
    else:
        return
    for option in offered:
        understood(stored, labels=option)


def test_mostly_foreground_is_said() -> None:
    full = np.full((SIDE, SIDE), 255, np.uint8)
    full[:4] = 0
    encoding = understood([full])
    assert encoding.warnings == (
        '94 % of all pixels are labelled. If the masks are inverted, give --labels "0=foreground"',
    )
    assert understood([full], labels="255=foreground").warnings == ()
    told = understood([full], labels="0=foreground")
    assert decoded(told, full).sum() == 4 * SIDE


def test_all_empty_is_refused() -> None:
    with pytest.raises(MaskError, match="All 2 masks are empty"):
        understood([discs(0), discs(0)])
    with pytest.raises(MaskError, match="no masks"):
        understood([])


def test_grey_stored_as_rgb_is_values() -> None:
    mask = discs(128, 255)
    encoding = understood([np.repeat(mask[:, :, None], 3, 2), mask])
    assert (encoding.kind, encoding.reading, len(encoding.labels)) == ("values", "values", 2)


def test_unknown_values_are_named_with_the_path() -> None:
    encoding = understood([discs(1, 2), discs(1, 2)])
    with pytest.raises(MaskError, match=r"x\.png: \d+ pixels have values of no known meaning: 3, 9\."):
        decoded(encoding, discs(3, 1, 9))


def test_unreadable_masks_are_all_listed() -> None:
    def read(path: Path) -> StoredMask:
        if path.name != "good.png":
            raise ImageError(path, "the file is truncated")
        return StoredMask(discs(1))

    with pytest.raises(MaskError, match=r"2 of 3 masks(.|\n)*a\.png: the file is truncated(.|\n)*b\.png"):
        understand([Path("a.png"), Path("good.png"), Path("b.png")], read=read)


def test_negative_and_odd_numbers_are_refused() -> None:
    with pytest.raises(MaskError, match="negative values, down to -1"):
        understood([discs(1, dtype="int16") - 1 * (ROWS == 0)])
    with pytest.raises(MaskError, match="neither whole nor shares"):
        understood([discs(1, dtype="float32") * 1.5])


def test_progress_counts_up() -> None:
    calls: list[tuple[int, int]] = []
    understand(
        [Path("a"), Path("b")], read=lambda _: StoredMask(discs(1)), progress=lambda *at: calls.append(at)
    )
    assert calls == [(1, 2), (2, 2)]
