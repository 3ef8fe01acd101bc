"""What the processor is good at."""

from __future__ import annotations

import functools

import torch


@functools.cache
def has_fast_bf16() -> bool:
    """Whether bfloat16 matrix products run in hardware here (avx512_bf16 or AMX; any GPU since Ampere)."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
