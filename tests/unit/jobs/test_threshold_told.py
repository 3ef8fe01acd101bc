"""What a run says of the threshold that its training has set."""

from __future__ import annotations

import pytest

from delineate.jobs.job import threshold_sentence


@pytest.mark.parametrize(
    ("threshold", "dice", "why"),
    [
        (0.406, 0.8126, "half of the Dice of 0.81 that the training reached"),
        (0.5, 1.0, "half of the Dice of 1.00 that the training reached"),
        (0.5, 0.3, "the training reached a Dice of 0.30 only"),
        (0.5, None, "no labelled pixel was met in training"),
    ],
)
def test_the_threshold_is_told_with_its_reason(threshold: float, dice: float | None, why: str) -> None:
    said = threshold_sentence(threshold, dice)
    assert said == f"Pixels with a probability of at least {threshold:g} count as foreground: {why}."
