"""The U-Net, built from its settings.

Source: Ronneberger, Fischer, Brox: U-Net, MICCAI 2015; same-padded, as in the widely copied Keras script. Of
volumes: Çiçek et al.: 3D U-Net, MICCAI 2016.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from delineate.networks.blocks import (
    ConvolutionBlock,
    Decoder,
    UpConvolution,
    UpNearest,
    channels_to_pixels,
    pixels_to_channels,
)
from delineate.networks.resnet import ResNet
from delineate.networks.settings import UNetSettings


class UNet(nn.Module):
    """An encoder, a bottleneck and a decoder with skips.

    `(N, input_channels, H, W)` float32 → logits `(N, output_channels, H, W)`, any H and W; with settings of 3
    axes `(N, input_channels, D, H, W)` → `(N, output_channels, D, H, W)`.

    Args:
        settings: What it is made of.
    """

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self.settings = settings
        kernels, folded = settings.kernels, math.prod(settings.folding)
        if settings.encoder == "plain":
            inputs = (settings.input_channels * folded, *settings.widths[:-1])
            self.encoders = nn.ModuleList(
                _block(settings, channels, width, kernel, settings.convolutions)
                for channels, width, kernel in zip(inputs, settings.widths, kernels, strict=True)
            )
        else:
            self.encoder = ResNet(settings.encoder, settings.input_channels)
        widths = pairwise((*settings.decoder_widths, settings.bottleneck))
        ways = zip(widths, settings.skip_widths, settings.pooling, kernels[:-1], strict=True)
        self.decoders = nn.ModuleList(
            Decoder(
                _up(settings, coarse, width, stride),
                _block(settings, width + skip, width, kernel, settings.decoder_convolutions),
            )
            for (width, coarse), skip, stride, kernel in reversed(list(ways))
        )
        self.head = _convolution(settings.widths[0], settings.output_channels * folded, (1,) * settings.axes)
        _initialize(self)

    @property
    def memory_format(self) -> torch.memory_format:
        """The order in memory in which it is fastest, of its weights and of its images."""
        return torch.channels_last if self.settings.axes == 2 else torch.channels_last_3d

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every pixel."""
        settings, sides = self.settings, x.shape[2:]
        x = _pad_to_multiples(x, settings.total_strides)
        if max(settings.folding) > 1:
            x = pixels_to_channels(x, settings.folding)
        levels: list[Tensor] = self._levels(x) if settings.encoder == "plain" else self.encoder(x)
        x = levels.pop()
        for decoder in self.decoders:
            x = decoder(x, levels.pop() if levels else None)
        logits: Tensor = self.head(x)
        if max(settings.folding) > 1:
            logits = channels_to_pixels(logits, settings.folding)
        return _cut_to(logits, sides)

    def _levels(self, x: Tensor) -> list[Tensor]:
        """The plain encoder's features, finest first."""
        levels: list[Tensor] = []
        for level, encoder in enumerate(self.encoders):
            if level:
                x = _pool(x, self.settings.pooling[level - 1])
            x = encoder(x)
            levels.append(x)
        return levels


def parameter_count(network: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def _block(
    settings: UNetSettings, channels: int, width: int, kernel: tuple[int, ...], convolutions: int
) -> ConvolutionBlock:
    bias = settings.normalization == "none"
    inputs = [channels] + [width] * (convolutions - 1)
    shortcut: nn.Module | None = None
    if settings.residual:
        shortcut = nn.Identity()
        if channels != width:
            point = (1,) * settings.axes
            shortcut = nn.Sequential(
                _convolution(channels, width, point, bias=bias), _normalization(settings, width)
            )
    return ConvolutionBlock(
        [_convolution(n, width, kernel, bias=bias) for n in inputs],
        [_normalization(settings, width) for _ in inputs],
        shortcut,
    )


def _convolution(
    channels: int, width: int, kernel: tuple[int, ...], *, bias: bool = True
) -> nn.Conv2d | nn.Conv3d:
    kind: Callable[..., nn.Conv2d | nn.Conv3d] = nn.Conv3d if len(kernel) == 3 else nn.Conv2d
    return kind(channels, width, kernel, padding=tuple(side // 2 for side in kernel), bias=bias)


def _normalization(settings: UNetSettings, width: int) -> nn.Module:
    if settings.normalization == "none":
        return nn.Identity()
    return nn.BatchNorm3d(width) if settings.axes == 3 else nn.BatchNorm2d(width)


def _up(settings: UNetSettings, coarse: int, width: int, scale: tuple[int, ...]) -> nn.Module:
    kind = UpConvolution if settings.upsampling == "transposed" else UpNearest
    return kind(coarse, width, scale)


def _pool(x: Tensor, stride: tuple[int, ...]) -> Tensor:
    pool = functional.max_pool3d if len(stride) == 3 else functional.max_pool2d
    return pool(x, stride)


def _pad_to_multiples(x: Tensor, multiples: tuple[int, ...]) -> Tensor:
    missing = [-side % multiple for side, multiple in zip(x.shape[2:], multiples, strict=True)]
    if not any(missing):
        return x
    return functional.pad(x, [n for side in reversed(missing) for n in (0, side)], mode="replicate")


def _cut_to(x: Tensor, sides: torch.Size) -> Tensor:
    for axis, side in enumerate(sides, start=2):
        x = x.narrow(axis, 0, side)
    return x


def _initialize(network: UNet) -> None:
    """He-normal weights (He 2015) and zero biases; logits start near zero.

    Where the head unfolds pixels, those unfolded from one place start with the same logits, so that no
    checkerboard is there to be unlearned (Aitken 2017).
    """
    if network.head.weight.is_meta:  # built for its shapes alone
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, UpConvolution):
            nn.init.normal_(module.weight, std=math.sqrt(1 / module.weight.shape[0]))
    unfolded = math.prod(network.settings.folding)
    with torch.no_grad():
        first = network.head.weight[::unfolded] * 0.1
        network.head.weight.copy_(first.repeat_interleave(unfolded, dim=0))
