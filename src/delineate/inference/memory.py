"""Whether there is memory enough for a volume."""

from __future__ import annotations

import math

from delineate.dataset.placing import size_in_words
from delineate.errors import DataError
from delineate.inference.hardware import free_memory_bytes, process_memory

PROGRAM_BYTES = 600 << 20  # Python, torch and its libraries


def refuse_by_size(size: tuple[int, ...], memory_bytes: int | None) -> None:
    """Refuse a volume that is too large for the memory whatever the plan, before its voxels are read.

    Args:
        size: `(D, H, W)`, known from its header.
        memory_bytes: That may be used in all; None for what is free on this machine.

    Raises:
        DataError: It is.
    """
    least = PROGRAM_BYTES + 3 * math.prod(size)  # 16 bits a voxel, and its label
    if shortage := lacking(least, memory_bytes):
        raise DataError(f"its {size_in_words(size)} take at least {shortage}")


def reachable_bytes() -> int | None:
    """Memory that this process holds or can still take; None where the system does not say."""
    free, held = free_memory_bytes(), process_memory()
    return None if free is None else free + (held.used_bytes if held else 0)


def lacking(needed: int, memory_bytes: int | None) -> str | None:
    """In words how much memory is needed and how much there is; None where it is enough.

    Args:
        needed: Bytes in all, with those that this process holds already.
        memory_bytes: That may be used in all; None for what is held and what is free.
    """
    allowed = memory_bytes or reachable_bytes()
    if allowed is None or needed <= allowed:
        return None
    why = "allowed by --memory" if memory_bytes else "free"
    return f"{needed / 1e9:.1f} GB of memory, and {allowed / 1e9:.1f} GB are {why}"
