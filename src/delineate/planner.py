"""From a fingerprint and a budget to a plan: every choice with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from delineate.augment.settings import CLASSIC as CLASSIC_AUGMENTATION
from delineate.augment.settings import AugmentationSettings
from delineate.errors import PlanError
from delineate.fingerprint import Fingerprint
from delineate.losses import LossSettings
from delineate.networks.settings import CLASSIC as CLASSIC_NETWORK
from delineate.networks.settings import UNetSettings
from delineate.plan import (
    MAXIMUM_SIDE,
    DataPlan,
    Plan,
    PredictionPlan,
    PreprocessingPlan,
    TrainingPlan,
    output_channels,
    plan_error,
)

Preset = Literal["auto", "classic"]
DEFAULT_BUDGET_S = 600.0
CLASSIC_EPOCHS = 50
WORKING_SIDE = 128
KEPT = 0.992  # least Dice that masks must keep when brought to the working size and back
KEPT_WHOLLY = 0.9993  # likewise, for patches to be taken from smaller images
ALIKE = 0.8  # least likeness of mirrored label places for mirroring to be allowed
FREE_ASPECT = 2.0  # largest ratio of aspects that stretching to one size may even out

WHOLE_STRIDE, PATCH_STRIDE = 32, 8
WHOLE_WIDTHS, PATCH_WIDTHS = (32, 64, 128, 192, 256), (24, 48, 96, 128)


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


def make_plan(
    fingerprint: Fingerprint,
    length: Length,
    *,
    preset: Preset = "auto",
    seed: int = 0,
    precision: Literal["auto", "bf16", "fp32"] = "auto",
) -> Planned:
    """Choose everything.

    Args:
        fingerprint: Of the training cases.
        length: How long to train; where it says neither, ten minutes, or 50 epochs of the classic preset.
        preset: "classic" is the widely copied Keras script's job; "auto" fits the data.
        seed: Of the training.
        precision: As the plan's.

    Returns:
        The plan; with a budget its steps are still to be measured.

    Raises:
        PlanError: The seed is out of its range, or the data have more channels than a net can take.
    """
    try:
        if preset == "classic":
            return _classic(fingerprint, length, seed, precision)
        return _auto(fingerprint, length, seed, precision)
    except ValidationError as error:
        raise plan_error("The plan for these data", error) from error


def _auto(
    data: Fingerprint, length: Length, seed: int, precision: Literal["auto", "bf16", "fp32"]
) -> Planned:
    reasons = _data_reasons(data)
    preprocessing, size_reasons = _preprocessing(data)
    reasons |= size_reasons
    whole = preprocessing.mode == "whole"
    batch_size = 16 if whole else 8
    steps, budget_s = _length(length, data.cases, batch_size, reasons)
    training = TrainingPlan(
        steps=steps,
        budget_s=budget_s,
        batch_size=batch_size,
        optimizer="muon",
        learning_rate=5e-3,
        weight_decay=0.05,
        foreground_share=0.0 if whole else 0.5,
        precision=precision,
        seed=seed,
    )
    reasons |= {
        "training.batch_size": "small batches take more steps in the same time",
        "training.optimizer": "learned more in the same time than AdamW (docs/decisions)",
        "training.schedule": "the rate has come down to zero when the time is over",
        "training.precision": "bf16 where the processor has fast arithmetic for it, else fp32",
    }
    if not whole:
        reasons["training.foreground_share"] = "half of the patches show a label, however rare it is"
    network = UNetSettings(
        input_channels=data.channels,
        output_channels=output_channels(len(data.labels)),
        widths=WHOLE_WIDTHS if whole else PATCH_WIDTHS,
        decoder_convolutions=1,
        residual=True,
        normalization="batch",
        upsampling="nearest",
        stem=2 if whole else 1,
    )
    reasons |= {
        "network.output_channels": _outputs_reason(len(data.labels)),
        "network.stem": "2×2 pixels at a time: four times the steps in the same time"
        if whole
        else "every pixel by itself, for thin and small structures",
    }
    augmentation, augmentation_reasons = _augmentation(data, whole=whole)
    reasons |= augmentation_reasons
    reasons["loss"] = "cross-entropy for every pixel, soft Dice for labels however small"
    reasons["prediction.mirror"] = (
        "the mean over the mirrorings seen in training"
        if augmentation.flip_horizontal or augmentation.flip_vertical
        else "no mirroring was trained"
    )
    plan = Plan(
        preset="auto",
        data=_data_plan(data),
        preprocessing=preprocessing,
        network=network,
        augmentation=augmentation,
        loss=LossSettings(cross_entropy=1, dice=1),
        training=training,
        prediction=PredictionPlan(
            overlap=0.25, mirror=augmentation.flip_horizontal or augmentation.flip_vertical
        ),
    )
    return Planned(plan, reasons)


def _preprocessing(data: Fingerprint) -> tuple[PreprocessingPlan, dict[str, str]]:
    """Whole images where their masks outlive it, else patches at the images' own resolution."""
    height, width = data.median
    side = min(WORKING_SIDE, max(_up(math.sqrt(height * width), WHOLE_STRIDE), WHOLE_STRIDE))
    kept = min((value for at, value in data.side_ceiling.items() if at >= side), default=1.0)
    reasons = {"preprocessing.normalization": "mean and deviation of the training images"}
    if kept >= KEPT:
        size = _with_aspect(side, height / width)
        even = data.aspect[1] / data.aspect[0] <= FREE_ASPECT
        reasons |= {
            "preprocessing.mode": f"masks keep {kept:.3f} at this size, so it costs next to nothing",
            "preprocessing.fit": f"height / width runs from {data.aspect[0]:.2f} to {data.aspect[1]:.2f}",
        }
        preprocessing = PreprocessingPlan(
            mode="whole",
            size=size,
            fit="stretch" if even else "pad",
            mean=data.mean,
            standard_deviation=data.standard_deviation,
        )
        return preprocessing, reasons
    scale = min(scale for scale, value in data.scale_ceiling.items() if value >= KEPT_WHOLLY or scale == 1)
    patch = tuple(
        min(WORKING_SIDE, max(_up(length * scale, PATCH_STRIDE), 2 * PATCH_STRIDE))
        for length in (height, width)
    )
    reasons |= {
        "preprocessing.mode": f"at {side} × {side} masks would keep a Dice of only {kept:.3f}",
        "preprocessing.scale": f"masks keep a Dice of {data.scale_ceiling[scale]:.3f}",
    }
    preprocessing = PreprocessingPlan(
        mode="patch",
        size=(patch[0], patch[1]),
        scale=scale,
        mean=data.mean,
        standard_deviation=data.standard_deviation,
    )
    return preprocessing, reasons


