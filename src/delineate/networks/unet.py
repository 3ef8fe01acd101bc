"""The U-Net, built from its settings.

Source: Ronneberger, Fischer, Brox: U-Net, MICCAI 2015; same-padded, as in the widely copied Keras script.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from delineate.networks.blocks import ConvolutionBlock, Decoder, UpConvolution, UpNearest
from delineate.networks.settings import UNetSettings


class UNet(nn.Module):
    """An encoder, a bottleneck and a decoder with skips.

    `(N, input_channels, H, W)` float32 → logits `(N, output_channels, H, W)`, any H and W.

    Args:
        settings: What it is made of.
    """

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self.settings = settings
        widths = settings.widths
        folded = settings.stem**2
        inputs = (settings.input_channels * folded, *widths[:-1])
        self.encoders = nn.ModuleList(
            _block(settings, channels, width, settings.convolutions)
            for channels, width in zip(inputs, widths, strict=True)
        )
        self.decoders = nn.ModuleList(
            Decoder(
                _up(settings, coarse, width),
                _block(settings, 2 * width, width, settings.decoder_convolutions),
            )
            for width, coarse in reversed(list(pairwise(widths)))
        )
        self.head = nn.Conv2d(widths[0], settings.output_channels * folded, 1)
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every pixel."""
        height, width = x.shape[-2:]
        x = _pad_to_multiple(x, self.settings.stride)
        if self.settings.stem > 1:
            x = functional.pixel_unshuffle(x, self.settings.stem)
        skipped: list[Tensor] = []
        for level, encoder in enumerate(self.encoders):
            if level:
                x = functional.max_pool2d(x, 2)
            x = encoder(x)
            skipped.append(x)
        for decoder, skip in zip(self.decoders, reversed(skipped[:-1]), strict=True):
            x = decoder(x, skip)
        logits: Tensor = self.head(x)
        if self.settings.stem > 1:
            logits = functional.pixel_shuffle(logits, self.settings.stem)
        return logits[..., :height, :width]


def parameter_count(network: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def _block(settings: UNetSettings, channels: int, width: int, convolutions: int) -> ConvolutionBlock:
    bias = settings.normalization == "none"
    inputs = [channels] + [width] * (convolutions - 1)
    shortcut: nn.Module | None = None
    if settings.residual:
        shortcut = nn.Identity()
        if channels != width:
            shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, bias=bias), _normalization(settings, width)
            )
    return ConvolutionBlock(
        [nn.Conv2d(n, width, 3, padding=1, bias=bias) for n in inputs],
        [_normalization(settings, width) for _ in inputs],
        shortcut,
    )


def _normalization(settings: UNetSettings, width: int) -> nn.Module:
    return nn.BatchNorm2d(width) if settings.normalization == "batch" else nn.Identity()


def _up(settings: UNetSettings, coarse: int, width: int) -> nn.Module:
    kind = UpConvolution if settings.upsampling == "transposed" else UpNearest
    return kind(coarse, width)


def _pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return functional.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def _initialize(network: UNet) -> None:
    """He-normal weights (He 2015) and zero biases; logits start near zero.

    Where the head unfolds pixels, those unfolded from one place start with the same logits, so that no
    checkerboard is there to be unlearned (Aitken 2017).
    """
    if network.head.weight.is_meta:  # built for its shapes alone
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, UpConvolution):
            nn.init.normal_(module.weight, std=math.sqrt(1 / module.weight.shape[0]))
    unfolded = network.settings.stem**2
    with torch.no_grad():
        first = network.head.weight[::unfolded] * 0.1
        network.head.weight.copy_(first.repeat_interleave(unfolded, dim=0))
