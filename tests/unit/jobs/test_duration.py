from __future__ import annotations

import pytest

from delineate.errors import UsageError
from delineate.jobs.duration import in_words, parse_budget


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1.5h", 5400),
        (" 1H 5M ", 3900),
        (45, 45.0),
    ],
)
def test_durations_as_people_write_them(written: str | float, seconds: float) -> None:
    assert parse_budget(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "10", "m", "ten minutes", "-5m", "5m-", "1e3s", "0s", 0, -1, float("inf")]
)
def test_what_is_no_duration_is_refused_with_an_example(written: str | float) -> None:
    with pytest.raises(UsageError, match="10m"):
        parse_budget(written)


def test_not_a_number_is_no_duration() -> None:
    with pytest.raises(UsageError):
        parse_budget(float("nan"))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (75, "1 min 15 s"),
        (600, "10 min"),
        (3599, "1 h"),
        (5400, "1 h 30 min"),
        (7200, "2 h"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