def _augmentation(data: Fingerprint, *, whole: bool) -> tuple[AugmentationSettings, dict[str, str]]:
    horizontal, vertical = data.mirrored_horizontally >= ALIKE, data.mirrored_vertically >= ALIKE
    free = horizontal and vertical
    far = 1.4 if whole and free else (1.2 if whole else 1.25)
    strength = 1.0 if whole and free else 0.6
    settings = AugmentationSettings(
        rotation_degrees=180 if free else 15,
        shift=0.075,
        zoom=(round(1 / far, 3), far),
        stretch=0.15,
        flip_horizontal=horizontal,
        flip_vertical=vertical,
        fill="reflect",
        brightness=0.25 * strength,
        contrast=0.35 * strength,
        gamma=0.4 * strength,
        colour=0.15 * strength if data.channels > 1 else 0.0,
    )
    share = "where labels lie agrees with its mirror image to {:.2f}"
    turned = (
        "any direction, as mirrored labels lie alike" if free else "labels have their sides: small turns only"
    )
    return settings, {
        "augmentation.rotation_degrees": turned,
        "augmentation.flip_horizontal": share.format(min(1.0, data.mirrored_horizontally)),
        "augmentation.flip_vertical": share.format(min(1.0, data.mirrored_vertically)),
    }


