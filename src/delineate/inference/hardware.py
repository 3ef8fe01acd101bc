"""What the processor is good at."""

from __future__ import annotations

import functools
import os

import torch


@functools.cache
def has_fast_bf16() -> bool:
    """Whether bfloat16 matrix products run in hardware here (avx512_bf16 or AMX; any GPU since Ampere)."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def free_memory_bytes() -> int | None:
    """Memory that can be taken without others being swapped out; None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:  # noqa: PTH123  a file of the system's
            for line in stream:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
