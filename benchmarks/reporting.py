"""What every benchmark hands in: a table for people, a JSON file for the record, the machine's facts."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
Record = dict[str, Any]
"""What goes into a JSON file: strings, numbers, None, lists and records."""


def argument_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with `--out`, by default `benchmarks/results/NAME.json`."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument(
        "--out", type=Path, default=RESULTS / f"{name}.json", metavar="FILE", help="the JSON (%(default)s)"
    )
    return parser


def add_runs_option(parser: argparse.ArgumentParser, name: str) -> None:
    """Add `--runs`, by default `runs/NAME`."""
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs" / name, metavar="FOLDER", help="kept runs (%(default)s)"
    )


def machine(packages: Sequence[str] = ("delineate", "torch", "numpy")) -> Record:
    """The processor, its cores and memory, and the versions of Python and of `packages`."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in packages},
    }


def _processor() -> str:
    """The model's name with what sets its speed here: the bf16 and wide-vector instructions."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    family = re.search(r"^cpu family\s*:\s*(\d+)$", text, re.MULTILINE)
    model = re.search(r"^model\s*:\s*(\d+)$", text, re.MULTILINE)
    flags = {"avx2", "avx512f", "avx512_bf16", "amx_bf16"} & set(text.split())
    kind = f", family {family[1]} model {model[1]}" if family and model else ""
    return f"{name[1] if name else 'unknown'}{kind} ({', '.join(sorted(flags)) or 'no wide vectors'})"


def write_record(path: Path, record: Mapping[str, object]) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".json.part")
    beside.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)


def read_record(path: Path) -> Record:
    """The JSON of an earlier run; empty where there is none."""
    if not path.is_file():
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise SystemExit(f"{path} is not a record of this benchmark; name another file with --out.")
    return record


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: the first column to the left, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        first, *rest = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
