"""What the scores of many cases say together: first each case, then the cohort, with intervals by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt

from delineate.evaluation.distributions import (
    IntervalOf,
    MeanOverLabels,
    Part,
    Proportion,
    Statistics,
    mean_over_labels,
    number,
    proportion,
    statistics_of,
)
from delineate.evaluation.scores import CaseScore, State, Unit
from delineate.evaluation.volumes import Volumes, volumes_of
from delineate.image import LabelSet
from delineate.metrics.intervals import LEVEL, RESAMPLES, Interval, bootstrap_label_mean
from delineate.model_file import Metric

METRICS: tuple[Metric, ...] = get_args(Metric)
FEW_GROUPS = 10  # below, bootstrap intervals are too narrow to be taken at their word


class Tolerance(Part):
    """A tolerance of the normalised surface Dice, and in how many cases it was that of."""

    value: float
    unit: Unit
    cases: int


class LabelSummary(Part):
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
        volumes: In millilitres; None for images with two axes and where no spacing is known.
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
    volumes: Volumes | None


class Summary(Part):
    """All scores in few numbers; it names no case.

    Attributes:
        cases: How many were scored.
        groups: In how many groups (patients).
        nsd_tolerance: Of the normalised surface Dice; more than one entry only where it is in millimetres in
            some cases and in pixels in others, whose spacing is not known.
        level: Of all intervals, 0…1.
        interval_method: How those of means were computed, and those of shares where some of the cases are of
            one group; see `proportion` for the others.
        interval_note: What to bear in mind about them, or why there are none; empty if nothing.
        mean_over_labels: A mean a metric; `mean_dice` is the headline.
        pixel_accuracy: Share of pixels with the right label; None if all pixels were left out of scoring.
        labels: One entry a label, in their order.
    """

    cases: int
    groups: int
    nsd_tolerance: tuple[Tolerance, ...]
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

    @property
    def in_millimetres(self) -> bool:
        """Whether every distance that has a value has one in millimetres."""
        metrics = [label.metrics for label in self.labels if label.metrics["hd95_px"] is not None]
        known = [(each["hd95_px"], each["hd95_mm"]) for each in metrics]
        return bool(known) and all(px and mm and px.n == mm.n for px, mm in known)

    @property
    def tolerance_text(self) -> str:
        """The tolerance for people: "2 mm", or "2 mm in 10 cases and 2 px in 3"."""
        if len(self.nsd_tolerance) == 1:
            return f"{self.nsd_tolerance[0].value:g} {self.nsd_tolerance[0].unit}"
        return " and ".join(
            f"{each.value:g} {each.unit} in {each.cases} {'case' if each.cases == 1 else 'cases'}"
            for each in self.nsd_tolerance
        )

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
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Summary:
    """Put the scores of many cases together.

    Args:
        scores: Each case once a label.
        labels: The labels.
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
            [[number(getattr(by_label[name][case], metric)) for name in labels.names] for case in groups]
        )
        for metric in METRICS
    }
    accuracies = np.array([number(by_label[labels.names[0]][case].pixel_accuracy) for case in groups])
    names = list(groups.values())
    summaries = tuple(
        _label_summary(
            [by_label[name][case] for case in groups],
            {metric: statistics_of(table[:, row], names, interval) for metric, table in tables.items()},
            interval,
            level,
        )
        for row, name in enumerate(labels.names)
    )
    return Summary(
        cases=len(groups),
        groups=len(set(names)),
        nsd_tolerance=_tolerances(scores),
        level=level,
        interval_method=f"cluster bootstrap by group, percentile, {resamples} draws, seed {seed}",
        interval_note=_interval_note(len(groups), len(set(names)), summaries),
        mean_over_labels={metric: mean_over_labels(table, interval) for metric, table in tables.items()},
        pixel_accuracy=statistics_of(accuracies, names, interval),
        labels=summaries,
    )


def _label_summary(
    scores: Sequence[CaseScore],
    metrics: dict[Metric, Statistics | None],
    interval: IntervalOf,
    level: float,
) -> LabelSummary:
    states: Counter[State] = Counter(score.state for score in scores)

    def share(success: State, failure: State) -> Proportion | None:
        outcomes = {success: 1.0, failure: 0.0}
        values = np.array([outcomes.get(score.state, np.nan) for score in scores])
        return proportion(values, [score.group for score in scores], interval, level)

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
        sensitivity=share("scored", "missed"),
        specificity=share("both empty", "false alarm"),
        volumes=volumes_of(scores, interval),
    )


def _tolerances(scores: Sequence[CaseScore]) -> tuple[Tolerance, ...]:
    of_case = {score.case: (score.nsd_unit, score.nsd_tolerance) for score in scores}
    counted = sorted(Counter(of_case.values()).items())
    return tuple(Tolerance(value=value, unit=unit, cases=cases) for (unit, value), cases in counted)


def _interval_note(cases: int, groups: int, labels: Sequence[LabelSummary]) -> str:
    if cases == 1:
        return "There are no intervals of means: one case cannot tell how much cases differ."
    if groups == 1:
        return (
            f"There are no intervals of means: all {cases} cases belong to one group, which cannot tell of "
            "others."
        )
    notes = []
    if groups < FEW_GROUPS:
        notes.append(
            f"With {groups} groups the intervals are rough, and more likely too narrow than too wide."
        )
    of_labels = {label.name: dice.groups for label in labels if (dice := label.metrics["dice"]) is not None}
    few = {name: number for name, number in of_labels.items() if number < min(groups, FEW_GROUPS)}
    if few:
        places = ", ".join(f"{name} in {number}" for name, number in few.items())
        notes.append(
            f"Not all of the {groups} groups have a Dice of each label: {places}. Such a label's interval is "
            "rough, or missing where it is one group, and the mean over labels rests on it as on the others."
        )
    return " ".join(notes)


__all__ = [
    "FEW_GROUPS",
    "LabelSummary",
    "MeanOverLabels",
    "Proportion",
    "Statistics",
    "Summary",
    "Tolerance",
    "Volumes",
    "summarise",
]
