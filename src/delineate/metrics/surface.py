"""Agreement of the boundaries: the 95th percentile Hausdorff distance and the normalised surface Dice.

A mask's boundary is its pixels of which at least one neighbour across a face (4 in 2D, 6 in 3D) is not in
the mask; beyond the image there is no mask, so one that touches the image's border has a boundary there.
Distances lie between pixel centres, from each boundary pixel to the nearest one of the other mask.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from delineate.metrics.overlap import BoolArray, check_pair

# 3 × 0.1 is a little more than 0.3: a distance that equals the tolerance but for rounding is within it
ROUNDING = 1e-9


@dataclass(frozen=True)
class SurfaceDistances:
    """How far each boundary lies from the other.

    Attributes:
        reference_to_prediction: One distance a boundary pixel of the reference, in the spacing's unit; empty
            where a mask is empty.
        prediction_to_reference: One distance a boundary pixel of the prediction; empty where a mask is empty.
        reference_empty: Whether the reference has no pixel.
        prediction_empty: Whether the prediction has no pixel.
        diagonal: The image's diagonal, in the spacing's unit.
    """

    reference_to_prediction: npt.NDArray[np.float64]
    prediction_to_reference: npt.NDArray[np.float64]
    reference_empty: bool
    prediction_empty: bool
    diagonal: float

    @property
    def hausdorff95(self) -> float | None:
        """See `hausdorff95`."""
        if self.reference_empty or self.prediction_empty:
            return None if self.reference_empty and self.prediction_empty else self.diagonal
        return max(
            float(np.percentile(self.reference_to_prediction, 95)),
            float(np.percentile(self.prediction_to_reference, 95)),
        )

    def normalized_surface_dice(self, tolerance: float) -> float | None:
        """See `normalized_surface_dice`."""
        if not tolerance >= 0:
            raise ValueError(f"the tolerance must be 0 or more, not {tolerance}")
        if self.reference_empty or self.prediction_empty:
            return None if self.reference_empty and self.prediction_empty else 0.0
        directed = (self.reference_to_prediction, self.prediction_to_reference)
        within = sum(int(np.count_nonzero(each <= tolerance * (1 + ROUNDING))) for each in directed)
        return within / sum(each.size for each in directed)


def surface_distances(
    reference: BoolArray, prediction: BoolArray, spacing: Sequence[float] | None = None
) -> SurfaceDistances:
    """Measure both directed sets of boundary distances.

    Args:
        reference: The expert's mask, bool, `(H, W)` or `(D, H, W)`.
        prediction: Ours, bool, the same shape.
        spacing: Distance between pixel centres an axis, in any unit; None counts pixels.

    Raises:
        ValueError: The shapes differ, a mask is not bool, or a spacing is missing or not positive.
    """
    check_pair(reference, prediction)
    step = tuple(float(each) for each in spacing) if spacing is not None else (1.0,) * reference.ndim
    if len(step) != reference.ndim or not all(0 < each < math.inf for each in step):
        raise ValueError(f"{reference.ndim} positive spacings are needed, not {spacing}")
    diagonal = math.hypot(*(length * each for length, each in zip(reference.shape, step, strict=True)))
    empty = (not reference.any(), not prediction.any())
    nothing = np.empty(0)
    if any(empty):
        return SurfaceDistances(nothing, nothing, *empty, diagonal)
    box = _bounding_box(reference | prediction)
    reference_boundary, prediction_boundary = boundary(reference[box]), boundary(prediction[box])
    to_prediction = ndimage.distance_transform_edt(~prediction_boundary, sampling=step)
    to_reference = ndimage.distance_transform_edt(~reference_boundary, sampling=step)
    return SurfaceDistances(
        to_prediction[reference_boundary], to_reference[prediction_boundary], *empty, diagonal
    )


def hausdorff95(
    reference: BoolArray, prediction: BoolArray, spacing: Sequence[float] | None = None
) -> float | None:
    """The 95th percentile Hausdorff distance: the larger of the two directed 95th percentiles.

    The percentile is taken of each directed set of boundary distances alone, interpolated linearly between
    the two nearest ranks; the two sets are not pooled.

    Args:
        reference: The expert's mask, bool, `(H, W)` or `(D, H, W)`.
        prediction: Ours, bool, the same shape.
        spacing: Distance between pixel centres an axis, in any unit; None counts pixels.

    Returns:
        The distance in the spacing's unit; None where both masks are empty; where one is, the image's
        diagonal (of its edges' lengths), which no pair of boundaries can exceed.

    Raises:
        ValueError: The masks or the spacing cannot be used, see `surface_distances`.

    Source:
        Huttenlocher et al., IEEE TPAMI 15(9), 1993; as in Metrics Reloaded (Maier-Hein et al., Nat Methods
        21, 2024) and MONAI's `HausdorffDistanceMetric(percentile=95)`.
    """
    return surface_distances(reference, prediction, spacing).hausdorff95


def normalized_surface_dice(
    reference: BoolArray, prediction: BoolArray, tolerance: float, spacing: Sequence[float] | None = None
) -> float | None:
    """The share of both boundaries that lies within a tolerance of the other one.

    Args:
        reference: The expert's mask, bool, `(H, W)` or `(D, H, W)`.
        prediction: Ours, bool, the same shape.
        tolerance: The largest distance that counts as agreement, in the spacing's unit, 0 or more.
        spacing: Distance between pixel centres an axis, in any unit; None counts pixels.

    Returns:
        0…1: boundary pixels within the tolerance, of both masks, over all their boundary pixels; None where
        both masks are empty; 0 where one is.

    Raises:
        ValueError: The masks, the spacing or the tolerance cannot be used, see `surface_distances`.

    Source:
        Nikolov et al., J Med Internet Res 23(7):e26151, 2021; with boundary pixels counted rather than
        weighted by length, as in Metrics Reloaded (Maier-Hein et al., Nat Methods 21, 2024).
    """
    return surface_distances(reference, prediction, spacing).normalized_surface_dice(tolerance)


def boundary(mask: BoolArray) -> BoolArray:
    """The mask's pixels with a face neighbour that is not in the mask or lies beyond the array.

    Args:
        mask: Bool, any number of axes.
    """
    padded = np.pad(mask, 1)
    inside = mask.copy()
    for axis in range(mask.ndim):
        for shift in (0, 2):
            window = [slice(1, -1)] * mask.ndim
            window[axis] = slice(shift, shift + mask.shape[axis])
            inside &= padded[tuple(window)]
    return mask & ~inside


def _bounding_box(mask: BoolArray) -> tuple[slice, ...]:
    """The smallest box that holds every set pixel; outside it is no mask, so a crop moves no boundary."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)
