"""ResNet encoders whose parameters are named as torchvision's (and timm's), so that their files fit.

Source: He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016. Where a block of three
convolutions halves the resolution, its middle one does so, as in torchvision ("v1.5").
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional

Architecture = Literal["resnet18", "resnet34", "resnet50"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
_BLOCKS: dict[Architecture, tuple[int, ...]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
}
_WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two convolutions of 3×3 pixels, and a shortcut around them.

    `(N, channels, H, W)` → `(N, width, H / stride, W / stride)`.
    """

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _projection(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class BottleneckBlock(nn.Module):
    """Convolutions of 1×1, 3×3 and 1×1 pixels, the last to four times the width, and a shortcut around them.

    `(N, channels, H, W)` → `(N, 4 · width, H / stride, W / stride)`.
    """

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = _projection(channels, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = functional.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class ResNet(nn.Module):
    """A ResNet without its classifier.

    `(N, input_channels, H, W)` with H and W multiples of 32 → features of the strides 2, 4, 8, 16 and 32.

    Args:
        architecture: Which.
        input_channels: Channels of the image.
    """

    def __init__(self, architecture: Architecture, input_channels: int) -> None:
        super().__init__()
        block = BottleneckBlock if architecture == "resnet50" else BasicBlock
        self.conv1 = nn.Conv2d(input_channels, _WIDTHS[0], 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        channels = _WIDTHS[0]
        for number, (width, count) in enumerate(zip(_WIDTHS, _BLOCKS[architecture], strict=True), start=1):
            outputs = width * block.expansion
            first = block(channels, width, 1 if number == 1 else 2)
            rest = [block(outputs, width, 1) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
            channels = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features, finest first."""
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        features = [x]
        x = functional.max_pool2d(x, 3, 2, padding=1)
        for number in range(1, len(_WIDTHS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
            features.append(x)
        return features


def _projection(channels: int, width: int, stride: int) -> nn.Sequential | None:
    """A shortcut that brings the input to the block's output, None where it has that form."""
    if channels == width and stride == 1:
        return None
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
