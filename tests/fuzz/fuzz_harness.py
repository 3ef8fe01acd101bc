"""Damaged files given to a child process, which is watched: no crash, no hang, no memory beyond a bound."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

HANG_S = 10.0
_PATIENCE = 6  # where the machine is busy, a child may get only a part of the time that passes
_STARTING_S = 120.0
_MUTANTS_A_CHILD = 20_000


@dataclass(frozen=True)
class Damage:
    """What was done to a sample: see `fuzz_mutations.mutate`."""

    sample: str
    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.sample} {self.kind} {self.number:x}"

    @classmethod
    def of(cls, text: str) -> Damage:
        """Of the words that `str` gives."""
        sample, kind, number = text.split()
        return cls(sample, kind, int(number, 16))


@dataclass(frozen=True)
class Outcome:
    """What came of it: "image", "refused", or words that begin with "FAILED"."""

    damage: Damage
    answer: str

    @property
    def failed(self) -> bool:
        """Whether that must not be."""
        return self.answer.startswith("FAILED")


class Child:
    """A process that reads damaged files.

    Args:
        readers: The module whose `header`, `read` and `read_mask` are tested.
        hang_s: So much of the processor's time for one file is a hang.
    """

    def __init__(self, readers: str = "delineate.formats", hang_s: float = HANG_S) -> None:
        self._readers, self._hang_s = readers, hang_s
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def outcome(self, damage: Damage) -> Outcome:
        """Let the child read a damaged file."""
        if self._process is None or self._done >= _MUTANTS_A_CHILD:
            self._start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        self._done += 1
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(f"{damage}\n".encode())
            process.stdin.flush()
        answer = self._answer(process)
        if answer is None:
            self._end()
            return Outcome(damage, f"FAILED: it hangs (more than {self._hang_s:g} s)")
        if not answer:
            code = process.wait()
            last = self._last_words()
            self._end()
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return Outcome(damage, f"FAILED: the process crashed ({name}) {last}")
        return Outcome(damage, answer)

    def _answer(self, process: subprocess.Popen[bytes]) -> str | None:
        """A line; nothing where the process has ended; None where it hangs."""
        assert process.stdout is not None
        began, used = time.monotonic(), _processor_s(process.pid)
        while True:
            ready, _, _ = select.select([process.stdout], [], [], self._hang_s / 4)
            if ready:
                return process.stdout.readline().decode().strip()
            waited = time.monotonic() - began
            if waited > self._hang_s * _PATIENCE or _processor_s(process.pid) - used > self._hang_s:
                return None

    def _start(self) -> None:
        self._end()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the child is
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fuzz_child.py")), self._readers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _STARTING_S)
        if not ready or self._process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the reading process did not start: {self._last_words()}")
        self._done = 0

    def _last_words(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        return self._errors.read()[-1500:].decode(errors="replace")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None


def outcomes(damages: Iterable[Damage], until_s: float | None = None) -> Iterator[Outcome]:
    """What comes of damages, one after another.

    Args:
        damages: Which.
        until_s: End at this `time.monotonic()`.
    """
    with Child() as child:
        for damage in damages:
            if until_s is not None and time.monotonic() > until_s:
                return
            yield child.outcome(damage)


def _processor_s(process: int) -> float:
    """Processor time that a process has used, in seconds."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
