"""From an image to probabilities and a mask on the image's own grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from delineate.image import Image, Mask
from delineate.inference.preprocess import pad_pixels_to, resize, to_working
from delineate.inference.windows import predict_windows
from delineate.plan import Plan


def probabilities(network: nn.Module, plan: Plan, image: Image, *, bf16: bool = False) -> Tensor:
    """The probability of every label at every pixel of the image's own grid.

    Args:
        network: In evaluation mode.
        plan: The one it was trained by.
        image: `(C, H, W)`.
        bf16: Whether the net computes in bfloat16.

    Returns:
        `(K, H, W)` float32: the foreground's, K = 1, for one label; else the background's and each label's.

    Raises:
        DataError: The image does not fit the plan.
    """
    device = next(network.parameters()).device
    pixels = to_working(image, plan).normalized().to(device)
    height, width = pixels.shape[1:]

    def predictor(batch: Tensor) -> Tensor:
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits: Tensor = network(batch).float()
        return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)

    def seen(batch: Tensor) -> Tensor:
        flips = _mirrorings(plan)
        total = predictor(batch)
        for dims in flips:
            total = total + predictor(batch.flip(dims)).flip(dims)
        return total / (1 + len(flips))

    with torch.inference_mode():
        if plan.preprocessing.mode == "whole":
            filled = pad_pixels_to(pixels, plan.preprocessing.size)  # as in training
            found = seen(filled[None])[0, :, :height, :width]
        else:
            found = predict_windows(seen, pixels, plan.preprocessing.size, plan.prediction.overlap)
        return resize(found.cpu(), (image.size[0], image.size[1])).clamp(0, 1)


def decide(found: Tensor, plan: Plan) -> npt.NDArray[np.uint8]:
    """The label of each pixel.

    Args:
        found: `(K, H, W)` from `probabilities`.
        plan: Its threshold decides where there is one label.

    Returns:
        `(H, W)` uint8.
    """
    chosen = found[0] >= plan.prediction.threshold if found.shape[0] == 1 else found.argmax(0)
    values: npt.NDArray[np.uint8] = chosen.to(torch.uint8).numpy()
    return values


def predict_mask(network: nn.Module, plan: Plan, image: Image, *, bf16: bool = False) -> Mask:
    """The mask of an image, on its own grid.

    Raises:
        DataError: The image does not fit the plan.
    """
    found = probabilities(network, plan, image, bf16=bf16)
    return Mask(decide(found, plan), plan.data.label_set, image.geometry)


def _mirrorings(plan: Plan) -> list[tuple[int, ...]]:
    """The axes of a batch to flip, only those the net saw mirrored in training."""
    if not plan.prediction.mirror:
        return []
    axes = [
        axis
        for axis, trained in ((3, plan.augmentation.flip_horizontal), (2, plan.augmentation.flip_vertical))
        if trained
    ]
    return [(axis,) for axis in axes] + ([(2, 3)] if len(axes) == 2 else [])
