"""Numbers over cases: their mean with its interval by group, and how they spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from delineate.metrics.intervals import FEWEST_GROUPS, Interval, wilson_interval

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
    """A share of cases with its interval, see `proportion`; `low` and `high` are None where there is none."""

    successes: int
    n: int
    share: float
    low: float | None
    high: float | None


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


def proportion(
    values: npt.NDArray[np.float64], groups: Sequence[str], interval: IntervalOf, level: float
) -> Proportion | None:
    """A share of cases with its interval; None of no case.

    The interval is Wilson's where each case is a group of its own, else that of the mean, which draws groups.
    Where that cannot vary, since all groups are alike, it is Wilson's of groups in place of cases. Of several
    cases of one group there is none.

    Args:
        values: `(cases,)`, 1 or 0, and NaN of cases that do not count.
        groups: The group of each.
        interval: The interval of the mean of `(cases, 1)` values.
        level: Of Wilson's intervals, between 0 and 1.
    """
    counted = np.isfinite(values)
    n, successes = int(counted.sum()), int(values[counted].sum())
    if not n:
        return None
    independent = len({group for group, counts in zip(groups, counted, strict=True) if counts})
    ends: Interval | None = None
    if independent == n:
        ends = wilson_interval(successes, n, level=level)
    elif independent >= FEWEST_GROUPS:
        ends = interval(values[:, None])
        if ends is None or ends.low == ends.high:  # no draw of groups changes it
            ends = wilson_interval(round(independent * successes / n), independent, level=level)
    return Proportion(
        successes=successes,
        n=n,
        share=successes / n,
        low=ends.low if ends else None,
        high=ends.high if ends else None,
    )


def number(value: float | None) -> float:
    """A number, NaN where it is undefined."""
    return math.nan if value is None else value
