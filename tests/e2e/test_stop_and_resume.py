"""Stopped at any moment and resumed, a run ends with the very weights of one that was not."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commanding import ENVIRONMENT, Command

import delineate
from delineate.errors import DataError, UsageError


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "delineate", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def wait_for(path: Path, process: subprocess.Popen[str], text: str = "") -> None:
    end = time.monotonic() + 120
    while not (path.is_file() and text in path.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def uninterrupted(small_data: Path, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    done = command("train", small_data, "--out", run, "--epochs", "60")
    assert done.returncode == 0, done.stderr
    return run


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_stopped_run_goes_on_to_the_same_weights(
    sent: signal.Signals,
    code: int,
    small_data: Path,
    uninterrupted: Path,
    command: Command,
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    process = started("train", small_data, "--out", run, "--epochs", "60")
    wait_for(run / "metrics.csv", process)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert not (run / "model.safetensors").exists()
    if sent != signal.SIGKILL:
        assert f"delineate train --resume {run}" in " ".join(errors.split())
    unfinished = command("predict", run, small_data / "images", "--out", tmp_path / "masks")
    assert unfinished.returncode == 1
    assert "--resume" in unfinished.stderr
    done = command("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert delineate.load(run).card.weights_sha256 == delineate.load(uninterrupted).card.weights_sha256
    columns = ("step", "learning_rate", "train_loss", "train_dice", "validation_dice")
    curves = [
        [[row[column] for column in columns] for row in csv.DictReader((folder / "metrics.csv").open())]
        for folder in (run, uninterrupted)
    ]
    assert curves[0] == curves[1]
    scores = [(folder / "evaluation" / "cases.csv").read_bytes() for folder in (run, uninterrupted)]
    assert scores[0] == scores[1]


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(
    uninterrupted: Path, command: Command, tmp_path: Path
) -> None:
    run = tmp_path / "copy"
    shutil.copytree(uninterrupted, run)
    before = (run / "model.safetensors").read_bytes()
    done = command("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert (run / "model.safetensors").read_bytes() == before


def test_changed_data_or_plan_are_refused(
    uninterrupted: Path, small_data: Path, command: Command, tmp_path: Path
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(small_data, data)
    shutil.copytree(uninterrupted, run)
    source = run / "private" / "source.json"
    source.write_text(source.read_text().replace(str(small_data), str(data)))
    shutil.copy(data / "masks" / "mask_1.png", data / "masks" / "mask_2.png")
    shutil.copy(data / "masks" / "mask_1.png", data / "masks" / "mask_3.png")
    done = command("train", "--resume", run)
    assert done.returncode == 1
    assert "are not those that this run was begun with" in " ".join(done.stderr.split())
    shutil.rmtree(data)
    done = command("train", "--resume", run)
    assert done.returncode == 2
    assert str(data) in done.stderr.replace("\n", "")
    shutil.copytree(small_data, data)
    plan = run / "plan.yaml"
    plan.write_text(plan.read_text().replace("learning_rate: 0.005", "learning_rate: 0.004"))
    done = command("train", "--resume", run)
    assert done.returncode == 1
    assert "made by another plan" in " ".join(done.stderr.split())


def test_a_run_goes_on_where_its_data_were_moved_to(
    small_data: Path, command: Command, tmp_path: Path
) -> None:
    data, test, run = tmp_path / "data", tmp_path / "test", tmp_path / "run"
    shutil.copytree(small_data, data)
    shutil.copytree(small_data, test)
    begun = delineate.train(data, test=test, out=run, epochs=1, anonymous=True)
    before = begun.load().card
    data.rename(tmp_path / "new data")
    command_line = f"delineate train DATA --resume {run}"
    with pytest.raises(UsageError, match=f"were not found at {data}.*{command_line}"):
        delineate.resume(run)
    with pytest.raises(UsageError, match=r"were not found at .*nowhere"):
        delineate.resume(run, data=tmp_path / "nowhere")
    test.rename(tmp_path / "new test")
    data, test = tmp_path / "new data", tmp_path / "new test"
    with pytest.raises(UsageError, match=rf"--resume {run} --test DATA"):
        delineate.resume(run, data=data)
    shutil.copytree(data, tmp_path / "other")
    shutil.copy(data / "masks" / "mask_1.png", tmp_path / "other" / "masks" / "mask_2.png")
    stored = (run / "private" / "source.json").read_text()
    with pytest.raises(DataError, match="are not those that this run was begun with"):
        delineate.resume(run, data=tmp_path / "other", test=test)
    assert (run / "private" / "source.json").read_text() == stored
    (run / "model.safetensors").unlink()
    done = command("train", data, "--resume", run, "--test", test)
    assert done.returncode == 0, done.stderr
    assert delineate.load(run).card == before
    kept = json.loads((run / "private" / "source.json").read_text())
    assert kept == json.loads(stored) | {"data": str(data), "test": str(test)}
    names = (run / "private" / "names.csv").read_text()
    assert str(data / "images" / "image_1.png") in names
    assert str(tmp_path / "data") not in names


def test_what_a_run_was_begun_without_was_not_moved(
    finished_run: Path, small_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="was begun without --test"):
        delineate.resume(finished_run, test=small_data)


def test_a_stop_while_checking_leaves_nothing(small_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started("train", small_data, "--out", run, "--epochs", "60")
    end = time.monotonic() + 60
    while not run.exists() and time.monotonic() < end:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not run.exists() or (run / "plan.yaml").exists()


def test_a_run_killed_before_its_plan_was_written_cannot_go_on(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run" / "plan.yaml").unlink()
    with pytest.raises(UsageError, match="was stopped before its training began"):
        delineate.resume(tmp_path / "run")
