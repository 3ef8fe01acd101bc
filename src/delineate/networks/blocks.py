"""The parts of a U-Net. Shapes: N batch, C channels, H and W pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvolutionBlock(nn.Module):
    """Convolutions, each with its normalization and ReLU; a shortcut is added before the last ReLU.

    `(N, input_channels, H, W)` → `(N, width, H, W)`.

    Args:
        convolutions: 3×3, same-padded; the first takes the block's input.
        normalizations: One a convolution.
        shortcut: Maps the input to the output's channels, or None for no shortcut.
    """

    def __init__(
        self, convolutions: list[nn.Module], normalizations: list[nn.Module], shortcut: nn.Module | None
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.normalizations = nn.ModuleList(normalizations)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y = x
        last = len(self.convolutions) - 1
        for position, (convolution, normalization) in enumerate(
            zip(self.convolutions, self.normalizations, strict=True)
        ):
            y = normalization(convolution(y))
            if position == last and self.shortcut is not None:
                y = y + self.shortcut(x)
            y = functional.relu(y, inplace=True)
        return y


class UpConvolution(nn.Module):
    """A 2×2 stride-2 transposed convolution, computed as a 1×1 convolution and a pixel shuffle.

    The two are the same sums in another order (no output pixel receives more than one input pixel), and the
    matrix product of the 1×1 form is faster on CPUs. Weights are kept in the transposed convolution's layout.
    `(N, input_channels, H, W)` → `(N, output_channels, 2H, 2W)`.
    """

    def __init__(self, input_channels: int, output_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(input_channels, output_channels, 2, 2))
        self.bias = nn.Parameter(torch.zeros(output_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Double the resolution."""
        pointwise = self.weight.flatten(1).t()[..., None, None]  # (4 · output_channels, input_channels, 1, 1)
        y = functional.conv2d(x, pointwise, self.bias.repeat_interleave(4))
        return functional.pixel_shuffle(y, 2)


class UpNearest(nn.Module):
    """A 1×1 convolution, then each pixel repeated 2×2.

    `(N, input_channels, H, W)` → `(N, output_channels, 2H, 2W)`.
    """

    def __init__(self, input_channels: int, output_channels: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(input_channels, output_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Double the resolution."""
        y: Tensor = self.projection(x)
        return functional.interpolate(y, scale_factor=2, mode="nearest")


class Decoder(nn.Module):
    """One way up: double the coarse features, set the skipped ones beside them, convolve.

    `(N, coarse, H, W)` and `(N, width, 2H, 2W)` → `(N, width, 2H, 2W)`.
    """

    def __init__(self, up: nn.Module, block: nn.Module) -> None:
        super().__init__()
        self.up = up
        self.block = block

    def forward(self, coarse: Tensor, skipped: Tensor) -> Tensor:
        """Join the two levels."""
        y: Tensor = self.block(torch.cat([self.up(coarse), skipped], dim=1))
        return y
