"""A net as an ONNX graph, for the engines that read one and for the exported file."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 20
IMAGES, PROBABILITIES = "images", "probabilities"


class Averaged(nn.Module):
    """The mean of the probabilities of one net or several."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities `(N, K, …)` of normalized images."""
        found = [network(images) for network in self.networks]
        shares = [each.sigmoid() if each.shape[1] == 1 else each.softmax(1) for each in found]
        return torch.stack(shares).mean(0) if len(shares) > 1 else shares[0]


def network_onnx(network: nn.Module, channels: int, size: tuple[int, ...]) -> ModelProto:
    """The graph from normalized images to probabilities, mirroring left out.

    Args:
        network: In evaluation mode, on the processor; a `ModuleList` of several, whose probabilities are
            averaged.
        channels: C of its images.
        size: Of its images, as the plan's `preprocessing.size`.

    Returns:
        An ONNX model of opset 20 with the one input `images` `(N, C, *size)` float32, any N, and the one
        output `probabilities` `(N, K, *size)` float32.
    """
    networks = list(network) if isinstance(network, nn.ModuleList) else [network]
    example = torch.zeros(2, channels, *size)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it speaks of torchvision, which is not wanted
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch about its own insides
            program = torch.onnx.export(
                Averaged(networks).eval(),
                (example,),
                input_names=[IMAGES],
                output_names=[PROBABILITIES],
                dynamic_shapes={"images": {0: torch.export.Dim("n")}},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    if program is None:
        raise RuntimeError("torch gave no ONNX program")
    return program.model_proto
