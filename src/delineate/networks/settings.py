"""What a U-Net is made of, as plain values (no torch here: plans and model files are read without it)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Encoder = Literal["plain", "resnet18", "resnet34", "resnet50"]
ENCODER_WIDTHS: dict[Encoder, tuple[int, ...]] = {  # of the features of stride 2, 4, 8, 16 and 32
    "resnet18": (64, 64, 128, 256, 512),
    "resnet34": (64, 64, 128, 256, 512),
    "resnet50": (64, 256, 512, 1024, 2048),
}
_ENCODER_PARAMETERS = {"resnet18": 11_167_104, "resnet34": 21_275_264, "resnet50": 23_498_624}  # but `conv1`
_STEM_AREA = 49  # pixels of the ResNets' first convolution


class UNetSettings(BaseModel):
    """One U-Net, for images `(H, W)` or volumes `(D, H, W)`.

    Attributes:
        encoder: "plain", or a ResNet (He 2016) whose weights may come from elsewhere; images only.
        axes: 2 for images, 3 for volumes.
        input_channels: Channels of the image.
        output_channels: Logits a pixel: 1 for one label (sigmoid), labels + 1 for several (softmax).
        widths: Channels of each level, finest first; the last is the bottleneck's. With a ResNet the channels
            of the way up alone, for the strides 1, 2, 4, 8 and 16.
        strides: For volumes: how the pixels are pooled between one level and the next, finest first, each
            `(D, H, W)` of 1 and 2; 1 leaves a coarse axis as it is until the others have come to its spacing.
            None pools by 2 along every axis.
        convolutions: Convolutions of 3 pixels a side (see `kernels`) in each block on the way down.
        decoder_convolutions: Likewise on the way up.
        residual: Whether a shortcut runs around each block (He 2016); of a ResNet's own, one always does.
        normalization: After each convolution: "none" or "batch" (Ioffe 2015).
        upsampling: Between levels: "transposed", a transposed convolution whose kernel is its stride, or
            "nearest", a convolution of one pixel and repetition of each pixel.
        stem: 1 to work at the image's own resolution; 2 or 4 to fold that many pixels a side (H and W) into
            channels first and unfold the logits last (pixel unshuffle and shuffle, Shi 2016).
        stem_depth: Likewise of volumes along D.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: Encoder = "plain"
    axes: Literal[2, 3] = 2
    input_channels: Annotated[int, Field(ge=1, le=64)]
    output_channels: Annotated[int, Field(ge=1, le=255)]
    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=2, max_length=8)]
    strides: tuple[tuple[Literal[1, 2], ...], ...] | None = None
    convolutions: Annotated[int, Field(ge=1, le=4)] = 2
    decoder_convolutions: Annotated[int, Field(ge=1, le=4)] = 2
    residual: bool = False
    normalization: Literal["none", "batch"] = "none"
    upsampling: Literal["transposed", "nearest"] = "transposed"
    stem: Literal[1, 2, 4] = 1
    stem_depth: Literal[1, 2, 4] = 1

    @model_validator(mode="after")
    def _fits_its_axes(self) -> Self:
        if self.axes == 2 and (self.strides is not None or self.stem_depth != 1):
            raise ValueError("strides and stem_depth are for volumes: leave them out, or set axes to 3")
        if self.strides is None:
            return self
        if len(self.strides) != len(self.widths) - 1:
            raise ValueError(
                f"strides must have {len(self.widths) - 1} entries, one between each two of the "
                f"{len(self.widths)} widths, not {len(self.strides)}"
            )
        for stride in self.strides:
            if len(stride) != self.axes:
                raise ValueError(f"each of strides is one number for D, H and W: not {list(stride)}")
            if max(stride) == 1:
                raise ValueError(f"each of strides must pool along an axis: not {list(stride)}")
        return self

    @model_validator(mode="after")
    def _fits_its_encoder(self) -> Self:
        if self.encoder == "plain":
            return self
        kept = {"axes": 2, "stem": 1, "convolutions": 2, "normalization": "batch"}
        faults = [f"{name} to {value}" for name, value in kept.items() if getattr(self, name) != value]
        if faults:
            raise ValueError(f"with the encoder {self.encoder} set {', '.join(faults)}: a ResNet has its own")
        levels = len(ENCODER_WIDTHS[self.encoder])
        if len(self.widths) != levels:
            raise ValueError(
                f"with the encoder {self.encoder} widths must have {levels} numbers, of the way up alone, "
                f"not {len(self.widths)}"
            )
        return self

    @property
    def bottleneck(self) -> int:
        """Channels of the coarsest level."""
        return self.widths[-1] if self.encoder == "plain" else ENCODER_WIDTHS[self.encoder][-1]

    @property
    def decoder_widths(self) -> tuple[int, ...]:
        """Channels of each level of the way up, finest first."""
        return self.widths[:-1] if self.encoder == "plain" else self.widths

    @property
    def skip_widths(self) -> tuple[int, ...]:
        """Channels that each level of the way up gets from the way down; a ResNet has none at stride 1."""
        return self.decoder_widths if self.encoder == "plain" else (0, *ENCODER_WIDTHS[self.encoder][:-1])

    @property
    def folding(self) -> tuple[int, ...]:
        """Pixels per axis that the stem folds into channels."""
        in_plane = (self.stem, self.stem)
        return in_plane if self.axes == 2 else (self.stem_depth, *in_plane)

    @property
    def pooling(self) -> tuple[tuple[int, ...], ...]:
        """Pixels per axis that become one between a level and the next, finest first."""
        return self.strides or ((2,) * self.axes,) * len(self.decoder_widths)

    @property
    def kernels(self) -> tuple[tuple[int, ...], ...]:
        """Size per axis of the convolutions of each level, finest first: 1 or 3.

        The rule: along an axis, 1 at every level that neither comes after a pooling (or folding) of that axis
        nor ends in one; 3 from then on, and 3 at the bottleneck. So nothing is mixed across slices that lie
        far apart before the pixels within them have come to like distances.

        Source:
            Isensee et al.: nnU-Net, Nature Methods 2021.
        """
        pooling = (*self.pooling, (2,) * self.axes)
        begun = [folded > 1 for folded in self.folding]
        kernels = []
        for stride in pooling:
            begun = [before or step > 1 for before, step in zip(begun, stride, strict=True)]
            kernels.append(tuple(3 if each else 1 for each in begun))
        return tuple(kernels)

    @property
    def total_strides(self) -> tuple[int, ...]:
        """Image pixels per axis that one pixel of the bottleneck stands for."""
        return tuple(math.prod(steps) for steps in zip(self.folding, *self.pooling, strict=True))

    @property
    def stride(self) -> int:
        """Image pixels a side that one pixel of the bottleneck stands for; the most of any axis."""
        return max(self.total_strides)


