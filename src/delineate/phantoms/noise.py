"""Uniform noise whose mask is its brighter half: the smallest job a net must be able to learn."""

from __future__ import annotations

import numpy as np

from delineate.image import LabelSet
from delineate.phantoms.kind import Phantom, PhantomKind


def make(
    random: np.random.Generator,
    size: tuple[int, int],
    *,
    contrast: float,  # noqa: ARG001  the picture is nothing but noise: neither has a meaning here
    noise: float,  # noqa: ARG001
) -> Phantom:
    """Draw uniform noise 0–255; the label is where it is brighter than 128.

    Args:
        random: Source of all chance.
        size: `(H, W)`.
        contrast: Without meaning for this kind; passed over.
        noise: Without meaning for this kind; passed over.

    Returns:
        A grey phantom.
    """
    image = random.integers(0, 256, size, dtype=np.uint8)
    return Phantom(image, (image > 128).astype(np.uint8))


KIND = PhantomKind(
    name="noise",
    description="uniform noise, the mask is image > 128; contrast and noise have no meaning here",
    labels=LabelSet.of("bright"),
    size=(128, 128),
    make=make,
    adjustable=False,
)
