"""The summary: every number by hand, what may not happen to missed cases, and its way through JSON."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from delineate.evaluation.scores import CaseScore, score_case
from delineate.evaluation.summary import Summary, summarise
from delineate.image import Geometry, LabelSet, Mask
from delineate.metrics.intervals import wilson_interval

LESION = LabelSet.of("lesion")


def line(pixels: range) -> Mask:
    """A mask of 10 pixels in a row with these set."""
    values = np.zeros((1, 10), np.uint8)
    values[0, list(pixels)] = 1
    return Mask(values, LESION)


NOTHING = range(0)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The ends of that interval."""
    found = wilson_interval(successes, n)
    assert found is not None
    return found.low, found.high


def cohort() -> list[CaseScore]:
    """Five cases of three patients: Dice 1, 0.5, missed, false alarm, both empty."""
    pairs = [
        ("a1", "a", range(4), range(4)),
        ("a2", "a", range(2), range(1, 3)),
        ("b1", "b", range(3), NOTHING),
        ("b2", "b", NOTHING, range(5)),
        ("c1", "c", NOTHING, NOTHING),
    ]
    return [
        score
        for case, group, reference, prediction in pairs
        for score in score_case(case, group, line(reference), line(prediction))
    ]


def test_every_number_of_a_small_cohort() -> None:
    summary = summarise(cohort(), LESION)
    assert (summary.cases, summary.groups) == (5, 3)
    (label,) = summary.labels
    assert (label.valid, label.empty, label.missed, label.false_alarms) == (4, 1, 1, 1)
    assert label.false_alarm_px == 5
    dice = label.metrics["dice"]
    assert dice is not None
    assert (dice.n, dice.groups) == (4, 2)
    assert (dice.mean, dice.mean_of_groups) == (0.375, (0.75 + 0) / 2)
    assert (dice.minimum, dice.lower_quartile, dice.median) == (0.0, 0.0, 0.25)
    assert (dice.upper_quartile, dice.maximum) == (0.625, 1.0)
    assert (dice.low, dice.high) == (0.0, 0.75)  # a twice, b twice, or both
    assert label.sensitivity is not None
    assert (label.sensitivity.successes, label.sensitivity.n, label.sensitivity.share) == (2, 3, 2 / 3)
    assert (label.sensitivity.low, label.sensitivity.high) == (0.0, 1.0)  # b twice, a twice
    assert label.specificity is not None
    assert (label.specificity.successes, label.specificity.n, label.specificity.share) == (1, 2, 0.5)
    assert (label.specificity.low, label.specificity.high) == wilson(1, 2)  # b and c have one such case each
    assert summary.pixel_accuracy is not None
    assert summary.pixel_accuracy.mean == pytest.approx((1.0 + 0.8 + 0.7 + 0.5 + 1.0) / 5)
    assert summary.mean_dice is not None
    assert summary.mean_dice.mean == 0.375


def test_missing_a_structure_never_improves_a_distance() -> None:
    scores = cohort()
    better = summarise([score for score in scores if score.case != "b1"], LESION).labels[0].metrics["hd95_px"]
    worse = summarise(scores, LESION).labels[0].metrics["hd95_px"]
    assert better is not None
    assert worse is not None
    assert worse.mean > better.mean


def test_precision_and_recall_rest_on_the_cases_that_have_them() -> None:
    metrics = summarise(cohort(), LESION).labels[0].metrics
    precision, recall, accuracy = metrics["precision"], metrics["recall"], metrics["accuracy"]
    assert precision is not None
    assert recall is not None
    assert accuracy is not None
    assert (precision.n, recall.n, accuracy.n) == (3, 3, 5)
    assert precision.mean == recall.mean == 0.5
    assert metrics["hd95_mm"] is None


def test_labels_weigh_alike_whatever_their_cases() -> None:
    two = LabelSet.of("common", "rare")
    scores = []
    for number in range(12):
        score = cohort()[0]
        common = replace(score, case=str(number), group=str(number), label="common", dice=0.9)
        rare = replace(common, label="rare", dice=0.5) if number < 6 else None
        empty = replace(common, label="rare", dice=None, state="both empty")
        scores += [common, rare or empty]
    summary = summarise(scores, two)
    assert summary.mean_dice is not None
    assert summary.mean_dice.mean == pytest.approx(0.7)
    assert summary.mean_dice.low == pytest.approx(0.7)
    assert (summary.labels[1].valid, summary.labels[1].empty) == (6, 6)
    assert summary.labels[1].sensitivity is not None


