"""Starting the Keras side: a process of another Python, which answers in lines of JSON."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.quiet import busy_seconds
from benchmarks.reporting import ROOT, Record

DEFAULT_PYTHON = ROOT / ".venv-keras" / "bin" / "python"
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Finished:
    """A process that has come to its end.

    Attributes:
        output: Its standard output.
        seconds: Wall time from start to end.
        peak_gb: The most memory it held at once, in 10⁹ bytes; 0 where the system does not tell.
        cores_by_others: How many cores, on average, other processes kept busy meanwhile.
    """

    output: str
    seconds: float
    peak_gb: float
    cores_by_others: float

    def facts(self) -> Record:
        """All but the output."""
        return {
            "seconds": self.seconds,
            "peak_gb": self.peak_gb,
            "cores_by_others": self.cores_by_others,
        }

    def answer(self) -> Record:
        """The record in the last line of its output."""
        record = json.loads(self.output.strip().splitlines()[-1])
        if not isinstance(record, dict):
            raise SystemExit(f"The process answered with no record: {self.output[-500:]}")
        return record


def add_keras_option(parser: argparse.ArgumentParser) -> None:
    """Add `--keras-python`."""
    parser.add_argument(
        "--keras-python",
        type=Path,
        default=DEFAULT_PYTHON,
        metavar="PYTHON",
        help="a Python with benchmarks/requirements-keras.txt installed (%(default)s)",
    )


def require_keras(python: Path) -> Path:
    """`python`, or an end with how to make it.

    Raises:
        SystemExit: It is not there.
    """
    if python.is_file():
        return python
    folder = python.parent.parent
    raise SystemExit(
        f"There is no Python with Keras at {python}. Make it:\n"
        f"  python3.11 -m venv {folder}\n"
        f"  {folder}/bin/pip install -r benchmarks/requirements-keras.txt\n"
        "or name another one with --keras-python."
    )


def run_process(command: Sequence[str | Path]) -> Finished:
    """Run to the end, watching the memory; its messages go to ours.

    Raises:
        SystemExit: It failed.
    """
    start, busy, own = time.monotonic(), busy_seconds(), _children_seconds()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        env=quiet_environment(),
    )
    peaks = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peaks), daemon=True)
    watcher.start()
    output, _ = process.communicate()
    seconds = time.monotonic() - start
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{output[-3000:]}")
    by_others = max(0.0, busy_seconds() - busy - _children_seconds() + own)
    return Finished(output, round(seconds, 2), round(max(peaks), 3), round(by_others / seconds, 2))


def quiet_environment() -> dict[str, str]:
    """Ours, with TensorFlow's start-up notices turned off."""
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}


def _children_seconds() -> float:
    """Processor time of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _watch(process: subprocess.Popen[str], peaks: list[float]) -> None:
    """Keep the kernel's own record of the peak (VmHWM), read while the process lives."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            lines = status.read_text(encoding="utf-8").splitlines()
        except OSError:
            return
        peaks += [int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("VmHWM:")]
        time.sleep(POLL_SECONDS)


class Conversation:
    """A process that answers each line with a line of JSON, ended with the block.

    Args:
        command: What to run.
    """

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=ROOT,
            env=quiet_environment(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    @property
    def process_id(self) -> int:
        """The system's number for it."""
        return self._process.pid

    def ask(self, question: object) -> Record:
        """Send a line, and wait for the answer.

        Raises:
            SystemExit: The process has ended.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ValueError("the process was started without pipes")
        stdin.write(f"{question}\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise SystemExit("The Keras process has ended before its answer; its message stands above.")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise SystemExit(f"The Keras process answered with no record: {line}")
        return answer