CLASSIC = UNetSettings(input_channels=1, output_channels=1, widths=(32, 64, 128, 256, 512))
"""The net of the widely copied Keras script: 7,759,521 parameters."""


def with_channels_of(settings: UNetSettings, other: UNetSettings) -> UNetSettings:
    """The same net for as many channels, in and out, as another has."""
    channels = {"input_channels": other.input_channels, "output_channels": other.output_channels}
    return settings.model_copy(update=channels)


def most_parameters(settings: UNetSettings) -> int:
    """An upper bound of the number of parameters, by arithmetic alone."""
    folded = math.prod(settings.folding)
    areas = [math.prod(kernel) for kernel in settings.kernels]
    steps = [math.prod(stride) for stride in settings.pooling]
    if settings.encoder == "plain":
        widths, depth = (settings.input_channels * folded, *settings.widths), settings.convolutions
        encoder = sum(
            ((k + 1) * a + k * b * depth + 8 * depth) * b
            for k, (a, b) in zip(areas, pairwise(widths), strict=True)
        )
    else:
        stem = settings.input_channels * _STEM_AREA * ENCODER_WIDTHS[settings.encoder][0]
        encoder = stem + _ENCODER_PARAMETERS[settings.encoder]
    up, depth = (*settings.decoder_widths, settings.bottleneck), settings.decoder_convolutions
    decoder = sum(
        (step * b + (k + 1) * (a + skip) + k * a * depth + 8 * depth) * a
        for step, k, skip, (a, b) in zip(steps, areas[:-1], settings.skip_widths, pairwise(up), strict=True)
    )
    return encoder + decoder + (settings.widths[0] + 1) * settings.output_channels * folded
