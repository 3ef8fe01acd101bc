"""The plan: every choice the trainer and the predictor use, readable and editable.

Sizes are `(height, width)` or `(depth, height, width)` in pixels, times in seconds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from delineate.augment.settings import AugmentationSettings
from delineate.choices import FourthAxis, Precision, Preset
from delineate.errors import PlanError
from delineate.files import write_text
from delineate.geometry import is_orientation
from delineate.image import Colour, LabelSet
from delineate.losses import LossSettings
from delineate.networks.settings import UNetSettings, most_parameters

MAXIMUM_PARAMETERS = 500_000_000
MAXIMUM_MEMBERS = 100  # of an ensemble
MAXIMUM_SIDE = 8192
USUAL_THRESHOLD = 0.5
LEAST_DICE = 0.5  # of a training, for the threshold to follow from it
Side = Annotated[int, Field(ge=16, le=MAXIMUM_SIDE)]
Length = Annotated[int, Field(ge=1, le=MAXIMUM_SIDE)]
OF_PICTURES, OF_VOLUMES = "of pictures", "of volumes"


def _kind_of_size(value: object) -> str:
    """Which of the two a size is meant to be, so that only its own faults are told."""
    return OF_VOLUMES if isinstance(value, list | tuple) and len(value) > 2 else OF_PICTURES


Size = Annotated[
    Annotated[tuple[Side, Side], Tag(OF_PICTURES)]
    | Annotated[tuple[Length, Length, Length], Tag(OF_VOLUMES)],
    Discriminator(_kind_of_size),
]
Spacing = Annotated[float, Field(gt=0, le=1000)]
MAXIMUM_VOXELS = 1 << 27
Steps = Annotated[int, Field(ge=1, le=1_000_000_000)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataPlan(_Section):
    """What goes in and what comes out.

    Attributes:
        axes: Of an image: 2 for pictures and single slices, 3 for volumes.
        colour: How an image's channels are read.
        channels: Channels the net sees.
        fourth_axis: Whether a volume's fourth axis is refused, or taken for channels.
        pixels: "integer" images are read as shares of their type's range, 0 to 1, so that 8-bit and 16-bit
            files of one picture are alike; "float" images, and those of the clinic's formats, as they are.
        labels: Names of the labels in the order of their values 1, 2, ….
        left_right: Pairs of labels that change places in the mirror, such as a left and a right lung.
    """

    axes: Literal[2, 3] = 2
    colour: Colour
    channels: Annotated[int, Field(ge=1, le=64)]
    fourth_axis: FourthAxis = "refuse"
    pixels: Literal["integer", "float"] = "integer"
    labels: Annotated[tuple[str, ...], Field(min_length=1, max_length=254)]
    left_right: tuple[tuple[str, str], ...] = ()

    @property
    def label_set(self) -> LabelSet:
        """The labels with their values."""
        return LabelSet.of(*self.labels)

    @property
    def swapped_values(self) -> tuple[tuple[int, int], ...]:
        """The values of the pairs of labels that change places in the mirror."""
        value = {name: at for at, name in enumerate(self.labels, start=1)}
        return tuple((value[left], value[right]) for left, right in self.left_right)


class PreprocessingPlan(_Section):
    """From a file's pixels to what the net sees.

    Attributes:
        mode: "whole": every image is brought to `size` and seen at once; "patch": images are scaled by
            `scale`, and the net sees cut-outs of `size`, in prediction overlapping windows.
        orientation: Volumes with a place in the patient are turned so that their axes (depth, height, width)
            run this way: "SPL" is to the head, to the back, to the left; null leaves them as they are stored.
            A net of two axes sees slices across the first.
        size: What the net sees.
        spacing_mm: Of a net of three axes: volumes are resampled to it, depth, height, width; null leaves
            their own pixels.
        fit: In mode "whole": "stretch" each image to `size`, or keep its aspect and "pad" what is left.
        scale: In mode "patch" of a net of two axes: magnification of the images, 1 for their own pixels.
        normalization: "unit" leaves [0, 1]; "dataset" subtracts `mean` and divides by `standard_deviation`;
            "image" does so with each image's own.
        clip: Lowest and highest value that is told apart, a channel; beyond it all is alike. Empty for none.
        mean: A channel, in shares of the integer range, or the units of float files.
        standard_deviation: Likewise.
    """

    mode: Literal["whole", "patch"]
    orientation: Annotated[str, Field(pattern="^[RLAPSI]{3}$")] | None = None
    size: Size
    spacing_mm: tuple[Spacing, Spacing, Spacing] | None = None
    fit: Literal["stretch", "pad"] = "stretch"
    scale: Annotated[float, Field(gt=0.01, le=8)] = 1.0
    normalization: Literal["unit", "dataset", "image"] = "dataset"
    mean: tuple[float, ...] = ()
    standard_deviation: tuple[Annotated[float, Field(gt=0)], ...] = ()
    clip: tuple[tuple[float, float], ...] = ()

    @property
    def relative_spacing(self) -> tuple[float, ...]:
        """How far pixels lie apart along each axis of `size`, in any unit."""
        return self.spacing_mm or (1.0,) * len(self.size)


class TrainingPlan(_Section):
    """How the net is trained.

    Attributes:
        steps: Optimizer steps; None until measured from `budget_s`.
        adjusted: Where steps took longer or less than the budget allowed for: pairs of the steps done and the
            whole number of steps that was changed to; the rest of the learning rate's way is spread over what
            is left of them.
        budget_s: Wall-clock time the steps were, or shall be, chosen for.
        batch_size: Images, or patches, a step.
        optimizer: "adam" (Kingma 2015), or "muon" (Jordan 2024) for the convolutions' weights with AdamW
            (Loshchilov 2019) for the rest.
        learning_rate: The highest.
        encoder_learning_rate: With "muon": likewise of a ResNet encoder, which then takes AdamW's steps;
            None to train it as the rest.
        schedule: "constant", or "one-cycle": a linear rise over `warmup`, then half a cosine to zero.
        warmup: Share of the steps.
        weight_decay: Of the convolutions' weights, with "muon".
        adam_share: AdamW's learning rate beside Muon's, in shares of it.
        foreground_share: Share of the batches that is drawn for a label where cases lack some, see
            `training.drawing`; in mode "patch" those patches are centred on a pixel of it.
        evaluations: How many times the validation part is looked at on the way, for the learning curve.
        watched_cases: Of how many validation cases, at most, such a look is.
        precision: "auto" takes bf16 where the processor has fast arithmetic for it; "bf16" or "fp32" set it.
        seed: Of the weights, the order of the images and the augmentation.
    """

    steps: Steps | None = None
    adjusted: Annotated[
        tuple[tuple[Steps, Steps], ...],
        Field(max_length=100, validation_alias=AliasChoices("adjusted", "shortened")),  # its name before
    ] = ()
    budget_s: Annotated[float, Field(gt=0, le=3_000_000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    optimizer: Literal["adam", "muon"] = "muon"
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    encoder_learning_rate: Annotated[float, Field(gt=0, le=10)] | None = None
    schedule: Literal["constant", "one-cycle"] = "one-cycle"
    warmup: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    adam_share: Annotated[float, Field(gt=0, le=10)] = 0.5
    foreground_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    evaluations: Annotated[int, Field(ge=1, le=1000)] = 10
    watched_cases: Annotated[int, Field(ge=1, le=1000)] = 32
    precision: Precision = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.steps is None and self.budget_s is None:
            raise ValueError("give steps, or budget_s to have them measured")
        done, steps = 0, self.steps
        for at, whole in self.adjusted:
            if steps is None or not done < at < min(steps, whole) or whole == steps:
                raise ValueError(
                    "adjusted holds pairs [steps done, steps in all], each after the one before and with "
                    "another number of steps in all"
                )
            done, steps = at, whole
        return self

    @property
    def last_step(self) -> int | None:
        """How many steps are taken in all; None until they are measured."""
        return self.adjusted[-1][1] if self.adjusted else self.steps


class PredictionPlan(_Section):
    """From the net's probabilities to a mask.

    Attributes:
        threshold: With one label: the least probability that is foreground; of several the likeliest wins.
            None until the training is over: then half of the Dice that it reached, see `Plan.with_threshold`.
        window: In mode "patch": what the net sees at once, `(height, width)` or `(depth, height, width)`;
            None for `preprocessing.size`, as in training.
        overlap: Likewise: share by which neighbouring windows overlap.
        mirror: Whether predictions of the mirrored image are averaged in.
    """

    threshold: Annotated[float, Field(gt=0, lt=1)] | None = 0.5
    window: Size | None = None
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.25
    mirror: bool = False


class Plan(_Section):
    """All of it. See the sections."""

    format: Literal[1] = 1
    preset: Preset
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
        yield from self._misfits_of_space()
        if preprocessing.normalization == "dataset":
            for name in ("mean", "standard_deviation"):
                given = len(getattr(preprocessing, name))
                if given != data.channels:
                    yield f"preprocessing.{name} needs one number a channel: {data.channels}, not {given}"
        if most_parameters(network) > MAXIMUM_PARAMETERS:
            yield f"network.widths make a net of more than {MAXIMUM_PARAMETERS:,} parameters"
        coarsest = math.prod(
            side // stride for side, stride in zip(preprocessing.size, network.total_strides, strict=False)
        )
        if network.normalization == "batch" and self.training.batch_size * coarsest == 1:
            yield "training.batch_size must be 2 or more: the net's coarsest level is a single pixel"
        slower = self.training.encoder_learning_rate is not None
        if slower and (network.encoder == "plain" or self.training.optimizer != "muon"):
            yield "training.encoder_learning_rate is for a ResNet as network.encoder, with the optimizer muon"
        if not self.loss.cross_entropy and not self.loss.dice:
            yield "loss.cross_entropy and loss.dice are both 0, so that there is nothing to learn"

    def _misfits_of_space(self) -> Iterator[str]:
        """What cannot be together of axes, sizes and sides."""
        data, preprocessing, network = self.data, self.preprocessing, self.network
        yield from self._misfits_of_size("preprocessing.size", preprocessing.size)
        if self.prediction.window is not None:
            if preprocessing.mode == "whole":
                yield 'prediction.window is for preprocessing.mode "patch"'
            yield from self._misfits_of_size("prediction.window", self.prediction.window)
        if network.axes == 3:
            if data.axes == 2:
                yield "network.axes is 3, but data.axes is 2: a net of volumes cannot see pictures"
            if preprocessing.mode == "whole":
                yield 'preprocessing.mode must be "patch" for a net of three axes'
        elif preprocessing.spacing_mm is not None:
            yield "preprocessing.spacing_mm is for a net of three axes"
        if preprocessing.orientation and not is_orientation(preprocessing.orientation):
            yield "preprocessing.orientation names each of the three directions once, such as SPL"
        if preprocessing.clip and len(preprocessing.clip) != data.channels:
            pairs = len(preprocessing.clip)
            yield f"preprocessing.clip needs one pair a channel: {data.channels}, not {pairs}"
        if any(low >= high for low, high in preprocessing.clip):
            yield "preprocessing.clip runs from the lower to the higher value"
        paired = [name for pair in data.left_right for name in pair]
        if len(set(paired)) != len(paired) or set(paired) - set(data.labels):
            yield "data.left_right must name each label at most once, and only such as there are"

    def _misfits_of_size(self, name: str, size: Size) -> Iterator[str]:
        sides, network = list(size), self.network
        if len(sides) != network.axes:
            yield f"{name} {sides} must have network.axes = {network.axes} numbers"
        elif any(side % stride for side, stride in zip(sides, network.total_strides, strict=True)):
            strides = network.stride if network.axes == 2 else list(network.total_strides)
            yield f"{name} {sides} must be a multiple of {strides}, the network's stride"
        if math.prod(sides) > MAXIMUM_VOXELS:
            yield f"{name} {sides} is too large: at most {MAXIMUM_VOXELS:,} pixels"

    @property
    def window(self) -> Size:
        """What the net sees at once in prediction, `(height, width)` or `(depth, height, width)`."""
        return self.prediction.window or self.preprocessing.size

    def with_steps(
        self, steps: int, evaluations: int | None = None, watched_cases: int | None = None
    ) -> Plan:
        """This plan with its number of steps settled, and the looks on the way if they are given.

        Raises:
            PlanError: A number is out of its range.
        """
        values = self.training.model_dump() | {"steps": steps, "adjusted": ()}
        if evaluations is not None:
            values["evaluations"] = evaluations
        if watched_cases is not None:
            values["watched_cases"] = watched_cases
        try:
            training = TrainingPlan.model_validate(values)
        except ValidationError as error:
            raise plan_error("The plan", error) from error
        return self.model_copy(update={"training": training})

    @property
    def threshold(self) -> float:
        """With one label: the least probability that is foreground; 0.5 where that is still to be set."""
        return USUAL_THRESHOLD if self.prediction.threshold is None else self.prediction.threshold

    def with_threshold(self, dice: float | None) -> Plan:
        """This plan with its threshold, where it was still to be set; else as it is.

        Where probabilities are right, a pixel adds to the best Dice that can be had if it is foreground with
        at least half of that Dice.

        Args:
            dice: That the batches reached at the end of the training, in [0, 1]; None where none had a label.
                Below 0.5 the net knows too little for its probabilities to be trusted, and 0.5 is taken.

        Source:
            Lipton, Elkan, Naryanaswamy: Optimal thresholding of classifiers to maximize F1, ECML 2014.
        """
        if len(self.data.labels) > 1 or dice is None or dice < LEAST_DICE:
            return self._with_open(USUAL_THRESHOLD)
        return self._with_open(round(dice / 2, 3))

    def with_threshold_of(self, trained: Plan) -> Plan:
        """This plan with the threshold that the plan of a trained model has, where it was still to be set."""
        return self._with_open(trained.prediction.threshold)

    def _with_open(self, threshold: float | None) -> Plan:
        if self.prediction.threshold is not None:
            return self
        prediction = self.prediction.model_copy(update={"threshold": threshold})
        return self.model_copy(update={"prediction": prediction})

    def with_adjusted(self, adjusted: tuple[tuple[int, int], ...]) -> Plan:
        """This plan with other changes of its number of steps; see `TrainingPlan`."""
        training = TrainingPlan.model_validate(self.training.model_dump() | {"adjusted": adjusted})
        return self.model_copy(update={"training": training})

    def sha256(self) -> str:
        """A hash of every choice, for files that must belong to this plan."""
        usual = self.training.watched_cases == TrainingPlan.model_fields["watched_cases"].default
        left_out = {"training": {"watched_cases"}} if usual else None  # plans had none of it at first
        return hashlib.sha256(self.model_dump_json(exclude=left_out).encode()).hexdigest()


def output_channels(labels: int) -> int:
    """Logits a pixel: one with a sigmoid for one label, else one each and one for the background."""
    return 1 if labels == 1 else labels + 1


def members_error(plan: Plan, members: int) -> str | None:
    """Why a model cannot hold so many nets of a plan; None if it can."""
    if members > MAXIMUM_MEMBERS:
        return f"{members} nets are more than the {MAXIMUM_MEMBERS} that a model can hold"
    if members * most_parameters(plan.network) <= MAXIMUM_PARAMETERS:
        return None
    return f"{members} nets of this plan have more than {MAXIMUM_PARAMETERS:,} parameters together"


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
        parts = (part for part in (within, *found["loc"]) if part not in ("", OF_PICTURES, OF_VOLUMES))
        place = ".".join(map(str, parts))
        reason = found["msg"].removeprefix("Value error, ")
        faults.append(f"{place}: {reason}" if place else reason)
    return PlanError(f"{source} cannot be used: {'; '.join(faults)}.")


def retold(text: str, plan: Plan, changed: Plan) -> str:
    """The text of a plan with its training or prediction changed, comments kept where its style allows.

    Args:
        text: Of `plan`.
        plan: As it was.
        changed: As it shall be, differing in single values of `training` and `prediction` alone.

    Returns:
        YAML that reads back as `changed`.
    """
    kept = text
    for old, new in ((plan.training, changed.training), (plan.prediction, changed.prediction)):
        for name in type(old).model_fields:
            before, after = getattr(old, name), getattr(new, name)
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
