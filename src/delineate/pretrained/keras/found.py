"""A U-Net as it was found in a file, in Keras's own layouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from delineate.networks.settings import UNetSettings

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Output = Literal["sigmoid", "softmax", "linear", "unknown"]
Kind = Literal["transposed", "nearest"]
Takes = Literal["unsaid", "0..255", "unclear"]


@dataclass(frozen=True)
class Norm:
    """A batch normalization, `(C,)` each."""

    scale: Doubles
    shift: Doubles
    mean: Doubles
    variance: Doubles
    epsilon: float

    def affine(self) -> tuple[Doubles, Doubles]:
        """Gain and offset by which it acts in prediction."""
        gain = self.scale / np.sqrt(self.variance + self.epsilon)
        return gain, self.shift - self.mean * gain


@dataclass(frozen=True)
class Convolved:
    """A convolution, transposed or not, with the normalization that follows at once.

    Attributes:
        name: The layer's.
        kernel: `(height, width, in, out)`; of a transposed one `(height, width, out, in)`.
        bias: `(out,)`.
        norm: Or None.
    """

    name: str
    kernel: Floats
    bias: Floats
    norm: Norm | None = None


@dataclass(frozen=True)
class WayUp:
    """From one level to the next finer one.

    Attributes:
        kind: "transposed", or "nearest" for a convolution of one pixel and repetition in either order.
        up: The convolution.
        skip_first: Whether the skipped channels come before the enlarged ones.
        block: The convolutions of the finer level.
    """

    kind: Kind
    up: Convolved
    skip_first: bool
    block: tuple[Convolved, ...]


@dataclass(frozen=True)
class FoundUNet:
    """A U-Net.

    Attributes:
        channels: Of the image.
        size: `(height, width)` of the image; None where it may be any.
        gain: By which the net itself multiplies its input first, a channel `(C,)`.
        offset: What it adds then.
        takes: Which pixels go in, as its first layers tell: "0..255" where it brings such to a usual range
            itself, "unclear" where it does something else to them, "unsaid" where it does nothing.
        down: The convolutions of each level, finest first.
        up: The ways up, coarsest first.
        head: The last convolution.
        output: What is applied to it.
    """

    channels: int
    size: tuple[int, int] | None
    gain: Doubles
    offset: Doubles
    takes: Takes
    down: tuple[tuple[Convolved, ...], ...]
    up: tuple[WayUp, ...]
    head: Convolved
    output: Output


@dataclass(frozen=True)
class Hints:
    """What a file may not say.

    Attributes:
        skip_first: Whether in a file without a graph the skipped channels come first.
    """

    skip_first: bool = False


@dataclass(frozen=True)
class ImportedNet:
    """A net brought to our form.

    Attributes:
        found: What the file holds.
        settings: Of our net; its output channels are those of the file, or 1 for two of a softmax.
        weights: As our net names them.
        has_graph: Whether the file says how its layers are joined.
        version: Of Keras, if the file says it.
        sha256: Of the file.
    """

    found: FoundUNet
    settings: UNetSettings
    weights: dict[str, Tensor]
    has_graph: bool
    version: str | None
    sha256: str
