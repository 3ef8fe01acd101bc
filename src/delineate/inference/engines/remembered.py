"""What was measured of engines, in the user's cache: numbers and hashes, nothing of images or patients."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from delineate.errors import DelineateError
from delineate.files import write_text

NAME = "engines.json"
MOST_ENTRIES = 200
MOST_BYTES = 4 << 20


class Trial(BaseModel):
    """One engine in one precision.

    Attributes:
        seconds: The shortest time of the measured batch; None where it was only checked.
        fault: Why it is passed over, to stand after the engine's name.
        late_s: Where that is that its time was up: how long it had.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seconds: Annotated[float, Field(gt=0)] | None = None
    fault: Annotated[str, Field(max_length=1000)] | None = None
    late_s: float | None = None


class Entry(BaseModel):
    """What was measured of a model on a machine.

    Attributes:
        about: Of what it holds: the model's hash, the processor, threads, versions.
        trials: By engine and precision: "openvino bf16".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: dict[str, str]
    trials: dict[str, Trial] = {}


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    entries: dict[str, Entry] = {}


def recall(about: dict[str, str]) -> Entry:
    """What is known; an entry without trials where nothing is."""
    known = _read().entries.get(_key(about))
    return known if known is not None and known.about == about else Entry(about=about)


def remember(entry: Entry) -> None:
    """Keep an entry, beside those that are there; a cache that cannot be written is done without."""
    file = _file()
    if file is None:
        return
    content = _read()  # now, as others may have written
    content.entries.pop(_key(entry.about), None)
    content.entries[_key(entry.about)] = entry
    for oldest in list(content.entries)[:-MOST_ENTRIES]:
        del content.entries[oldest]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, content.model_dump_json(indent=1, exclude_none=True) + "\n")
    except (OSError, DelineateError):
        return


def cache_folder() -> Path | None:
    """Where this system keeps caches of ours; None where it has no place for a user's."""
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            given = Path(os.environ.get("XDG_CACHE_HOME") or "")
            base = given if given.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # no home
        return None
    return base / "delineate"


def processor() -> str:
    """The processor and what it can do, so that another one is told from it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    able = facts.get("flags") or facts.get("Features") or ""
    words = [facts.get(name, "") for name in ("model name", "cpu family", "model", "CPU part")]
    return " ".join([platform.machine(), *filter(None, words), hashlib.sha256(able.encode()).hexdigest()[:8]])


def _file() -> Path | None:
    folder = cache_folder()
    return folder / NAME if folder is not None else None


def _key(about: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]


def _read() -> _Content:
    """The file's content; empty where there is none, or none that can be used."""
    file = _file()
    try:
        if file is None or file.stat().st_size > MOST_BYTES:
            return _Content()
        return _Content.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return _Content()
