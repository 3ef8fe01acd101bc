"""A case's scores: the policy for empty masks row by row, several labels, and pixels that are not scored."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from delineate.evaluation.scores import CaseScore, score_case
from delineate.image import IGNORED, Geometry, LabelSet, Mask

LESION = LabelSet.of("lesion")


def mask(*rows: str, labels: LabelSet = LESION, spacing_mm: tuple[float, ...] | None = None) -> Mask:
    """A mask from its drawing: the digits are the labels' values, x is not scored."""
    values = [[IGNORED if mark == "x" else int(mark) for mark in row.replace(".", "0")] for row in rows]
    return Mask(np.array(values, np.uint8), labels, Geometry(spacing_mm))


NOTHING = mask("....", "....", "....")
ONE = mask("....", ".11.", "....")


def only(scores: tuple[CaseScore, ...]) -> CaseScore:
    """The score of the only label."""
    (score,) = scores
    return score


def test_both_have_it() -> None:
    score = only(score_case("a", "p1", ONE, mask("....", "..11", "....")))
    assert score.hd95_px == pytest.approx(0.95)  # 0 and 1 in each direction
    assert replace(score, hd95_px=None) == CaseScore(
        case="a",
        group="p1",
        label="lesion",
        state="scored",
        dice=0.5,
        iou=1 / 3,
        precision=0.5,
        recall=0.5,
        accuracy=10 / 12,
        hd95_px=None,
        hd95_mm=None,
        nsd=1.0,
        nsd_tolerance=2.0,
        nsd_unit="px",
        reference_px=2,
        prediction_px=2,
        reference_ml=None,
        prediction_ml=None,
        hd95_is_diagonal=False,
        pixel_accuracy=10 / 12,
        axes=2,
    )


def test_both_empty_is_undefined_and_no_success() -> None:
    score = only(score_case("a", "p1", NOTHING, NOTHING))
    assert score.state == "both empty"
    assert (score.dice, score.iou, score.nsd, score.precision, score.recall) == (None,) * 5
    assert (score.hd95_px, score.hd95_is_diagonal) == (None, False)
    assert (score.accuracy, score.pixel_accuracy) == (1.0, 1.0)


def test_a_missed_structure_has_the_worst_scores() -> None:
    score = only(score_case("a", "p1", ONE, NOTHING))
    assert score.state == "missed"
    assert (score.dice, score.iou, score.nsd, score.precision, score.recall) == (0.0, 0.0, 0.0, None, 0.0)
    assert (score.hd95_px, score.hd95_is_diagonal) == (5.0, True)  # 3 × 4 pixels
    assert (score.reference_px, score.prediction_px) == (2, 0)


def test_a_false_alarm_has_the_worst_scores_and_its_size() -> None:
    score = only(score_case("a", "p1", NOTHING, ONE))
    assert score.state == "false alarm"
    assert (score.dice, score.iou, score.nsd, score.precision, score.recall) == (0.0, 0.0, 0.0, 0.0, None)
    assert (score.hd95_px, score.hd95_is_diagonal) == (5.0, True)
    assert (score.reference_px, score.prediction_px) == (0, 2)


def test_labels_are_scored_one_by_one_and_pixels_together() -> None:
    labels = LabelSet.of("nucleus", "cytoplasm")
    first, second = score_case(
        "a", "p1", mask("1122", "1122", labels=labels), mask("1112", "1122", labels=labels)
    )
    assert (first.label, second.label) == ("nucleus", "cytoplasm")
    assert (first.dice, second.dice) == (8 / 9, 6 / 7)
    assert (first.accuracy, second.accuracy) == (7 / 8, 7 / 8)
    assert first.pixel_accuracy == second.pixel_accuracy == 7 / 8


def test_a_confusion_of_two_labels_costs_both() -> None:
    labels = LabelSet.of("left", "right")
    first, second = score_case("a", "p1", mask("11..", labels=labels), mask("22..", labels=labels))
    assert (first.state, second.state) == ("missed", "false alarm")
    assert first.pixel_accuracy == 0.5


def test_pixels_marked_as_not_scored_count_nowhere() -> None:
    score = only(score_case("a", "p1", mask("11xx", "..xx"), mask("1.11", "1..1")))
    assert (score.reference_px, score.prediction_px) == (2, 2)
    assert (score.dice, score.accuracy, score.pixel_accuracy) == (0.5, 0.5, 0.5)
    everything = only(score_case("a", "p1", mask("xx"), mask("1.")))
    assert (everything.state, everything.accuracy, everything.pixel_accuracy) == ("both empty", None, None)


