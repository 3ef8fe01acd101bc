"""What a stranger does wrong: each time a paragraph that says what, where and what to do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commanding import ENVIRONMENT, Command
from PIL import Image

from delineate.files import LOCK, sole_use

Prepare = Callable[[Path], None]


def picture(path: Path, size: tuple[int, int] = (40, 48), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)).save(path)


def mask(path: Path, size: tuple[int, int] = (40, 48), *, filled: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros(size, dtype=np.uint8)
    values[5:20, 5:20] = 255 if filled else 0
    Image.fromarray(values).save(path)


def pairs(data: Path, count: int = 4, *, filled: bool = True) -> None:
    for number in range(count):
        picture(data / "images" / f"{number}.png", seed=number)
        mask(data / "masks" / f"{number}.png", filled=filled)


def empty(data: Path) -> None:
    data.mkdir()


def missing(data: Path) -> None:
    assert not data.exists()


def without_masks(data: Path) -> None:
    for number in range(3):
        picture(data / "images" / f"{number}.png", seed=number)


def one_pair(data: Path) -> None:
    pairs(data, 1)


def empty_masks(data: Path) -> None:
    pairs(data, filled=False)


def text_as_png(data: Path) -> None:
    pairs(data)
    (data / "images" / "1.png").write_text("these are words, no picture")


def truncated(data: Path) -> None:
    pairs(data)
    path = data / "images" / "2.png"
    path.write_bytes(path.read_bytes()[:200])


def other_size(data: Path) -> None:
    pairs(data)
    mask(data / "masks" / "3.png", (20, 24))


def a_file(data: Path) -> None:
    data.write_text("no folder")


def grey_masks(data: Path) -> None:
    pairs(data)
    for number in range(4):
        picture(data / "masks" / f"{number}.png", seed=10 + number)


BAD_DATA: list[tuple[Prepare, int, tuple[str, ...]]] = [
    (empty, 1, ("no", "image")),
    (missing, 2, ("does not exist",)),
    (without_masks, 1, ("mask",)),
    (one_pair, 1, ("Only one image", "At least 2")),
    (empty_masks, 1, ("empty",)),
    (text_as_png, 1, ("1.png", "no image that can be read")),
    (truncated, 1, ("2.png", "truncated")),
    (other_size, 1, ("3.png", "24 × 20 px", "48 × 40 px")),
    (a_file, 2, ("file",)),
    (grey_masks, 1, ("--labels",)),
]


@pytest.mark.parametrize("verb", ["check", "train"])
@pytest.mark.parametrize(("prepare", "code", "said"), BAD_DATA, ids=[case[0].__name__ for case in BAD_DATA])
def test_bad_data(
    verb: str, prepare: Prepare, code: int, said: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    prepare(data)
    before = contents(data)
    done = command(verb, data, cwd=tmp_path)
    printed = done.stdout + done.stderr
    assert done.returncode == code, printed
    assert "Traceback" not in printed
    for text in said:
        assert text in printed
    assert contents(data) == before
    assert not (tmp_path / "runs" / "data").exists()


def contents(folder: Path) -> dict[str, bytes]:
    if folder.is_file():
        return {folder.name: folder.read_bytes()}
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_permissions(command: Command, small_data: Path, tmp_path: Path) -> None:
    data, shut = tmp_path / "data", tmp_path / "shut"
    pairs(data)
    (data / "images" / "0.png").chmod(0)
    shut.mkdir(mode=0o500)
    for arguments, named in (
        (("check", data), "0.png"),
        (("train", small_data, "--out", shut / "run"), "shut"),
    ):
        done = command(*arguments)
        assert done.returncode in (1, 2)
        assert named in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_an_output_folder_in_use_is_not_touched(
    command: Command, small_data: Path, finished_run: Path, tmp_path: Path
) -> None:
    for arguments, hint in (
        (("train", small_data, "--out", finished_run, "--epochs", "1"), "--resume"),
        (("evaluate", finished_run, small_data, "--out", finished_run), "is not empty"),
        (("predict", finished_run, small_data / "images", "--out", finished_run), "is not empty"),
        (("phantom", "noise", finished_run), "is not empty"),
        (("demo", "--out", finished_run), "is not empty"),
    ):
        before = contents(finished_run)
        done = command(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert hint in " ".join(done.stderr.split())
        assert contents(finished_run) == before


def test_a_refused_folder_keeps_what_a_run_would_call_its_own(
    command: Command, small_data: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "private").mkdir(parents=True)
    for name in ("splits.json", "environment.json", "private/names.csv"):
        (mine / name).write_text("{}")
    before = contents(mine)
    done = command("train", small_data, "--out", mine, "--epochs", "1")
    assert done.returncode == 2
    assert "is not empty" in " ".join(done.stderr.split())
    assert contents(mine) == before


def test_the_folder_above_is_scored_without_a_trace_in_this_one(
    command: Command, small_data: Path, finished_run: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(small_data, tmp_path / "data")
    here = data / "notes"
    here.mkdir()
    (here / "cases.csv").write_text("my own")
    done = command("evaluate", finished_run, "..", cwd=here)
    assert done.returncode == 0, done.stderr
    assert (here / "cases.csv").read_text() == "my own"
    assert sorted(path.name for path in here.iterdir()) == ["cases.csv", "evaluations"]
    assert (here / "evaluations" / "data" / "report.html").is_file()


def test_a_run_in_progress_is_left_alone(command: Command, finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    with sole_use(run):
        done = command("train", "--resume", run)
    assert done.returncode == 2
    assert "is being written by another command" in " ".join(done.stderr.split())
    assert not (run / LOCK).exists()
    assert command("train", "--resume", run).returncode == 0


def test_what_the_terminal_cannot_show_is_written_as_an_escape(tmp_path: Path) -> None:
    data = tmp_path / "data"
    pairs(data)
    picture(data / "images" / "患者.png")
    done = subprocess.run(
        [sys.executable, "-m", "delineate", "check", data],
        capture_output=True,
        check=False,
        env=ENVIRONMENT | {"PYTHONIOENCODING": "latin-1"},
    )
    assert done.returncode == 0, done.stderr
    assert rb"\u60a3\u8005.png" in done.stdout


def test_a_reader_that_has_gone_is_told_by_the_code(tmp_path: Path) -> None:
    pairs(tmp_path / "data")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "delineate", "check", tmp_path / "data"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        env=ENVIRONMENT,
    )
    os.close(write)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == b""


@pytest.mark.skipif(
    not Path("/proc/self/mem").exists(), reason="needs a file that is there and cannot be read"
)
def test_a_file_on_a_bad_sector_is_named(command: Command, tmp_path: Path) -> None:
    data = tmp_path / "data"
    pairs(data)
    (data / "images" / "1.png").unlink()
    (data / "images" / "1.png").symlink_to("/proc/self/mem")
    done = command("check", data)
    assert done.returncode == 1, done.stderr
    assert "1.png" in done.stdout
    assert "Input/output error" in done.stdout + done.stderr
    assert "fault" not in done.stderr


def test_a_path_that_cannot_be_is_no_fault(command: Command, finished_run: Path, tmp_path: Path) -> None:
    for arguments in (("check", "x" * 300), ("predict", finished_run, "x" * 300, "--out", tmp_path / "out")):
        done = command(*arguments)
        assert done.returncode in (1, 2)
        assert "fault" not in done.stderr


def test_two_runs_without_a_name_lie_side_by_side(command: Command, small_data: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert command("train", small_data, "--epochs", "1", cwd=tmp_path).returncode == 0
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"lesions", "lesions-2"}


WRONG_USE: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("train",), ("--resume",)),
    (("train", "DATA", "--budget", "10"), ("10", "10m")),
    (("train", "DATA", "--budget", "1m", "--epochs", "3"), ("budget", "epochs")),
    (("train", "DATA", "--epochs", "0"), ("0 epochs",)),
    (("train", "DATA", "--preset", "huge"), ("huge",)),
    (("train", "DATA", "--plan", "none.yaml"), ("none.yaml",)),
    (("train", "DATA", "--resume", "RUN", "--epochs", "1"), ("--resume",)),
    (("train", "--resume", "DATA"), ("no run",)),
    (("train", "DATA", "--test", "nowhere", "--epochs", "1"), ("nowhere", "does not exist")),
    (("train", "DATA", "--splits", "none.json", "--epochs", "1"), ("none.json",)),
    (("train", "DATA", "--group-regex", "(", "--epochs", "1"), ("regular expression",)),
    (("train", "DATA", "--group-regex", "^(i)", "--epochs", "1"), ("one group",)),
    (("check", "DATA", "--labels", "x"), ("--labels", "x")),
    (("phantom", "dragons", "OUT"), ("dragons", "nuclei")),
    (("phantom", "noise", "OUT", "--size", "12"), ("256x256",)),
    (("phantom", "noise", "OUT", "--count", "0"), ("0",)),
    (("predict", "RUN", "nowhere.png", "--out", "OUT"), ("nowhere.png",)),
    (("predict", "nowhere", "DATA", "--out", "OUT"), ("nowhere",)),
    (("predict", "DATA", "DATA", "--out", "OUT"), ("model",)),
    (("info", "DATA/dataset.json"), ("dataset.json",)),
    (("evaluate", "RUN", "nowhere"), ("nowhere",)),
    (("nonsense",), ("nonsense",)),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG_USE, ids=[" ".join(case[0]) for case in WRONG_USE])
def test_wrong_use(
    arguments: tuple[str, ...],
    said: tuple[str, ...],
    command: Command,
    small_data: Path,
    finished_run: Path,
    tmp_path: Path,
) -> None:
    places = {"DATA": small_data, "RUN": finished_run, "OUT": tmp_path / "out"}
    given = [
        str(places[head]) + argument.removeprefix(head)
        if (head := argument.split("/")[0]) in places
        else argument
        for argument in arguments
    ]
    done = command(*given, cwd=tmp_path)
    printed = " ".join((done.stdout + done.stderr).split())
    assert done.returncode in (1, 2), printed
    assert "Traceback" not in printed
    assert "fault" not in printed
    for text in said:
        assert text in printed
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "manifest.json"]
    assert not left


def test_a_model_file_that_is_none(command: Command, finished_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model.safetensors"
    shutil.copy(finished_run / "model.safetensors", copy)
    copy.write_bytes(copy.read_bytes()[:-100])
    for arguments in (("info", copy), ("predict", copy, tmp_path, "--out", tmp_path / "out")):
        done = command(*arguments)
        assert done.returncode == 1
        assert str(copy) in done.stderr.replace("\n", "")
        assert "Traceback" not in done.stderr


def test_images_of_another_kind(command: Command, finished_run: Path, tmp_path: Path) -> None:
    floats = tmp_path / "floats.tif"
    Image.fromarray(np.linspace(-5, 900, 64 * 64, dtype=np.float32).reshape(64, 64)).save(floats)
    done = command("predict", finished_run, floats, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "float" in done.stderr
    assert "0…1" in done.stderr
