"""What a U-Net is made of, as plain values (no torch here: plans and model files are read without it)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class UNetSettings(BaseModel):
    """One U-Net.

    Attributes:
        input_channels: Channels of the image.
        output_channels: Logits a pixel: 1 for one label (sigmoid), labels + 1 for several (softmax).
        widths: Channels of each level, finest first; the last is the bottleneck's.
        convolutions: 3×3 convolutions in each block on the way down.
        decoder_convolutions: Likewise on the way up.
        residual: Whether a shortcut runs around each block (He 2016).
        normalization: After each convolution: "none" or "batch" (Ioffe 2015).
        upsampling: Between levels: "transposed", a 2×2 stride-2 transposed convolution, or "nearest", a 1×1
            convolution and repetition of each pixel.
        stem: 1 to work at the image's own resolution; 2 or 4 to fold that many pixels a side into channels
            first and unfold the logits last (pixel unshuffle and shuffle, Shi 2016).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_channels: Annotated[int, Field(ge=1, le=64)]
    output_channels: Annotated[int, Field(ge=1, le=255)]
    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=2, max_length=8)]
    convolutions: Annotated[int, Field(ge=1, le=4)] = 2
    decoder_convolutions: Annotated[int, Field(ge=1, le=4)] = 2
    residual: bool = False
    normalization: Literal["none", "batch"] = "none"
    upsampling: Literal["transposed", "nearest"] = "transposed"
    stem: Literal[1, 2, 4] = 1

    @property
    def stride(self) -> int:
        """Image pixels a side that one pixel of the bottleneck stands for."""
        return int(self.stem * 2 ** (len(self.widths) - 1))


CLASSIC = UNetSettings(input_channels=1, output_channels=1, widths=(32, 64, 128, 256, 512))
"""The net of the widely copied Keras script: 7,759,521 parameters."""


def most_parameters(settings: UNetSettings) -> int:
    """An upper bound of the number of parameters, by arithmetic alone."""
    widths = (settings.input_channels * settings.stem**2, *settings.widths)
    depth = max(settings.convolutions, settings.decoder_convolutions)
    encoder = sum((10 * a + 9 * b * depth + 8 * depth) * b for a, b in pairwise(widths))
    decoder = sum((4 * b + 20 * a + 9 * a * depth + 8 * depth) * a for a, b in pairwise(settings.widths))
    return encoder + decoder + (settings.widths[0] + 1) * settings.output_channels * settings.stem**2
