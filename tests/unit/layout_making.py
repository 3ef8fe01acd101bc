"""Folders of empty files in a layout, and what their discovery tells."""

from __future__ import annotations

from pathlib import Path

from delineate.dataset.discover import Discovery


def tree(root: Path, *patterns: str, numbers: range = range(21, 24)) -> Path:
    """Empty files, those of each pattern with each number."""
    for pattern in patterns:
        for n in numbers:
            path = root / pattern.format(n=n)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def codes(found: Discovery) -> list[str]:
    return [problem.code for problem in found.problems]


def error(found: Discovery) -> str:
    (message,) = [problem.message for problem in found.problems if problem.level == "error"]
    return message
