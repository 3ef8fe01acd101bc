"""Time budgets as people write them."""

from __future__ import annotations

import re

from delineate.errors import UsageError

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_budget(budget: str | float) -> float:
    """Seconds of a budget.

    Args:
        budget: "90s", "10m", "1h30m", "2d"; or a number of seconds.

    Returns:
        Seconds, above 0.

    Raises:
        UsageError: It is no duration.
    """
    if isinstance(budget, (int, float)):
        seconds = float(budget)
    else:
        text = budget.strip().lower().replace(" ", "")
        if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
            raise UsageError(
                f"The budget {budget!r} is no duration. Write for example 90s, 10m, 1h30m or 2d."
            )
        seconds = sum(float(n) * UNITS_S[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)([smhd])", text))
    if not 0 < seconds < float("inf"):
        raise UsageError(f"The budget {budget!r} leaves no time to train. Give for example 10m.")
    return seconds


def in_words(seconds: float) -> str:
    """Seconds as people say them: "45 s", "10 min", "1 h 30 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    if not hours:
        rest = whole - 60 * (whole // 60)
        return f"{whole // 60} min {rest} s" if whole < 600 and rest else f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
