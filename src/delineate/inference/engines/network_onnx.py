"""A net as an ONNX graph, for the engines that read one and for the exported file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from delineate.networks.unet import UNet

if TYPE_CHECKING:
    from onnx import ModelProto

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
        network: A U-Net in evaluation mode, on the processor; a `ModuleList` of several, whose probabilities
            are averaged.
        channels: C of its images.
        size: Of its images, as the plan's `window`.

    Returns:
        An ONNX model of opset 20 with the one input `images` `(N, C, *size)` float32, any N, and the one
        output `probabilities` `(N, K, *size)` float32.
    """
    from onnx import TensorProto, helper  # noqa: PLC0415  an extra

    from delineate.inference.engines import onnx_graph  # noqa: PLC0415  imports onnx
    from delineate.inference.engines.unet_onnx import write_probabilities  # noqa: PLC0415  likewise

    each = network if isinstance(network, nn.ModuleList) else [network]
    networks = list(cast("Iterable[UNet]", each))
    writer = onnx_graph.GraphWriter()
    found = write_probabilities(writer, networks, IMAGES, size)
    writer.output(found, PROBABILITIES)
    classes = networks[0].settings.output_channels
    graph = writer.graph(
        "network",
        [helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, ["n", channels, *size])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", classes, *size])],
    )
    opsets = [helper.make_opsetid("", onnx_graph.OPSET)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=onnx_graph.IR_VERSION, producer_name="delineate"
    )
