"""Folders that are written: empty, one's own, and named so that nothing is overwritten."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from delineate import files
from delineate.errors import ImageError, OutputError, Stopped, UsageError
from delineate.files import (
    LOCK,
    existing_folder,
    free_path,
    made_folder,
    new_folder,
    sha256,
    sole_new_folder,
    sole_use,
)
from delineate.jobs.source import folder_named_after

HOLDER = """
import sys
from pathlib import Path
from delineate.files import sole_use
with sole_use(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("given", ["..", ".", "../there", "deeper/.."])
def test_results_are_named_after_the_folder_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (tmp_path / "there" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "there" / "deeper" if given.startswith("..") else tmp_path / "there")
    if given == "../there":
        monkeypatch.chdir(tmp_path / "there")
    assert folder_named_after(Path(given), "runs") == Path("runs/there")
    Path("runs/there").mkdir(parents=True)
    assert folder_named_after(Path(given), "runs") == Path("runs/there-2")


def test_names_that_may_tell_who_a_patient_is_are_left_out(tmp_path: Path) -> None:
    for name in ("MEIER^HANS", "19610203"):
        (tmp_path / name).mkdir()
        assert folder_named_after(tmp_path / name, "evaluations") == Path("evaluations/data")
    assert folder_named_after(Path("/"), "evaluations") == Path("evaluations/data")
    (tmp_path / "cases.csv").touch()
    assert folder_named_after(tmp_path / "cases.csv", "runs") == Path("runs/cases")


def test_a_folder_reached_by_way_of_a_new_one_is_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("mine")
    with pytest.raises(OutputError, match="is not empty"):
        new_folder(Path("new/.."), "the run")
    assert Path("mine.csv").read_text() == "mine"


def test_a_folder_is_one_processs_alone(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        with pytest.raises(OutputError, match="is being written by another command"), sole_use(tmp_path):
            pass
        holder.kill()  # what it held is free, whatever it has left behind
        holder.wait()
        with sole_use(tmp_path):
            assert (tmp_path / LOCK).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_user_is_left_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / LOCK).touch()

    def refuse(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / LOCK))

    monkeypatch.setattr("delineate.files.FileLock.acquire", refuse)
    with pytest.raises(OutputError, match="is another user's"), sole_use(tmp_path):
        pass
    assert (tmp_path / LOCK).exists()


def test_a_lock_is_given_back_after_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), sole_use(tmp_path):
        raise ValueError("mine")
    with sole_use(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_file_systems_without_locks_are_used_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    for _ in range(2):  # and nothing that is left keeps anyone out
        done = []
        with sole_use(tmp_path):
            done.append(1)
        assert done == [1]
    new_folder(tmp_path, "the run")


def test_a_lock_that_was_left_behind_is_nothing_of_the_users(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()  # of a program that was killed
    new_folder(tmp_path, "the run")
    with sole_use(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_names_that_no_folder_can_have_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be looked at: File name too long"):
        existing_folder(tmp_path / ("x" * 300), "the images")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="no ordinary file"):
        sha256(tmp_path / "pipe.png")


@pytest.mark.parametrize("place", ["mkdir", "probe_writable", "sole_use"])
@pytest.mark.parametrize("there", [False, True])
def test_a_stop_while_a_folder_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, there: bool
) -> None:
    owner: object = Path if place == "mkdir" else files
    really, asked = getattr(owner, place), list[str]()

    def stopped_in_it(*given: object, **named: object) -> object:
        made = really(*given, **named)
        if not asked:
            asked.append(place)
            os.kill(os.getpid(), signal.SIGTERM)
        return made

    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    monkeypatch.setattr(owner, place, stopped_in_it)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stop, sole_new_folder(folder, "the run"):
        pytest.fail("it went on")
    assert stop.value.signal_number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert list(tmp_path.rglob("*")) == ([folder] if there else [])


def test_a_new_folder_goes_again_only_while_it_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), sole_new_folder(tmp_path / "run", "the run"):
        raise ValueError("mine")
    assert not (tmp_path / "run").exists()
    with sole_new_folder(tmp_path / "run", "the run"):
        (tmp_path / "run" / "plan.yaml").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["plan.yaml"]
    with pytest.raises(OutputError, match="is not empty"), sole_new_folder(tmp_path / "run", "the run"):
        pytest.fail("it went on")


def test_a_place_is_free_only_where_nothing_is_not_even_a_link_to_nothing(tmp_path: Path) -> None:
    assert free_path(tmp_path / "deep" / "new.onnx", ".onnx") == tmp_path / "deep" / "new.onnx"
    assert (tmp_path / "deep").is_dir()
    (tmp_path / "file").touch()
    (tmp_path / "link.onnx").symlink_to(tmp_path / "nowhere")
    for taken in ("file", "deep", "link.onnx"):
        with pytest.raises(OutputError, match=r"is there already\. Nothing was touched"):
            free_path(tmp_path / taken)
    with pytest.raises(UsageError, match=r"^--out .*new\.pt: give it a name that ends in \.onnx\.$"):
        free_path(tmp_path / "new.pt", ".onnx")
    with pytest.raises(OutputError, match=r"^Cannot write .*/file: a file is where a folder") as caught:
        free_path(tmp_path / "file" / "new")
    with pytest.raises(OutputError) as alike:
        made_folder(tmp_path / "file")
    assert str(caught.value) == str(alike.value)
