"""Resizing by rows: what `preprocess.resize` gives, of an image that is never held as a whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from delineate.inference.preprocess import resize

ROWS_AT_ONCE = 64


def support(before: int, after: int, position: int) -> tuple[int, int]:
    """Which pixels along an axis make up one pixel of the resized axis.

    Args:
        before: Pixels along the axis.
        after: Wanted.
        position: Of the pixel, below `after`.

    Returns:
        The first, and the one behind the last.
    """
    if before == after:
        return position, position + 1
    scale, reach = _scale(before, after)
    centre = scale * (np.float32(position) + np.float32(0.5))
    low = max(int(centre - reach + np.float32(0.5)), 0)
    return low, min(int(centre + reach + np.float32(0.5)), before)


def axis_weights(before: int, after: int, first: int, last: int) -> tuple[Tensor, int, int]:
    """How pixels along an axis are averaged to those of the resized axis.

    Args:
        before: Pixels along the axis.
        after: Wanted.
        first: Of the wanted pixels.
        last: The one behind them.

    Returns:
        `(last - first, end - begin)` float32 weights, and `begin` and `end` of the pixels they are for.

    Source:
        PyTorch's antialiased bilinear interpolation, whose single-precision arithmetic is kept, so that both
        agree along axes of tens of thousands of pixels too.
    """
    spans = [support(before, after, position) for position in range(first, last)]
    begin, end = spans[0][0], max(high for _, high in spans)
    scale, _ = _scale(before, after)
    sharpness = np.float32(1) / scale if scale >= 1 else np.float32(1)
    weights = np.zeros((last - first, end - begin), np.float32)
    for row, (position, (low, high)) in enumerate(zip(range(first, last), spans, strict=True)):
        centre = scale * (np.float32(position) + np.float32(0.5))
        places = np.arange(high - low, dtype=np.float32) + np.float32(low) - centre + np.float32(0.5)
        shares = np.maximum(np.float32(1) - np.abs(places * sharpness), np.float32(0))
        weights[row, low - begin : high - begin] = shares / shares.sum(dtype=np.float32)
    return torch.from_numpy(weights), begin, end


def first_needed(before: int, after: int, first: int) -> int:
    """The first row of an image that `resized_rows` takes to begin with row `first` of the resized one."""
    if before == after:
        return first
    return support(before, after, first - first % _together(before, after))[0]


def resized_rows(
    blocks: Iterator[Tensor], before: int, size: tuple[int, int], first: int = 0
) -> Iterator[Tensor]:
    """Resize an image that comes in blocks of rows, linearly, averaging when making smaller.

    Args:
        blocks: `(C, n, W)` float32 one below the other, from row `first_needed(before, size[0], first)` on.
        before: Rows of the image.
        size: `(height, width)` wanted.
        first: Row of the resized image to begin with.

    Yields:
        `(C, m, width)` float32 one below the other, `size[0] - first` rows in all.
    """
    height, width = size
    if before == height:
        for block in blocks:
            yield _along_width(block, width)
        return
    held: Tensor | None = None
    start = first_needed(before, height, first)
    together = _together(before, height)
    for low in range(first - first % together, height, together):  # the same groups whatever the first row
        high = min(low + together, height)
        weights, begin, end = axis_weights(before, height, low, high)
        if held is not None:
            held, start = held[:, begin - start :], begin
        parts = [] if held is None else [held]
        rows = sum(part.shape[1] for part in parts)
        while start + rows < end:
            block = next(blocks)
            parts.append(_along_width(block, width) if width < block.shape[2] else block)
            rows += block.shape[1]
        held = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        made = torch.matmul(weights, held[:, begin - start : end - start])
        yield _along_width(made[:, max(0, first - low) :], width)


def _along_width(rows: Tensor, width: int) -> Tensor:
    return resize(rows, (rows.shape[1], width))


def _together(before: int, after: int) -> int:
    """Rows of the result that are made at once: neither many of them nor of many."""
    return max(1, min(ROWS_AT_ONCE, round(ROWS_AT_ONCE * after / before)))


def _scale(before: int, after: int) -> tuple[np.float32, np.float32]:
    """Pixels a wanted pixel, and how far from its centre they count."""
    scale = np.float32(before) / np.float32(after)
    return scale, max(scale, np.float32(1))
