"""One case's prediction against its reference, a score for every label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.image import IGNORED, Mask
from delineate.metrics.boundaries import boundaries
from delineate.metrics.overlap import BoolArray, overlap
from delineate.metrics.surface import measure

TOLERANCE_PX = 2.0
TOLERANCE_MM = 2.0  # of volumes
VOLUME = 3  # axes
MM3_PER_ML = 1000
Unit = Literal["mm", "px"]
State = Literal["scored", "both empty", "missed", "false alarm"]


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
        hd95_mm: The same in millimetres; None also where the spacing is not known.
        nsd: Normalised surface Dice at the tolerance, 0…1.
        nsd_tolerance: That tolerance.
        nsd_unit: Its unit, "mm" or "px".
        reference_px: Pixels (voxels) of the label in the reference.
        prediction_px: Pixels of the label in the prediction; of a false alarm, its size.
        reference_ml: Volume of the label in the reference, in millilitres; None for images with two axes and
            where the spacing is not known.
        prediction_ml: Likewise in the prediction.
        hd95_is_diagonal: Whether the distances are the image's diagonal, since one mask is empty.
        pixel_accuracy: Share of the case's pixels with the right label of all, 0…1; the same for each label.
        axes: How many the masks have: 2, or 3 for a volume.
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
    nsd_tolerance: float
    nsd_unit: Unit
    reference_px: int
    prediction_px: int
    reference_ml: float | None
    prediction_ml: float | None
    hd95_is_diagonal: bool
    pixel_accuracy: float | None
    axes: int


def score_case(
    case: str,
    group: str,
    reference: Mask,
    prediction: Mask,
    *,
    tolerance_mm: float | None = None,
) -> tuple[CaseScore, ...]:
    """Score a prediction, one label after the other.

    Pixels that the reference marks as not to be scored (255) count neither for nor against. The spacing is
    the reference's, or the prediction's where the reference does not know it.

    Args:
        case: The case's name.
        group: Its group's.
        reference: The expert's mask, `(H, W)` or `(D, H, W)`.
        prediction: Ours, on the same grid and with the same labels.
        tolerance_mm: Of the normalised surface Dice, where the spacing is known. None is 2 mm for volumes
            and 2 pixels for images with two axes. Without a spacing it is always 2 pixels.

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
    spacing_mm = reference.geometry.spacing_mm or prediction.geometry.spacing_mm
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
            spacing_mm=spacing_mm,
            tolerance=_tolerance(reference.values.ndim, spacing_mm, tolerance_mm),
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
    tolerance: tuple[float, Unit],
    pixel_accuracy: float | None,
) -> CaseScore:
    counts = overlap(reference, prediction)
    right = counts.true_positive + counts.true_negative - ignored
    pixels = reference.size - ignored
    reference_px = counts.true_positive + counts.false_negative
    prediction_px = counts.true_positive + counts.false_positive
    found = boundaries(reference, prediction)
    in_px = measure(found)
    in_mm = None if spacing_mm is None else measure(found, spacing_mm)
    value, unit = tolerance
    ml = None if spacing_mm is None or reference.ndim != VOLUME else math.prod(spacing_mm) / MM3_PER_ML
    return CaseScore(
        case=names[0],
        group=names[1],
        label=names[2],
        state=_state(found.reference_empty, found.prediction_empty),
        dice=counts.dice,
        iou=counts.iou,
        precision=counts.precision,
        recall=counts.recall,
        accuracy=right / pixels if pixels else None,
        hd95_px=in_px.hausdorff95,
        hd95_mm=in_mm.hausdorff95 if in_mm else None,
        nsd=(in_mm if in_mm and unit == "mm" else in_px).normalized_surface_dice(value),
        nsd_tolerance=value,
        nsd_unit=unit,
        reference_px=reference_px,
        prediction_px=prediction_px,
        reference_ml=None if ml is None else reference_px * ml,
        prediction_ml=None if ml is None else prediction_px * ml,
        hd95_is_diagonal=found.reference_empty != found.prediction_empty,
        pixel_accuracy=pixel_accuracy,
        axes=reference.ndim,
    )


def _tolerance(
    axes: int, spacing_mm: tuple[float, ...] | None, tolerance_mm: float | None
) -> tuple[float, Unit]:
    if spacing_mm is None or (axes != VOLUME and tolerance_mm is None):
        return TOLERANCE_PX, "px"
    return (TOLERANCE_MM if tolerance_mm is None else tolerance_mm), "mm"


def _state(reference_empty: bool, prediction_empty: bool) -> State:
    if reference_empty:
        return "both empty" if prediction_empty else "false alarm"
    return "missed" if prediction_empty else "scored"
