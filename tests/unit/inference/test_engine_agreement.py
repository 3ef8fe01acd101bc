"""When an engine's probabilities are as good as torch's."""

from __future__ import annotations

import numpy as np
import pytest

from delineate.inference.engines.agreement import changed_labels, disagreement

REFERENCE = np.linspace(0.1, 0.9, 1000, dtype=np.float32).reshape(1, 1, 25, 40)  # steps of 0.0008


def told(
    found: np.ndarray[tuple[int, ...], np.dtype[np.float32]], precision: str, **given: float
) -> str | None:
    return disagreement(found, REFERENCE, precision, threshold=0.5, **given)  # type: ignore[arg-type]  # a literal


def test_equal_probabilities_agree() -> None:
    assert told(REFERENCE, "fp32") is None
    assert told(REFERENCE, "bf16") is None


def test_in_fp32_the_largest_difference_counts() -> None:
    off = REFERENCE.copy()
    off[0, 0, 3, 3] += 9e-4
    assert told(off, "fp32") is None
    off[0, 0, 3, 3] += 2e-4
    assert told(off, "fp32") == "gives other probabilities than torch, by up to 0.0011"


def test_in_bf16_the_share_of_labels_counts() -> None:
    off = REFERENCE.copy()
    off[0, 0, 0, 0] += 0.3  # far, but no other label
    assert told(off, "bf16") is None
    order = np.argsort(np.abs(REFERENCE - 0.5).ravel())
    for wrong, expected in ((5, None), (6, "gives 0.6% of the pixels another label than torch in fp32")):
        off = REFERENCE.copy()
        off.ravel()[order[:wrong]] = 1 - off.ravel()[order[:wrong]]
        assert changed_labels(off, REFERENCE, 0.5) == wrong / 1000
        assert told(off, "bf16") == expected
        assert told(off, "bf16", of_torch=0.004) is None  # no more than 1.5 times torch's own
    assert told(REFERENCE + np.float32(0.03), "bf16") == (
        "gives other probabilities than torch in fp32, by 0.03 on average"
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_never_agrees(precision: str, value: float) -> None:
    off = REFERENCE.copy()
    off[0, 0, 0, 0] = value
    assert told(off, precision) == "gives probabilities that are not numbers"


def test_of_several_labels_the_likeliest_counts() -> None:
    shares = np.zeros((1, 3, 2, 2), np.float32)
    shares[:, 1] = 1
    other = shares.copy()
    other[0, :, 0, 0] = (0, 0, 1)
    assert changed_labels(other, shares, 0.5) == 0.25
