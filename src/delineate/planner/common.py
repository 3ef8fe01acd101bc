"""What a plan is asked for, what it comes with, and what all kinds of plan share."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from delineate.choices import FourthAxis, Precision
from delineate.errors import PlanError
from delineate.fingerprint import Fingerprint
from delineate.geometry import times
from delineate.plan import USUAL_THRESHOLD, DataPlan, Plan, PreprocessingPlan, TrainingPlan

Dims = Literal[2, 3]
DEFAULT_BUDGET_S = 600.0
LITTLE = 0.2  # share of the pixels that labels may cover for images to be normalized each by itself
ALIKE = 0.8  # least likeness of mirrored label places for mirroring to be allowed


@dataclass(frozen=True)
class Length:
    """How long to train: one of the two.

    Attributes:
        budget_s: Wall-clock seconds.
        epochs: Times every training case is seen.

    Raises:
        PlanError: Both are given, or one is out of its range.
    """

    budget_s: float | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        if self.budget_s is not None and self.epochs is not None:
            raise PlanError("Give either a budget or a number of epochs, not both.")
        if self.budget_s is not None and not 0 < self.budget_s <= 3_000_000:
            raise PlanError(f"A budget of {self.budget_s:g} s cannot be kept: give from 1s to 800h.")
        if self.epochs is not None and (type(self.epochs) is not int or not 1 <= self.epochs <= 100_000):
            raise PlanError(f"{self.epochs!r} epochs are out of range: give a whole number, 1 to 100000.")


@dataclass(frozen=True)
class Planned:
    """A plan and why it is so.

    Attributes:
        plan: The plan.
        reasons: By dotted name ("training.batch_size").
    """

    plan: Plan
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """How much of an image is to be seen at once.

    Attributes:
        pixels: Area of whole images, or voxels of patches of volumes, about.
        why: For the reasons of the plan.
        as_is: Also where that is less than usual, and whatever it takes of memory.
    """

    pixels: int
    why: str
    as_is: bool = False


@dataclass(frozen=True)
class Asked:
    """What a plan is asked for.

    Attributes:
        length: How long to train.
        seed: Of the training.
        precision: As the plan's.
        dims: 2 for slices, 3 for volumes; None to have it chosen.
        left_right: Pairs of labels that change places in the mirror.
        fourth_axis: Of volumes, as the plan's.
        seen: How much of an image; None for as little as its masks need.
    """

    length: Length
    seed: int = 0
    precision: Precision = "auto"
    dims: Dims | None = None
    left_right: tuple[tuple[str, str], ...] = ()
    fourth_axis: FourthAxis = "refuse"
    seen: Seen | None = None


def steps_of(
    epochs: int, data: Fingerprint, preprocessing: PreprocessingPlan, batch_size: int
) -> tuple[int, str]:
    """Steps in which every training case is seen so many times, and what that comes from.

    Args:
        epochs: How many times.
        data: Says how many cases, or slices of them, and how large.
        preprocessing: Says what is seen of one at a time: where patches are, a case is seen when as many were
            as cover the median one.
        batch_size: Of a step.
    """
    axes = len(preprocessing.size)
    seen, kind = (data.slices, "slices") if axes == 2 and data.slices else (data.cases, "cases")
    patches = 1
    if preprocessing.mode == "patch":
        size = [side * preprocessing.scale for side in data.median[-axes:]]
        if axes == 3 and data.spacing_mm is not None and preprocessing.spacing_mm is not None:
            ratios = zip(data.spacing_mm, preprocessing.spacing_mm, strict=True)
            size = [side * own / new for side, (own, new) in zip(data.median, ratios, strict=True)]
        patches = math.prod(
            math.ceil(max(1, round(side)) / each) for side, each in zip(size, preprocessing.size, strict=True)
        )
    each = f", each of {patches} patches" if patches > 1 else ""
    return math.ceil(epochs * seen * patches / batch_size), f"{epochs} epochs of {seen} {kind}{each}"


def length_of(
    length: Length,
    data: Fingerprint,
    preprocessing: PreprocessingPlan,
    batch_size: int,
    reasons: dict[str, str],
) -> tuple[int | None, float | None]:
    """Steps, or else the budget in seconds; the reason is added to `reasons`.

    Args:
        length: As asked for.
        data: Says how many cases there are.
        preprocessing: Says how they are seen.
        batch_size: Of a step.
        reasons: To be added to.
    """
    if length.epochs is None:
        reasons["training.steps"] = "as many as fit into budget_s here; null has them measured again"
        reasons["training.adjusted"] = "[steps done, steps in all] where steps took longer or less on the way"
        return None, length.budget_s or DEFAULT_BUDGET_S
    steps, reasons["training.steps"] = steps_of(length.epochs, data, preprocessing, batch_size)
    return steps, None


def data_plan(data: Fingerprint, asked: Asked) -> DataPlan:
    """What goes in and out."""
    return DataPlan(
        axes=data.axes,
        colour=data.colour,
        channels=data.channels,
        fourth_axis=asked.fourth_axis,
        pixels=data.pixels,
        labels=data.labels,
        left_right=asked.left_right,
    )


def data_reasons(data: Fingerprint) -> dict[str, str]:
    """What there is to say of the data."""
    colour = {
        "grey": "all images are grey",
        "rgb": "some images have colours",
        "channels": "not grey, not colour: every channel for itself",
    }[data.colour]
    shape = times(data.median)
    unit = "px" if data.axes == 2 else "voxels"
    sizes = (
        f"{shape} {unit}" if data.smallest == data.largest else f"median {shape} {unit}, of different sizes"
    )
    reasons = {"data": f"{data.cases} training cases, {sizes}", "data.colour": colour}
    if data.axes == 3 and data.spacing_mm is not None:
        reasons["data"] += f", median spacing {times(data.spacing_mm)} mm"
    return reasons


def outputs_reason(labels: int) -> str:
    """Why there are so many logits."""
    return "one label: a sigmoid" if labels == 1 else f"{labels} labels and the background: a softmax"


def threshold_plan(data: Fingerprint) -> tuple[float | None, dict[str, str]]:
    """From which probability on a pixel is foreground, and why: of one label it is set after the training."""
    if len(data.labels) > 1:
        return USUAL_THRESHOLD, {}
    shown = max(data.label_cases)
    if 2 * shown < data.cases:
        return USUAL_THRESHOLD, {
            "prediction.threshold": f"only {shown} of {data.cases} cases have the label: in the others each "
            "pixel found is a false alarm"
        }
    return None, {"prediction.threshold": "half of the Dice reached in training; the model says it"}


def training_plan(
    asked: Asked, steps: int | None, budget_s: float | None, *, batch_size: int, foreground_share: float
) -> tuple[TrainingPlan, dict[str, str]]:
    """How nets are trained where nothing else is asked for."""
    training = TrainingPlan(
        steps=steps,
        budget_s=budget_s,
        batch_size=batch_size,
        optimizer="muon",
        learning_rate=5e-3,
        weight_decay=0.05,
        adam_share=1.0,
        foreground_share=foreground_share,
        precision=asked.precision,
        seed=asked.seed,
    )
    return training, {
        "training.batch_size": "small batches take more steps in the same time",
        "training.optimizer": "learned more in the same time than AdamW (docs/decisions)",
        "training.adam_share": "better than half as fast on six sets (docs/decisions/tuning.md)",
        "training.schedule": "the rate has come down to zero when the time is over",
        "training.precision": "bf16 where the processor has fast arithmetic for it, else fp32",
    }


_SIDED = re.compile(r"(?i)(?<![a-z])(left|right|l|r|lt|rt|sin|dex|sinister|dexter|links|rechts)(?![a-z])")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")  # of "leftLung"


def look_paired(labels: tuple[str, ...]) -> bool:
    """Whether two labels have the same name but for the side."""
    names = [_HUMP.sub(" ", name) for name in labels]
    sided = [_SIDED.sub("side", name).casefold() for name in names if _SIDED.search(name)]
    return len(sided) > len(set(sided))


SIDED_LABELS = "labels have names of sides; to mirror all the same, pair them with --left-right"


@dataclass(frozen=True)
class Mirroring:
    """Whether images may be mirrored left to right, and why.

    Attributes:
        allowed: Whether.
        reason: Why.
    """

    allowed: bool
    reason: str


def left_right_mirroring(data: Fingerprint, asked: Asked, likeness: float) -> Mirroring:
    """Whether images may be mirrored along the axis that runs from left to right.

    Args:
        data: Says the labels.
        asked: Says which of them are pairs.
        likeness: How like label places are to their mirror image, see `Fingerprint`.
    """
    if asked.left_right:
        pairs = ", ".join(f"{left} with {right}" for left, right in asked.left_right)
        return Mirroring(True, f"where an image is mirrored, {pairs} change places")
    if look_paired(data.labels):
        return Mirroring(False, SIDED_LABELS)
    return Mirroring(likeness >= ALIKE, likeness_reason(likeness))


def likeness_reason(likeness: float) -> str:
    """What a likeness says."""
    return f"where labels lie agrees with its mirror image to at most {min(1.0, likeness):.2f}"


def up(length: float, multiple: int) -> int:
    """The next multiple."""
    return math.ceil(length / multiple) * multiple


def up_to_strides(plan: Plan, strides: tuple[int, ...]) -> dict[str, dict[str, object]]:
    """The sections of a plan that hold sizes, with the next that a network of these strides takes."""

    def rounded(size: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(up(side, stride) for side, stride in zip(size, strides, strict=True))

    window = plan.prediction.window
    return {
        "preprocessing": plan.preprocessing.model_dump() | {"size": rounded(plan.preprocessing.size)},
        "prediction": plan.prediction.model_dump() | {"window": None if window is None else rounded(window)},
    }


@dataclass(frozen=True)
class IntensityScheme:
    """How intensities are brought to one scale; see `PreprocessingPlan`."""

    normalization: Literal["dataset", "image"]
    mean: tuple[float, ...] = ()
    standard_deviation: tuple[float, ...] = ()
    clip: tuple[tuple[float, float], ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        """As those of `PreprocessingPlan` are called."""
        return dict(vars(self))


def intensity_scheme(data: Fingerprint) -> tuple[IntensityScheme, str]:
    """Choose it, with the reason.

    Source:
        Isensee et al.: nnU-Net, Nature Methods 2021 (CT by the labelled pixels' percentiles of all training
        cases, other images each by itself).
    """
    if data.calibrated and data.labelled_range and all(low < high for low, high in data.labelled_range):
        scheme = IntensityScheme("dataset", data.labelled_mean, data.labelled_deviation, data.labelled_range)
        return scheme, "CT numbers mean the same everywhere: percentiles of the labelled pixels"
    if data.pixels == "float" and (data.axes == 3 or data.modality is not None):
        return IntensityScheme("image"), "the numbers of one image mean nothing in another: each by itself"
    covered = sum(data.label_share)
    cut = "; few pixels lie very far from all others and are cut (preprocessing.clip)" if data.stray else ""
    if covered <= LITTLE:
        return IntensityScheme("image", clip=data.stray), (
            f"each image's own mean and deviation: labels cover only {covered:.1%} of the pixels{cut}"
        )
    return IntensityScheme("dataset", data.mean, data.standard_deviation, data.stray), (
        f"mean and deviation of all training images: labels cover {covered:.1%} of the pixels, so an image's "
        f"own values would depend on them{cut}"
    )
