"""What of an evaluation travels in the model file."""

from __future__ import annotations

from typing import get_args

from delineate.evaluation.summary import MeanOverLabels, Statistics, Summary
from delineate.model_file import Estimate, LabelScores, Metric, Scores


def model_scores(summary: Summary, *, part: str, used_to_choose: str) -> Scores:
    """A summary's means and intervals, as the model file keeps them.

    Distances in millimetres are kept where they are known of all cases: a mean of some is none of all.

    Args:
        summary: Of the evaluation after training.
        part: Which cases were scored: "validation", "test" or "cross-validation".
        used_to_choose: A sentence: whether they were used to choose anything.
    """
    in_mm = summary.in_millimetres
    kept: tuple[Metric, ...] = get_args(Metric)
    return Scores(
        part=part,
        used_to_choose=used_to_choose,
        cases=summary.cases,
        groups=summary.groups,
        dice=_estimate(summary.mean_dice),
        pixel_accuracy=_estimate(summary.pixel_accuracy),
        labels=tuple(
            LabelScores(
                name=label.name,
                metrics={
                    metric: _estimate(label.metrics[metric] if in_mm or metric != "hd95_mm" else None)
                    for metric in kept
                },
                cases_scored=label.valid - label.missed - label.false_alarms,
                cases_empty=label.empty,
                cases_missed=label.missed,
                cases_false_alarm=label.false_alarms,
            )
            for label in summary.labels
        ),
    )


def _estimate(found: Statistics | MeanOverLabels | None) -> Estimate | None:
    return None if found is None else Estimate(mean=found.mean, low=found.low, high=found.high)
