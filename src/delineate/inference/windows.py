"""Predicting an image larger than the net's window: overlapping windows, blended."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

MOST_OF_ONE, PIXELS_OF_ONE = 4, 1 << 16  # of one image in a call: windows, and pixels of several
KEPT_PIXELS = 1 << 22  # of images whose sums of weights are kept


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


def window_weight(window: tuple[int, ...]) -> Tensor:
    """How much each pixel of a window counts: a Gaussian about its centre, never zero.

    Args:
        window: `(height, width)` or `(depth, height, width)`.

    Returns:
        Float32 of that size, 1 at the centre (a little less where sides are even), at least 0.001.

    Source:
        Isensee et al.: nnU-Net, Nature Methods 2021 (a standard deviation of an eighth of the window).
    """
    weight = torch.ones(())
    for side in window:
        distance = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
        weight = weight[..., None] * torch.exp(-0.5 * (distance / (side / 8)) ** 2)
    return weight.clamp(min=1e-3)


def predict_windows(
    predictor: Callable[[Tensor], Tensor],
    image: Tensor,
    window: tuple[int, int],
    overlap: float,
) -> Tensor:
    """Apply a predictor window by window and blend.

    Args:
        predictor: `(N, C, height, width)` → `(N, K, height, width)`.
        image: `(C, H, W)`, any size; filled up with its edge where smaller than a window.
        window: `(height, width)`.
        overlap: Least share by which neighbouring windows overlap.

    Returns:
        `(K, H, W)` float32, the weighted mean of the windows' predictions.
    """
    windows = Blended(image, window, overlap)
    fill(windows, predictor)
    return windows.result()


def windows_of_one(window: tuple[int, ...], device: torch.device) -> int:
    """How many windows of one image an engine is given in a call; a processor few, for its caches."""
    if device.type != "cpu":
        return MOST_OF_ONE
    return max(1, min(MOST_OF_ONE, PIXELS_OF_ONE // math.prod(window)))


class Blended:
    """Windows of an image, and the weighted mean of their predictions.

    Args:
        image: `(C, H, W)`, any size; filled up with its edge where smaller than a window.
        window: `(height, width)`.
        overlap: Least share by which neighbouring windows overlap.

    Attributes:
        corners: `(y, x)` of each window.
        at_once: Of them best given in a call.
    """

    def __init__(self, image: Tensor, window: tuple[int, int], overlap: float) -> None:
        self._height, self._width = image.shape[1:]
        below, right = max(0, window[0] - self._height), max(0, window[1] - self._width)
        self._padded = image
        if below or right:
            self._padded = functional.pad(image[None], (0, right, 0, below), mode="replicate")[0]
        self._window, self._overlap = window, overlap
        self._size = (self._padded.shape[1], self._padded.shape[2])
        self.corners = window_corners(self._size, window, overlap)
        self.at_once = windows_of_one(window, image.device)
        self._weight = _kept_weight(window).to(image.device)
        self._total: Tensor | None = None

    def cut(self, at: int) -> Tensor:
        """`(C, height, width)` of the window of that number."""
        y, x = self.corners[at]
        return self._padded[:, y : y + self._window[0], x : x + self._window[1]]

    def add(self, at: int, prediction: Tensor) -> None:
        """Take the prediction `(K, height, width)` of the window of that number; each once, in order."""
        if self._total is None:
            self._total = torch.zeros(prediction.shape[0], *self._size, device=self._padded.device)
        y, x = self.corners[at]
        self._total[:, y : y + self._window[0], x : x + self._window[1]] += prediction.float() * self._weight

    def result(self) -> Tensor:
        """`(K, H, W)` float32."""
        if self._total is None:
            raise ValueError("an image has at least one pixel")
        kept = math.prod(self._size) <= KEPT_PIXELS
        weights = (_kept_weights if kept else _weights)(self._size, self._window, self._overlap)
        return (self._total / weights.to(self._total.device))[:, : self._height, : self._width]


class Whole:
    """An image that the net sees whole: one window.

    Args:
        filled: `(C, h, w)`, filled up to the net's size.
        size: `(H, W)` of what counts of it.
    """

    corners: Sequence[tuple[int, int]] = ((0, 0),)
    at_once = 1

    def __init__(self, filled: Tensor, size: tuple[int, int]) -> None:
        self._filled, self._size = filled, size
        self._found: Tensor | None = None

    def cut(self, _at: int) -> Tensor:
        """All of it."""
        return self._filled

    def add(self, _at: int, prediction: Tensor) -> None:
        """Take the prediction."""
        self._found = prediction

    def result(self) -> Tensor:
        """`(K, H, W)`."""
        if self._found is None:
            raise ValueError("nothing was predicted yet")
        return self._found[:, : self._size[0], : self._size[1]]


def fill(windows: Blended | Whole, predictor: Callable[[Tensor], Tensor]) -> None:
    """Have all windows of an image predicted, `at_once` in a call.

    Args:
        windows: The image's.
        predictor: `(N, C, height, width)` → `(N, K, height, width)`.
    """
    for some in _batches(range(len(windows.corners)), windows.at_once):
        batch = torch.stack([windows.cut(at) for at in some])
        for at, prediction in zip(some, predictor(batch), strict=True):
            windows.add(at, prediction)


def window_corners(size: tuple[int, int], window: tuple[int, int], overlap: float) -> list[tuple[int, int]]:
    """`(y, x)` of the windows that cover an image of this size, row by row."""
    rows, columns = (window_starts(*sides, overlap) for sides in zip(size, window, strict=True))
    return list(product(rows, columns))


def _weights(size: tuple[int, int], window: tuple[int, int], overlap: float) -> Tensor:
    """`(H, W)`: the sum of the weights of the windows that cover each pixel."""
    weights = torch.zeros(size)
    weight = _kept_weight(window)
    for y, x in window_corners(size, window, overlap):
        weights[y : y + window[0], x : x + window[1]] += weight
    return weights


def slabs_of_windows(
    predictor: Callable[[Tensor], Tensor],
    volume: Tensor,
    window: tuple[int, int, int],
    overlap: float,
    *,
    batch_size: int = 2,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> Iterator[Tensor]:
    """Apply a predictor to a volume window by window, from the first slices to the last, and blend.

    Never more than the slices of one window are held at once.

    Args:
        predictor: `(N, C, depth, height, width)` → `(N, K, depth, height, width)`.
        volume: `(C, D, H, W)`, any size; filled up with its edge where smaller than a window.
        window: `(depth, height, width)`.
        overlap: Least share by which neighbouring windows overlap.
        batch_size: Windows a call.
        progress: Told the windows done and their number.

    Yields:
        `(K, d, H, W)` float32, the weighted mean of the windows' predictions; the parts one after another
        along the depth, D slices in all.
    """
    size = tuple(volume.shape[1:])
    room = [max(0, side - own) for side, own in zip(window, size, strict=True)]
    if any(room):
        volume = functional.pad(volume[None], (0, room[2], 0, room[1], 0, room[0]), mode="replicate")[0]
    depths, *others = (
        window_starts(length, side, overlap) for length, side in zip(volume.shape[1:], window, strict=True)
    )
    corners = list(product(*others))
    weight = _kept_weight(window).to(volume.device)
    plane = volume.shape[2:]
    weights = torch.zeros(window[0], *plane, device=volume.device)
    total: Tensor | None = None
    done = 0
    for at, start in enumerate(depths):
        for some in _batches(corners, batch_size):
            part = volume[:, start : start + window[0]]
            batch = torch.stack([part[:, :, y : y + window[1], x : x + window[2]] for y, x in some])
            for (y, x), prediction in zip(some, predictor(batch).float(), strict=True):
                if total is None:
                    total = torch.zeros(prediction.shape[0], window[0], *plane, device=volume.device)
                total[:, :, y : y + window[1], x : x + window[2]].addcmul_(prediction, weight)
                weights[:, y : y + window[1], x : x + window[2]] += weight
            done += len(some)
            progress(done, len(depths) * len(corners))
        if total is None:
            raise ValueError("a volume has at least one voxel")
        finished = (depths[at + 1] if at + 1 < len(depths) else size[0]) - start
        yield (total[:, :finished] / weights[:finished])[:, :, : size[1], : size[2]]
        for buffer in (total, weights):
            rest = buffer.narrow(-3, finished, window[0] - finished).clone() if finished < window[0] else None
            buffer.zero_()
            if rest is not None:
                buffer.narrow(-3, 0, window[0] - finished).copy_(rest)


_kept_weight = functools.lru_cache(maxsize=8)(window_weight)
_kept_weights = functools.lru_cache(maxsize=2)(_weights)  # images of a batch are often of one size
_Item = TypeVar("_Item")


def _batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
