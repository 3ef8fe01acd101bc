"""What a phantom is, and what a kind of phantom promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from delineate.image import LabelSet


@dataclass(frozen=True)
class Phantom:
    """A synthetic image with its exact truth.

    Attributes:
        image: `(H, W)` grey or `(H, W, 3)` RGB, uint8.
        mask: `(H, W)` uint8: 0 background, 1…n the labels of its kind. A pixel belongs to a label where its
            centre lies inside the outline the picture was drawn from.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]


class Maker(Protocol):
    """Draws one phantom; all chance comes from `random`."""

    def __call__(
        self, random: np.random.Generator, size: tuple[int, int], *, contrast: float, noise: float
    ) -> Phantom:
        """Draw one phantom of `size` `(H, W)`; the mask depends on neither `contrast` nor `noise`."""
        ...


@dataclass(frozen=True)
class PhantomKind:
    """A kind of phantom.

    Attributes:
        name: Its name on the command line.
        description: What it shows, in one line.
        labels: What the values of its masks mean.
        size: `(H, W)` where none is asked for.
        make: Draws one.
        adjustable: Whether contrast and noise have a meaning for it; where not, both are passed over.
    """

    name: str
    description: str
    labels: LabelSet
    size: tuple[int, int]
    make: Maker
    adjustable: bool = True
