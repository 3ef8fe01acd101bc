"""`--threads`: kept in the run, and taken again by a resumed one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from commanding import Command

import delineate
from delineate.threads import at_most, processors

THREADS = min(2, processors())


def test_a_resumed_run_computes_with_its_own_number_of_threads(
    small_data: Path, command: Command, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = command("train", small_data, "--out", run, "--epochs", "1", "--threads", str(THREADS))
    assert done.returncode == 0, done.stderr
    environment = json.loads((run / "environment.json").read_text())
    assert environment["threads"] == THREADS
    assert "Expect " in done.stdout
    assert environment["expected"]["steps"] == delineate.read_plan(run / "plan.yaml").training.steps
    seen: dict[str, set[tuple[int, int]]] = {}
    warned: list[str] = []

    class Noting(delineate.Reporter):
        def stage(self, name: str, done: int, total: int) -> None:
            seen.setdefault(name, set()).add((torch.get_num_threads(), at_most(99)))

        def warn(self, text: str) -> None:
            warned.append(text)

    before = torch.get_num_threads()
    delineate.resume(run, reporter=Noting())
    assert set(seen) >= {"reading images and masks", "measuring", "scoring"}
    assert set.union(*seen.values()) == {(THREADS, THREADS)}  # from the first file on
    assert torch.get_num_threads() == before
    assert not any("threads" in text for text in warned)
    seen.clear()
    delineate.resume(run, threads=1, reporter=Noting())
    assert set.union(*seen.values()) == {(1, 1)}
    told = [text for text in warned if f"begun with {THREADS} threads and goes on with 1, " in text]
    assert len(told) == (THREADS != 1)
    assert command("train", "--resume", run, "--threads", "0").returncode == 2
