"""The value objects that cross rooms: images, masks, their labels and their place in space. All frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from delineate.geometry import NOWHERE, Geometry, Turn, turn_to

BACKGROUND = 0
MAXIMUM_LABELS = 254  # masks are stored as uint8; 255 is kept for "not scored"
IGNORED = 255
Colour = Literal["grey", "rgb", "channels"]


@dataclass(frozen=True)
class Image:
    """Pixels with their geometry.

    Attributes:
        pixels: `(C, H, W)` or `(C, D, H, W)`, uint8, uint16, int16 or float32, in the file's own units.
        geometry: Where the pixels lie.
        notes: What the reader did that the user should know ("a constant alpha channel was dropped").
        shares: Whether integers stand for shares of their type's range, as in pictures, so that 8-bit and
            16-bit files of one picture are alike; else, as in the formats of the clinic, for themselves.
        modality: DICOM's word for the kind of image, "CT" or "MR", where the file says it.
        subject: Of whom the image is, as a digest that means nothing outside this process; None where the
            file does not say.
        identifying: Names, numbers and dates that the file says of its subject: never to be written or
            shown, but to be looked for in what is.
    """

    pixels: npt.NDArray[np.generic]
    geometry: Geometry = NOWHERE
    notes: tuple[str, ...] = ()
    shares: bool = True
    modality: str | None = None
    subject: str | None = None
    identifying: frozenset[str] = field(default=frozenset(), repr=False)

    def units(self) -> npt.NDArray[np.float32]:
        """The pixels as `(C, …)` float32: shares of their type's range, or their own units."""
        pixels = self.pixels.astype(np.float32)
        if self.shares and np.issubdtype(self.pixels.dtype, np.integer):
            pixels /= _greatest(self.pixels.dtype)
        return pixels

    @property
    def in_own_units(self) -> bool:
        """Whether the numbers are what they say, not shares of a range."""
        return not self.shares or not np.issubdtype(self.pixels.dtype, np.integer)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.pixels.shape[0])

    @property
    def size(self) -> tuple[int, ...]:
        """Spatial size, `(H, W)` or `(D, H, W)`."""
        return tuple(int(n) for n in self.pixels.shape[1:])


@dataclass(frozen=True)
class Label:
    """A named class.

    Attributes:
        name: What it is, for people: "left lung".
        value: The value in our masks, 1 or more and consecutive; background is 0 and is no label.
    """

    name: str
    value: int


@dataclass(frozen=True)
class LabelSet:
    """The labels of a data set or model, in the order of their values 1, 2, …, n.

    Raises:
        ValueError: No label, values not 1…n, a name twice or empty, or more labels than a mask can hold.
    """

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.labels) <= MAXIMUM_LABELS:
            raise ValueError(f"a label set has 1 to {MAXIMUM_LABELS} labels, not {len(self.labels)}")
        if [label.value for label in self.labels] != list(range(1, len(self.labels) + 1)):
            raise ValueError("label values must be 1, 2, …, n in order")
        names = self.names
        if len(set(names)) != len(names) or not all(name.strip() for name in names):
            raise ValueError(f"label names must be distinct and not empty: {', '.join(names)}")

    @classmethod
    def of(cls, *names: str) -> LabelSet:
        """A label set of these names, with values from 1."""
        return cls(tuple(Label(name, value) for value, name in enumerate(names, start=1)))

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the order of their values."""
        return tuple(label.name for label in self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)


@dataclass(frozen=True)
class Mask:
    """A label map on its image's grid.

    Attributes:
        values: `(H, W)` or `(D, H, W)` uint8: 0 background, 1…n the labels.
        labels: What the values mean.
        geometry: The image's.
    """

    values: npt.NDArray[np.uint8]
    labels: LabelSet
    geometry: Geometry = NOWHERE


def _greatest(dtype: np.dtype[np.generic]) -> int:
    return {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}[dtype]


def as_colour(image: Image, colour: Colour) -> Image:
    """The image with the channels a net expects.

    Args:
        image: `(C, H, W)` or `(C, D, H, W)`.
        colour: "grey" takes one channel as it is, equal channels once, and of unequal three their luminance
            (ITU-R BT.601); "rgb" repeats a single channel; "channels" takes them as they are.

    Returns:
        An image with one channel for "grey", three for "rgb".

    Raises:
        ValueError: The number of channels does not allow it.
    """
    pixels = image.pixels
    if colour == "grey" and image.channels == 3:
        if (pixels[0] == pixels[1]).all() and (pixels[0] == pixels[2]).all():
            return replace(image, pixels=pixels[:1])
        luminance = np.tensordot(np.array([0.299, 0.587, 0.114]), pixels.astype(np.float64), axes=1)
        if np.issubdtype(pixels.dtype, np.integer):
            luminance = luminance.round()
        return replace(image, pixels=luminance[None].astype(pixels.dtype))
    if colour == "rgb" and image.channels == 1:
        return replace(image, pixels=np.repeat(pixels, 3, axis=0))
    expected = {"grey": 1, "rgb": 3}.get(colour, image.channels)
    if image.channels != expected:
        raise ValueError(f"it has {image.channels} channels, but {expected} are expected")
    return image


def turn_of(geometry: Geometry, axes: int, orientation: str | None) -> Turn | None:
    """How a volume is turned to run as `orientation` says; None where it stays as it is.

    Args:
        geometry: The volume's; one without directions is left as it is.
        axes: Its number of spatial axes; pictures are left as they are.
        orientation: Such as "SPL"; None for as stored.
    """
    if orientation is None or axes != 3 or geometry.directions is None:
        return None
    turn = turn_to(geometry, orientation)
    return None if turn.is_identity else turn


def oriented(image: Image, orientation: str | None) -> Image:
    """The image turned so that its axes run as `orientation` says (see `turn_of`); no pixel is copied."""
    turn = turn_of(image.geometry, len(image.size), orientation)
    if turn is None:
        return image
    geometry = turn.geometry(image.geometry, image.size)
    return replace(image, pixels=turn.apply(image.pixels), geometry=geometry)


def oriented_mask(mask: Mask, orientation: str | None) -> Mask:
    """Likewise for a mask."""
    turn = turn_of(mask.geometry, mask.values.ndim, orientation)
    if turn is None:
        return mask
    geometry = turn.geometry(mask.geometry, mask.values.shape)
    return replace(mask, values=turn.apply(mask.values).astype(np.uint8, copy=False), geometry=geometry)


__all__ = [
    "BACKGROUND",
    "IGNORED",
    "MAXIMUM_LABELS",
    "Colour",
    "Geometry",
    "Image",
    "Label",
    "LabelSet",
    "Mask",
    "as_colour",
    "oriented",
    "oriented_mask",
    "turn_of",
]
