"""Puts the records of the benchmarks into docs/benchmarks.md, between marks, as tables.

    python -m benchmarks.tables

A cell holds the mean Dice over the seeds, with its standard deviation where there are several, and the steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from benchmarks.held_out import SETS
from benchmarks.quality_record import QUALITY, read_entries
from benchmarks.reporting import ROOT, Record
from benchmarks.sides import SIDES

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- benchmarks.tables: begin -->", "<!-- benchmarks.tables: end -->"
CALLED = {
    "ours": "Delineate",
    "ensemble": "Delineate, `--folds 5 --ensemble`",
    "keras": "Keras script's net",
    "monai": "MONAI, as in its tutorials",
    "nnunet": "nnU-Net v2",
}
NOISY = 0.25  # cores, of those the run was held to


def main() -> None:
    """Write the page anew."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables", description="Tables of the records, in the docs."
    )
    parser.add_argument("--quality", type=Path, default=QUALITY, metavar="FILE", help="(%(default)s)")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="(%(default)s)")
    chosen = parser.parse_args()
    page = chosen.page.read_text(encoding="utf-8")
    before, found, rest = page.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise SystemExit(f"{chosen.page} has no lines {BEGIN} and {END}.")
    text = quality_tables(read_entries(chosen.quality))
    print(text)
    chosen.page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def quality_tables(entries: Sequence[Record]) -> str:
    """A table a budget and number of threads: sets in lines, sides in columns."""
    if not entries:
        return "Nothing is recorded yet."
    parts = []
    for budget_s, threads in sorted({(entry["budget_s"], entry["threads"]) for entry in entries}):
        chosen = [entry for entry in entries if (entry["budget_s"], entry["threads"]) == (budget_s, threads)]
        sides = [side for side in SIDES if any(entry["side"] == side for entry in chosen)]
        rows = [_row(name, sides, [entry for entry in chosen if entry["set"] == name]) for name in SETS]
        head = ["set (trained on + held out)", *(CALLED[side] for side in sides)]
        lines = [head, ["---"] * len(head), *(row for row in rows if row)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"### {_duration(budget_s)}, {_cores(threads)}\n\n{table}")
    return "\n\n".join([*parts, _conditions(entries)])


def _row(name: str, sides: Sequence[str], entries: Sequence[Record]) -> list[str]:
    if not entries:
        return []
    means = {
        side: fmean(entry["dice"] for entry in entries if entry["side"] == side)
        for side in sides
        if any(entry["side"] == side for entry in entries)
    }
    size = f"{name} ({entries[0]['train_cases']} + {entries[0]['held_out_cases']})"
    best = max(means.values()) if len(means) > 1 else None  # alone there is nothing to be best of
    return [size, *(_cell([e for e in entries if e["side"] == side], best) for side in sides)]


def _cell(entries: Sequence[Record], best: float | None) -> str:
    if not entries:
        return "–"
    dices = [entry["dice"] for entry in entries]
    shown = f"{fmean(dices):.3f}"
    if fmean(dices) == best:
        shown = f"**{shown}**"
    spread = f" ± {stdev(dices):.3f}" if len(dices) > 1 else ""
    return f"{shown}{spread}, {fmean(entry['steps'] for entry in entries):.0f} steps"


def _conditions(entries: Sequence[Record]) -> str:
    """Which machines, how many seeds, and how much others disturbed."""
    machines = sorted({e["machine"]["processor"] for e in entries})
    seeds = sorted({entry["seed"] for entry in entries})
    disturbed = sum(entry["cores_by_others"] > NOISY for entry in entries)
    trainings = {
        (e["set"], e["side"], e["seed"], e["threads"], tuple(e.get("in_a_training_of_s", [e["budget_s"]])))
        for e in entries
    }
    return (
        f"{len(entries)} results of {len(trainings)} trainings, seeds {', '.join(map(str, seeds))}, "
        f"on {'; '.join(machines)}. "
        f"During {disturbed} of them others took more than {NOISY:g} of a core on average."
    )


def _cores(threads: int) -> str:
    return "one core" if threads == 1 else f"{threads} cores"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"


if __name__ == "__main__":
    main()
