"""Windows of one size from several pictures, given to the engine together where that is faster.

A picture's probabilities never depend on which others it is given with. What an engine computes may change
in its last digits with the number of windows in a call, so each number is first held to what it says of few;
where it says anything else, each picture is computed alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from delineate.image import Image
from delineate.inference.engines import Engine
from delineate.inference.found import FAILURES
from delineate.inference.predict import Windows, on_own_grid, predictor_of, probabilities, windows_of
from delineate.inference.windows import windows_of_one
from delineate.plan import Plan

PIXELS_AT_ONCE = {("torch", "bf16"): 1 << 17}
"""Of the windows of a call, by the engine's program and precision; more are no faster. Those not named are
fastest with few windows, or change their digits with the number."""
MOST_AT_ONCE = 16


def windows_at_once(engine: Engine, plan: Plan) -> int:
    """How many windows of different pictures an engine takes best in one call; 1 for each picture alone."""
    if plan.network.axes != 2:
        return 1
    pixels = PIXELS_AT_ONCE.get((engine.name, engine.precision), 0)
    return max(1, min(MOST_AT_ONCE, pixels // math.prod(plan.window)))


class Together:
    """Pictures computed together.

    Args:
        engine: Computes the net.
        plan: The one it was trained by, of a net of two axes.
        at_once: Windows a call, see `windows_at_once`.
    """

    def __init__(self, engine: Engine, plan: Plan, at_once: int) -> None:
        self._engine, self._plan, self._at_once = engine, plan, at_once
        self._predictor = predictor_of(engine, plan)
        self._alone = 1 if plan.preprocessing.mode == "whole" else windows_of_one(plan.window, engine.device)
        self._agreed: dict[int, bool] = {1: True}

    def probabilities(self, pictures: Iterable[Image]) -> Iterator[Tensor | Exception]:
        """The probability of every label at every pixel of each picture's own grid.

        Args:
            pictures: `(C, H, W)`; taken only as they are needed to fill a call.

        Yields:
            `(K, H, W)` float32, the same as `predict.probabilities` of the picture alone, or why there are
            none; in order.
        """
        images: list[Image] = []
        group: list[Windows] = []
        for image in pictures:
            try:
                windows = windows_of(self._engine, self._plan, image)
            except FAILURES as error:
                yield from self._found(images, group, full=False)
                images, group = [], []
                yield error.with_traceback(None)
                continue
            images.append(image)
            group.append(windows)
            if sum(len(each.corners) for each in group) >= self._at_once:
                yield from self._found(images, group, full=True)
                images, group = [], []
        yield from self._found(images, group, full=False)

    def _found(
        self, images: Sequence[Image], group: Sequence[Windows], *, full: bool
    ) -> Iterator[Tensor | Exception]:
        try:
            together = full and len(group) > 1 and self._filled(group)
        except FAILURES:  # it may be that of one of them alone
            together = False
        for image, windows in zip(images, group, strict=True):
            try:
                with torch.inference_mode():
                    found = on_own_grid(windows.result(), image) if together else self._of_one(image)
            except FAILURES as error:
                yield error.with_traceback(None)
            else:
                yield found

    def _of_one(self, image: Image) -> Tensor:
        return probabilities(self._engine, self._plan, image)

    def _filled(self, group: Sequence[Windows]) -> bool:
        """Compute the windows of a group; False where each picture is better computed alone."""
        places = ((windows, at) for windows in group for at in range(len(windows.corners)))
        with torch.inference_mode():
            while some := list(islice(places, self._at_once)):
                if not self._agreed.get(len(some), True):
                    return False
                batch = torch.stack([windows.cut(at) for windows, at in some])
                found = self._predictor(batch)
                if not self._agrees(batch, found):
                    return False
                for (windows, at), prediction in zip(some, found, strict=True):
                    windows.add(at, prediction)
        return True

    def _agrees(self, batch: Tensor, found: Tensor) -> bool:
        """Whether so many windows give what few do, as far as the first and the last of them tell."""
        number, few = len(batch), min(len(batch), self._alone)
        if number not in self._agreed:
            first, last = self._predictor(batch[:few]), self._predictor(batch[-1:])
            self._agreed[number] = torch.equal(first, found[:few]) and torch.equal(last, found[-1:])
        return self._agreed[number]
