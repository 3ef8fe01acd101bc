"""What the user asked of the plan, and the plan that comes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from delineate.errors import PlanError, UsageError
from delineate.fingerprint import Fingerprint
from delineate.plan import Plan, read_plan, to_yaml
from delineate.planner import Length, Planned, Preset, make_plan


@dataclass(frozen=True)
class Wishes:
    """What the user asked of the plan.

    Attributes:
        length: Budget or epochs.
        preset: Of the plan, where none is given.
        seed: Of the training; None for 0, or the given plan's.
        precision: Likewise, None for "auto".
        plan: A plan file.
    """

    length: Length = field(default_factory=Length)
    preset: Preset | None = None
    seed: int | None = None
    precision: Literal["auto", "bf16", "fp32"] | None = None
    plan: Path | None = None


def planned_for(wishes: Wishes, fingerprint: Fingerprint) -> tuple[Planned, str]:
    """The plan, and its text as it is kept in the run.

    Args:
        wishes: Of the user.
        fingerprint: Of the training cases.

    Raises:
        PlanError: The given plan cannot be read or is for other data.
    """
    if wishes.plan is None:
        planned = make_plan(
            fingerprint,
            wishes.length,
            preset=wishes.preset or "auto",
            seed=wishes.seed or 0,
            precision=wishes.precision or "auto",
        )
        return planned, to_yaml(planned.plan, planned.reasons)
    plan = read_plan(wishes.plan)
    _refuse_other_data(plan, fingerprint, wishes.plan)
    if wishes == Wishes(plan=wishes.plan):
        return Planned(plan), wishes.plan.read_text(encoding="utf-8")
    changed = plan.training.model_dump(mode="json")
    if wishes.length.budget_s is not None:
        changed |= {"budget_s": wishes.length.budget_s, "steps": None}
    if wishes.length.epochs is not None:
        steps = math.ceil(wishes.length.epochs * fingerprint.cases / plan.training.batch_size)
        changed |= {"budget_s": None, "steps": steps}
    if wishes.seed is not None:
        changed["seed"] = wishes.seed
    if wishes.precision is not None:
        changed["precision"] = wishes.precision
    plan = Plan.model_validate(plan.model_dump(mode="json") | {"training": changed})
    return Planned(plan), to_yaml(plan)


def refuse_contradictions(wishes: Wishes) -> None:
    """Raise a UsageError where wishes exclude each other or are out of range."""
    if wishes.plan is not None and wishes.preset is not None:
        raise UsageError("Give either --plan or --preset: a plan says everything a preset does.")
    if wishes.length.budget_s is not None and wishes.length.epochs is not None:
        raise PlanError("Give either a budget or a number of epochs, not both.")
    if wishes.seed is not None and not 0 <= wishes.seed < 2**31:
        raise UsageError(f"The seed {wishes.seed} is out of range: give 0 to {2**31 - 1}.")


def _refuse_other_data(plan: Plan, data: Fingerprint, path: Path) -> None:
    faults = []
    if len(plan.data.labels) != len(data.labels):
        faults.append(
            f"it is for the labels {', '.join(plan.data.labels)}, the data have {', '.join(data.labels)}"
        )
    if plan.data.pixels == "integer" and data.pixels == "float":
        faults.append("it is for integer images, the data hold float ones")
    if plan.data.colour == "channels" and plan.data.channels != data.channels:
        faults.append(f"it is for {plan.data.channels} channels, the data have {data.channels}")
    if faults:
        raise PlanError(f"The plan {path} does not fit the data: {'; '.join(faults)}.")
