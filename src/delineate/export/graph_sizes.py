"""Sizes computed in a graph, as `inference.fitting` and `inference.windows` compute them.

Sizes are rows of int64. Where Python rounds quotients of whole numbers, the graph does so in float64 too, and
both take the even neighbour of a half.
"""

from __future__ import annotations

from delineate.inference.engines.onnx_graph import GraphWriter
from delineate.plan import PreprocessingPlan


def size_of(to: GraphWriter, pixels: str, axes: int) -> str:
    """The last so many sides of `(1, C, …)`."""
    return to.op("Shape", pixels, start=2, end=2 + axes)


def write_working_size(
    to: GraphWriter, size: str, preprocessing: PreprocessingPlan, spacing_mm: str | None = None
) -> str:
    """The size an image is brought to.

    Args:
        to: The graph.
        size: `(H, W)`, or `(D, H, W)` for a net of three axes.
        preprocessing: Says how.
        spacing_mm: float64, a row of three, of a volume whose plan has one.
    """
    if len(preprocessing.size) == 3:
        if preprocessing.spacing_mm is None or spacing_mm is None:
            return size
        wanted = to.constant(preprocessing.spacing_mm, "float64")
        return _scaled(to, size, to.op("Div", spacing_mm, wanted))
    if preprocessing.mode == "patch":
        if preprocessing.scale == 1:
            return size
        return _scaled(to, size, to.constant([preprocessing.scale] * 2, "float64"))
    within = to.integers(*preprocessing.size)
    if preprocessing.fit == "stretch":
        return within
    ratios = to.op("Div", to.cast(within, "float64"), to.cast(size, "float64"))
    scale = to.op("ReduceMin", ratios, keepdims=1)
    return to.op("Min", within, _scaled(to, size, scale))


def _scaled(to: GraphWriter, size: str, scale: str) -> str:
    """Each side times its scale, rounded, at least 1."""
    sides = to.op("Round", to.op("Mul", to.cast(size, "float64"), scale))
    return to.op("Max", to.integers(1), to.cast(sides, "int64"))


def write_window_starts(to: GraphWriter, length: str, window: int, overlap: float) -> str:
    """Where windows begin along one axis; see `window_starts`.

    Args:
        to: The graph.
        length: Pixels along the axis, a row of one; at least `window`.
        window: Pixels of a window.
        overlap: Least share by which neighbours overlap, in [0, 1).
    """
    step = max(1, round(window * (1 - overlap)))
    room = to.op("Sub", length, to.integers(window))
    steps = to.op("Div", to.op("Add", room, to.integers(step - 1)), to.integers(step))  # rounded upwards
    count = to.op("Squeeze", to.op("Add", steps, to.integers(1)), to.integers(0))
    positions = to.op("Range", to.constant(0, "int64"), count, to.constant(1, "int64"))
    way = to.cast(to.op("Mul", positions, room), "float64")
    at_least_one = to.op("Max", steps, to.integers(1))
    return to.cast(to.op("Round", to.op("Div", way, to.cast(at_least_one, "float64"))), "int64")