def test_millimetres_where_the_reference_knows_them() -> None:
    apart = mask("1...", "....", spacing_mm=(0.5, 2.0)), mask("..1.", "....")
    score = only(score_case("a", "p1", *apart))
    assert (score.hd95_px, score.hd95_mm) == (2.0, 4.0)
    missed = only(score_case("a", "p1", apart[0], mask("....", "....")))
    assert missed.hd95_mm == math.hypot(2 * 0.5, 4 * 2.0)


def test_tolerance_is_in_pixels() -> None:
    reference, prediction = mask("1......"), mask("...1...")
    assert only(score_case("a", "p1", reference, prediction)).nsd == 0.0
    nearer = mask("..1....")
    assert only(score_case("a", "p1", reference, nearer)).nsd == 1.0


def volume(*voxels: tuple[int, int, int], spacing_mm: tuple[float, ...] | None = None) -> Mask:
    """A 3 × 10 × 10 mask with these voxels set."""
    values = np.zeros((3, 10, 10), np.uint8)
    for voxel in voxels:
        values[voxel] = 1
    return Mask(values, LESION, Geometry(spacing_mm))


def test_volumes_are_measured_in_millimetres_and_millilitres() -> None:
    # one voxel of 5 × 2 × 1 mm = 0.01 ml; the prediction has it and one 2 columns beside it, 2 mm away
    reference = volume((1, 5, 5), spacing_mm=(5, 2, 1))
    score = only(score_case("a", "p1", reference, volume((1, 5, 5), (1, 5, 7))))
    assert (score.reference_ml, score.prediction_ml) == (0.01, 0.02)
    assert score.hd95_px == score.hd95_mm == pytest.approx(0.95 * 2)
    assert (score.nsd, score.nsd_tolerance, score.nsd_unit, score.axes) == (1.0, 2.0, "mm", 3)
    # a row beside it is as near in voxels, but 4 mm away
    score = only(score_case("a", "p1", reference, volume((1, 5, 5), (1, 7, 5))))
    assert score.hd95_px == pytest.approx(0.95 * 2)
    assert score.hd95_mm == pytest.approx(0.95 * 4)
    assert score.nsd == 2 / 3
    missed = only(score_case("a", "p1", reference, volume()))
    assert (missed.reference_ml, missed.prediction_ml) == (0.01, 0.0)
    assert missed.hd95_mm == math.hypot(15, 20, 10)


def test_volumes_without_spacing_are_measured_in_voxels() -> None:
    score = only(score_case("a", "p1", volume((1, 5, 5)), volume((1, 5, 8)), tolerance_mm=5))
    assert (score.nsd, score.nsd_tolerance, score.nsd_unit) == (0.0, 2.0, "px")
    assert (score.hd95_mm, score.reference_ml, score.prediction_ml) == (None, None, None)


@pytest.mark.parametrize(
    ("tolerance", "expected"), [(1.9, 0.0), (2.0, 1.0), (None, 1.0)], ids=["less", "equal", "default"]
)
def test_tolerance_of_volumes_is_in_millimetres(tolerance: float | None, expected: float) -> None:
    # 1 voxel apart along an axis with 2 mm; as a tolerance in pixels both would be within
    pair = volume((1, 5, 5), spacing_mm=(5, 2, 1)), volume((1, 6, 5), spacing_mm=(5, 2, 1))
    score = only(score_case("a", "p1", *pair, tolerance_mm=tolerance))
    assert (score.nsd, score.nsd_unit) == (expected, "mm")
    assert score.nsd_tolerance == (2.0 if tolerance is None else tolerance)


def test_tolerance_of_images_is_in_millimetres_only_if_asked_for() -> None:
    pair = mask("1......", spacing_mm=(1.0, 0.5)), mask("...1...")
    by_default = only(score_case("a", "p1", *pair))
    assert (by_default.nsd, by_default.nsd_tolerance, by_default.nsd_unit) == (0.0, 2.0, "px")
    asked = only(score_case("a", "p1", *pair, tolerance_mm=1.5))
    assert (asked.nsd, asked.nsd_tolerance, asked.nsd_unit) == (1.0, 1.5, "mm")


def test_the_spacing_is_the_prediction_s_where_the_reference_has_none() -> None:
    # a mask in a picture beside an image of the clinic
    score = only(score_case("a", "p1", mask("1...."), mask("..1..", spacing_mm=(3.0, 0.7))))
    assert score.hd95_px == 2.0
    assert score.hd95_mm == pytest.approx(1.4)


def test_other_grids_and_labels_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="case_7: the reference is"):
        score_case("case_7", "p1", ONE, mask("1"))
    with pytest.raises(ValueError, match=r"case_7: the reference's labels are lesion .* tumour"):
        score_case("case_7", "p1", ONE, replace(ONE, labels=LabelSet.of("tumour")))
