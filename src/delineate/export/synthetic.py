"""Images like those of a training, made from what its fingerprint says of them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from delineate.geometry import Geometry
from delineate.image import Image
from delineate.inference.onnx_file import Pixels
from delineate.model_file import ModelCard

LARGEST_PIXELS = {2: 1 << 20, 3: 1 << 21}  # of a picture, of a volume
COARSE = 8  # pixels from one hill to the next, at least
RANGE = {"uint8": 255, "uint16": 65535}


def synthetic_images(card: ModelCard, pixels: Pixels) -> list[Image]:
    """A few images of the sizes and intensities of the training's.

    Args:
        card: Of the model.
        pixels: Their type.

    Returns:
        Of the smallest, the median and the largest size, and one of odd sides; hills with noise on them. Of a
        model that does not say what it learned from, of the sizes that its net sees.
    """
    found, seen = card.fingerprint, card.plan.preprocessing.size
    if found is not None:
        sizes = [found.smallest, found.median, found.largest]
    else:
        seen = seen if len(seen) == card.plan.data.axes else (COARSE, *seen)
        sizes = [seen, tuple(2 * side for side in seen)]
    odd = tuple(max(1, (side * 3 // 4) | 1) for side in sizes[1])
    generator = np.random.default_rng(0)
    chosen = dict.fromkeys(_limited(size) for size in (*sizes, odd))
    return [_image(card, pixels, size, generator) for size in chosen]


def _limited(size: tuple[int, ...]) -> tuple[int, ...]:
    """The size, or one of the same aspect that is not too large."""
    share = min(1.0, (LARGEST_PIXELS[len(size)] / math.prod(size)) ** (1 / len(size)))
    return tuple(max(1, int(side * share)) for side in size)


def _image(card: ModelCard, pixels: Pixels, size: tuple[int, ...], generator: np.random.Generator) -> Image:
    data, found = card.plan.data, card.fingerprint
    told = (found.mean, found.standard_deviation) if found is not None else ((0.5,), (0.25,))
    mean, deviation = (np.array(each, np.float32).reshape(-1, *[1] * len(size)) for each in told)
    values = np.stack([_hills(size, generator) for _ in range(data.channels)]) * deviation + mean
    if data.pixels == "float":
        own = card.plan.preprocessing.spacing_mm
        spacing = tuple(step * 0.9 for step in own) if own is not None and data.axes == 3 else None
        return Image(values.astype(np.float32), Geometry(spacing), shares=data.axes == 2)
    shares = values.clip(0, 1)
    if pixels == "float32":
        return Image(shares.astype(np.float32))
    return Image((shares * RANGE[pixels]).round().astype(pixels))


def _hills(size: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """A smooth field and noise, of about mean 0 and deviation 1."""
    coarse = [max(2, side // COARSE) for side in size]
    field = generator.standard_normal(coarse)
    for axis, side in enumerate(size):
        places = np.linspace(0, field.shape[axis] - 1, side)
        below = np.minimum(places.astype(int), field.shape[axis] - 2)
        share = (places - below).reshape([-1 if at == axis else 1 for at in range(len(size))])
        field = field.take(below, axis) * (1 - share) + field.take(below + 1, axis) * share
    hills: npt.NDArray[np.float32] = (1.3 * field + 0.3 * generator.standard_normal(size)).astype(np.float32)
    return hills
