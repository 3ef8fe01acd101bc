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


def reachable_bytes(held: int = PROGRAM_BYTES) -> int | None:
    """Memory that is free, and what is held of that which is needed; None where the system does not say.

    Args:
        held: Of what is needed, what this process is likely to hold already; no more than it does counts.
    """
    free, process = free_memory_bytes(), process_memory()
    return None if free is None else free + (min(process.used_bytes, held) if process else 0)


def lacking(needed: int, memory_bytes: int | None, held: int = PROGRAM_BYTES) -> str | None:
    """In words how much memory is needed and how much there is; None where it is enough.

    Args:
        needed: Bytes in all, with those that this process holds already.
        memory_bytes: That may be used in all; None for what is held and what is free.
        held: Of `needed`, what this process is likely to hold already.
    """
    allowed = memory_bytes or reachable_bytes(held)
    if allowed is None or needed <= allowed:
        return None
    why = "are allowed by --memory" if memory_bytes else "can be had"
    return f"{needed / 1e9:.1f} GB of memory, and {allowed / 1e9:.1f} GB {why}"
