"""The plan of a net that another program trained: enough to predict as it did, and a recipe to train on."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from delineate.augment.settings import CLASSIC as CLASSIC_AUGMENTATION
from delineate.image import Colour
from delineate.losses import LossSettings
from delineate.networks.settings import UNetSettings
from delineate.plan import DataPlan, Plan, PredictionPlan, PreprocessingPlan, TrainingPlan, plan_error
from delineate.planner.common import DEFAULT_BUDGET_S

EXACT = 1e-6


@dataclass(frozen=True)
class Intake:
    """What the net takes, made of an image's shares of its integer range: `shares · gain + offset`.

    Attributes:
        size: `(height, width)` that images are stretched to.
        gain: A channel, above 0.
        offset: Likewise.
    """

    size: tuple[int, int]
    gain: tuple[float, ...]
    offset: tuple[float, ...]


def plan_imported(network: UNetSettings, intake: Intake, labels: tuple[str, ...], threshold: float) -> Plan:
    """The plan by which the net predicts; of its training, which is not known, the classic recipe.

    Args:
        network: The net's.
        intake: What it takes.
        labels: Names of its labels.
        threshold: The least probability that is foreground, with one label.

    Raises:
        PlanError: The parts do not fit one another.
    """
    channels = network.input_channels
    colours: dict[int, Colour] = {1: "grey", 3: "rgb"}
    try:
        return Plan(
            preset="classic",
            data=DataPlan(colour=colours.get(channels, "channels"), channels=channels, labels=labels),
            preprocessing=_preprocessing(intake),
            network=network,
            augmentation=CLASSIC_AUGMENTATION,
            loss=LossSettings(cross_entropy=1, dice=0),
            training=TrainingPlan(
                budget_s=DEFAULT_BUDGET_S,
                batch_size=32,
                optimizer="adam",
                learning_rate=1e-3,
                schedule="constant",
                warmup=0.0,
            ),
            prediction=PredictionPlan(threshold=threshold),
        )
    except ValidationError as error:
        raise plan_error("What was asked for", error) from error


def _preprocessing(intake: Intake) -> PreprocessingPlan:
    plain = all(abs(gain - 1) < EXACT for gain in intake.gain) and all(
        abs(offset) < EXACT for offset in intake.offset
    )
    if plain:
        return PreprocessingPlan(mode="whole", size=intake.size, normalization="unit")
    return PreprocessingPlan(
        mode="whole",
        size=intake.size,
        normalization="dataset",
        mean=tuple(-offset / gain for gain, offset in zip(intake.gain, intake.offset, strict=True)),
        standard_deviation=tuple(1 / gain for gain in intake.gain),
    )
