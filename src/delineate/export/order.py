"""What is to be exported, and in which form."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

from delineate.errors import UsageError
from delineate.image import Image
from delineate.inference.engines import TorchEngine
from delineate.inference.engines.pytorch import on_processor
from delineate.inference.model import Model
from delineate.inference.onnx_file import Channels, Pixels


@dataclass(frozen=True)
class Form:
    """The form in which an exported file takes its images.

    Attributes:
        pixels: Their type; integers are shares of their range.
        channels: Whether the axis of channels comes last or first.
    """

    pixels: Pixels
    channels: Channels


@dataclass(frozen=True)
class Order:
    """What an exporter is asked for.

    Attributes:
        model: Computed by torch in fp32, so that its answers are the measure.
        form: Of the images.
        images: On which the answers are compared.
    """

    model: Model
    form: Form
    images: Iterable[Image]


def in_fp32(model: Model) -> Model:
    """The same model, computed by torch in fp32 on the processor."""
    other = copy.copy(model)
    other.network = on_processor(model.network)
    other.engine = TorchEngine(other.network)
    return other


def form_for(model: Model, channels: Channels, pixels: Pixels | None) -> Form:
    """The form asked for, or that of the training's images.

    Raises:
        UsageError: A model of floats is to take integers.
    """
    if model.plan.data.pixels == "integer":
        return Form(pixels or "uint8", channels)
    if pixels not in (None, "float32"):
        raise UsageError(
            f"--pixels {pixels}: the model learned from numbers as they are (floats, or those of a clinical "
            "format), which integer pixels cannot stand for. Omit --pixels."
        )
    return Form("float32", channels)
