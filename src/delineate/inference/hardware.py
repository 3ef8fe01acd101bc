"""What the processor is good at, and how much memory there is and is taken."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
STATUS = Path("/proc/self/status")
CONTAINER = Path("/sys/fs/cgroup")


@functools.cache
def has_fast_bf16() -> bool:
    """Whether bfloat16 matrix products run in hardware here (avx512_bf16 or AMX; any GPU since Ampere)."""
    import torch  # noqa: PLC0415  heavy

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def free_memory_bytes() -> int | None:
    """Memory that can be taken without others being swapped out; None where the system does not say.

    A container's limit counts where it is lower than what the machine has.
    """
    free = [each for each in (_available_bytes(), _left_in_container_bytes()) if each is not None]
    return min(free) if free else None


@dataclass(frozen=True)
class ProcessMemory:
    """Memory of this process.

    Attributes:
        used_bytes: Now.
        peak_bytes: The most it has ever been.
    """

    used_bytes: int
    peak_bytes: int


def process_memory() -> ProcessMemory | None:
    """Memory of this process; None where the system does not say (elsewhere than on Linux)."""
    try:
        fields = dict(line.split(":", 1) for line in STATUS.read_text(encoding="ascii").splitlines())
        used, peak = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return ProcessMemory(used, peak)


def _available_bytes() -> int | None:
    try:
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _left_in_container_bytes() -> int | None:
    try:
        limit, used = (int((CONTAINER / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no such files, or "max" for no limit
        return None
    return max(0, limit - max(0, used - _cached_files_bytes()))


def _cached_files_bytes() -> int:
    """Of a container's memory what holds files read a while ago, and is given up when it is needed."""
    try:
        lines = (CONTAINER / "memory.stat").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0
