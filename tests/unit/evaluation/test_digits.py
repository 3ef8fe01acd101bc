"""Distances keep what they say, however small they are."""

from __future__ import annotations

import pytest

from delineate.evaluation.digits import distance_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (0.00375, "0.00375"),
        (0.0000012345, "1.23e-06"),
        (0.25, "0.25"),
        (1.0, "1.0"),
        (3.46, "3.5"),
        (61.04, "61.0"),
    ],
)
def test_a_distance_in_words(value: float, text: str) -> None:
    assert distance_text(value) == text
