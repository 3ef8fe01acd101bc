"""What the scores of many cases say together: first each case, then the cohort, with intervals by group."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from delineate.evaluation.scores import TOLERANCE_PX, CaseScore, Metric, State
from delineate.image import LabelSet
from delineate.metrics.intervals import LEVEL, RESAMPLES, Interval, bootstrap_label_mean, wilson_interval

METRICS: tuple[Metric, ...] = get_args(Metric)
FEW_GROUPS = 10  # below, bootstrap intervals are too narrow to be taken at their word


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Statistics(_Part):
    """A number's distribution over cases.

    Attributes:
        n: Cases in which it is defined; all else rests on these.
        groups: Groups they lie in.
        mean: Over cases.
        low: Lower end of the mean's interval; None where there is none, see `Summary.interval_note`.
        high: Upper end.
        mean_of_groups: Each group averaged first, then the groups, so that a patient with many images does
            not outweigh the others.
        minimum: The least of them.
        lower_quartile: The 25th percentile.
        median: The 50th.
        upper_quartile: The 75th.
        maximum: The greatest.
    """

    n: int
    groups: int
    mean: float
    low: float | None
    high: float | None
    mean_of_groups: float
    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float


class MeanOverLabels(_Part):
    """The mean over cases within each label, then over the labels that have a value."""

    mean: float
    low: float | None
    high: float | None


class Proportion(_Part):
    """A share of cases with its Wilson interval."""

    successes: int
    n: int
    share: float
    low: float
    high: float


class LabelSummary(_Part):
    """One label over all cases.

    Attributes:
        name: The label's.
        metrics: A distribution a metric, None where no case has a value.
        valid: Cases with a Dice: all but the empty ones.
        empty: Cases in which neither mask has the label: true negatives, left out of all means.
        missed: Cases in which the prediction lacks it: Dice 0, distance the diagonal.
        false_alarms: Cases in which the reference lacks it: likewise.
        false_alarm_px: Pixels predicted in those.
        sensitivity: Of the cases that have the label, those in which any of it was predicted.
        specificity: Of the cases without it, those in which none was.
    """

    name: str
    metrics: dict[Metric, Statistics | None]
    valid: int
    empty: int
    missed: int
    false_alarms: int
    false_alarm_px: int
    sensitivity: Proportion | None
    specificity: Proportion | None


class Summary(_Part):
    """All scores in few numbers; it names no case.

    Attributes:
        cases: How many were scored.
        groups: In how many groups (patients).
        tolerance_px: Of the normalised surface Dice.
        level: Of all intervals, 0…1.
        interval_method: How those of means were computed.
        interval_note: What to bear in mind about them, or why there are none; empty if nothing.
        mean_over_labels: A mean a metric; `mean_dice` is the headline.
        pixel_accuracy: Share of pixels with the right label; None if all pixels were left out of scoring.
        labels: One entry a label, in their order.
    """

    cases: int
    groups: int
    tolerance_px: float
    level: float
    interval_method: str
    interval_note: str
    mean_over_labels: dict[Metric, MeanOverLabels | None]
    pixel_accuracy: Statistics | None
    labels: tuple[LabelSummary, ...]

    @property
    def mean_dice(self) -> MeanOverLabels | None:
        """The headline: mean Dice over cases within each label, then over labels."""
        return self.mean_over_labels["dice"]

    def to_json(self) -> str:
        """The summary as indented JSON."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """A summary from its JSON.

        Raises:
            ValueError: The text is not that of a summary.
        """
        return cls.model_validate_json(text)


def summarise(
    scores: Sequence[CaseScore],
    labels: LabelSet,
    *,
    tolerance_px: float = TOLERANCE_PX,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Summary:
    """Put the scores of many cases together.

    Args:
        scores: Each case once a label.
        labels: The labels.
        tolerance_px: The scores' own, for the record.
        level: Of the intervals, between 0 and 1.
        resamples: Bootstrap draws.
        seed: Of the draws.

    Raises:
        ValueError: There are no scores, or a case lacks a label, has one twice or one that is not listed.
    """
    pairs = Counter((score.case, score.label) for score in scores)
    groups = {score.case: score.group for score in scores}
    if not scores or set(pairs) != {(case, name) for case in groups for name in labels.names}:
        raise ValueError("there must be at least one case, and each needs a score for every label")
    if max(pairs.values()) > 1:
        raise ValueError(
            f"scored twice: {', '.join(sorted({case for (case, _), n in pairs.items() if n > 1}))}"
        )

    def interval(values: npt.NDArray[np.float64]) -> Interval | None:
        return bootstrap_label_mean(
            values, list(groups.values()), level=level, resamples=resamples, seed=seed
        )

    by_label = {name: {score.case: score for score in scores if score.label == name} for name in labels.names}
    tables = {
        metric: np.array(
            [[_number(getattr(by_label[name][case], metric)) for name in labels.names] for case in groups]
        )
        for metric in METRICS
    }
    accuracies = np.array([_number(by_label[labels.names[0]][case].pixel_accuracy) for case in groups])
    names = list(groups.values())
    return Summary(
        cases=len(groups),
        groups=len(set(names)),
        tolerance_px=tolerance_px,
        level=level,
        interval_method=f"cluster bootstrap by group, percentile, {resamples} draws, seed {seed}",
        interval_note=_interval_note(len(groups), len(set(names))),
        mean_over_labels={metric: _mean_over_labels(table, interval) for metric, table in tables.items()},
        pixel_accuracy=_statistics(accuracies, names, interval),
        labels=tuple(
            _label_summary(
                list(by_label[name].values()),
                {metric: _statistics(table[:, column], names, interval) for metric, table in tables.items()},
                level,
            )
            for column, name in enumerate(labels.names)
        ),
    )


_IntervalOf = Callable[[npt.NDArray[np.float64]], Interval | None]


def _label_summary(
    scores: Sequence[CaseScore], metrics: dict[Metric, Statistics | None], level: float
) -> LabelSummary:
    states: Counter[State] = Counter(score.state for score in scores)
    found, missed = states["scored"], states["missed"]
    empty, alarms = states["both empty"], states["false alarm"]
    return LabelSummary(
        name=scores[0].label,
        metrics=metrics,
        valid=found + missed + alarms,
        empty=empty,
        missed=missed,
        false_alarms=alarms,
        false_alarm_px=sum(score.prediction_px for score in scores if score.state == "false alarm"),
        sensitivity=_proportion(found, found + missed, level),
        specificity=_proportion(empty, empty + alarms, level),
    )


def _statistics(
    values: npt.NDArray[np.float64], groups: Sequence[str], interval: _IntervalOf
) -> Statistics | None:
    defined = np.isfinite(values)
    if not defined.any():
        return None
    known = values[defined]
    members: dict[str, list[float]] = {}
    for value, group in zip(values.tolist(), groups, strict=True):
        if math.isfinite(value):
            members.setdefault(group, []).append(value)
    ends = interval(values[:, None])
    minimum, lower, median, upper, maximum = np.percentile(known, [0, 25, 50, 75, 100]).tolist()
    return Statistics(
        n=len(known),
        groups=len(members),
        mean=fmean(known.tolist()),
        low=ends.low if ends else None,
        high=ends.high if ends else None,
        mean_of_groups=fmean(fmean(each) for each in members.values()),
        minimum=minimum,
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        maximum=maximum,
    )


def _mean_over_labels(table: npt.NDArray[np.float64], interval: _IntervalOf) -> MeanOverLabels | None:
    columns = [column[np.isfinite(column)] for column in table.T]
    means = [fmean(column.tolist()) for column in columns if column.size]
    if not means:
        return None
    ends = interval(table)
    return MeanOverLabels(mean=fmean(means), low=ends.low if ends else None, high=ends.high if ends else None)


def _proportion(successes: int, n: int, level: float) -> Proportion | None:
    ends = wilson_interval(successes, n, level=level)
    if ends is None:
        return None
    return Proportion(successes=successes, n=n, share=ends.mean, low=ends.low, high=ends.high)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _interval_note(cases: int, groups: int) -> str:
    if cases == 1:
        return "There are no intervals: one case cannot tell how much cases differ."
    if groups == 1:
        return f"There are no intervals: all {cases} cases belong to one group, which cannot tell of others."
    if groups < FEW_GROUPS:
        return f"With {groups} groups the intervals are rough, and more likely too narrow than too wide."
    return ""
