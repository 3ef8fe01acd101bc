"""What the user asked of the plan, and the plan that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import get_args

from delineate.choices import FourthAxis
from delineate.errors import PlanError, UsageError
from delineate.fingerprint import Fingerprint
from delineate.model_file import ModelCard
from delineate.networks.settings import Encoder
from delineate.plan import Plan, from_yaml, read_plan, retold, to_yaml
from delineate.planner import (
    Dims,
    Length,
    Planned,
    Precision,
    Preset,
    Seen,
    as_model_saw,
    make_plan,
    most_seen,
    with_room,
)
from delineate.planner.common import steps_of
from delineate.planner.encoders import with_encoder
from delineate.planner.inherited import inherit, refuse_other_network
from delineate.training.speed import measure_step

LEAST_MEASURED_S = 60.0  # in a shorter budget measuring takes too large a share


@dataclass(frozen=True)
class Wishes:
    """What the user asked of the plan.

    Attributes:
        length: Budget or epochs.
        preset: Of the plan, where none is given.
        seed: Of the training; None for 0, or the given plan's.
        precision: Likewise, None for "auto".
        plan: A plan file.
        dims: 2 for slices, 3 for volumes, None to have it chosen.
        left_right: Pairs of labels that change places in the mirror: "left lung=right lung,…".
        fourth_axis: Of volumes.
        encoder: The ResNet whose weights are given; "plain" for none.

    Raises:
        UsageError: They exclude each other, or one is none that there is.
        PlanError: The plan file cannot be read.
    """

    length: Length = field(default_factory=Length)
    _: KW_ONLY
    preset: Preset | None = None
    seed: int | None = None
    precision: Precision | None = None
    plan: Path | None = None
    dims: Dims | None = None
    left_right: str | None = None
    fourth_axis: FourthAxis = "refuse"
    encoder: Encoder = "plain"

    def __post_init__(self) -> None:
        if self.plan is not None and (self.dims is not None or self.left_right is not None):
            raise UsageError("A plan says by itself what --dims and --left-right do: change it there.")
        _pairs(self.left_right)
        if self.plan is not None and self.preset is not None:
            raise UsageError("Give either --plan or --preset: a plan says everything a preset does.")
        for name, value, known in (
            ("preset", self.preset, get_args(Preset)),
            ("precision", self.precision, get_args(Precision)),
            ("number of axes", self.dims, get_args(Dims)),
        ):
            if value is not None and value not in known:
                raise UsageError(f"There is no {name} {value!r}. Give one of {', '.join(map(str, known))}.")
        if self.seed is not None and (type(self.seed) is not int or not 0 <= self.seed < 2**31):
            raise UsageError(
                f"The seed {self.seed!r} is out of range: give a whole number, 0 to {2**31 - 1}."
            )
        if self.encoder != "plain" and (self.dims == 3 or self.preset == "classic"):
            raise UsageError(
                "--encoder takes neither --dims 3 nor the classic preset: those have their own nets."
            )
        if self.plan is not None:  # now, not after all images were looked at
            theirs = read_plan(self.plan).network.encoder
            if self.encoder not in ("plain", theirs):
                raise PlanError(
                    f"The plan {self.plan} has the network.encoder {theirs}, the weights are those of a "
                    f"{self.encoder}. Make them alike, or omit --plan."
                )


def _pairs(text: str | None) -> tuple[tuple[str, str], ...]:
    """Pairs of labels as the option names them."""
    if text is None:
        return ()
    pairs = []
    for part in text.split(","):
        left, _, right = (each.strip() for each in part.partition("="))
        if not left or not right:
            raise UsageError(
                f"--left-right {text!r} cannot be read: write pairs of labels, such as "
                "'left lung=right lung,left kidney=right kidney'."
            )
        pairs.append((left, right))
    return tuple(pairs)


def _refuse_unknown_pairs(text: str | None, labels: tuple[str, ...]) -> None:
    unknown = [name for pair in _pairs(text) for name in pair if name not in labels]
    if unknown:
        raise UsageError(
            f"--left-right names {', '.join(unknown)}, but the labels are {', '.join(labels)}. "
            "Write the names as the data or --labels have them."
        )


def planned_for(
    wishes: Wishes,
    fingerprint: Fingerprint,
    start: ModelCard | None = None,
    *,
    step_seconds: Callable[[Plan], float] = measure_step,
) -> tuple[Planned, str]:
    """The plan, and its text as it is kept in the run.

    Args:
        wishes: Of the user.
        fingerprint: Of the training cases.
        start: Of the model to start from; the plan's network is then its own.
        step_seconds: What a step by a plan takes here.

    Raises:
        UsageError: The model to start from sees another number of axes.
        PlanError: The given plan cannot be read, is for other data, or has not that model's network.
    """
    if wishes.plan is None:
        _refuse_unknown_pairs(wishes.left_right, fingerprint.labels)
        planned = _made(wishes, fingerprint, start, as_model_saw(start.plan) if start else None)
        if _may_see_more(planned.plan, wishes, fingerprint, start):
            seen = with_room(planned.plan, step_seconds(planned.plan))
            planned = _made(wishes, fingerprint, start, seen)
        return planned, to_yaml(planned.plan, planned.reasons)
    plan, text = read_plan(wishes.plan), wishes.plan.read_text(encoding="utf-8")
    _refuse_other_data(plan, fingerprint, wishes.plan)
    if start is not None:
        refuse_other_network(plan, start.plan.network, f"The plan {wishes.plan}")
    changed = plan.training.model_dump(mode="json")
    if wishes.length.budget_s is not None:
        changed |= {"budget_s": wishes.length.budget_s, "steps": None, "adjusted": ()}
    if wishes.length.epochs is not None:
        steps, _ = steps_of(wishes.length.epochs, fingerprint, plan.preprocessing, plan.training.batch_size)
        changed |= {"budget_s": None, "steps": steps, "adjusted": ()}
    if wishes.seed is not None:
        changed["seed"] = wishes.seed
    if wishes.precision is not None:
        changed["precision"] = wishes.precision
    asked = Plan.model_validate(plan.model_dump(mode="json") | {"training": changed})
    text = retold(text, plan, asked)
    return Planned(from_yaml(text)), text


def _may_see_more(plan: Plan, wishes: Wishes, fingerprint: Fingerprint, start: ModelCard | None) -> bool:
    """Whether it is worth measuring if the budget has room for larger images or patches."""
    short = (plan.training.budget_s or 0.0) < LEAST_MEASURED_S
    if short or start is not None or wishes.encoder != "plain":
        return False
    return plan != _made(wishes, fingerprint, start, most_seen(plan)).plan


def _made(wishes: Wishes, fingerprint: Fingerprint, start: ModelCard | None, seen: Seen | None) -> Planned:
    """The plan for the data, where none is given; `seen` as of `make_plan`."""
    planned = make_plan(
        fingerprint,
        wishes.length,
        preset=wishes.preset or "auto",
        seed=wishes.seed or 0,
        precision=wishes.precision or "auto",
        dims=wishes.dims if wishes.encoder == "plain" else 2,
        left_right=_pairs(wishes.left_right),
        fourth_axis=wishes.fourth_axis,
        seen=seen,
    )
    if start is not None:
        planned = inherit(planned, start.plan, start.weights_sha256[:12])
    if wishes.encoder != "plain":
        planned = with_encoder(planned, fingerprint, wishes.encoder)
    return planned


def _refuse_other_data(plan: Plan, data: Fingerprint, path: Path) -> None:
    theirs, ours = plan.data.labels, data.labels
    faults = []
    if len(theirs) != len(ours):
        faults.append(f"it is for the labels {', '.join(theirs)}, the data have {', '.join(ours)}")
    elif theirs != ours and set(theirs) == set(ours):
        faults.append(f"its data.labels are in another order than those of the data, {', '.join(ours)}")
    if plan.data.axes != data.axes:
        kinds = {2: "pictures", 3: "volumes"}
        faults.append(f"it is for {kinds[plan.data.axes]}, the data are {kinds[data.axes]}")
    if plan.data.pixels == "integer" and data.pixels == "float":
        faults.append("it is for integer images, the data hold float ones")
    if plan.data.colour == "channels" and plan.data.channels != data.channels:
        faults.append(f"it is for {plan.data.channels} channels, the data have {data.channels}")
    if faults:
        raise PlanError(f"The plan {path} does not fit the data: {'; '.join(faults)}.")
