"""How sure a score is: intervals that take into account that a patient's images are alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
RESAMPLES = 2000
FEWEST_GROUPS = 2  # of a single group one cannot see how groups differ


@dataclass(frozen=True)
class Interval:
    """An interval about an estimate.

    Attributes:
        low: Lower end.
        high: Upper end.
    """

    low: float
    high: float


def bootstrap_label_mean(
    values: npt.NDArray[np.float64],
    groups: Sequence[str],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """The cluster bootstrap percentile interval of the mean over cases within each label, then over labels.

    Whole groups are drawn with replacement, so that images of one patient do not pass for independent ones.
    With fewer than about ten groups such intervals are too narrow. A draw of groups in which some label has
    no value at all is left out, since it estimates another mean.

    Args:
        values: `(cases, labels)`, NaN where a case has no value for a label. A label without any value
            is left out of the mean.
        groups: The group of each case.
        level: Coverage, between 0 and 1.
        resamples: How often the groups are drawn anew.
        seed: Of the draws.

    Returns:
        The interval, or None with fewer than two groups that have a value.

    Raises:
        ValueError: Lengths differ, or the level or the number of draws is out of range.

    Source:
        Field & Welsh, J R Stat Soc B 69(3), 2007 (cluster bootstrap); Efron & Tibshirani, 1993, ch. 13.
    """
    if len(values) != len(groups):
        raise ValueError(f"{len(values)} values and {len(groups)} groups; there must be one group a value")
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(
            f"the level must lie between 0 and 1 and resamples be 1 or more: {level}, {resamples}"
        )
    present = np.isfinite(values)
    used_rows, used_labels = present.any(axis=1), present.any(axis=0)
    present = present[np.ix_(used_rows, used_labels)]
    filled = np.where(present, values[np.ix_(used_rows, used_labels)], 0.0)
    names, index = np.unique(np.asarray(groups, dtype=str)[used_rows], return_inverse=True)
    if len(names) < FEWEST_GROUPS:
        return None
    sums = np.zeros((len(names), present.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, index, filled)
    np.add.at(counts, index, present)
    draws = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=resamples
    )
    drawn_sums, drawn_counts = draws @ sums, draws @ counts
    whole = (drawn_counts > 0).all(axis=1)
    if not whole.any():
        return None
    means = (drawn_sums[whole] / drawn_counts[whole]).mean(axis=1)
    low, high = np.percentile(means, [50 * (1 - level), 50 * (1 + level)])
    return Interval(float(low), float(high))


def wilson_interval(successes: int, n: int, *, level: float = LEVEL) -> Interval | None:
    """The Wilson score interval of a share, which stays within 0…1 and has a width at 0 and 1 too.

    Args:
        successes: How many of them.
        n: Out of how many, each taken as independent.
        level: Coverage, between 0 and 1.

    Returns:
        The interval; None for n = 0.

    Raises:
        ValueError: `successes` is not within 0…n, or the level is out of range.

    Source:
        Wilson, J Am Stat Assoc 22(158), 1927.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no share")
    if not 0 < level < 1:
        raise ValueError(f"the level must lie between 0 and 1, not {level}")
    if n == 0:
        return None
    share, z = successes / n, NormalDist().inv_cdf(0.5 + level / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low = 0.0 if successes == 0 else max(0.0, centre - half)  # exact at the ends, where rounding would miss
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)