def found_in(*groups: str) -> list[CaseScore]:
    """A case for each letter of each group: x of those in which the lesion was found, o of those missed."""
    found, missed = cohort()[0], cohort()[2]
    return [
        replace(found if mark == "x" else missed, case=f"{at} {number}", group=str(at))
        for at, marks in enumerate(groups)
        for number, mark in enumerate(marks)
    ]


def test_intervals_of_sensitivity_and_specificity_are_by_group() -> None:
    groups = ("xxxxx", "xxxxx", "xxxxo", "xoooo", "xxxxx", "ooooo")
    label = summarise(found_in(*groups), LESION).labels[0]
    dice, sensitivity = label.metrics["dice"], label.sensitivity
    assert dice is not None
    assert sensitivity is not None
    assert (sensitivity.successes, sensitivity.n, sensitivity.share) == (20, 30, 2 / 3)
    # Dice is 1 where it was found and 0 where it was missed: its mean is the sensitivity
    assert (sensitivity.low, sensitivity.high) == (dice.low, dice.high)
    assert sensitivity.low is not None
    assert sensitivity.low < wilson(20, 30)[0] - 0.1
    # the same turned round: nothing to find, and nothing found or a false alarm
    alarm, empty = cohort()[3], cohort()[4]
    without = [
        replace(empty if score.state == "scored" else alarm, case=score.case, group=score.group)
        for score in found_in(*groups)
    ]
    assert summarise(without, LESION).labels[0].specificity == sensitivity


def test_where_groups_are_alike_groups_count_in_place_of_cases() -> None:
    for groups, ends in {
        ("xxxx", "xx", "xxxxx"): (3, 3),
        ("oooo", "oo", "ooooo"): (0, 3),
        ("xo",) * 10: (5, 10),
        ("x", "x", "o", "x"): (3, 4),
        ("x",): (1, 1),
    }.items():
        sensitivity = summarise(found_in(*groups), LESION).labels[0].sensitivity
        assert sensitivity is not None
        assert (sensitivity.low, sensitivity.high) == wilson(*ends)


@pytest.mark.parametrize("group", ["xxxx", "xxo"])
def test_several_cases_of_one_group_have_a_share_without_an_interval(group: str) -> None:
    summary = summarise(found_in(group), LESION)
    sensitivity = summary.labels[0].sensitivity
    assert sensitivity is not None
    assert sensitivity.share == group.count("x") / len(group)
    assert (sensitivity.low, sensitivity.high) == (None, None)
    assert Summary.from_json(summary.to_json()) == summary


def test_nothing_to_find_and_nothing_found() -> None:
    empty = [score for score in cohort() if score.state == "both empty"]
    summary = summarise(empty, LESION)
    assert summary.mean_dice is None
    assert summary.labels[0].metrics["dice"] is None
    assert summary.labels[0].sensitivity is None
    assert summary.labels[0].specificity is not None
    assert summary.labels[0].specificity.share == 1.0


def test_the_note_names_labels_that_lie_in_few_groups() -> None:
    two = LabelSet.of("lesion", "rare")
    absent = next(score for score in cohort() if score.state == "both empty")
    scores = []
    for number in range(12):
        there = replace(cohort()[1], case=str(number), group=f"g{number}")
        rare = there if number < 2 else replace(absent, case=there.case, group=there.group)
        scores += [there, replace(rare, label="rare")]

    def note(*left_out: int) -> str:
        gone = {f"g{number}" for number in left_out}
        return summarise([score for score in scores if score.group not in gone], two).interval_note

    assert note().startswith("Not all of the 12 groups have a Dice of each label: rare in 2.")
    assert "lesion" not in note()
    assert "rare in 1" in note(1)
    assert "missing where it is one group" in note(1)
    assert note(0, 1) == ""
    assert note(*range(4, 12)).startswith("With 4 groups the intervals are rough")
    assert "rare in 2" in note(*range(4, 12))


@pytest.mark.parametrize(
    ("groups", "note"),
    [
        (["a"], "one case cannot"),
        (["a", "a"], "all 2 cases belong to one group"),
        (list("abc"), "With 3 groups"),
        (list("abcdefghij"), ""),
    ],
)
def test_the_note_says_why_or_how_far_intervals_can_be_trusted(groups: list[str], note: str) -> None:
    scores = [replace(cohort()[1], case=str(i), group=group) for i, group in enumerate(groups)]
    summary = summarise(scores, LESION)
    assert note in summary.interval_note
    assert bool(summary.interval_note) == bool(note)
    dice = summary.labels[0].metrics["dice"]
    assert dice is not None
    assert (dice.low is None) == (len(set(groups)) == 1)


