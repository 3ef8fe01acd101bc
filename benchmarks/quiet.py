"""Timings on a machine that others use too: what was measured while they worked is measured again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
ALLOWED_SHARE = 0.06  # of one core's time, by others
LOOK_SECONDS = 1.0


@dataclass
class Quiet:
    """Repeats measurements until other processes have left the processor alone.

    Which are repeated depends on what others did, never on the time that was measured. Where the system does
    not tell what others do (no /proc), nothing is repeated.

    Args:
        processes: Whose work is the benchmark's own.
        patience_s: How much time repetitions may take in all; after that everything is taken as it is.

    Attributes:
        taken: Measurements taken.
        repeated: Measurements thrown away.
        disturbed: Measurements taken although others worked.
    """

    processes: Sequence[int]
    patience_s: float
    taken: int = 0
    repeated: int = 0
    disturbed: int = 0

    def measure(self, measurement: Callable[[], Result]) -> Result:
        """The result of the first undisturbed call, begun when others are at rest."""
        while True:
            self._await_rest()
            start = time.monotonic()
            share, result = self._share_of_others(measurement)
            if share <= ALLOWED_SHARE or self.patience_s <= 0:
                self.taken += 1
                self.disturbed += share > ALLOWED_SHARE
                return result
            self.repeated += 1
            self.patience_s -= time.monotonic() - start

    def _await_rest(self) -> None:
        while self.patience_s > 0:
            share, _ = self._share_of_others(lambda: time.sleep(LOOK_SECONDS))
            self.patience_s -= LOOK_SECONDS
            if share <= ALLOWED_SHARE:
                return

    def _share_of_others(self, measurement: Callable[[], Result]) -> tuple[float, Result]:
        start, before = time.monotonic(), self._by_others()
        result = measurement()
        return (self._by_others() - before) / (time.monotonic() - start), result

    def _by_others(self) -> float:
        """Seconds of processor time that others, and the host's other guests, have had since the start."""
        try:
            own = sum(_own_ticks(process) for process in self.processes)
        except OSError:
            return 0.0
        return busy_seconds() - own / os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """Seconds of processor time that anybody has had on the cores this process may use; 0 where untold."""
    try:
        lines = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    ours = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    return sum(_busy_ticks(line) for line in lines if line.split(" ", 1)[0] in ours) / os.sysconf(
        "SC_CLK_TCK"
    )


def _busy_ticks(line: str) -> int:
    user, nice, system, _, _, *others = (int(ticks) for ticks in line.split()[1:9])
    return user + nice + system + sum(others)


def _own_ticks(process: int) -> int:
    """User and system ticks of a process with all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
