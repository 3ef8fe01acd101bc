"""What the processor is good at, and how much memory there is and is taken."""

from __future__ import annotations

import functools
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from delineate.errors import DelineateWarning

Device = Literal["cpu", "cuda"]
MEMINFO = Path("/proc/meminfo")
STATUS = Path("/proc/self/status")
CONTAINER = Path("/sys/fs/cgroup")


@functools.cache
def computing_device() -> Device:
    """Where nets are computed: on the CUDA card, if this PyTorch can compute on it, else on the processor.

    A card may be there, but too old for this PyTorch, reserved by others, or full; a warning then says so.
    """
    import torch  # noqa: PLC0415  heavy

    if not torch.cuda.is_available():
        return "cpu"
    try:
        torch.ones(1, device="cuda").add(1).item()
    except (RuntimeError, AssertionError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        warnings.warn(f"The GPU is not used, as PyTorch cannot: {why}", DelineateWarning, stacklevel=2)
        return "cpu"
    return "cuda"


@functools.cache
def has_fast_bf16(device: str | None = None) -> bool:
    """Whether bfloat16 matrix products run in hardware (avx512_bf16 or AMX; any GPU since Ampere).

    Args:
        device: "cpu" or "cuda"; None for that on which nets are computed here.
    """
    import torch  # noqa: PLC0415  heavy

    if (device or computing_device()) == "cuda":
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
