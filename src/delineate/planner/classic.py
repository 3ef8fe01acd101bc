"""The plan that repeats the widely copied Keras script's job."""

from __future__ import annotations

from delineate.augment.settings import CLASSIC as CLASSIC_AUGMENTATION
from delineate.fingerprint import Fingerprint
from delineate.losses import LossSettings
from delineate.networks.settings import CLASSIC as CLASSIC_NETWORK
from delineate.plan import Plan, PredictionPlan, PreprocessingPlan, TrainingPlan, output_channels
from delineate.planner.common import ALIKE, Asked, Length, Planned, data_plan, length_of

CLASSIC_EPOCHS = 50


def plan_classic(data: Fingerprint, asked: Asked) -> Planned:
    """The net, sizes, augmentation and training of the widely copied Keras script."""
    reasons = {
        "preprocessing": "as in the widely copied Keras script: 128 × 128, values 0 to 1",
        "network": "the script's: 7,759,521 parameters with one grey channel and one label",
        "augmentation": "the script's ranges, here for image and mask alike",
        "loss": "the script's: cross-entropy alone",
    }
    length = asked.length
    if data.mirrored_horizontally < ALIKE:
        reasons["augmentation.flip_horizontal"] = "the script's; but these labels have sides: try false"
    if length == Length():
        length = Length(epochs=CLASSIC_EPOCHS)
    grey = data.colour in ("grey", "rgb")
    channels = 1 if grey else data.channels
    floats = data.pixels == "float"
    if floats:
        reasons["preprocessing.normalization"] = "float pixels have no range to bring to 0…1"
    preprocessing = PreprocessingPlan(
        mode="whole",
        size=(128, 128),
        orientation=data.orientation,
        normalization="image" if floats else "unit",
    )
    steps, budget_s = length_of(length, data, preprocessing, 32, reasons)
    training = TrainingPlan(
        steps=steps,
        budget_s=budget_s,
        batch_size=32,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="constant",
        warmup=0.0,
        precision=asked.precision,
        seed=asked.seed,
    )
    reasons["training.optimizer"] = "the script's"
    plan = Plan(
        preset="classic",
        data=data_plan(data, asked).model_copy(
            update={"colour": "grey" if grey else "channels", "channels": channels}
        ),
        preprocessing=preprocessing,
        network=CLASSIC_NETWORK.model_copy(
            update={"input_channels": channels, "output_channels": output_channels(len(data.labels))}
        ),
        augmentation=CLASSIC_AUGMENTATION,
        loss=LossSettings(cross_entropy=1, dice=0),
        training=training,
        prediction=PredictionPlan(),
    )
    return Planned(plan, reasons)
