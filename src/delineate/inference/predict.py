"""From an image to probabilities and a mask on the image's own grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from delineate.geometry import left_right_axis
from delineate.image import Image, Mask
from delineate.inference.engines import Engine
from delineate.inference.fitting import prepared
from delineate.inference.mirroring import mirrored_axes
from delineate.inference.preprocess import Intensities, pad_pixels_to, resize, to_working
from delineate.inference.windows import Blended, Whole, fill
from delineate.plan import Plan

Predictor = Callable[[Tensor], Tensor]
Windows = Blended | Whole


def predictor_of(engine: Engine, plan: Plan) -> Predictor:
    """A function from normalized images `(N, C, …)` to probabilities `(N, K, …)`.

    Args:
        engine: Computes the net.
        plan: The one it was trained by; says which mirrorings are averaged in.
    """
    flips = mirrorings(plan)

    def mirrored(batch: Tensor) -> Tensor:
        total = engine(batch)
        for dims, order in flips:
            found = engine(batch.flip(dims)).flip(dims)
            total = total + (found if order is None else found[:, order])
        return total / (1 + len(flips))

    return mirrored


def probabilities(
    engine: Engine,
    plan: Plan,
    image: Image,
    *,
    intensities: Intensities | None = None,
) -> Tensor:
    """The probability of every label at every pixel of a picture's or slice's own grid.

    Args:
        engine: Computes the net.
        plan: The one it was trained by, of a net of two axes.
        image: `(C, H, W)`.
        intensities: Of the volume that the image is a slice of.

    Returns:
        `(K, H, W)` float32: the foreground's, K = 1, for one label; else the background's and each label's.

    Raises:
        DataError: The image does not fit the plan.
    """
    windows = windows_of(engine, plan, image, intensities)
    with torch.inference_mode():
        fill(windows, predictor_of(engine, plan))
        return on_own_grid(windows.result(), image)


def windows_of(engine: Engine, plan: Plan, image: Image, intensities: Intensities | None = None) -> Windows:
    """What the net sees of a picture or slice: all of it, or windows that overlap.

    Args:
        engine: Says where it is wanted.
        plan: Of a net of two axes.
        image: `(C, H, W)`.
        intensities: Of the volume that the image is a slice of.

    Raises:
        DataError: The image does not fit the plan.
    """
    pixels = to_working(prepared(image, plan), plan, intensities).normalized().to(engine.device)
    window = (plan.window[-2], plan.window[-1])
    if plan.preprocessing.mode == "whole":
        return Whole(pad_pixels_to(pixels, window), (pixels.shape[1], pixels.shape[2]))  # as in training
    return Blended(pixels, window, plan.prediction.overlap)


def on_own_grid(found: Tensor, image: Image) -> Tensor:
    """Probabilities at the size the net works at, brought to the image's own grid."""
    return resize(found.cpu(), (image.size[0], image.size[1])).clamp(0, 1)


def decide(found: Tensor, plan: Plan) -> npt.NDArray[np.uint8]:
    """The label of each pixel.

    Args:
        found: `(K, …)` from `probabilities`.
        plan: Its threshold decides where there is one label.

    Returns:
        uint8 of the spatial size.
    """
    chosen = found[0] >= plan.threshold if found.shape[0] == 1 else found.argmax(0)
    values: npt.NDArray[np.uint8] = chosen.to(torch.uint8).numpy()
    return values


def predict_mask(engine: Engine, plan: Plan, image: Image) -> Mask:
    """The mask of a picture, on its own grid.

    Raises:
        DataError: The image does not fit the plan.
    """
    found = probabilities(engine, plan, image)
    return Mask(decide(found, plan), plan.data.label_set, image.geometry)


def mirrorings(plan: Plan) -> list[tuple[tuple[int, ...], list[int] | None]]:
    """The axes of a batch to flip, only those the net saw mirrored in training, and how labels then swap."""
    axes = mirrored_axes(plan)
    sideways = left_right_axis(plan.preprocessing.orientation) - 3  # from the last axis backwards
    swapped = list(range(plan.network.output_channels))
    for left, right in plan.data.swapped_values:
        swapped[left], swapped[right] = right, left
    order = swapped if plan.data.left_right else None
    flips = [flip for count in range(1, len(axes) + 1) for flip in itertools.combinations(axes, count)]
    return [(flip, order if sideways in flip else None) for flip in flips]
