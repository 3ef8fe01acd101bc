"""The rows of a large image as the net works on them: its colours, its size, its intensities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from delineate.formats.pixels import Array
from delineate.formats.regions import Regions
from delineate.image import Image
from delineate.inference.fitting import admitted, working_size
from delineate.inference.large.resizing import first_needed, resized_rows
from delineate.inference.preprocess import Intensities, dividing, intensities_of
from delineate.plan import Plan

BLOCK_BYTES = 64 << 20  # that a block of rows may take as float32 at most
PIECE_PIXELS = 1 << 20  # converted at a time
Told = Callable[[int, int], object]


@dataclass(frozen=True)
class WorkingRows:
    """A large image at the size the net works at, read from the top to the bottom.

    Attributes:
        regions: The image.
        plan: Says which channels, which size and which normalization.
    """

    regions: Regions
    plan: Plan

    @property
    def size(self) -> tuple[int, int]:
        """`(h, w)` that the net works at."""
        height, width = working_size(self.regions.size, self.plan.preprocessing)
        return height, width

    def blocks(self, first: int = 0) -> Iterator[Tensor]:
        """The working rows from `first` on.

        Args:
            first: A row at the working size.

        Yields:
            `(C, n, w)` one below the other: float32, not yet normalized, where the image is resized; else in
            the image's own type, to be made such by `units`.

        Raises:
            DataError: The image does not fit the plan, or its file is damaged.
        """
        if self.size == self.regions.size:
            yield from (torch.from_numpy(block) for block in self._coloured(first))
            return
        height = self.regions.size[0]
        own = self._coloured(first_needed(height, self.size[0], first))
        units = (self._units(torch.from_numpy(block)) for block in own)
        yield from resized_rows(units, height, self.size, first)

    def units(self, rows: Tensor) -> Tensor:
        """Working rows or windows `(…, C, h, w)` of `blocks` as float32, in the units of the net."""
        return self._units(rows) if self.size == self.regions.size else rows

    def _units(self, rows: Tensor) -> Tensor:
        if rows.dtype == torch.float32:
            return self._clipped(rows.clone()) if self.plan.preprocessing.clip else rows
        return self._clipped(rows.to(torch.float32).div_(torch.iinfo(rows.dtype).max))

    def intensities(self, progress: Told = lambda *_: None) -> Intensities:
        """By which they are normalized; where each image has its own, the image is read for them.

        Args:
            progress: Told the working rows read and their number.

        Raises:
            DataError: As of `blocks`.
        """
        if self.plan.preprocessing.normalization != "image":
            return intensities_of(torch.empty(self.plan.data.channels, 0), self.plan.preprocessing)
        moments, done = Moments(self.plan.data.channels), 0
        for block in self.blocks():
            step = max(1, PIECE_PIXELS // block.shape[2])
            for at in range(0, block.shape[1], step):
                moments.add(self.units(block[:, at : at + step]))
            done += block.shape[1]
            progress(done, self.size[0])
        return moments.intensities()

    def whole(self, progress: Told = lambda *_: None) -> Tensor:
        """`(C, h, w)` float32, all of it, not yet normalized.

        Raises:
            DataError: As of `blocks`.
        """
        blocks, done = [], 0
        for block in self.blocks():
            blocks.append(self.units(block))
            done += block.shape[1]
            progress(done, self.size[0])
        return torch.cat(blocks, 1)

    def _coloured(self, first: int) -> Iterator[Array]:
        """The image's own rows from `first` on with the channels that the plan asks for."""
        height, width = self.regions.size
        together = self.regions.rows_at_once
        most = BLOCK_BYTES // (4 * width * max(self.regions.channels, self.plan.data.channels))
        step = max(1, together * (most // together) or min(together, most))
        row = first
        while row < height:
            until = min(height, row - row % step + step)  # whole tiles, whatever the first row
            yield self._converted(self.regions.read(row, 0, until - row, width))
            row = until

    def _converted(self, pixels: Array) -> Array:
        """With the plan's channels, a piece at a time, as the conversion takes eight bytes a number."""
        step = max(1, PIECE_PIXELS // pixels.shape[2])
        pieces = [
            admitted(Image(pixels[:, at : at + step]), self.plan).pixels
            for at in range(0, pixels.shape[1], step)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, 1)

    def _clipped(self, units: Tensor) -> Tensor:
        for channel, (low, high) in enumerate(self.plan.preprocessing.clip):
            units[..., channel, :, :].clamp_(low, high)
        return units


class Moments:
    """Mean and deviation of many pixels, a part at a time.

    Args:
        channels: Of the pixels.

    Source:
        Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances, 1979.
    """

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._mean = torch.zeros(channels, dtype=torch.float64)
        self._squares = torch.zeros(channels, dtype=torch.float64)

    def add(self, pixels: Tensor) -> None:
        """Take in `(C, …)` float32."""
        flat = pixels.flatten(1).double()
        mean = flat.mean(1)
        squares = (flat - mean[:, None]).square().sum(1)
        count = self._count + flat.shape[1]
        apart = mean - self._mean
        self._mean += apart * (flat.shape[1] / count)
        self._squares += squares + apart.square() * (self._count * flat.shape[1] / count)
        self._count = count

    def intensities(self) -> Intensities:
        """By which all of them have mean 0 and deviation 1."""
        mean = self._mean.float()
        deviation = (self._squares / max(self._count, 1)).sqrt().float()
        deviation = dividing(deviation, mean)
        return Intensities(1 / deviation, -mean / deviation)
