"""From a raw image to labels and probabilities, in one graph."""

from __future__ import annotations

from dataclasses import dataclass

from delineate.export.graph_intensities import Affine, write_affine, write_sample, write_units
from delineate.export.graph_network import Net
from delineate.export.graph_resizing import (
    write_cut,
    write_filled,
    write_interpolated_rows,
    write_resized,
    write_resized_volume,
)
from delineate.export.graph_sizes import size_of, write_working_size
from delineate.export.graph_windows import Windows
from delineate.export.order import Form
from delineate.inference.engines.onnx_graph import GraphWriter


@dataclass(frozen=True)
class Inputs:
    """What a graph is given.

    Attributes:
        image: `(H, W, C)`, `(C, H, W)`, `(D, H, W, C)` or `(C, D, H, W)`.
        spacing_mm: A row of three float64, for a plan with one.
        given: `(2, C)` float32, for pictures normalized by their own numbers: gain and offset to be taken in
            their place, where they are numbers.
    """

    image: str
    spacing_mm: str | None = None
    given: str | None = None


def write_prediction(to: GraphWriter, net: Net, form: Form, inputs: Inputs) -> tuple[str, str]:
    """All of a prediction.

    Args:
        to: The graph.
        net: With its plan.
        form: Of the image.
        inputs: The names of what it is given.

    Returns:
        `labels` uint8 of the image's spatial size, and `probabilities` `(n, …)` float32.
    """
    plan = net.plan
    axes, image = plan.data.axes, inputs.image
    if form.channels == "last":
        image = to.op("Transpose", image, perm=(axes, *range(axes)))
    units = write_units(to, to.op("Unsqueeze", image, to.integers(0)), form.pixels, plan)
    if axes == 2:
        found = _picture(to, net, units, given=inputs.given)
    elif plan.network.axes == 2:
        found = _slices(to, net, units)
    else:
        found = _volume(to, net, units, inputs.spacing_mm)
    return _decided(to, net, to.op("Squeeze", found, to.integers(0)))


def _picture(
    to: GraphWriter, net: Net, units: str, *, affine: Affine | None = None, given: str | None = None
) -> str:
    """`(1, K, H, W)` of `(1, C, H, W)`."""
    preprocessing = net.plan.preprocessing
    own = size_of(to, units, 2)
    size = write_working_size(to, own, preprocessing)
    working = write_resized(to, units, size)
    affine = affine or write_affine(to, working, preprocessing)
    if affine is not None:
        affine = affine if given is None else _or_given(to, affine, given)
        working = affine.write(to, working, 2)
    found = _seen(to, net, working)
    cut = write_cut(to, found, size, 2)
    return to.op("Clip", write_resized(to, cut, own), to.constant(0, "float32"), to.constant(1, "float32"))


def _or_given(to: GraphWriter, own: Affine, given: str) -> Affine:
    rows = to.ops("Split", given, outputs=2, num_outputs=2, axis=0)
    gain, offset = (
        to.op("Where", to.op("IsNaN", row), mine, row)
        for row, mine in (
            (to.op("Squeeze", each, to.integers(0)), mine)
            for each, mine in zip(rows, (own.gain, own.offset), strict=True)
        )
    )
    return Affine(gain, offset)


def _seen(to: GraphWriter, net: Net, working: str) -> str:
    """What the net says of a normalized image of any size, filled up to a window."""
    plan = net.plan
    if plan.preprocessing.mode == "whole":
        stretched = plan.preprocessing.fit == "stretch"
        return net.write(to, working if stretched else write_filled(to, working, net.window))
    filled = write_filled(to, working, net.window)
    windows = Windows(net.window, plan.prediction.overlap, plan.network.output_channels)
    return windows.write(to, filled, net.write)


def _slices(to: GraphWriter, net: Net, units: str) -> str:
    """`(1, K, D, H, W)` of `(1, C, D, H, W)`, by a net that sees one slice at a time."""
    affine = write_affine(to, write_sample(to, units), net.plan.preprocessing)
    depth = to.op("Shape", units, start=2, end=3)

    def each(inner: GraphWriter, at: str, _: tuple[str, ...]) -> list[str]:
        found = _picture(inner, net, inner.op("Gather", units, at, axis=2), affine=affine)
        return [inner.op("Squeeze", found, inner.integers(0))]

    (rows,) = to.loop(depth, [], each, collected=1)  # (D, K, H, W)
    return to.op("Unsqueeze", to.op("Transpose", rows, perm=(1, 0, 2, 3)), to.integers(0))


def _volume(to: GraphWriter, net: Net, units: str, spacing_mm: str | None) -> str:
    """`(1, K, D, H, W)` of `(1, C, D, H, W)`, by a net that sees volumes."""
    preprocessing = net.plan.preprocessing
    own = size_of(to, units, 3)
    size = write_working_size(to, own, preprocessing, spacing_mm)
    working = units if spacing_mm is None else write_resized_volume(to, units, size)
    affine = write_affine(to, working, preprocessing)
    if affine is not None:
        working = affine.write(to, working, 3)
    found = write_cut(to, _seen(to, net, working), size, 3)
    if spacing_mm is None:
        return found
    found = write_interpolated_rows(to, found, to.part(own, 0, 1))
    plane = to.part(own, 1, 3)
    classes = to.integers(1, net.plan.network.output_channels)
    pictures = to.op("Reshape", found, to.joined(to.integers(1, -1), to.part(size, 1, 3)))
    back = to.op("Reshape", write_resized(to, pictures, plane), to.joined(classes, own))
    return to.op("Clip", back, to.constant(0, "float32"), to.constant(1, "float32"))


def _decided(to: GraphWriter, net: Net, found: str) -> tuple[str, str]:
    """Labels, and the labels' part of the probabilities, of `(K, …)`."""
    plan = net.plan
    if plan.network.output_channels == 1:
        chosen = to.op("GreaterOrEqual", found, to.constant(plan.threshold, "float32"))
        return to.cast(to.op("Squeeze", chosen, to.integers(0)), "uint8"), found
    classes = plan.network.output_channels
    labels = to.cast(to.op("ArgMax", found, axis=0, keepdims=0), "uint8")
    return labels, to.op("Slice", found, to.integers(1), to.integers(classes), to.integers(0))
