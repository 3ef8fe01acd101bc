"""Windows of a large image, a row of them at a time, blended as `windows.predict_windows` blends them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from delineate.inference.windows import window_starts, window_weight

Predictor = Callable[[Tensor], Tensor]
ROWS_AT_ONCE = 64
BATCH_PIXELS = 1 << 17  # beyond which no engine is faster
MOST_AT_ONCE = 16


@dataclass(frozen=True)
class Windows:
    """How an image is covered by windows.

    Attributes:
        size: `(h, w)` of the image.
        window: `(height, width)`.
        overlap: Least share by which neighbouring windows overlap.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    overlap: float

    @property
    def tops(self) -> list[int]:
        """First rows of the windows."""
        return window_starts(self.padded[0], self.window[0], self.overlap)

    @property
    def lefts(self) -> list[int]:
        """First columns of the windows."""
        return window_starts(self.padded[1], self.window[1], self.overlap)

    @property
    def padded(self) -> tuple[int, int]:
        """The image's size, at least a window's."""
        return max(self.size[0], self.window[0]), max(self.size[1], self.window[1])

    @property
    def batch_size(self) -> int:
        """Windows that are computed at once."""
        return max(1, min(MOST_AT_ONCE, BATCH_PIXELS // math.prod(self.window)))

    def row_of_windows(self, row: int) -> int:
        """The first row of windows that has a part in a row of the image."""
        return next(at for at, top in enumerate(self.tops) if top + self.window[0] > row)


def bands_of_windows(
    predictor: Predictor,
    blocks: Iterator[Tensor],
    finish: Callable[[Tensor], Tensor],
    windows: Windows,
    *,
    device: torch.device,
    first: int = 0,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> Iterator[Tensor]:
    """Apply a predictor window by window, from the top to the bottom, and blend.

    Never more than the rows of one window are held.

    Args:
        predictor: `(N, C, height, width)` → `(N, K, height, width)`, on `device`.
        blocks: `(C, n, w)` one below the other, of the rows from
            `windows.tops[windows.row_of_windows(first)]` on.
        finish: Makes of windows `(N, C, height, width)` as they are in the blocks what the predictor takes.
        windows: How the image is covered.
        device: The predictor's.
        first: Row to begin with.
        progress: Told the windows done and their number, those above `first` counted as done.

    Yields:
        `(K, n, w)` float32 on `device`, the weighted mean of the windows' predictions, one below the other.
    """
    height, width = windows.window
    tops, lefts = windows.tops, windows.lefts
    weight = window_weight(windows.window).to(device)
    row_weight = torch.zeros(height, windows.padded[1], device=device)  # the same for each row of windows
    for left in lefts:
        row_weight[:, left : left + width] += weight
    total: Tensor | None = None
    begin = windows.row_of_windows(first)
    band = _Band(blocks, windows, tops[begin])
    for at in range(begin, len(tops)):
        rows = band.rows(tops[at])
        for some in range(0, len(lefts), windows.batch_size):
            chosen = lefts[some : some + windows.batch_size]
            batch = torch.stack([rows[:, :, left : left + width] for left in chosen])
            found = predictor(finish(batch).to(device)).float()
            if total is None:
                total = torch.zeros(found.shape[1], height, windows.padded[1], device=device)
            for left, prediction in zip(chosen, found, strict=True):
                total[:, :, left : left + width].addcmul_(prediction, weight)
            progress(at * len(lefts) + some + len(chosen), len(tops) * len(lefts))
        if total is None:
            raise ValueError("an image has at least one pixel")
        until = tops[at + 1] if at + 1 < len(tops) else windows.size[0]
        for low in range(max(first, tops[at]), until, ROWS_AT_ONCE):
            high = min(low + ROWS_AT_ONCE, until)
            weights = _weights(row_weight, tops[: at + 1], low, high)
            part = total[:, low - tops[at] : high - tops[at]] / weights
            yield part[:, :, : windows.size[1]]
        _move_up(total, until - tops[at])


class _Band:
    """The rows of one row of windows, filled from blocks.

    Args:
        blocks: `(C, n, w)` one below the other.
        windows: How the image is covered.
        top: The first row that the blocks give.
    """

    def __init__(self, blocks: Iterator[Tensor], windows: Windows, top: int) -> None:
        self._blocks, self._windows = blocks, windows
        self._next = top  # the first row that is not yet in the band
        self._left: Tensor | None = None  # of a block, the rows not yet in the band
        self._held: Tensor | None = None
        self._top = top

    def rows(self, top: int) -> Tensor:
        """`(C, height, padded width)` from row `top` on, which is not above the last one asked for."""
        height = self._windows.window[0]
        if self._held is not None:
            _move_up(self._held, top - self._top)
        self._top = top
        until = min(top + height, self._windows.size[0])
        while self._next < until:
            block = self._left if self._left is not None else self._padded(next(self._blocks))
            taken = block[:, : until - self._next]
            if self._held is None:
                self._held = torch.zeros(block.shape[0], height, self._windows.padded[1], dtype=block.dtype)
            self._held[:, self._next - top : self._next - top + taken.shape[1]] = taken
            self._next += taken.shape[1]
            rest = block[:, taken.shape[1] :]
            self._left = rest if rest.shape[1] else None
        if self._held is None:
            raise ValueError("an image has at least one pixel")
        if until < top + height:  # an image lower than a window: its last row is repeated
            self._held[:, until - top :] = self._held[:, until - top - 1 : until - top]
        return self._held

    def _padded(self, block: Tensor) -> Tensor:
        """An image narrower than a window: its last column is repeated."""
        missing = self._windows.padded[1] - block.shape[2]
        if not missing:
            return block
        return torch.cat([block, block[:, :, -1:].expand(-1, -1, missing)], 2)


def _weights(row_weight: Tensor, tops: list[int], low: int, high: int) -> Tensor:
    """`(high - low, w)`: the sum of all windows' weights on rows of the image."""
    total = torch.zeros(high - low, row_weight.shape[1], device=row_weight.device)
    for top in reversed(tops):
        begin, end = max(low, top), min(high, top + row_weight.shape[0])
        if begin < end:
            total[begin - low : end - low] += row_weight[begin - top : end - top]
        elif end <= low:
            break
    return total


def _move_up(rows: Tensor, count: int) -> None:
    """Let the first rows of `(C, height, w)` go and follow the others by zeros."""
    height = rows.shape[1]
    for row in range(0, max(0, height - count), ROWS_AT_ONCE):  # piece by piece: source and goal may overlap
        piece = rows[:, row + count : min(row + ROWS_AT_ONCE, height - count) + count].clone()
        rows[:, row : row + piece.shape[1]] = piece
    rows[:, max(0, height - count) :] = 0


__all__ = ["Windows", "bands_of_windows"]
