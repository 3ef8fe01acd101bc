"""Where masks' boundaries lie, and how far each pixel of one lies from the other.

A mask's boundary is its pixels of which at least one neighbour across a face (4 in 2D, 6 in 3D) is not in
the mask; beyond the image there is no mask, so one that touches the image's border has a boundary there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from delineate.metrics.overlap import BoolArray, check_pair

Indices = npt.NDArray[np.int32]
Distances = npt.NDArray[np.float64]
AT_ONCE = 1 << 18  # points a query, so that what lies between stays small
LEAF_SIZE = 64  # the fastest of 10 to 64 on surfaces of organs, half the time where points lie far away


@dataclass(frozen=True)
class Boundaries:
    """The boundaries of two masks, to be measured with one spacing or several.

    Attributes:
        shared: `(n, axes)`, indices of the pixels on both boundaries.
        reference_alone: Likewise, those on the reference's boundary alone.
        prediction_alone: Likewise, those on the prediction's. All three have no row where a mask is empty.
        reference_empty: Whether the reference has no pixel.
        prediction_empty: Whether the prediction has no pixel.
        size: Of the masks, `(H, W)` or `(D, H, W)`.
    """

    shared: Indices
    reference_alone: Indices
    prediction_alone: Indices
    reference_empty: bool
    prediction_empty: bool
    size: tuple[int, ...]

    def to_prediction(self, spacing: tuple[float, ...]) -> Distances:
        """From each pixel of the reference's boundary the distance to the prediction's, in no given order."""
        return self._directed(self.reference_alone, self.prediction_alone, spacing)

    def to_reference(self, spacing: tuple[float, ...]) -> Distances:
        """From each pixel of the prediction's boundary the distance to the reference's, likewise."""
        return self._directed(self.prediction_alone, self.reference_alone, spacing)

    def _directed(self, points: Indices, others: Indices, spacing: tuple[float, ...]) -> Distances:
        equal = np.zeros(len(self.shared))
        return np.concatenate([equal, _to_nearest(points, np.concatenate([self.shared, others]), spacing)])


def boundaries(reference: BoolArray, prediction: BoolArray) -> Boundaries:
    """Find the boundaries of two masks.

    Args:
        reference: The expert's mask, bool, `(H, W)` or `(D, H, W)`.
        prediction: Ours, bool, the same shape.

    Raises:
        ValueError: The shapes differ or a mask is not bool.
    """
    check_pair(reference, prediction)
    one, other = bounding_box(reference), bounding_box(prediction)
    if one is None or other is None:
        nothing = np.empty((0, reference.ndim), np.int32)
        return Boundaries(nothing, nothing, nothing, one is None, other is None, reference.shape)
    box = joined(one, other)
    of_reference, of_prediction = boundary(reference[box]), boundary(prediction[box])
    shared = of_reference & of_prediction
    of_reference ^= shared
    of_prediction ^= shared
    return Boundaries(
        _indices(shared),
        _indices(of_reference),
        _indices(of_prediction),
        reference_empty=False,
        prediction_empty=False,
        size=reference.shape,
    )


def boundary(mask: BoolArray) -> BoolArray:
    """The mask's pixels with a face neighbour that is not in the mask or lies beyond the array.

    Args:
        mask: Bool, any number of axes.
    """
    inside = mask.copy()
    for axis in range(mask.ndim):
        here, there = np.moveaxis(inside, axis, 0), np.moveaxis(mask, axis, 0)
        here[1:] &= there[:-1]
        here[:-1] &= there[1:]
        here[0] = here[-1] = False
    inside ^= mask
    return inside


def bounding_box(mask: BoolArray) -> tuple[slice, ...] | None:
    """The smallest box that holds every set pixel, None without any.

    Outside it is no mask, so that a crop to it moves no boundary.
    """
    box: list[slice] = []
    for axis in range(mask.ndim):  # each axis within the box of those before it
        part = mask[tuple(box)]
        filled = np.flatnonzero(part.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not filled.size:
            return None
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)


def joined(one: tuple[slice, ...], other: tuple[slice, ...]) -> tuple[slice, ...]:
    """The smallest box that holds two others."""
    pairs = zip(one, other, strict=True)
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in pairs)


def _indices(mask: BoolArray) -> Indices:
    return np.argwhere(mask).astype(np.int32)


def _to_nearest(points: Indices, targets: Indices, spacing: tuple[float, ...]) -> Distances:
    """From each point the distance to the nearest target.

    A tree takes memory for the boundaries alone; a distance transform would take sixty bytes for each pixel
    of their box.
    """
    if not len(points):
        return np.empty(0)
    tree = KDTree(targets * spacing, leafsize=LEAF_SIZE, balanced_tree=False, compact_nodes=False)
    found = np.empty(len(points))
    for start in range(0, len(points), AT_ONCE):
        some = points[start : start + AT_ONCE]
        _, nearest = tree.query(some * spacing)
        # from whole indices, so that equal steps are equally long wherever they lie
        steps = (some - targets[nearest]) * spacing
        found[start : start + AT_ONCE] = np.sqrt((steps**2).sum(axis=1))
    return found
