"""Masks and probabilities that are to be written: held to what they promise, and what their bytes share."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import IO

import numpy as np
import numpy.typing as npt

from delineate.formats.stored import Probabilities
from delineate.geometry import NOWHERE, Geometry
from delineate.image import Mask

MASK_LEVEL, PROBABILITY_LEVEL = 6, 1  # of deflate; noise packs no better by more work
WHITE = 255
_SHAPES = {2: "H, W", 3: "D, H, W"}


def check_mask(mask: Mask, axes: Sequence[int] = (2, 3)) -> None:
    """Hold a mask that is to be written to what it promises.

    Args:
        mask: Of uint8.
        axes: How many axes it may have.

    Raises:
        ValueError: It has not as many or is not uint8, holds values that are no labels, or its geometry has
            another number of axes.
    """
    values = mask.values
    if values.ndim not in axes or values.dtype != np.uint8 or not values.size:
        shapes = " or ".join(f"({_SHAPES[number]})" for number in axes)
        raise ValueError(f"a mask is written from {shapes} uint8, not {values.shape} {values.dtype}")
    check_labels(mask)
    if mask.geometry.axes not in (None, values.ndim):
        raise ValueError(f"a geometry of {mask.geometry.axes} axes for a mask of {values.ndim}")


def check_labels(mask: Mask) -> None:
    """Hold the values of a mask to its labels.

    Raises:
        ValueError: One is no label.
    """
    if mask.values.size and int(mask.values.max()) > len(mask.labels):
        raise ValueError(f"the mask holds the value {mask.values.max()}, but has {len(mask.labels)} labels")


def check_probabilities(
    probabilities: Probabilities, geometry: Geometry = NOWHERE, axes: Sequence[int] = (2, 3)
) -> None:
    """Hold probabilities that are to be written to what they promise.

    Args:
        probabilities: `(L, H, W)` or `(L, D, H, W)`, 0 to 1.
        geometry: The image's.
        axes: How many axes the image may have.

    Raises:
        ValueError: The shape or the geometry's number of axes is another, or a value is no probability.
    """
    own = probabilities.ndim - 1
    if own not in axes or not probabilities.size:
        shapes = " or ".join(f"(L, {_SHAPES[number]})" for number in axes)
        raise ValueError(f"probabilities are written from {shapes}, not {probabilities.shape}")
    if geometry.axes not in (None, own):
        raise ValueError(f"a geometry of {geometry.axes} axes for probabilities of {own}")
    lowest, highest = float(probabilities.min()), float(probabilities.max())
    if not (lowest >= 0 and highest <= 1):  # NaN among them makes both comparisons false
        raise ValueError("probabilities must lie between 0 and 1")


def visible(mask: Mask) -> npt.NDArray[np.uint8]:
    """The values for people to look at: of a single label white, of several 1…n."""
    return mask.values * np.uint8(WHITE) if len(mask.labels) == 1 else mask.values


def little(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Contiguous, with the lowest byte first."""
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)


def gzipped(stream: IO[bytes], level: int) -> gzip.GzipFile:
    """Packs what is written to it, without a name and a time, so that the same mask gives the same bytes."""
    return gzip.GzipFile("", "wb", level, stream, mtime=0)
