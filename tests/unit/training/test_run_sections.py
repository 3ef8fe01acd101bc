"""The benchmark that adds up where a training's time goes still finds its places."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import run_sections
from benchmarks.run_sections import (
    BACKWARD,
    DICE,
    FORWARD,
    LOOKS,
    LOOKS_FORWARD,
    OPTIMIZER,
    SPEED,
    TOTAL,
    Sections,
)
from clocks import ticking

from delineate import phantoms
from delineate.jobs.training import train


@pytest.mark.slow
def test_a_whole_run_is_divided_into_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_sections, "_mark", ticking())
    phantoms.write("noise", tmp_path / "data", count=6, size=(32, 32))
    sections = Sections()
    with sections.watching():
        train(tmp_path / "data", out=tmp_path / "run", budget=0.1)

    seconds = sections.seconds()
    parts = {name: spent for name, spent in seconds.items() if name not in (TOTAL, SPEED)}
    assert {FORWARD, BACKWARD, OPTIMIZER, DICE, LOOKS, LOOKS_FORWARD} <= parts.keys()
    assert seconds[SPEED] > 0  # before the training itself
    assert all(spent > 0 for spent in parts.values())
    assert sum(parts.values()) <= seconds[TOTAL]
