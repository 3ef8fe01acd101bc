"""Starting the other sides: processes of other Pythons, which answer in lines of JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.quiet import busy_seconds
from benchmarks.reporting import ROOT, Record

POLL_SECONDS = 0.5
INSTALLED = {"nnunet": "--no-deps "}  # its list is complete, and leaves out what is never imported
THREAD_SETTINGS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
    "nnUNet_n_proc_DA", "nnUNet_def_n_proc",
)  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """A process that has come to its end.

    Attributes:
        output: Its standard output.
        seconds: Wall time from start to end.
        peak_gb: The most memory that it and what it started held at once, in 10⁹ bytes; 0 where the system
            does not tell.
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
        record = self._last()
        if not isinstance(record, dict):
            raise SystemExit(f"The process answered with no record: {self.output[-500:]}")
        return record

    def answers(self) -> list[Record]:
        """The list of records in the last line of its output."""
        records = self._last()
        if not isinstance(records, list):
            raise SystemExit(f"The process answered with no list of records: {self.output[-500:]}")
        return records

    def _last(self) -> object:
        return json.loads(self.output.strip().splitlines()[-1])


def add_python_option(parser: argparse.ArgumentParser, peer: str) -> None:
    """Add `--PEER-python`, by default that of `.venv-PEER`."""
    parser.add_argument(
        f"--{peer}-python",
        type=Path,
        default=ROOT / f".venv-{peer}" / "bin" / "python",
        metavar="PYTHON",
        help=f"a Python with benchmarks/requirements-{peer}.txt installed (%(default)s)",
    )


def require_python(peer: str, python: Path) -> Path:
    """`python`, or an end with how to make it.

    Raises:
        SystemExit: It is not there.
    """
    if python.is_file():
        return python
    folder = python.parent.parent
    raise SystemExit(
        f"There is no Python of {peer} at {python}. Make it:\n"
        f"  python3.11 -m venv {folder}\n"
        f"  {folder}/bin/pip install {INSTALLED.get(peer, '')}-r benchmarks/requirements-{peer}.txt\n"
        f"or name another one with --{peer}-python."
    )


def bind(threads: int | None, cores: Sequence[int] | None) -> int:
    """Hold this process, and all that it starts, to some cores and threads.

    Args:
        threads: For one process's arithmetic; None for one a core.
        cores: Their numbers; None leaves all.

    Returns:
        The threads.
    """
    if cores:
        os.sched_setaffinity(0, cores)
    count = threads or len(os.sched_getaffinity(0))
    os.environ |= dict.fromkeys(THREAD_SETTINGS, str(count))
    return count


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


def run_train(*options: str | Path) -> Finished:
    """`delineate train` with these, as a user runs it."""
    return run_process([sys.executable, "-m", "delineate", "train", *options])


def quiet_environment() -> dict[str, str]:
    """Ours, with TensorFlow's start-up notices turned off."""
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}


def _children_seconds() -> float:
    """Processor time of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _watch(process: subprocess.Popen[str], peaks: list[float]) -> None:
    """Keep the kernel's own record of the peak (VmHWM), and that of all processes together as it is met."""
    while process.poll() is None:
        own = _kilobytes(Path(f"/proc/{process.pid}/status"), "VmHWM:")
        family = _family(process.pid)
        together = 0
        if len(family) > 1:
            together = sum(_kilobytes(Path(f"/proc/{each}/smaps_rollup"), "Pss:") for each in family)
        peaks.append(max(own, together) * 1024 / 1e9)
        time.sleep(POLL_SECONDS)


def _kilobytes(path: Path, name: str) -> int:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:  # it has ended meanwhile
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(name))


def _family(process: int) -> list[int]:
    """A process and all that descend from it."""
    found = [process]
    for each in found:  # grows while it is gone through
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in children.read_text(encoding="utf-8").split()]
    return found


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
            raise SystemExit("The process has ended before its answer; its message stands above.")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise SystemExit(f"The process answered with no record: {line}")
        return answer
