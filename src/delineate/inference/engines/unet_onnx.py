"""A U-Net as nodes of an ONNX graph, batch normalization folded into the convolutions before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from delineate.inference.engines.onnx_graph import GraphWriter
from delineate.networks.blocks import ConvolutionBlock, Decoder, UpConvolution, UpNearest
from delineate.networks.resnet import BasicBlock, BottleneckBlock, ResNet
from delineate.networks.unet import UNet

Convolution = nn.Conv2d | nn.Conv3d


def write_probabilities(to: GraphWriter, networks: Sequence[UNet], images: str, size: tuple[int, ...]) -> str:
    """Add nets, and the mean of what they say.

    Args:
        to: The graph.
        networks: One or several, in evaluation mode.
        images: `(N, C, *size)` float32, normalized; any N.
        size: A multiple of the nets' strides.

    Returns:
        `(N, K, *size)` float32.
    """
    found = [_shares(to, network, write_logits(to, network, images, size)) for network in networks]
    return found[0] if len(found) == 1 else to.op("Mean", *found)


def _shares(to: GraphWriter, network: UNet, logits: str) -> str:
    single = network.settings.output_channels == 1
    return to.op("Sigmoid", logits) if single else to.op("Softmax", logits, axis=1)


def write_logits(to: GraphWriter, network: UNet, images: str, size: tuple[int, ...]) -> str:
    """Add a net; see `write_probabilities`."""
    settings = network.settings
    if any(side % stride for side, stride in zip(size, settings.total_strides, strict=True)):
        raise ValueError(f"the size {size} is no multiple of the net's strides {settings.total_strides}")
    folded = max(settings.folding) > 1
    x = _fold(to, images, settings.input_channels, size, settings.folding) if folded else images
    levels = _resnet(to, network.encoder, x) if settings.encoder != "plain" else _levels(to, network, x)
    x = levels.pop()
    for module in network.decoders:
        decoder = cast("Decoder", module)
        fine = _up(to, decoder.up, x)
        joined = to.op("Concat", fine, levels.pop(), axis=1) if levels else fine
        x = _block(to, cast("ConvolutionBlock", decoder.block), joined)
    logits = _convolution(to, network.head, None, x)
    if not folded:
        return logits
    return _unfold(to, logits, settings.output_channels, size, settings.folding)


def _levels(to: GraphWriter, network: UNet, x: str) -> list[str]:
    """The plain encoder's features, finest first."""
    levels: list[str] = []
    for level, encoder in enumerate(network.encoders):
        if level:
            stride = network.settings.pooling[level - 1]
            x = to.op("MaxPool", x, kernel_shape=stride, strides=stride)
        x = _block(to, cast("ConvolutionBlock", encoder), x)
        levels.append(x)
    return levels


def _block(to: GraphWriter, block: ConvolutionBlock, x: str) -> str:
    y = x
    last = len(block.convolutions) - 1
    for at, (convolution, normalization) in enumerate(
        zip(block.convolutions, block.normalizations, strict=True)
    ):
        y = _convolution(to, cast("Convolution", convolution), normalization, y)
        if at == last and block.shortcut is not None:
            y = to.op("Add", y, _shortcut(to, block.shortcut, x))
        y = to.op("Relu", y)
    return y


def _shortcut(to: GraphWriter, shortcut: nn.Module | None, x: str) -> str:
    if shortcut is None or isinstance(shortcut, nn.Identity):
        return x
    convolution, normalization = cast("nn.Sequential", shortcut)
    return _convolution(to, cast("Convolution", convolution), normalization, x)


