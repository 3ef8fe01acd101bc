"""Overlapping windows in a graph, blended as `inference.windows` does: a loop for each axis, one in another.

The loop along the last axis adds windows up to a row of them, the one around it rows to a layer, and so on:
so no window's sum is added to the whole image, which would be slow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from delineate.export.graph_sizes import write_window_starts
from delineate.inference.engines.onnx_graph import GraphWriter
from delineate.inference.windows import window_weight

Predictor = Callable[[GraphWriter, str], str]


@dataclass(frozen=True)
class Windows:
    """How windows lie.

    Attributes:
        window: Sides of one.
        overlap: Least share by which neighbours overlap.
        channels: K of what is found in them.
    """

    window: tuple[int, ...]
    overlap: float
    channels: int

    def write(self, to: GraphWriter, image: str, predictor: Predictor) -> str:
        """Apply a predictor window by window and blend.

        Args:
            to: The graph.
            image: `(1, C, …)` float32, at least a window large along each axis.
            predictor: Writes a window `(1, C, *window)` → `(1, K, *window)`.

        Returns:
            `(1, K, …)` float32, the weighted mean of the windows' predictions.
        """
        axes = range(len(self.window))
        lengths = tuple(to.op("Shape", image, start=2 + axis, end=3 + axis) for axis in axes)
        starts = tuple(
            write_window_starts(to, length, side, self.overlap)
            for length, side in zip(lengths, self.window, strict=True)
        )
        weight = to.constant(window_weight(self.window).numpy()[None, None], "float32")

        def weighted(inner: GraphWriter, part: str) -> str:
            found = inner.op("Mul", predictor(inner, part), weight)
            return inner.op("Concat", found, weight, axis=1)

        total = _Sums(self, lengths, starts, weighted).write(to, image, 0)
        shares, weights = to.ops("Split", total, to.integers(self.channels, 1), outputs=2, axis=1)
        return to.op("Div", shares, weights)


@dataclass(frozen=True)
class _Sums:
    """The sums of weighted windows, axis by axis."""

    windows: Windows
    lengths: tuple[str, ...]
    starts: tuple[str, ...]
    weighted: Predictor

    def write(self, to: GraphWriter, image: str, axis: int) -> str:
        """The sum over an image that is cut to a window along the axes before this one."""
        window = self.windows.window
        if axis == len(window):
            return self.weighted(to, image)
        before = [to.integers(side) for side in window[:axis]]
        size = to.joined(to.integers(1, self.windows.channels + 1), *before, *self.lengths[axis:])
        nothing = to.op("Expand", to.constant(0, "float32"), size)

        def add(inner: GraphWriter, at: str, state: tuple[str, ...]) -> list[str]:
            along = inner.integers(2 + axis)
            start = inner.op("Gather", self.starts[axis], inner.op("Unsqueeze", at, inner.integers(0)))
            end = inner.op("Add", start, inner.integers(window[axis]))
            found = self.write(inner, inner.op("Slice", image, start, end, along), axis + 1)
            behind = inner.op("Sub", self.lengths[axis], end)
            padded = inner.op("Pad", found, inner.joined(start, behind), "", along)
            return [inner.op("Add", state[0], padded)]

        return to.loop(to.op("Shape", self.starts[axis]), [nothing], add)[0]
