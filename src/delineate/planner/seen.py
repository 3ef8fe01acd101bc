"""How much of an image a net is to see at once, where that is more or less than the masks alone ask for."""

from __future__ import annotations

import math

from delineate.geometry import times
from delineate.plan import Plan
from delineate.planner.common import Seen

LARGER_SIDE = 192  # of whole images
LEAST_ROOM = 2500  # steps at the smaller side
LARGER_VOXELS = (96**3, 64**3)  # of patches of volumes
LEAST_LARGER_STEPS = 3000  # with the larger patches


def with_room(smallest: Plan, step_seconds: float) -> Seen | None:
    """How much is to be seen where the budget has room for more; None where it has not.

    Args:
        smallest: The plan without.
        step_seconds: What its steps take.
    """
    room = (smallest.training.budget_s or 0.0) / step_seconds
    if smallest.network.axes == 3:
        voxels = math.prod(smallest.preprocessing.size)
        for larger in LARGER_VOXELS:
            if larger > voxels and room * voxels / larger >= LEAST_LARGER_STEPS:
                return Seen(larger, _why(smallest, room, "fewer steps with larger patches show more"))
        return None
    if room < LEAST_ROOM:
        return None
    return Seen(LARGER_SIDE**2, _why(smallest, room, "fewer steps with larger images teach more"))


def _why(smallest: Plan, room: float, then: str) -> str:
    """What the budget has room for, and what is made of it."""
    steps = int(float(f"{room:.1e}"))  # measured in a moment: two digits
    minutes = round((smallest.training.budget_s or 0.0) / 60, 1)
    return (
        f"when this plan was made, about {steps:,} steps at {times(smallest.preprocessing.size)} would have "
        f"fitted into {minutes:g} min: {then}"
    )


def most_seen(smallest: Plan) -> Seen:
    """The most that `with_room` may ask for."""
    return Seen(LARGER_VOXELS[0] if smallest.network.axes == 3 else LARGER_SIDE**2, "there is room")


def as_model_saw(model: Plan) -> Seen | None:
    """How much is to be seen where a training starts from a model: as much as that saw of whole images.

    Args:
        model: By which it was trained.
    """
    seen = model.preprocessing
    if seen.mode != "whole":
        return None
    why = f"about as large as the model to start from saw its own: {times(seen.size)}"
    return Seen(math.prod(seen.size), why, as_is=True)
