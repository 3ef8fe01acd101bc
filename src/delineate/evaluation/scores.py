"""One case's prediction against its reference, a score for every label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.image import IGNORED, Mask
from delineate.metrics.overlap import BoolArray, overlap
from delineate.metrics.surface import hausdorff95, surface_distances

TOLERANCE_PX = 2.0
State = Literal["scored", "both empty", "missed", "false alarm"]
Metric = Literal["dice", "iou", "precision", "recall", "accuracy", "hd95_px", "hd95_mm", "nsd"]


@dataclass(frozen=True)
class CaseScore:
    """How well one label was found in one case; None where a number is undefined.

    Attributes:
        case: The case's name.
        group: What it must not be split from (a patient).
        label: The label's name.
        state: "scored": both masks have the label; "both empty": neither, a true negative; "missed": the
            prediction lacks it; "false alarm": the reference lacks it.
        dice: 0…1; None where both are empty, 0 where one is; `iou` and `nsd` likewise.
        iou: Intersection over union, 0…1.
        precision: 0…1; None where nothing was predicted.
        recall: 0…1; None where the reference is empty.
        accuracy: Share of pixels that rightly have or have not this label, 0…1.
        hd95_px: 95th percentile Hausdorff distance in pixels; None where both are empty.
        hd95_mm: The same in millimetres; None also where the reference does not know its spacing.
        nsd: Normalised surface Dice at the tolerance, 0…1.
        reference_px: Pixels of the label in the reference.
        prediction_px: Pixels of the label in the prediction; of a false alarm, its size.
        hd95_is_diagonal: Whether the distances are the image's diagonal, since one mask is empty.
        pixel_accuracy: Share of the case's pixels with the right label of all, 0…1; the same for each label.
    """

    case: str
    group: str
    label: str
    state: State
    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None
    accuracy: float | None
    hd95_px: float | None
    hd95_mm: float | None
    nsd: float | None
    reference_px: int
    prediction_px: int
    hd95_is_diagonal: bool
    pixel_accuracy: float | None


def score_case(
    case: str, group: str, reference: Mask, prediction: Mask, *, tolerance_px: float = TOLERANCE_PX
) -> tuple[CaseScore, ...]:
    """Score a prediction, one label after the other.

    Pixels that the reference marks as not to be scored (255) count neither for nor against.

    Args:
        case: The case's name.
        group: Its group's.
        reference: The expert's mask.
        prediction: Ours, on the same grid and with the same labels.
        tolerance_px: Of the normalised surface Dice, in pixels.

    Returns:
        One score a label, in their order.

    Raises:
        ValueError: The grids or the labels differ.
    """
    if reference.values.shape != prediction.values.shape:
        raise ValueError(
            f"{case}: the reference is {reference.values.shape} and the prediction {prediction.values.shape}"
        )
    if reference.labels != prediction.labels:
        raise ValueError(
            f"{case}: the reference's labels are {', '.join(reference.labels.names)} "
            f"and the prediction's {', '.join(prediction.labels.names)}"
        )
    counted = reference.values != IGNORED
    right = int(np.count_nonzero((reference.values == prediction.values) & counted))
    pixels = int(np.count_nonzero(counted))
    pixel_accuracy = right / pixels if pixels else None
    return tuple(
        _score_label(
            (case, group, label.name),
            (reference.values == label.value),
            (prediction.values == label.value) & counted,
            ignored=reference.values.size - pixels,
            spacing_mm=reference.geometry.spacing_mm,
            tolerance_px=tolerance_px,
            pixel_accuracy=pixel_accuracy,
        )
        for label in reference.labels
    )


def _score_label(
    names: tuple[str, str, str],
    reference: BoolArray,
    prediction: BoolArray,
    *,
    ignored: int,
    spacing_mm: tuple[float, ...] | None,
    tolerance_px: float,
    pixel_accuracy: float | None,
) -> CaseScore:
    counts = overlap(reference, prediction)
    right = counts.true_positive + counts.true_negative - ignored
    pixels = reference.size - ignored
    distances = surface_distances(reference, prediction)
    return CaseScore(
        case=names[0],
        group=names[1],
        label=names[2],
        state=_state(distances.reference_empty, distances.prediction_empty),
        dice=counts.dice,
        iou=counts.iou,
        precision=counts.precision,
        recall=counts.recall,
        accuracy=right / pixels if pixels else None,
        hd95_px=distances.hausdorff95,
        hd95_mm=None if spacing_mm is None else hausdorff95(reference, prediction, spacing_mm),
        nsd=distances.normalized_surface_dice(tolerance_px),
        reference_px=counts.true_positive + counts.false_negative,
        prediction_px=counts.true_positive + counts.false_positive,
        hd95_is_diagonal=distances.reference_empty != distances.prediction_empty,
        pixel_accuracy=pixel_accuracy,
    )


def _state(reference_empty: bool, prediction_empty: bool) -> State:
    if reference_empty:
        return "both empty" if prediction_empty else "false alarm"
    return "missed" if prediction_empty else "scored"
