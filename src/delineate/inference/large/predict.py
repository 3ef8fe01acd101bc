"""The labels of a large image, rows after rows, on its own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from delineate.formats.regions import Regions
from delineate.inference.engines import Engine
from delineate.inference.large.ahead import ahead
from delineate.inference.large.bands import Windows, bands_of_windows
from delineate.inference.large.resizing import first_needed, resized_rows
from delineate.inference.large.working import WorkingRows
from delineate.inference.predict import predictor_of
from delineate.inference.preprocess import Intensities, pad_pixels_to
from delineate.plan import Plan

Told = Callable[[int, int], object]


@dataclass(frozen=True)
class LargeImage:
    """An image that is predicted without ever being held.

    Attributes:
        engine: Computes the net.
        plan: The one it was trained by, of a net of two axes for pictures.
        regions: The image.
    """

    engine: Engine
    plan: Plan
    regions: Regions

    @property
    def working(self) -> WorkingRows:
        """Its rows at the size the net works at."""
        return WorkingRows(self.regions, self.plan)

    @property
    def windows(self) -> Windows:
        """How it is covered by windows, in mode "patch"."""
        size = self.plan.window
        return Windows(self.working.size, (size[-2], size[-1]), self.plan.prediction.overlap)

    def probability_rows(
        self, intensities: Intensities, first: int = 0, *, progress: Told = lambda *_: None
    ) -> Iterator[Tensor]:
        """The probability of every label at every pixel of the image's own grid.

        To be used within `torch.inference_mode()`.

        Args:
            intensities: As `working.intensities` gives them.
            first: Row to begin with; the rows are the same whatever it is.
            progress: Told the windows, or in mode "whole" the rows read, and their number.

        Yields:
            `(K, n, W)` float32 one below the other, as `predict.probabilities` gives them.

        Raises:
            DataError: The image does not fit the plan, or its file is damaged.
        """
        size = self.regions.size
        height = self.working.size[0]
        begin = first_needed(height, size[0], first)
        if self.plan.preprocessing.mode == "whole":
            found = self._whole(intensities, progress)
            rows = iter([found[:, begin:]])
        else:
            rows = self._bands(intensities, begin, progress)
        for part in resized_rows((row.cpu() for row in rows), height, size, first):
            yield part.clamp(0, 1)

    def _whole(self, intensities: Intensities, progress: Told) -> Tensor:
        """`(K, h, w)` of the image brought to the plan's size."""
        size = self.plan.preprocessing.size
        pixels = intensities.apply(self.working.whole(progress))
        height, width = pixels.shape[1:]
        filled = pad_pixels_to(pixels, (size[-2], size[-1])).to(self.engine.device)
        return predictor_of(self.engine, self.plan)(filled[None])[0, :, :height, :width]

    def _bands(self, intensities: Intensities, first: int, progress: Told) -> Iterator[Tensor]:
        windows, working = self.windows, self.working
        top = windows.tops[windows.row_of_windows(first)]
        device = self.engine.device
        gain, offset = (each.view(-1, 1, 1).to(device) for each in (intensities.gain, intensities.offset))

        def finish(batch: Tensor) -> Tensor:
            return torch.addcmul(offset, working.units(batch).to(device), gain)

        with ahead(working.blocks(top)) as blocks:
            yield from bands_of_windows(
                predictor_of(self.engine, self.plan),
                blocks,
                finish,
                windows,
                device=device,
                first=first,
                progress=progress,
            )
