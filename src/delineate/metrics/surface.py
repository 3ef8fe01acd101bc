"""Agreement of the boundaries: the 95th percentile Hausdorff distance and the normalised surface Dice.

Distances lie between pixel centres, from each boundary pixel to the nearest one of the other mask.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from delineate.metrics.boundaries import Boundaries, Distances, boundaries
from delineate.metrics.overlap import BoolArray

# of the tolerance: a distance that equals it but for rounding is within it. Headers round most: NIfTI holds
# 0.4 mm in single precision, as 0.4000000059604645, and turned axes as three such numbers each
ROUNDING = 1e-6


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

    reference_to_prediction: Distances
    prediction_to_reference: Distances
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
    return measure(boundaries(reference, prediction), spacing)


def measure(found: Boundaries, spacing: Sequence[float] | None = None) -> SurfaceDistances:
    """Measure boundaries that were found before, see `surface_distances`.

    Raises:
        ValueError: A spacing is missing or not positive.
    """
    step = tuple(float(each) for each in spacing) if spacing is not None else (1.0,) * len(found.size)
    if len(step) != len(found.size) or not all(0 < each < math.inf for each in step):
        raise ValueError(f"{len(found.size)} positive spacings are needed, not {spacing}")
    return SurfaceDistances(
        found.to_prediction(step),
        found.to_reference(step),
        found.reference_empty,
        found.prediction_empty,
        diagonal=math.hypot(*(length * each for length, each in zip(found.size, step, strict=True))),
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
        tolerance: The largest distance that counts as agreement, in the spacing's unit, 0 or more; with a
            millionth more for what headers round.
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
