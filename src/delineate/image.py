"""The value objects that cross rooms: images, masks, their labels and their place in space. All frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BACKGROUND = 0
MAXIMUM_LABELS = 254  # masks are stored as uint8; 255 is kept for "not scored"
IGNORED = 255


@dataclass(frozen=True)
class Geometry:
    """Where pixels lie.

    Attributes:
        spacing_mm: Distance between neighbouring pixel centres per spatial axis, `(H, W)` or `(D, H, W)`,
            in millimetres; None where the file does not say, and distances are then in pixels.
    """

    spacing_mm: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Image:
    """Pixels with their geometry.

    Attributes:
        pixels: `(C, H, W)` or `(C, D, H, W)`, uint8, uint16 or float32, in the file's own units.
        geometry: Where the pixels lie.
        notes: What the reader did that the user should know ("a constant alpha channel was dropped").
    """

    pixels: npt.NDArray[np.generic]
    geometry: Geometry = Geometry()
    notes: tuple[str, ...] = ()

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
        """A label set of these names with values 1, 2, …"""
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
    geometry: Geometry = Geometry()
