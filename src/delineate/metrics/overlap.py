"""Agreement counted in pixels. What has no value is None, never 0, 1 or NaN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Overlap:
    """The four counts of pixels and the shares that follow from them, each in 0…1.

    Attributes:
        true_positive: In both masks.
        false_positive: In the prediction alone.
        false_negative: In the reference alone.
        true_negative: In neither.
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def dice(self) -> float | None:
        """`2 TP / (2 TP + FP + FN)`; None where both masks are empty, 0 where one is."""
        return _share(
            2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative
        )

    @property
    def iou(self) -> float | None:
        """Intersection over union, `TP / (TP + FP + FN)`; None where both masks are empty, 0 where one is."""
        return _share(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    @property
    def precision(self) -> float | None:
        """`TP / (TP + FP)`; None where nothing was predicted."""
        return _share(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float | None:
        """`TP / (TP + FN)`; None where the reference is empty."""
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def accuracy(self) -> float | None:
        """`(TP + TN) / all`; None for masks without a pixel."""
        right = self.true_positive + self.true_negative
        return _share(right, right + self.false_positive + self.false_negative)


def overlap(reference: BoolArray, prediction: BoolArray) -> Overlap:
    """Count how two masks overlap.

    Args:
        reference: The expert's mask, bool, any shape.
        prediction: Ours, bool, the same shape.

    Raises:
        ValueError: The shapes differ or a mask is not bool.
    """
    check_pair(reference, prediction)
    both = int(np.count_nonzero(reference & prediction))
    in_reference = int(np.count_nonzero(reference))
    in_prediction = int(np.count_nonzero(prediction))
    return Overlap(
        true_positive=both,
        false_positive=in_prediction - both,
        false_negative=in_reference - both,
        true_negative=reference.size - in_reference - in_prediction + both,
    )


def check_pair(reference: BoolArray, prediction: BoolArray) -> None:
    """Refuse masks that cannot be compared pixel by pixel.

    Raises:
        ValueError: The shapes differ or a mask is not bool.
    """
    if reference.shape != prediction.shape:
        raise ValueError(
            f"the reference is {reference.shape} and the prediction {prediction.shape}; they must be equal"
        )
    if reference.dtype != np.bool_ or prediction.dtype != np.bool_:
        raise ValueError(f"masks must be bool, not {reference.dtype} and {prediction.dtype}")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
