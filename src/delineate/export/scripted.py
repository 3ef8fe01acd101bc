"""Prediction in TorchScript: from the pixels of a file to probabilities on their own grid, without Delineate.

What stands here is compiled, so that it may use only what TorchScript knows; each function does exactly what
the one of the same name in `inference.preprocess` and `inference.windows` does.
"""

# ruff: noqa: RUF005, RUF046  lists cannot be unpacked in TorchScript, and its floor and round give floats

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def size_of(pixels: Tensor) -> list[int]:
    """The spatial size of `(C, …)`."""
    return list(pixels.shape[1:])


def channels_as(image: Tensor, colour: str) -> Tensor:
    """`(C, …)` with the channels a net expects: see `image.as_colour`."""
    if colour == "rgb" and image.shape[0] == 1:
        return torch.cat([image, image, image])
    if colour == "grey" and image.shape[0] == 3:
        if bool((image == image[:1]).all()):
            return image[:1]
        return (0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]).unsqueeze(0)
    return image


def resize_plane(pixels: Tensor, height: int, width: int) -> Tensor:
    """`(C, H, W)` to `(C, height, width)`: see `inference.preprocess.resize`."""
    if pixels.shape[1] == height and pixels.shape[2] == width:
        return pixels
    if width == 1 and height != 1:
        return resize_plane_directly(pixels.transpose(1, 2), 1, height).transpose(1, 2)
    return resize_plane_directly(pixels, height, width)


def resize_plane_directly(pixels: Tensor, height: int, width: int) -> Tensor:
    """Likewise, where torch gives the right values."""
    if pixels.shape[1] == height and pixels.shape[2] == width:
        return pixels
    return functional.interpolate(
        pixels.unsqueeze(0), size=[height, width], mode="bilinear", align_corners=False, antialias=True
    )[0]


def resize_depth(volume: Tensor, depth: int) -> Tensor:
    """`(C, D, H, W)` to `(C, depth, H, W)`."""
    height, width = volume.shape[2], volume.shape[3]
    return resize_plane(volume.flatten(2), depth, height * width).reshape(-1, depth, height, width)


def resize(pixels: Tensor, size: list[int]) -> Tensor:
    """`(C, …)` to `(C, *size)`: see `inference.preprocess.resize`."""
    if len(size) == 2:
        return resize_plane(pixels, size[0], size[1])
    if pixels.shape[1] == size[0] and pixels.shape[2] == size[1] and pixels.shape[3] == size[2]:
        return pixels
    if size[0] < pixels.shape[1]:
        pixels = resize_depth(pixels, size[0])
    now = pixels.shape[1]
    pixels = resize_plane(pixels.flatten(0, 1), size[1], size[2]).reshape(-1, now, size[1], size[2])
    return resize_depth(pixels, size[0])


def resize_back(found: Tensor, size: list[int]) -> Tensor:
    """Probabilities `(K, …)` to `(K, *size)`: of volumes as `inference.volumes.resampled_rows` does."""
    if len(size) == 3:
        depth = found.shape[1]
        if depth != size[0]:
            ratio = float(depth) / float(size[0])
            rows: list[Tensor] = []
            for wanted in range(size[0]):
                place = min(max((wanted + 0.5) * ratio - 0.5, 0.0), depth - 1.0)
                below = int(math.floor(place))
                above = min(below + 1, depth - 1)
                rows.append(torch.lerp(found[:, below], found[:, above], place - below))
            found = torch.stack(rows, 1)
        slices: list[Tensor] = []
        for at in range(size[0]):
            slices.append(resize_plane(found[:, at], size[1], size[2]))
        return torch.stack(slices, 1).clamp(0.0, 1.0)
    return resize_plane(found, size[0], size[1]).clamp(0.0, 1.0)


def rounded_ratio(numerator: int, denominator: int) -> int:
    """The nearest whole number to a share of whole numbers, of two the even one, as Python's `round`."""
    whole = numerator // denominator
    rest = 2 * (numerator - whole * denominator)
    if rest > denominator or (rest == denominator and whole % 2 == 1):
        return whole + 1
    return whole


def window_starts(length: int, window: int, step: int) -> list[int]:
    """Where windows begin along an axis: see `inference.windows.window_starts`.

    Args:
        length: Pixels along the axis.
        window: Pixels of a window.
        step: Pixels from one to the next, at most.
    """
    if length <= window:
        return [0]
    steps = (length - window + step - 1) // step
    return [rounded_ratio(position * (length - window), steps) for position in range(steps + 1)]


def window_corners(size: list[int], window: list[int], steps: list[int]) -> list[list[int]]:
    """Where windows begin along all axes, the last axis running fastest."""
    corners: list[list[int]] = [[0] * 0]
    for axis in range(len(size)):
        starts = window_starts(size[axis], window[axis], steps[axis])
        longer: list[list[int]] = []
        for corner in corners:
            for start in starts:
                longer.append(corner + [start])
        corners = longer
    return corners


def part(pixels: Tensor, corner: list[int], window: list[int]) -> Tensor:
    """The window of `(C, …)` at a corner, not copied."""
    for axis in range(len(window)):
        pixels = pixels.narrow(axis + 1, corner[axis], window[axis])
    return pixels


def padded(pixels: Tensor, least: list[int]) -> Tensor:
    """`(C, …)` filled up at its ends with edge pixels to at least this size."""
    missing: list[int] = []
    for at in range(len(least)):
        axis = len(least) - 1 - at
        missing += [0, max(0, least[axis] - pixels.shape[axis + 1])]
    if max(missing) == 0:
        return pixels
    return functional.pad(pixels.unsqueeze(0), missing, mode="replicate")[0]
