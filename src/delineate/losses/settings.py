"""Weights of the loss, as plain values (no torch here: plans are read without it)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class LossSettings(BaseModel):
    """Weights of the loss's parts.

    Attributes:
        cross_entropy: Weight of the mean cross-entropy a pixel (binary for one label).
        dice: Weight of one minus soft Dice.
        dice_per_image: Dice of each image, then their mean (as images are scored), or one Dice of the batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cross_entropy: Annotated[float, Field(ge=0, le=100)] = 1.0
    dice: Annotated[float, Field(ge=0, le=100)] = 1.0
    dice_per_image: bool = False
