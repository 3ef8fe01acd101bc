"""Nothing is fetched and nothing is sent: Python's own account of sockets, while the commands run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commanding import ENVIRONMENT

WATCH = """
import os, sys

def watch(event, arguments):
    if not event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.")):
        return
    address = arguments[1] if len(arguments) > 1 else None
    if event in ("socket.connect", "socket.bind", "socket.sendto") and isinstance(address, (str, bytes)):
        return  # a place in the file system, by which processes of this machine talk
    if event in ("socket.__new__", "socket.gethostname"):
        return
    with open(os.environ["WATCHED"], "a") as log:
        log.write(f"{event} {arguments!r}\\n")

sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `sitecustomize` each new interpreter loads, also those that a command starts."""
    folder = tmp_path_factory.mktemp("watch")
    (folder / "sitecustomize.py").write_text(WATCH)
    return folder


def watched(watch: Path, log: Path, *arguments: str | Path) -> str:
    """What the interpreter told of sockets while it ran."""
    log.touch()
    path = f"{watch}:{ENVIRONMENT.get('PYTHONPATH', '')}".rstrip(":")
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT | {"PYTHONPATH": path, "WATCHED": str(log)},
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return log.read_text()


def test_the_watch_sees_what_a_program_sends(watch: Path, tmp_path: Path) -> None:
    program = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    assert watched(watch, tmp_path / "log", "-c", program).startswith("socket.connect ")
    name = "import socket; socket.getaddrinfo('localhost', 80)"
    assert "socket.getaddrinfo" in watched(watch, tmp_path / "log", "-c", name)


@pytest.mark.slow
def test_no_command_reaches_out(watch: Path, small_data: Path, tmp_path: Path) -> None:
    run, images = tmp_path / "run", small_data / "images"
    commands: list[tuple[str | Path, ...]] = [
        ("check", small_data),
        ("train", small_data, "--out", run, "--epochs", "2"),
        ("info", run),
        ("evaluate", run, small_data, "--out", tmp_path / "scores"),
        ("predict", run, images, "--out", tmp_path / "masks", "--overlay"),
        ("predict", run, images, "--out", tmp_path / "onnx", "--engine", "onnxruntime"),
        ("predict", run, images, "--out", tmp_path / "openvino", "--engine", "openvino"),
        ("export", run, "--to", "onnx", "--out", tmp_path / "model.onnx"),
        ("export", run, "--to", "openvino", "--out", tmp_path / "ir", "--images", images),
        ("export", run, "--to", "torchscript", "--out", tmp_path / "model.pt"),
    ]
    for at, command in enumerate(commands):
        assert watched(watch, tmp_path / f"log{at}", "-m", "delineate", *command) == "", command
