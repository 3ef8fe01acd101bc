"""The parts of a U-Net. Shapes: N batch, C channels, `…` the pixels: H and W, or D, H and W."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvolutionBlock(nn.Module):
    """Convolutions, each with its normalization and ReLU; a shortcut is added before the last ReLU.

    `(N, input_channels, …)` → `(N, width, …)`.

    Args:
        convolutions: Same-padded; the first takes the block's input.
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
    """A transposed convolution whose kernel is its stride.

    Of images, it is computed as a 1×1 convolution and a pixel shuffle: the same sums in another order (no
    output pixel receives more than one input pixel), and faster on CPUs. Of volumes, torch's own is as fast.
    Weights are in the transposed convolution's layout.
    `(N, input_channels, H, W)` → `(N, output_channels, 2H, 2W)`, or
    `(N, input_channels, D, H, W)` → `(N, output_channels, …)`, each axis times its scale.
    """

    def __init__(self, input_channels: int, output_channels: int, scale: tuple[int, ...] = (2, 2)) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(input_channels, output_channels, *scale))
        self.bias = nn.Parameter(torch.zeros(output_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Raise the resolution."""
        if len(self.scale) == 3:
            return functional.conv_transpose3d(x, self.weight, self.bias, stride=self.scale)
        pointwise = self.weight.flatten(1).t()[..., None, None]  # (4 · output_channels, input_channels, 1, 1)
        y = functional.conv2d(x, pointwise, self.bias.repeat_interleave(4))
        return functional.pixel_shuffle(y, 2)


class UpNearest(nn.Module):
    """A convolution of one pixel, then each pixel repeated.

    `(N, input_channels, …)` → `(N, output_channels, …)`, each axis times its scale.
    """

    def __init__(self, input_channels: int, output_channels: int, scale: tuple[int, ...] = (2, 2)) -> None:
        super().__init__()
        self.scale = tuple(float(each) for each in scale)
        kind = nn.Conv3d if len(scale) == 3 else nn.Conv2d
        self.projection = kind(input_channels, output_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Raise the resolution."""
        y: Tensor = self.projection(x)
        return functional.interpolate(y, scale_factor=self.scale, mode="nearest")


class Decoder(nn.Module):
    """One way up: enlarge the coarse features, set the skipped ones (if there are any) beside them, convolve.

    `(N, coarse, …)` and the larger `(N, skip, …)` → the larger `(N, width, …)`.
    """

    def __init__(self, up: nn.Module, block: nn.Module) -> None:
        super().__init__()
        self.up = up
        self.block = block

    def forward(self, coarse: Tensor, skipped: Tensor | None) -> Tensor:
        """Join the two levels."""
        fine = self.up(coarse)
        y: Tensor = self.block(fine if skipped is None else torch.cat([fine, skipped], dim=1))
        return y


def pixels_to_channels(x: Tensor, folding: tuple[int, ...]) -> Tensor:
    """Fold neighbouring pixels into channels.

    Args:
        x: `(N, C, H, W)` or `(N, C, D, H, W)`, each axis a multiple of its folding.
        folding: Pixels per axis; of images alike along both.

    Returns:
        `(N, C · product of folding, …)`, each axis divided; the folded pixels of a channel lie together, in
        the order of the axes.
    """
    if len(folding) == 2:
        return functional.pixel_unshuffle(x, folding[0])
    count, channels, *sides = x.shape
    (depth, height, width), (d, h, w) = sides, folding
    x = x.reshape(count, channels, depth // d, d, height // h, h, width // w, w)
    # as channels_last_3d, in which convolutions are fastest
    return x.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4).movedim(4, 1)


def channels_to_pixels(x: Tensor, folding: tuple[int, ...]) -> Tensor:
    """Unfold what `pixels_to_channels` folded."""
    if len(folding) == 2:
        return functional.pixel_shuffle(x, folding[0])
    count, channels, *sides = x.shape
    x = x.reshape(count, channels // math.prod(folding), *folding, *sides)
    x = x.permute(0, 1, 5, 2, 6, 3, 7, 4)  # (N, C, D, d, H, h, W, w)
    return x.flatten(6).flatten(4, 5).flatten(2, 3)
