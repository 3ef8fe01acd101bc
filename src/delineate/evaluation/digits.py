"""Distances as they are shown, also those under a microscope."""

from __future__ import annotations


def distance_text(value: float) -> str:
    """A distance with one decimal; of less than one, with three significant digits."""
    return f"{value:.3g}" if 0 < value < 1 else f"{value:.1f}"
