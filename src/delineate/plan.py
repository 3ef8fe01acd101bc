"""The plan: every choice the trainer and the predictor use, readable and editable.

Sizes are `(height, width)` in pixels, times in seconds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from delineate.augment.settings import AugmentationSettings
from delineate.errors import PlanError
from delineate.files import write_text
from delineate.image import Colour, LabelSet
from delineate.losses import LossSettings
from delineate.networks.settings import UNetSettings, most_parameters

MAXIMUM_PARAMETERS = 500_000_000
MAXIMUM_SIDE = 8192
Side = Annotated[int, Field(ge=16, le=MAXIMUM_SIDE)]
Size = tuple[Side, Side]
Steps = Annotated[int, Field(ge=1, le=1_000_000_000)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataPlan(_Section):
    """What goes in and what comes out.

    Attributes:
        colour: How an image's channels are read.
        channels: Channels the net sees.
        pixels: "integer" images are read as shares of their type's range, 0 to 1, so that 8-bit and 16-bit
            files of one picture are alike; "float" images are read as they are.
        labels: Names of the labels in the order of their values 1, 2, ….
    """

    colour: Colour
    channels: Annotated[int, Field(ge=1, le=64)]
    pixels: Literal["integer", "float"] = "integer"
    labels: Annotated[tuple[str, ...], Field(min_length=1, max_length=254)]

    @property
    def label_set(self) -> LabelSet:
        """The labels with their values."""
        return LabelSet.of(*self.labels)


class PreprocessingPlan(_Section):
    """From a file's pixels to what the net sees.

    Attributes:
        mode: "whole": every image is brought to `size` and seen at once; "patch": images are scaled by
            `scale`, and the net sees cut-outs of `size`, in prediction overlapping windows of it.
        size: What the net sees.
        fit: In mode "whole": "stretch" each image to `size`, or keep its aspect and "pad" what is left.
        scale: In mode "patch": magnification of the images, 1 for their own pixels.
        normalization: "unit" leaves [0, 1]; "dataset" subtracts `mean` and divides by `standard_deviation`;
            "image" does so with each image's own.
        mean: A channel, in shares of the integer range, or the units of float files.
        standard_deviation: Likewise.
    """

    mode: Literal["whole", "patch"]
    size: Size
    fit: Literal["stretch", "pad"] = "stretch"
    scale: Annotated[float, Field(gt=0.01, le=8)] = 1.0
    normalization: Literal["unit", "dataset", "image"] = "dataset"
    mean: tuple[float, ...] = ()
    standard_deviation: tuple[Annotated[float, Field(gt=0)], ...] = ()


class TrainingPlan(_Section):
    """How the net is trained.

    Attributes:
        steps: Optimizer steps; None until measured from `budget_s`.
        budget_s: Wall-clock time the steps were, or shall be, chosen for.
        batch_size: Images, or patches, a step.
        optimizer: "adam" (Kingma 2015), or "muon" (Jordan 2024) for the convolutions' weights with AdamW
            (Loshchilov 2019) for the rest.
        learning_rate: The highest.
        schedule: "constant", or "one-cycle": a linear rise over `warmup`, then half a cosine to zero.
        warmup: Share of the steps.
        weight_decay: Of the convolutions' weights, with "muon".
        foreground_share: In mode "patch": share of the patches that are centred on a labelled pixel.
        evaluations: How many times the validation part is looked at on the way, for the learning curve.
        precision: "auto" takes bf16 where the processor has fast arithmetic for it; "bf16" or "fp32" set it.
        seed: Of the weights, the order of the images and the augmentation.
    """

    steps: Steps | None = None
    budget_s: Annotated[float, Field(gt=0, le=3_000_000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    optimizer: Literal["adam", "muon"] = "muon"
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    schedule: Literal["constant", "one-cycle"] = "one-cycle"
    warmup: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    foreground_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    evaluations: Annotated[int, Field(ge=1, le=1000)] = 10
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.steps is None and self.budget_s is None:
            raise ValueError("give steps, or budget_s to have them measured")
        return self


class PredictionPlan(_Section):
    """From the net's probabilities to a mask.

    Attributes:
        threshold: With one label: the least probability that is foreground; of several the likeliest wins.
        overlap: In mode "patch": share by which neighbouring windows overlap.
        mirror: Whether predictions of the mirrored image are averaged in.
    """

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.25
    mirror: bool = False


class Plan(_Section):
    """All of it. See the sections."""

    format: Literal[1] = 1
    preset: Literal["auto", "classic"]
    data: DataPlan
    preprocessing: PreprocessingPlan
    network: UNetSettings
    augmentation: AugmentationSettings
    loss: LossSettings
    training: TrainingPlan
    prediction: PredictionPlan

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if misfits := list(self._misfits()):
            raise ValueError("; ".join(misfits))
        return self

    def _misfits(self) -> Iterator[str]:
        """What cannot be together, each as a sentence that names the fields."""
        data, preprocessing, network = self.data, self.preprocessing, self.network
        try:
            LabelSet.of(*data.labels)
        except ValueError as error:
            yield f"data.labels: {error}"
        if network.input_channels != data.channels:
            yield f"network.input_channels is {network.input_channels}, data.channels {data.channels}"
        outputs = output_channels(len(data.labels))
        if network.output_channels != outputs:
            given, labels = network.output_channels, len(data.labels)
            yield f"network.output_channels must be {outputs} for {labels} label(s), not {given}"
        if any(side % network.stride for side in preprocessing.size):
            sides = list(preprocessing.size)
            yield f"preprocessing.size {sides} must be a multiple of {network.stride}, the network's stride"
        if preprocessing.normalization == "dataset":
            for name in ("mean", "standard_deviation"):
                given = len(getattr(preprocessing, name))
                if given != data.channels:
                    yield f"preprocessing.{name} needs one number a channel: {data.channels}, not {given}"
        if most_parameters(network) > MAXIMUM_PARAMETERS:
            yield f"network.widths make a net of more than {MAXIMUM_PARAMETERS:,} parameters"
        coarsest = math.prod(side // network.stride for side in preprocessing.size)
        if network.normalization == "batch" and self.training.batch_size * coarsest == 1:
            yield "training.batch_size must be 2 or more: the net's coarsest level is a single pixel"
        if not self.loss.cross_entropy and not self.loss.dice:
            yield "loss.cross_entropy and loss.dice are both 0, so that there is nothing to learn"

    def with_steps(self, steps: int, evaluations: int | None = None) -> Plan:
        """This plan with its number of steps settled, and that of the looks on the way if it is given.

        Raises:
            PlanError: A number is out of its range.
        """
        values = self.training.model_dump() | {"steps": steps}
        if evaluations is not None:
            values["evaluations"] = evaluations
        try:
            training = TrainingPlan.model_validate(values)
        except ValidationError as error:
            raise plan_error("The plan", error) from error
        return self.model_copy(update={"training": training})

    def sha256(self) -> str:
        """A hash of every choice, for files that must belong to this plan."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def output_channels(labels: int) -> int:
    """Logits a pixel: one with a sigmoid for one label, else one each and one for the background."""
    return 1 if labels == 1 else labels + 1


