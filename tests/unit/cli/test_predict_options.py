"""What the options of prediction mean."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.cli.predict import parse_memory
from delineate.cli.train import reading
from delineate.errors import UsageError
from delineate.formats import Reading


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4_000_000_000),
        ("4 gb", 4_000_000_000),
        (" 4G ", 4_000_000_000),
        ("2GiB", 2 << 30),
        ("800MB", 800_000_000),
        ("1.5gb", 1_500_000_000),
        ("0.5KiB", 512),
        ("1TB", 10**12),
        ("123456", 123_456),
        ("123456 B", 123_456),
    ],
)
def test_memory_as_people_write_it(text: str, size: int) -> None:
    assert parse_memory(text) == size


NO_AMOUNT = ["", "much", "0", "0GB", "-4GB", "4 G B", "4XB", "1e9", "4,5GB", "nan", "9" * 400]


@pytest.mark.parametrize("text", NO_AMOUNT)
def test_what_is_no_amount_of_memory(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no amount of memory\. Write for example 4GB or 800MB"):
        parse_memory(text)


@given(st.text(alphabet="0123456789.kmgtibKMGTIB ", max_size=30))
def test_any_text_is_an_amount_or_told(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_memory(text) >= 1


def test_files_are_read_as_the_options_say() -> None:
    assert reading(None, None) == Reading()
    assert reading(0.5, "channels", resample_masks=True) == Reading(0.5, "channels", True)


@pytest.mark.parametrize("megapixels", [0.0, -1.0, float("nan")])
def test_a_limit_that_lets_nothing_through(megapixels: float) -> None:
    with pytest.raises(UsageError, match="lets nothing through: give a number above 0"):
        reading(megapixels, None)
