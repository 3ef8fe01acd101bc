"""Lengths as files write them."""

from __future__ import annotations

import pytest

from delineate.formats.lengths import in_mm


@pytest.mark.parametrize(
    ("number", "unit", "expected"),
    [
        ("2.5", "mm", 2.5),
        (3, "cm", 30.0),
        ("500", "µm", 0.5),  # the sign for micro
        ("500", "μm", 0.5),  # the Greek letter
        ("500", "\\u00B5m", 0.5),  # as ImageJ writes it
        ("500", " Microns ", 0.5),
        ("1e6", "nm", 1.0),
        ("0", "mm", None),
        ("-1", "mm", None),
        ("nan", "mm", None),
        ("inf", "mm", None),
        ("wide", "mm", None),
        ("1", "inch", None),
        ("1", "pixel", None),
        ("1", "", None),
    ],
)
def test_in_mm(number: str | float, unit: str, expected: float | None) -> None:
    assert in_mm(number, unit) == (None if expected is None else pytest.approx(expected))