def _resnet(to: GraphWriter, network: ResNet, x: str) -> list[str]:
    """Features, finest first."""
    x = to.op("Relu", _convolution(to, network.conv1, network.bn1, x))
    features = [x]
    x = to.op("MaxPool", x, kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    for number in range(1, 5):
        for block in cast("nn.Sequential", network.get_submodule(f"layer{number}")):
            x = _residual(to, cast("BasicBlock | BottleneckBlock", block), x)
        features.append(x)
    return features


def _residual(to: GraphWriter, block: BasicBlock | BottleneckBlock, x: str) -> str:
    y = to.op("Relu", _convolution(to, block.conv1, block.bn1, x))
    y = _convolution(to, block.conv2, block.bn2, y)
    if isinstance(block, BottleneckBlock):
        y = _convolution(to, block.conv3, block.bn3, to.op("Relu", y))
    return to.op("Relu", to.op("Add", y, _shortcut(to, block.downsample, x)))


def _up(to: GraphWriter, up: nn.Module, x: str) -> str:
    if isinstance(up, UpNearest):
        x = _convolution(to, up.projection, None, x)
        scales = to.constant((1.0, 1.0, *up.scale), "float32")
        nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return to.op("Resize", x, "", scales, **nearest)
    up = cast("UpConvolution", up)
    weight, bias = (to.constant(_numbers(each), "float32") for each in (up.weight, up.bias))
    return to.op("ConvTranspose", x, weight, bias, kernel_shape=up.scale, strides=up.scale)


def _convolution(to: GraphWriter, convolution: Convolution, normalization: nn.Module | None, x: str) -> str:
    weight, bias = _folded(convolution, normalization)
    padding = [int(each) for each in convolution.padding]
    return to.op(
        "Conv",
        x,
        to.constant(weight, "float32"),
        to.constant(bias, "float32"),
        kernel_shape=convolution.kernel_size,
        strides=convolution.stride,
        pads=padding * 2,
    )


def _folded(
    convolution: Convolution, normalization: nn.Module | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weights and biases of a convolution and the normalization after it, if there is one."""
    weight = convolution.weight.detach().cpu().double()
    bias = weight.new_zeros(weight.shape[0])
    if convolution.bias is not None:
        bias = convolution.bias.detach().cpu().double()
    if isinstance(normalization, nn.BatchNorm2d | nn.BatchNorm3d):
        mean, variance = normalization.running_mean, normalization.running_var
        if mean is None or variance is None:
            raise ValueError("a normalization without running statistics cannot be exported")
        gain = normalization.weight.detach().cpu().double()
        gain = gain / torch.sqrt(variance.detach().cpu().double() + normalization.eps)
        weight = weight * gain.view(-1, *[1] * (weight.ndim - 1))
        bias = (bias - mean.detach().cpu().double()) * gain + normalization.bias.detach().cpu().double()
    return weight.float().numpy(), bias.float().numpy()


def _numbers(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    numbers: npt.NDArray[np.float32] = tensor.detach().cpu().float().numpy()
    return numbers


def _fold(to: GraphWriter, x: str, channels: int, size: tuple[int, ...], folding: tuple[int, ...]) -> str:
    """As `pixels_to_channels`."""
    axes = len(size)
    pairs = [(side // step, step) for side, step in zip(size, folding, strict=True)]
    x = to.op("Reshape", x, to.integers(0, channels, *(n for pair in pairs for n in pair)))
    order = (0, 1, *range(3, 3 + 2 * axes, 2), *range(2, 2 + 2 * axes, 2))
    x = to.op("Transpose", x, perm=order)
    return to.op("Reshape", x, to.integers(0, -1, *(side for side, _ in pairs)))


def _unfold(to: GraphWriter, x: str, channels: int, size: tuple[int, ...], folding: tuple[int, ...]) -> str:
    """As `channels_to_pixels`."""
    axes = len(size)
    coarse = [side // step for side, step in zip(size, folding, strict=True)]
    x = to.op("Reshape", x, to.integers(0, channels, *folding, *coarse))
    pairs = [(2 + axes + axis, 2 + axis) for axis in range(axes)]
    x = to.op("Transpose", x, perm=(0, 1, *(n for pair in pairs for n in pair)))
    return to.op("Reshape", x, to.integers(0, channels, *size))
