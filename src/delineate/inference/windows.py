"""Predicting an image larger than the net's window: overlapping windows, blended."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Where windows begin along one axis: evenly spread, the first at the start, the last at the end.

    Args:
        length: Pixels along the axis.
        window: Pixels of a window.
        overlap: Least share by which neighbours overlap, in [0, 1).

    Returns:
        Starts in rising order; [0] where one window covers all.
    """
    if length <= window:
        return [0]
    steps = math.ceil((length - window) / max(1, round(window * (1 - overlap))))
    return [round(position * (length - window) / steps) for position in range(steps + 1)]


def window_weight(window: tuple[int, int]) -> Tensor:
    """How much each pixel of a window counts: a Gaussian about its centre, never zero.

    Args:
        window: `(height, width)`.

    Returns:
        `(height, width)` float32, 1 at the centre, at least 0.001.

    Source:
        Isensee et al.: nnU-Net, Nature Methods 2021 (a standard deviation of an eighth of the window).
    """

    def along(side: int) -> Tensor:
        distance = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
        return torch.exp(-0.5 * (distance / (side / 8)) ** 2)

    return torch.outer(along(window[0]), along(window[1])).clamp(min=1e-3)


def predict_windows(
    predictor: Callable[[Tensor], Tensor],
    image: Tensor,
    window: tuple[int, int],
    overlap: float,
    *,
    batch_size: int = 4,
) -> Tensor:
    """Apply a predictor window by window and blend.

    Args:
        predictor: `(N, C, height, width)` → `(N, K, height, width)`.
        image: `(C, H, W)`, any size; filled up with its edge where smaller than a window.
        window: `(height, width)`.
        overlap: Least share by which neighbouring windows overlap.
        batch_size: Windows a call.

    Returns:
        `(K, H, W)` float32, the weighted mean of the windows' predictions.
    """
    height, width = image.shape[1:]
    below, right = max(0, window[0] - height), max(0, window[1] - width)
    padded = functional.pad(image[None], (0, right, 0, below), mode="replicate")[0]
    corners = list(
        product(
            window_starts(padded.shape[1], window[0], overlap),
            window_starts(padded.shape[2], window[1], overlap),
        )
    )
    weight = window_weight(window).to(image.device)
    total: Tensor | None = None
    weights = torch.zeros(padded.shape[1:], device=image.device)
    for some in _batches(corners, batch_size):
        batch = torch.stack([padded[:, y : y + window[0], x : x + window[1]] for y, x in some])
        for (y, x), prediction in zip(some, predictor(batch).float(), strict=True):
            if total is None:
                total = torch.zeros(prediction.shape[0], *padded.shape[1:], device=image.device)
            total[:, y : y + window[0], x : x + window[1]] += prediction * weight
            weights[y : y + window[0], x : x + window[1]] += weight
    if total is None:
        raise ValueError("an image has at least one pixel")
    return (total / weights)[:, :height, :width]


def _batches(corners: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(corners), size):
        yield corners[start : start + size]
