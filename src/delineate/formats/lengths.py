"""Lengths as files write them, in millimetres."""

from __future__ import annotations

import math

_MM = {
    "m": 1e3,
    "cm": 10.0,
    "mm": 1.0,
    "millimeter": 1.0,
    "millimetre": 1.0,
    "um": 1e-3,
    "µm": 1e-3,  # the sign for micro, U+00B5
    "μm": 1e-3,  # the Greek letter, U+03BC
    "\\u00b5m": 1e-3,  # as ImageJ writes it
    "micron": 1e-3,
    "microns": 1e-3,
    "micrometer": 1e-3,
    "nm": 1e-6,
    "pm": 1e-9,
}
_NAMES = {1e3: "m", 10.0: "cm", 1.0: "mm", 1e-3: "um", 1e-6: "nm", 1e-9: "pm"}


def unit_name(millimetres: float) -> str:
    """What a unit of so many millimetres is called in a header; one of those that `in_mm` knows."""
    return _NAMES[millimetres]


def in_mm(number: str | float, unit: str) -> float | None:
    """A length in millimetres.

    Args:
        number: Greater than 0.
        unit: Such as "mm" or "µm". Inches are none: programs write them for the resolution of a screen.

    Returns:
        None where the number is no positive one or the unit no length.
    """
    factor = _MM.get(unit.strip().lower())
    try:
        length = float(number) * (factor or 0)
    except ValueError:
        return None
    return length if 0 < length < math.inf else None
