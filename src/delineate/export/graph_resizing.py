"""Resizing, filling up and cutting in a graph, as `inference.preprocess` does them."""

from __future__ import annotations

from delineate.inference.engines.onnx_graph import GraphWriter

LINEAR = {
    "mode": "linear",
    "coordinate_transformation_mode": "half_pixel",
    "antialias": 1,  # averaging when making smaller
    "exclude_outside": 1,  # as torch does: what lies outside the image counts for nothing
}


def write_resized(to: GraphWriter, pixels: str, size: str) -> str:
    """Resize linearly along height and width.

    Args:
        to: The graph.
        pixels: `(1, C, H, W)` float32.
        size: `(h, w)`.
    """
    channels = to.op("Shape", pixels, start=0, end=2)
    return to.op("Resize", pixels, "", "", to.joined(channels, size), **LINEAR)


def write_resized_volume(to: GraphWriter, pixels: str, size: str) -> str:
    """Likewise of `(1, C, D, H, W)` along all axes, the depth first where that makes less of it."""
    new_depth, plane = to.part(size, 0, 1), to.part(size, 1, 3)
    depth = to.op("Shape", pixels, start=2, end=3)
    first = write_resized_depth(to, pixels, to.op("Min", new_depth, depth))
    channels = to.op("Shape", pixels, start=1, end=2)
    slices = to.op("Shape", first, start=2, end=3)
    sides = to.op("Shape", first, start=3, end=5)
    as_pictures = to.op("Reshape", first, to.joined(to.integers(1, -1), sides))
    resized = write_resized(to, as_pictures, plane)
    restored = to.op("Reshape", resized, to.joined(to.integers(1), channels, slices, plane))
    return write_resized_depth(to, restored, new_depth)


def write_resized_depth(to: GraphWriter, pixels: str, depth: str) -> str:
    """Resize `(1, C, D, H, W)` along its depth alone, a row of one."""
    sides = to.op("Shape", pixels, start=3, end=5)
    flat = to.op("Reshape", pixels, to.integers(0, 0, 0, -1))
    across = to.op("Shape", flat, start=3, end=4)
    resized = write_resized(to, flat, to.joined(depth, across))
    channels = to.op("Shape", pixels, start=0, end=2)
    return to.op("Reshape", resized, to.joined(channels, depth, sides))


def write_filled(to: GraphWriter, pixels: str, window: tuple[int, ...]) -> str:
    """Fill `(1, C, …)` up to at least `window` at the far ends with its edge."""
    axes = len(window)
    own = to.op("Shape", pixels, start=2, end=2 + axes)
    missing = to.op("Max", to.op("Sub", to.integers(*window), own), to.integers(0))
    zeros = to.integers(*[0] * (2 + axes))
    pads = to.joined(zeros, to.integers(0, 0), missing)
    return to.op("Pad", pixels, pads, mode="edge")


def write_cut(to: GraphWriter, found: str, size: str, axes: int) -> str:
    """The first `size` pixels of `(1, K, …)` along each of its last axes."""
    starts, along = to.integers(*[0] * axes), to.integers(*range(2, 2 + axes))
    return to.op("Slice", found, starts, size, along)


def write_interpolated_rows(to: GraphWriter, found: str, depth: str) -> str:
    """Slices of another number, linearly between the given ones; see `inference.volumes.resampled_rows`.

    Args:
        to: The graph.
        found: `(1, K, d, h, w)` float32.
        depth: The number wanted, a row of one.
    """
    own = to.op("Shape", found, start=2, end=3)
    ratio = to.op("Div", to.cast(own, "float64"), to.cast(depth, "float64"))
    count = to.op("Squeeze", depth, to.integers(0))
    rows = to.cast(to.op("Range", to.constant(0, "int64"), count, to.constant(1, "int64")), "float64")
    half = to.constant(0.5, "float64")
    place = to.op("Sub", to.op("Mul", to.op("Add", rows, half), ratio), half)
    last = to.op("Sub", own, to.integers(1))
    place = to.op("Min", to.op("Max", place, to.constant(0, "float64")), to.cast(last, "float64"))
    below = to.op("Floor", place)
    share = to.cast(to.op("Sub", place, below), "float32")
    below = to.cast(below, "int64")
    above = to.op("Min", to.op("Add", below, to.integers(1)), last)
    lower, upper = (to.op("Gather", found, at, axis=2) for at in (below, above))
    weight = to.op("Unsqueeze", share, to.integers(1, 2))
    return to.op("Add", lower, to.op("Mul", to.op("Sub", upper, lower), weight))