def _classic(
    data: Fingerprint, length: Length, seed: int, precision: Literal["auto", "bf16", "fp32"]
) -> Planned:
    """The net, sizes, augmentation and training of the widely copied Keras script."""
    reasons = {
        "preprocessing": "as in the widely copied Keras script: 128 × 128, values 0 to 1",
        "network": "the script's: 7,759,521 parameters with one grey channel and one label",
        "augmentation": "the script's ranges, here for image and mask alike",
        "loss": "the script's: cross-entropy alone",
    }
    if data.mirrored_horizontally < ALIKE:
        reasons["augmentation.flip_horizontal"] = "the script's; but these labels have sides: try false"
    if length == Length():
        length = Length(epochs=CLASSIC_EPOCHS)
    grey = data.colour in ("grey", "rgb")
    channels = 1 if grey else data.channels
    floats = data.pixels == "float"
    if floats:
        reasons["preprocessing.normalization"] = "float pixels have no range to bring to 0…1"
    steps, budget_s = _length(length, data.cases, 32, reasons)
    training = TrainingPlan(
        steps=steps,
        budget_s=budget_s,
        batch_size=32,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="constant",
        warmup=0.0,
        precision=precision,
        seed=seed,
    )
    reasons["training.optimizer"] = "the script's"
    plan = Plan(
        preset="classic",
        data=DataPlan(
            colour="grey" if grey else "channels", channels=channels, pixels=data.pixels, labels=data.labels
        ),
        preprocessing=PreprocessingPlan(
            mode="whole", size=(128, 128), normalization="image" if floats else "unit"
        ),
        network=CLASSIC_NETWORK.model_copy(
            update={"input_channels": channels, "output_channels": output_channels(len(data.labels))}
        ),
        augmentation=CLASSIC_AUGMENTATION,
        loss=LossSettings(cross_entropy=1, dice=0),
        training=training,
        prediction=PredictionPlan(),
    )
    return Planned(plan, reasons)


def _length(
    length: Length, cases: int, batch_size: int, reasons: dict[str, str]
) -> tuple[int | None, float | None]:
    if length.epochs is None:
        reasons["training.steps"] = "as many as fit into budget_s here; null has them measured again"
        return None, length.budget_s or DEFAULT_BUDGET_S
    reasons["training.steps"] = f"{length.epochs} epochs of {cases} cases"
    return math.ceil(length.epochs * cases / batch_size), None


def _data_plan(data: Fingerprint) -> DataPlan:
    return DataPlan(colour=data.colour, channels=data.channels, pixels=data.pixels, labels=data.labels)


def _data_reasons(data: Fingerprint) -> dict[str, str]:
    colour = {
        "grey": "all images are grey",
        "rgb": "some images have colours",
        "channels": "not grey, not colour: every channel for itself",
    }[data.colour]
    (low, high), (height, width) = (data.smallest, data.largest), data.median
    sizes = f"{width} × {height} px" if low == high else f"median {width} × {height} px, of different sizes"
    return {"data": f"{data.cases} training cases, {sizes}", "data.colour": colour}


def _outputs_reason(labels: int) -> str:
    return "one label: a sigmoid" if labels == 1 else f"{labels} labels and the background: a softmax"


def _with_aspect(side: int, aspect: float) -> tuple[int, int]:
    """Multiples of the stride with about the area of a square of this side, height / width near `aspect`."""
    root = math.sqrt(aspect)
    height, width = (
        min(MAXIMUM_SIDE, max(WHOLE_STRIDE, round(length / WHOLE_STRIDE) * WHOLE_STRIDE))
        for length in (side * root, side / root)
    )
    return height, width


def _up(length: float, multiple: int) -> int:
    return math.ceil(length / multiple) * multiple
