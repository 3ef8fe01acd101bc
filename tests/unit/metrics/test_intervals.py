"""Intervals: values by hand or from tables, and that they cover what they claim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.metrics.intervals import Interval, bootstrap_label_mean, wilson_interval


def bootstrap_interval(
    values: Sequence[float], groups: Sequence[str], *, level: float = 0.95, resamples: int = 2000
) -> Interval | None:
    """Of one label."""
    column = np.asarray(values, dtype=np.float64)[:, None]
    return bootstrap_label_mean(column, groups, level=level, resamples=resamples)


def test_two_groups_can_be_drawn_three_ways() -> None:
    # groups a = {0, 0} and b = {1}: draws aa (1/4) -> 0, ab (1/2) -> 1/3, bb (1/4) -> 1
    # so the 2.5 % and 97.5 % percentiles are 0 and 1, and those of the middle 40 % both 1/3
    values, groups = [0.0, 0.0, 1.0], ["a", "a", "b"]
    interval = bootstrap_interval(values, groups)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.0, 1.0))
    middle = bootstrap_interval(values, groups, level=0.4)
    assert middle is not None
    assert (middle.low, middle.high) == pytest.approx((1 / 3, 1 / 3))


def test_equal_values_leave_no_width() -> None:
    interval = bootstrap_interval([0.7] * 6, list("aabbcc"))
    assert interval is not None
    assert interval.low == pytest.approx(0.7)
    assert interval.high == pytest.approx(0.7)


@pytest.mark.parametrize(("values", "groups"), [([], []), ([0.5], ["a"]), ([0.1, 0.9], ["a", "a"])])
def test_one_group_tells_nothing_of_others(values: list[float], groups: list[str]) -> None:
    assert bootstrap_interval(values, groups) is None


def test_copies_of_a_patient_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(3).normal(size=20)
    alone = bootstrap_interval(list(values), [str(i) for i in range(20)])
    copied = bootstrap_interval(list(np.repeat(values, 10)), [str(i) for i in range(20) for _ in range(10)])
    assert alone is not None
    assert copied is not None
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))


def test_half_width_is_that_of_theory() -> None:
    # 400 independent values of deviation s: 1.96 s / 20, within the percentile's own scatter
    values = np.random.default_rng(0).normal(size=400)
    interval = bootstrap_interval(list(values), [str(i) for i in range(400)])
    assert interval is not None
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.06)


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    # 200 repetitions with 30 patients of 3 alike images: 95 % ± 1.5 %; percentile intervals are a bit short
    rng = np.random.default_rng(1)
    groups = [str(i) for i in range(30) for _ in range(3)]
    hits = 0
    for _ in range(200):
        values = np.repeat(rng.normal(size=30), 3) + 0.1 * rng.normal(size=90)
        interval = bootstrap_interval(list(values), groups, resamples=400)
        assert interval is not None
        hits += interval.low <= 0 <= interval.high
    assert 178 <= hits <= 198


def test_mean_over_labels_weighs_labels_not_cases() -> None:
    # label 1: mean of 1, 1, 1, 0.2 is 0.8; label 2: only case 4, 0.4; together 0.6. Label 3 has no value.
    nothing = np.nan
    values = np.array([[1, nothing, nothing]] * 3 + [[0.2, 0.4, nothing]])
    interval = bootstrap_label_mean(values, list("abcd"))
    assert interval is not None
    # draws without d have no label 2 and are left out; of the others, dddd is lowest with 0.3, one d highest
    assert 0.3 <= interval.low < 0.6 <= interval.high <= 0.7


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abcde")), min_size=2))
def test_order_of_cases_does_not_matter(rows: list[tuple[float, str]]) -> None:
    one = bootstrap_interval([v for v, _ in rows], [g for _, g in rows], resamples=50)
    other = bootstrap_interval([v for v, _ in rows[::-1]], [g for _, g in rows[::-1]], resamples=50)
    if one is None or other is None:
        assert one is other
        assert len({g for _, g in rows}) == 1
        return
    assert (one.low, one.high) == pytest.approx((other.low, other.high))
    assert min(v for v, _ in rows) - 1e-12 <= one.low <= one.high <= max(v for v, _ in rows) + 1e-12


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one group a value"):
        bootstrap_interval([1.0], [])
    for level, resamples in ((1.0, 10), (0.0, 10), (0.9, 0)):
        with pytest.raises(ValueError, match="level"):
            bootstrap_interval([1.0, 2.0], ["a", "b"], level=level, resamples=resamples)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe, Stat Med 17, 1998, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    interval = wilson_interval(successes, n)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


def test_wilson_at_its_ends() -> None:
    every, none = wilson_interval(20, 20), wilson_interval(0, 20)
    assert every is not None
    assert none is not None
    assert (every.high, none.low) == (1.0, 0.0)
    assert every.low == pytest.approx(1 - none.high)
    assert wilson_interval(0, 0) is None
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(3, 2)
    with pytest.raises(ValueError, match="level"):
        wilson_interval(1, 2, level=1.0)
