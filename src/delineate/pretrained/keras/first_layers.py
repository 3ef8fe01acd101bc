"""What a net does to the image before its first convolution: each channel times a gain, plus an offset."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from delineate.pretrained.keras.found import Doubles, Takes
from delineate.pretrained.keras.graph import Layer
from delineate.pretrained.keras.options import NORM, RESCALING, STANDARDIZING
from delineate.pretrained.keras.refusal import Refusal, shown
from delineate.pretrained.keras.weights import Weights

LEAST_DEVIATION = 1e-7  # as Keras has it
USUAL_RESCALINGS = ((1 / 255, 0.0), (1 / 127.5, -1.0))  # of pixels from 0 to 255
MAXIMUM_CHANNELS = 64


def is_first(layer: Layer) -> bool:
    """Whether a layer acts on the image alone."""
    return layer.kind in (RESCALING, STANDARDIZING, NORM)


@dataclass
class FirstLayers:
    """All of them so far, as one gain and one offset a channel."""

    channels: int
    gain: Doubles = field(init=False)
    offset: Doubles = field(init=False)
    takes: Takes = "unsaid"

    def __post_init__(self) -> None:
        self.gain, self.offset = np.ones(self.channels), np.zeros(self.channels)

    def add(self, layer: Layer, weights: Weights) -> None:
        """Take in the next one.

        Raises:
            Refusal: It turns pixels around or its numbers make no sense.
        """
        if layer.kind == RESCALING:
            gain, offset = (self._numbers(layer, name) for name in ("scale", "offset"))
        elif layer.kind == NORM:
            gain, offset = weights.norm(layer, self.channels).affine()
        else:
            mean, variance = self._standardized(layer, weights)
            gain = 1 / np.maximum(np.sqrt(variance), LEAST_DEVIATION)
            offset = -mean * gain
        if not (np.isfinite(gain).all() and np.isfinite(offset).all() and (gain > 0).all()):
            raise Refusal(f"{layer} multiplies a channel of the image by {gain.min():.4g}, not above 0")
        self.takes = self._told_by(gain, offset) if self.takes == "unsaid" else self.takes
        self.gain, self.offset = self.gain * gain, self.offset * gain + offset

    def _numbers(self, layer: Layer, name: str) -> Doubles:
        value = layer.config.get(name, 0.0)
        values = value if isinstance(value, list) else [value] * self.channels
        if len(values) != self.channels or not all(_is_number(each) for each in values):
            raise Refusal(f"{layer} has {name} {shown(value)}, which is not one number or one a channel")
        return np.array(values, dtype=np.float64)

    def _standardized(self, layer: Layer, weights: Weights) -> tuple[Doubles, Doubles]:
        if layer.config.get("mean") is not None:
            mean, variance = (self._numbers(layer, name) for name in ("mean", "variance"))
        else:
            first, second = weights.numbers(layer, 2, (self.channels,))
            mean, variance = first.astype(np.float64), second.astype(np.float64)
        if (variance < 0).any():
            raise Refusal(f"{layer} holds variances below zero")
        return mean, variance

    def _told_by(self, gain: Doubles, offset: Doubles) -> Takes:
        usual = any(
            np.allclose(gain, scale, rtol=1e-3) and np.allclose(offset, shift, atol=0.01)
            for scale, shift in USUAL_RESCALINGS
        )
        return "0..255" if usual else "unclear"


def image_of(layer: Layer) -> tuple[int, tuple[int, int] | None]:
    """The channels and the size of the image that an input takes; no size where it may be any.

    Raises:
        Refusal: It takes no image, or does not say how many channels.
    """
    shape = layer.config.get("batch_shape", layer.config.get("batch_input_shape"))
    sides = shape[1:] if isinstance(shape, list) and len(shape) == 4 else []
    if not sides or not all(side is None or (type(side) is int and side > 0) for side in sides):
        raise Refusal(f"its input {shown(layer.key)} has the shape {shown(shape)}, which is no image's")
    height, width, channels = sides
    if channels is None or channels > MAXIMUM_CHANNELS:
        named = shown(layer.key)
        raise Refusal(
            f"its input {named} has {channels} channels, where 1 to {MAXIMUM_CHANNELS} are expected"
        )
    return channels, None if height is None or width is None else (height, width)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
