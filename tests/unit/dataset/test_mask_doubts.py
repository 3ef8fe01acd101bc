"""Masks that may mean otherwise than they were understood: 255 for not labelled, inverted, numbers in red."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Picture

from delineate.dataset.check import check
from delineate.dataset.masks import MaskEncoding, understand
from delineate.errors import MaskError
from delineate.formats import StoredMask


def rows(*values: int) -> npt.NDArray[np.uint8]:
    """64 × 64: a row of blocks of 12 lines of each value, then zeros."""
    mask = np.zeros((64, 64), np.uint8)
    for at, value in enumerate(values):
        mask[12 * at : 12 * at + 12] = value
    return mask


def understood(*masks: npt.NDArray[np.uint8], labels: str | None = None) -> MaskEncoding:
    stored = {Path(f"{at}.png"): StoredMask(mask) for at, mask in enumerate(masks)}
    return understand(list(stored), labels=labels, read=stored.__getitem__)


def in_red(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.stack([mask, np.zeros_like(mask), np.zeros_like(mask)], axis=-1)


VOID = (
    "the value 255 became a label, but beside smaller values it often marks pixels that nobody labelled. If "
    'it does, make it background by --labels "1=label 1,7=label 7"; if it is a label, say so by --labels '
    '"1=label 1,7=label 7,255=label 255"'
)


def test_255_beside_small_values_may_mean_not_labelled() -> None:
    mask = rows(1, 7, 255)
    assert understood(mask, mask).warnings == (VOID,)
    assert understood(mask, mask).labels.names == ("label 1", "label 7", "label 255")
    assert understood(mask, mask, labels="1=a,7=b").warnings == ()


@pytest.mark.parametrize("values", [(128, 255), (85, 170, 255), (64, 128, 210, 255), (1, 7)])
def test_other_values_are_no_doubt(values: tuple[int, ...]) -> None:
    assert understood(rows(*values), rows(*values)).warnings == ()


def test_255_beside_one_value_is_a_doubt_where_it_is_a_border() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[10:42, 10:42], mask[13:39, 13:39] = 255, 3  # a border of three pixels: a third of them lies inside
    assert [warning[:13] for warning in understood(mask, mask).warnings] == ["the value 255"]
    mask[13:39, 13:39] = 128
    assert [warning[:13] for warning in understood(mask, mask).warnings] == ["the value 255"]
    mask[10:42, 10:42], mask[22:30, 22:30] = 255, 3
    assert understood(mask, mask).warnings == ()


def test_most_pixels_of_one_of_several_labels_may_be_inverted() -> None:
    mask = np.full((64, 64), 255, np.uint8)
    mask[10:30, 10:30], mask[15:20, 15:20] = 128, 0
    assert understood(mask, mask).warnings == (
        '99 % of all pixels are labelled. If the masks are inverted, give --labels "0=label 0,128=label 128"',
    )


def test_labels_that_share_the_picture_are_no_doubt() -> None:
    assert understood(rows(1, 2, 3, 4, 5)).warnings == ()


def test_a_doubt_is_a_warning_of_the_check(tmp_path: Path) -> None:
    for at in range(3):
        for role, pixels in (("images", rows(at, 50, 9)), ("masks", rows(1, 7, 255))):
            (tmp_path / role).mkdir(exist_ok=True)
            Picture.fromarray(pixels).save(tmp_path / role / f"{at}.png")
    problems = [p for p in check(tmp_path).problems if p.code == "mask-doubt"]
    assert [(p.level, p.message) for p in problems] == [("warning", f"Masks: {VOID}.")]


def test_numbers_in_one_channel_are_values() -> None:
    encoding = understood(in_red(rows(1, 2)), in_red(rows(3)), in_red(rows()))
    assert (encoding.reading, encoding.labels.names) == ("red", ("label 1", "label 2", "label 3"))
    assert encoding.notes[0] == (
        "only the red channel holds anything, from 1 on: its numbers are taken for the values"
    )
    assert MaskEncoding.from_json(encoding.to_json()) == encoding
    assert encoding.decode(StoredMask(in_red(rows(3, 1))), Path("m"))[::12, 0].tolist() == [3, 1, 0, 0, 0, 0]


def test_numbers_in_one_channel_take_the_option_of_values() -> None:
    encoding = understood(in_red(rows(1, 2)), labels=">0=nucleus")
    assert encoding.labels.names == ("nucleus",)


@pytest.mark.parametrize("value", [255, 128])
def test_a_colour_that_can_be_seen_stays_a_colour(value: int) -> None:
    assert understood(in_red(rows(value))).labels.names == (f"#{value:02x}0000",)


def test_another_channel_than_that_of_the_set_is_refused() -> None:
    encoding = understood(in_red(rows(1, 2)))
    with pytest.raises(MaskError, match="it uses other channels than red"):
        encoding.decode(StoredMask(in_red(rows(1))[..., ::-1].copy()), Path("m"))
    with pytest.raises(MaskError, match="it uses other channels than red"):
        encoding.decode(StoredMask(rows(1)), Path("m"))
