"""Nets computed by torch itself, on a processor or a GPU."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from delineate.inference.engines.engine import EngineName, Precision


def on_processor(network: nn.Module) -> nn.Module:
    """The network itself where it lies on the processor, else a copy there."""
    lies_there = next(network.parameters()).device.type == "cpu"
    return network if lies_there else copy.deepcopy(network).cpu()


class TorchEngine:
    """See `Engine`.

    Args:
        network: In evaluation mode, with logits `(N, K, …)`; a `ModuleList` of several, whose probabilities
            are averaged.
        bf16: Whether it computes in bfloat16.
    """

    name: EngineName = "torch"

    def __init__(self, network: nn.Module, *, bf16: bool = False) -> None:
        self.networks = list(network) if isinstance(network, nn.ModuleList) else [network]
        self.precision: Precision = "bf16" if bf16 else "fp32"
        self.device = next(network.parameters()).device
        self.members = len(self.networks)

    def __call__(self, batch: Tensor) -> Tensor:
        """See `Engine`."""
        batch = batch.contiguous(
            memory_format=torch.channels_last if batch.ndim == 4 else torch.channels_last_3d
        )
        total = self._of(self.networks[0], batch)
        for network in self.networks[1:]:
            total = total + self._of(network, batch)
        return total / self.members

    def _of(self, network: nn.Module, batch: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits: Tensor = network(batch).float()
        return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
