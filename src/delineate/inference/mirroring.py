"""Which mirrored images are averaged in: those of axes along which the net saw them mirrored in training."""

from __future__ import annotations

from delineate.plan import Plan

CALLED = {-1: "width", -2: "height", -3: "depth"}


def mirrored_axes(plan: Plan) -> tuple[int, ...]:
    """The axes of a batch along which images are mirrored, counted from the last; none where that is off."""
    return trained_axes(plan) if plan.prediction.mirror else ()


def trained_axes(plan: Plan) -> tuple[int, ...]:
    """The axes along which the training mirrored images, counted from the last."""
    augmentation = plan.augmentation
    flips = {-1: augmentation.flip_horizontal, -2: augmentation.flip_vertical}
    if plan.network.axes == 3:
        flips[-3] = augmentation.flip_depth
    return tuple(axis for axis, trained in flips.items() if trained)


def with_mirroring(plan: Plan, mirror: bool) -> Plan:
    """The plan with mirroring in prediction on or off."""
    prediction = plan.prediction.model_copy(update={"mirror": mirror})
    return plan.model_copy(update={"prediction": prediction})
