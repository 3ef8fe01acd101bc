"""A disk that is full at any write, and a kill within any: a run is gone, or goes on to the same model."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from commanding import ENVIRONMENT, Command

import delineate
from delineate.errors import OutputError

pytestmark = pytest.mark.slow
EPOCHS = 2
KILLED_AT = """
import os, signal, sys
real, left = os.fsync, int(sys.argv.pop(1))

def fsync(descriptor):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)

os.fsync = fsync
from delineate.cli import main
main()
"""


class FullDisk:
    """`os.fsync`, by which every file is finished, of a disk that is full at the n-th one."""

    def __init__(self, number: int) -> None:
        self._left, self._really = number, os.fsync

    def __call__(self, descriptor: int) -> None:
        self._left -= 1
        if not self._left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._really(descriptor)


@pytest.fixture(scope="module")
def expected(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of a run that nothing disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    delineate.train(small_data, out=run, epochs=EPOCHS)
    return weights(run)


def weights(run: Path) -> str:
    return delineate.load(run).card.weights_sha256


def refusal(job: Callable[[], object]) -> str | None:
    """What a job says that cannot write; None where it can."""
    try:
        job()
    except OutputError as error:
        return str(error)
    return None


def test_a_disk_that_is_full_at_any_write_of_a_run(
    small_data: Path, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = gone = 0
    for number in itertools.count(1):
        run = tmp_path / f"full at {number}"
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", FullDisk(number))
            said = refusal(partial(delineate.train, small_data, out=run, epochs=EPOCHS))
        if said is None:
            break  # it has fewer writes than that
        assert "the disk is full" in said
        assert not list(run.rglob("*.part"))
        if (run / "plan.yaml").exists():
            begun += 1
            delineate.resume(run)
            assert weights(run) == expected, number
            assert (run / "evaluation" / "report.html").is_file()
        else:
            gone += 1
            assert not run.exists(), number
    assert gone == 4  # the split, the source, the environment and the plan
    assert begun >= 8


def test_a_disk_that_is_full_at_any_write_of_a_prediction(
    finished_run: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sorted((small_data / "images").iterdir())[:3]
    delineate.predict(finished_run, images, tmp_path / "whole")
    expected = {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("*.png")}
    assert len(expected) == len(images)
    for number in itertools.count(1):
        out = tmp_path / f"full at {number}"
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", FullDisk(number))
            said = refusal(partial(delineate.predict, finished_run, images, out))
        if said is None:
            break
        assert "the disk is full" in said
        assert not list(out.rglob("*.part"))
        for path in out.glob("*.png"):
            assert path.read_bytes() == expected[path.name]
    assert number > len(images)


@pytest.mark.parametrize("number", [5, 7, 8, 9, 11, 13])
def test_a_kill_within_a_write_of_a_run(
    number: int, small_data: Path, expected: str, command: Command, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = ["train", str(small_data), "--out", str(run), "--epochs", str(EPOCHS)]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(number), *arguments],
        capture_output=True,
        check=False,
        env=ENVIRONMENT,
        timeout=600,
    )
    assert killed.returncode == -signal.SIGKILL
    assert list(run.rglob(".*.part"))  # it was within one
    done = command("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert weights(run) == expected
    assert not list(run.rglob(".*.part"))
