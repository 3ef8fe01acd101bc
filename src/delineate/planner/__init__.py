"""From a fingerprint, a budget and the time of a step to a plan: every choice with its reason."""

from __future__ import annotations

from pydantic import ValidationError

from delineate.choices import FourthAxis, Precision, Preset
from delineate.errors import PlanError
from delineate.fingerprint import Fingerprint
from delineate.plan import plan_error
from delineate.planner.classic import CLASSIC_EPOCHS, plan_classic
from delineate.planner.common import (
    DEFAULT_BUDGET_S,
    Asked,
    Dims,
    Length,
    Planned,
    Seen,
)
from delineate.planner.pictures import plan_pictures
from delineate.planner.seen import as_model_saw, most_seen, with_room
from delineate.planner.volumes import choose_dims, plan_volumes

__all__ = [
    "CLASSIC_EPOCHS",
    "DEFAULT_BUDGET_S",
    "Dims",
    "Length",
    "Planned",
    "Precision",
    "Preset",
    "Seen",
    "as_model_saw",
    "make_plan",
    "most_seen",
    "with_room",
]


def make_plan(
    fingerprint: Fingerprint,
    length: Length,
    *,
    preset: Preset = "auto",
    seed: int = 0,
    precision: Precision = "auto",
    dims: Dims | None = None,
    left_right: tuple[tuple[str, str], ...] = (),
    fourth_axis: FourthAxis = "refuse",
    seen: Seen | None = None,
) -> Planned:
    """Choose everything.

    Args:
        fingerprint: Of the training cases.
        length: How long to train; where it says neither, ten minutes, or 50 epochs of the classic preset.
        preset: "classic" is the widely copied Keras script's job; "auto" fits the data.
        seed: Of the training.
        precision: As the plan's.
        dims: 2 to see volumes slice by slice, 3 as volumes; None to have it chosen.
        left_right: Pairs of labels that change places in the mirror.
        fourth_axis: Of volumes, as the plan's.
        seen: How much of an image the preset "auto" is to see at once, see `with_room` and `as_model_saw`;
            None for as little as its masks need.

    Returns:
        The plan; with a budget its steps are still to be measured.

    Raises:
        PlanError: The seed is out of its range, the data have more channels than a net can take, pictures are
            to be seen as volumes, or labels are paired that there are not.
    """
    asked = Asked(length, seed, precision, dims, left_right, fourth_axis, seen)
    if dims == 3 and (fingerprint.axes == 2 or preset == "classic"):
        why = "these images are pictures" if fingerprint.axes == 2 else "the classic net sees pictures"
        raise PlanError(f"--dims 3 is for volumes, but {why}.")
    try:
        if preset == "classic":
            return plan_classic(fingerprint, asked)
        if fingerprint.axes == 2:
            return plan_pictures(fingerprint, asked)
        axes, reason = choose_dims(fingerprint, asked)
        planned = (plan_volumes if axes == 3 else plan_pictures)(fingerprint, asked)
    except ValidationError as error:
        raise plan_error("The plan for these data", error) from error
    planned.reasons["network.axes"] = reason
    return planned