def to_yaml(plan: Plan, reasons: Mapping[str, str] | None = None) -> str:
    """The plan as a person reads it: one choice a line, the reason behind it as a comment.

    Args:
        plan: The plan.
        reasons: Why, by dotted name ("training.batch_size").

    Returns:
        YAML that `from_yaml` reads back to an equal plan.
    """
    reasons = reasons or {}
    lines = ["# Every choice of this run. Edit a copy and train with it: delineate train DATA --plan COPY"]
    for name, value in plan.model_dump(mode="json").items():
        if not isinstance(value, dict):
            lines += _yaml_line(name, value, reasons.get(name), indent="")
            continue
        lines.append("")
        if name in reasons:
            lines.append(f"# {' '.join(reasons[name].split())}")
        lines.append(f"{name}:")
        for field, choice in value.items():
            lines += _yaml_line(field, choice, reasons.get(f"{name}.{field}"), indent="  ")
    return "\n".join(lines) + "\n"


def _yaml_line(name: str, value: object, reason: str | None, *, indent: str) -> list[str]:
    line = f"{indent}{name}: {_scalar(value)}"
    if reason is None:
        return [line]
    reason = " ".join(reason.split())
    return [f"{line}  # {reason}"] if len(line) + len(reason) < 108 else [f"{indent}# {reason}", line]


def _scalar(value: object) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    text = text.removesuffix("...\n").strip("\n")
    if not text.isprintable():  # line breaks, even rare ones, would be folded into blanks: escape them
        text = yaml.safe_dump(value, default_flow_style=True, default_style='"', width=10**6).strip()
    return text


def from_yaml(text: str, source: str = "the plan") -> Plan:
    """Read a plan.

    Args:
        text: YAML.
        source: Where it came from, for messages.

    Returns:
        The plan.

    Raises:
        PlanError: It is no YAML, or a field is unknown, missing or out of its range; all are listed.
    """
    try:
        values: Any = yaml.safe_load(text)
    except Exception as error:  # PyYAML raises anything on values such as `!!int x` or 2001-99-99
        raise PlanError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise PlanError(f"{source} holds no plan: expected sections such as data, network and training.")
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        raise plan_error(source, error) from error


def plan_error(source: str, error: ValidationError) -> PlanError:
    """All that is wrong with a plan, field by field.

    Args:
        source: What it is, to begin the message with.
        error: What the validation of a plan, or of one of its sections, found.
    """
    sections = {getattr(field.annotation, "__name__", ""): name for name, field in Plan.model_fields.items()}
    within = sections.get(error.title, "")
    faults = []
    for found in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in (within, *found["loc"]) if part != "")
        reason = found["msg"].removeprefix("Value error, ")
        faults.append(f"{place}: {reason}" if place else reason)
    return PlanError(f"{source} cannot be used: {'; '.join(faults)}.")


def retold(text: str, plan: Plan, changed: Plan) -> str:
    """The text of a plan with its training section changed, comments kept where its style allows.

    Args:
        text: Of `plan`.
        plan: As it was.
        changed: As it shall be, differing in `training` alone.

    Returns:
        YAML that reads back as `changed`.
    """
    kept = text
    for name in TrainingPlan.model_fields:
        before, after = getattr(plan.training, name), getattr(changed.training, name)
        if before != after:
            kept = kept.replace(f"\n  {name}: {_scalar(before)}", f"\n  {name}: {_scalar(after)}", 1)
    try:
        return kept if from_yaml(kept) == changed else to_yaml(changed)
    except PlanError:
        return to_yaml(changed)


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        PlanError: It cannot be read, or is no plan.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise PlanError(f"The plan {path} cannot be read: {reason}.") from error
    return from_yaml(text, str(path))


def write_plan(path: Path, plan: Plan, reasons: Mapping[str, str] | None = None) -> None:
    """Write a plan file, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    write_text(path, to_yaml(plan, reasons))