def cube(voxels: int, spacing_mm: tuple[float, ...] | None = (10.0, 10.0, 10.0)) -> Mask:
    """A volume of 10 voxels of 1 ml with so many of them set."""
    values = np.zeros((1, 2, 5), np.uint8)
    values.flat[:voxels] = 1
    return Mask(values, LESION, Geometry(spacing_mm))


def test_volumes_over_cases() -> None:
    # 2 ml too much, 2 ml too little, 4 ml missed, nothing to find, and one whose spacing is not known
    pairs = [(4, 6), (8, 6), (4, 0), (0, 0)]
    scores = [s for i, (a, b) in enumerate(pairs) for s in score_case(str(i), str(i), cube(a), cube(b))]
    unknown = score_case("x", "x", cube(9, None), cube(1, None))
    volumes = summarise([*scores, *unknown], LESION).labels[0].volumes
    assert volumes is not None
    assert volumes.reference_ml.n == 4
    assert volumes.reference_ml.mean == (4 + 8 + 4 + 0) / 4
    assert volumes.prediction_ml.mean == (6 + 6 + 0 + 0) / 4
    assert volumes.difference_ml.mean == (2 - 2 - 4 + 0) / 4
    assert volumes.absolute_difference_ml.mean == (2 + 2 + 4 + 0) / 4
    assert volumes.relative_difference is not None
    assert volumes.relative_difference.n == 3
    assert volumes.relative_difference.mean == pytest.approx((2 / 4 + 2 / 8 + 4 / 4) / 3)
    assert summarise(unknown, LESION).labels[0].volumes is None
    assert summarise(cohort(), LESION).labels[0].volumes is None


def test_volumes_go_with_their_groups_in_any_order() -> None:
    # the second label's rows come the other way round; x and y are of one patient
    two, geometry = LabelSet.of("a", "b"), Geometry((10.0, 10.0, 10.0))
    none = Mask(cube(0).values, two, geometry)
    scores = [
        score
        for case, group, voxels in (("x", "p", 2), ("y", "p", 6), ("z", "q", 8))
        for score in score_case(case, group, Mask(2 * cube(voxels).values, two, geometry), none)
    ]
    volumes = summarise([*scores[::2], *scores[:0:-2]], two).labels[1].volumes
    assert volumes is not None
    assert volumes.reference_ml.mean_of_groups == ((2 + 6) / 2 + 8) / 2
    assert volumes == summarise(scores, two).labels[1].volumes


def test_the_tolerance_is_told_with_its_unit() -> None:
    in_px, in_mm = cohort(), list(score_case("v", "v", cube(4), cube(4), tolerance_mm=1.5))
    assert summarise(in_px, LESION).tolerance_text == "2 px"
    assert summarise(in_mm, LESION).tolerance_text == "1.5 mm"
    both = summarise([*in_px, *in_mm], LESION)
    assert both.tolerance_text == "1.5 mm in 1 case and 2 px in 5 cases"
    first, second = both.nsd_tolerance
    assert (first.value, first.unit, first.cases) == (1.5, "mm", 1)
    assert (second.value, second.unit, second.cases) == (2, "px", 5)


def test_json_brings_it_back() -> None:
    summary = summarise(cohort(), LESION)
    assert Summary.from_json(summary.to_json()) == summary
    assert "NaN" not in summary.to_json()
    assert not any(case in summary.to_json() for case in ("a1", "a2", "b1"))
    with pytest.raises(ValueError, match="Extra inputs"):
        Summary.from_json(summary.to_json().replace('"cases"', '"casks"'))


def test_seed_decides_and_order_does_not() -> None:
    scores = cohort() + [replace(score, case=score.case + "x", group="d", dice=0.3) for score in cohort()]
    assert summarise(scores, LESION, seed=1) == summarise(scores, LESION, seed=1)
    backwards = summarise(scores[::-1], LESION).labels[0].metrics["dice"]
    forwards = summarise(scores, LESION).labels[0].metrics["dice"]
    assert backwards is not None
    assert forwards is not None
    assert backwards.model_dump() == pytest.approx(forwards.model_dump())


def test_incomplete_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one case"):
        summarise([], LESION)
    with pytest.raises(ValueError, match="every label"):
        summarise(cohort(), LabelSet.of("lesion", "organ"))
    with pytest.raises(ValueError, match="scored twice: a1"):
        summarise([*cohort(), cohort()[0]], LESION)
