"""Bringing tensors to the device without making the processor wait for it."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """A tensor of the processor's memory on a device; to a CUDA card by a copy that runs beside other work.

    Args:
        values: Of any shape and type, not changed afterwards.
        device: Where it shall be.

    Returns:
        The same values there.
    """
    if device.type == "cuda" and values.device.type == "cpu":
        return values.contiguous().pin_memory().to(device, non_blocking=True)
    return values.to(device)
