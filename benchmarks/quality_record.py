"""The record of trainings: a JSON list, an entry a line, that several processes may add to."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import TypeGuard

from benchmarks.reporting import ROOT, Record

QUALITY = ROOT / "docs" / "benchmarks" / "quality.json"
KEY = ("set", "side", "budget_s", "seed", "threads")
Key = tuple[str, str, float, int, int]


def read_entries(path: Path) -> list[Record]:
    """All entries; none where there is no file.

    Raises:
        SystemExit: The file is something else.
    """
    if not path.is_file():
        return []
    entries = json.loads(path.read_text(encoding="utf-8"))
    if not _are_entries(entries):
        raise SystemExit(f"{path} is not a record of trainings; name another file with --out.")
    return entries


def _are_entries(found: object) -> TypeGuard[list[Record]]:
    return isinstance(found, list) and all(
        isinstance(each, dict) and each.keys() >= set(KEY) for each in found
    )


def key_of(entry: Record) -> Key:
    """What an entry is the only one of."""
    name, side, budget_s, seed, threads = (entry[part] for part in KEY)
    return str(name), str(side), float(budget_s), int(seed), int(threads)


def add_entry(path: Path, entry: Record) -> None:
    """Add an entry in place of its like, whatever other processes add meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".json.part")
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = {key_of(each): each for each in read_entries(path)} | {key_of(entry): entry}
        lines = (json.dumps(entries[key], ensure_ascii=False) for key in sorted(entries))
        beside.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
        beside.replace(path)
