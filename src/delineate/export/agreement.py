"""Whether an exported file says the same as the model it was made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from delineate.errors import ExportError
from delineate.image import Image
from delineate.inference.found import Found

PROBABILITY_TOLERANCE = 1e-3
LABEL_TOLERANCE = 1e-4  # share of the pixels


class Finds(Protocol):
    """A model, or what was made of one."""

    def found_in(self, image: Image, *, keep_probabilities: bool = False) -> Found:
        """The mask of an image, and the probabilities of its labels."""
        ...


@dataclass(frozen=True)
class Agreement:
    """How far an exported file is from its model.

    Attributes:
        images: That were compared.
        pixels: Of them in all.
        probability: Greatest difference of a probability.
        differing: Pixels with another label.
    """

    images: int
    pixels: int
    probability: float
    differing: int

    @property
    def holds(self) -> bool:
        """Whether it is near enough."""
        near = self.probability <= PROBABILITY_TOLERANCE  # not so where it is not a number
        return self.images > 0 and near and self.differing <= LABEL_TOLERANCE * self.pixels

    def in_words(self) -> str:
        """What was found."""
        return (
            f"probabilities differ by at most {self.probability:.1e}, labels in {self.differing:,} of "
            f"{self.pixels:,} pixels"
        )


def compare(model: Finds, other: Finds, images: Iterable[Image]) -> Agreement:
    """Run both on the same images.

    Args:
        model: In fp32.
        other: What was made of it.
        images: That fit the model.

    Raises:
        DataError: An image does not fit.
    """
    count = pixels = differing = 0
    greatest = 0.0
    for image in images:
        ours, theirs = (each.found_in(image, keep_probabilities=True) for each in (model, other))
        if ours.probabilities is None or theirs.probabilities is None:
            raise ValueError("probabilities were asked for, and none kept")
        if theirs.probabilities.shape != ours.probabilities.shape:
            greatest = float("inf")
        else:
            difference = np.abs(ours.probabilities.astype(np.float32) - theirs.probabilities)
            greatest = float(np.maximum(greatest, difference.max()))  # also where it is not a number
        same = theirs.mask.values.shape == ours.mask.values.shape
        differing += int((theirs.mask.values != ours.mask.values).sum()) if same else ours.mask.values.size
        pixels += ours.mask.values.size
        count += 1
    return Agreement(count, pixels, greatest, differing)


def refuse_disagreement(agreement: Agreement, what: str) -> Agreement:
    """The agreement, if it holds.

    Args:
        agreement: As found.
        what: Was compared, to begin the message with: "The ONNX file".

    Raises:
        ExportError: It does not hold.
    """
    if not agreement.holds:
        raise ExportError(
            f"{what} does not say what the model says: {agreement.in_words()}. At most "
            f"{PROBABILITY_TOLERANCE:g} and a share of {LABEL_TOLERANCE:g} are let through; nothing was "
            "written."
        )
    return agreement
