"""Numbers over cases: their mean with its interval by group, and how they spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from delineate.metrics.intervals import Interval, wilson_interval

IntervalOf = Callable[[npt.NDArray[np.float64]], Interval | None]


class Part(BaseModel):
    """A frozen part of a summary, which takes no field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Statistics(Part):
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


class MeanOverLabels(Part):
    """The mean over cases within each label, then over the labels that have a value."""

    mean: float
    low: float | None
    high: float | None


class Proportion(Part):
    """A share of cases with its Wilson interval."""

    successes: int
    n: int
    share: float
    low: float
    high: float


def statistics_of(
    values: npt.NDArray[np.float64], groups: Sequence[str], interval: IntervalOf
) -> Statistics | None:
    """The distribution of one number a case, NaN where it is undefined; None where it always is.

    Args:
        values: `(cases,)`.
        groups: The group of each.
        interval: The interval of the mean of `(cases, 1)` values.
    """
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


def mean_over_labels(table: npt.NDArray[np.float64], interval: IntervalOf) -> MeanOverLabels | None:
    """The mean within each label, then over those that have a value; `table` is `(cases, labels)`."""
    columns = [column[np.isfinite(column)] for column in table.T]
    means = [fmean(column.tolist()) for column in columns if column.size]
    if not means:
        return None
    ends = interval(table)
    return MeanOverLabels(mean=fmean(means), low=ends.low if ends else None, high=ends.high if ends else None)


def proportion(successes: int, n: int, level: float) -> Proportion | None:
    """A share with its interval; None of no case."""
    ends = wilson_interval(successes, n, level=level)
    if ends is None:
        return None
    return Proportion(successes=successes, n=n, share=ends.mean, low=ends.low, high=ends.high)


def number(value: float | None) -> float:
    """A number, NaN where it is undefined."""
    return math.nan if value is None else value
