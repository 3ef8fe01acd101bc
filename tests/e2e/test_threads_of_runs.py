"""`--threads`: kept in the run, and taken again by a resumed one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from commanding import Command

import delineate
from delineate.threads import processors

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
    refused = command("train", "--resume", run, "--threads", "1")
    assert refused.returncode == 2
    seen: list[int] = []

    class Noting(delineate.Reporter):
        def stage(self, name: str, done: int, total: int) -> None:
            if name == "scoring":
                seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    delineate.resume(run, reporter=Noting())
    assert set(seen) == {THREADS}
    assert torch.get_num_threads() == before
