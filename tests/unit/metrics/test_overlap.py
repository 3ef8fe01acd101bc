"""Overlap: values counted by hand, the table of empty masks, and what must hold for any pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.metrics.overlap import BoolArray, Overlap, overlap

PAIRS = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def drawn(*rows: str) -> BoolArray:
    """A mask from its drawing: # is set."""
    return np.array([[mark == "#" for mark in row] for row in rows])


def test_two_rectangles_shifted_by_one() -> None:
    # 6 pixels each, 4 of them shared
    reference = drawn(
        ".....",
        ".###.",
        ".###.",
        ".....",
    )
    prediction = drawn(
        ".....",
        "..###",
        "..###",
        ".....",
    )
    counted = overlap(reference, prediction)
    assert counted == Overlap(true_positive=4, false_positive=2, false_negative=2, true_negative=12)
    assert counted.dice == 8 / 12
    assert counted.iou == 4 / 8
    assert counted.precision == 4 / 6
    assert counted.recall == 4 / 6
    assert counted.accuracy == 16 / 20


def test_a_filled_hole_costs_precision_alone() -> None:
    ring = drawn("###", "#.#", "###")
    counted = overlap(ring, np.ones((3, 3), bool))
    assert counted == Overlap(8, 1, 0, 0)
    assert (counted.precision, counted.recall, counted.dice) == (8 / 9, 1.0, 16 / 17)


EMPTY, ONE = np.zeros((2, 3), bool), np.eye(2, 3, dtype=bool)


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),  # Dice and IoU, precision, recall, accuracy
    [
        pytest.param(EMPTY, EMPTY, (None, None, None, 1.0), id="both empty"),
        pytest.param(EMPTY, ONE, (0.0, 0.0, None, 4 / 6), id="false alarm"),
        pytest.param(ONE, EMPTY, (0.0, None, 0.0, 4 / 6), id="missed"),
        pytest.param(ONE, ONE, (1.0, 1.0, 1.0, 1.0), id="equal"),
    ],
)
def test_empty_masks(reference: BoolArray, prediction: BoolArray, expected: tuple[float | None, ...]) -> None:
    counted = overlap(reference, prediction)
    assert (counted.dice, counted.precision, counted.recall, counted.accuracy) == expected
    assert counted.iou == counted.dice


def test_masks_without_pixels_have_no_accuracy() -> None:
    assert overlap(np.zeros((0, 3), bool), np.zeros((0, 3), bool)).accuracy is None


def test_three_axes_count_alike() -> None:
    flat = np.arange(24) % 5 == 0
    other = np.arange(24) % 3 == 0
    assert overlap(flat.reshape(2, 3, 4), other.reshape(2, 3, 4)) == overlap(flat, other)


def test_other_shapes_and_types_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        overlap(EMPTY, np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="uint8"):
        overlap(EMPTY, EMPTY.astype(np.uint8))


@given(PAIRS)
def test_what_holds_for_any_pair(pair: tuple[BoolArray, BoolArray]) -> None:
    reference, prediction = pair
    one, other = overlap(reference, prediction), overlap(prediction, reference)
    assert (one.dice, one.iou, one.accuracy) == (other.dice, other.iou, other.accuracy)
    assert (one.precision, one.recall) == (other.recall, other.precision)
    assert one.accuracy == np.mean(reference == prediction)
    for share in (one.dice, one.iou, one.precision, one.recall):
        assert share is None or 0 <= share <= 1
    if one.dice is not None and one.iou is not None:
        assert one.dice == pytest.approx(2 * one.iou / (1 + one.iou))


@given(PAIRS)
def test_a_mask_agrees_fully_with_itself(pair: tuple[BoolArray, BoolArray]) -> None:
    itself = overlap(pair[0], pair[0])
    assert (itself.false_positive, itself.false_negative) == (0, 0)
    assert itself.dice == (1.0 if pair[0].any() else None)
