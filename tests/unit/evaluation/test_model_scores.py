"""What travels in the model file: the summary's own numbers, and nothing that names a case."""

from __future__ import annotations

import numpy as np
import pytest

from delineate.evaluation.model_scores import model_scores
from delineate.evaluation.scores import CaseScore, score_case
from delineate.evaluation.summary import summarise
from delineate.image import Geometry, LabelSet, Mask

LABELS = LabelSet.of("nucleus", "cytoplasm")


def test_millimetres_travel_where_all_cases_have_them() -> None:
    values = np.ones((2, 2), np.uint8)
    known, unknown = (
        Mask(values, LabelSet.of("nucleus"), place) for place in (Geometry((2.0, 2.0)), Geometry())
    )
    nothing = Mask(np.zeros((2, 2), np.uint8), known.labels)
    metrics = []
    for masks in ([known, known], [known, unknown]):
        scores = [each for at, mask in enumerate(masks) for each in score_case(str(at), "", mask, nothing)]
        stored = model_scores(summarise(scores, known.labels), part="test", used_to_choose="")
        metrics.append(stored.labels[0].metrics)
    all_known, some_known = metrics
    assert all_known["hd95_mm"] is not None
    assert all_known["hd95_mm"].mean == pytest.approx(32**0.5)
    assert some_known["hd95_mm"] is None
    assert some_known["hd95_px"] is not None
    assert some_known["hd95_px"].mean == pytest.approx(8**0.5)


def test_numbers_are_those_of_the_summary() -> None:
    rng = np.random.default_rng(2)
    scores: list[CaseScore] = []
    spacing = Geometry((1.0, 2.0))
    for number in range(6):
        reference, prediction = (
            Mask(rng.integers(0, 3, (6, 6), np.uint8), LABELS, spacing) for _ in range(2)
        )
        if number == 0:
            prediction = Mask(np.zeros((6, 6), np.uint8), LABELS)
        scores += score_case(f"secret_{number}", f"patient_{number}", reference, prediction)
    summary = summarise(scores, LABELS)
    stored = model_scores(summary, part="validation", used_to_choose="Not used to choose anything.")
    assert (stored.part, stored.cases, stored.groups) == ("validation", 6, 6)
    assert stored.dice is not None
    assert summary.mean_dice is not None
    assert stored.dice.model_dump() == summary.mean_dice.model_dump()
    assert stored.pixel_accuracy is not None
    assert summary.pixel_accuracy is not None
    assert stored.pixel_accuracy.mean == summary.pixel_accuracy.mean
    for kept, label in zip(stored.labels, summary.labels, strict=True):
        assert kept.name == label.name
        assert (kept.cases_scored, kept.cases_missed, kept.cases_empty, kept.cases_false_alarm) == (
            5,
            1,
            0,
            0,
        )
        for metric, estimate in kept.metrics.items():
            found = label.metrics[metric]
            assert estimate is not None
            assert found is not None
            assert (estimate.mean, estimate.low, estimate.high) == (found.mean, found.low, found.high)
    assert "secret" not in stored.model_dump_json()
    assert "patient_" not in stored.model_dump_json()
