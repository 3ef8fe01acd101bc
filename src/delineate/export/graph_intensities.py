"""From stored numbers to what a net takes, in a graph, as `inference.fitting` and `preprocess` do it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delineate.fingerprint import ROUNDING
from delineate.inference.engines.onnx_graph import GraphWriter
from delineate.inference.fitting import SAMPLED_VOXELS
from delineate.inference.onnx_file import Pixels
from delineate.plan import Plan, PreprocessingPlan

GREATEST = {"uint8": 255.0, "uint16": 65535.0}


@dataclass(frozen=True)
class Affine:
    """How pixels become what a net takes: `pixels · gain + offset`, both the names of `(C,)` float32."""

    gain: str
    offset: str

    def write(self, to: GraphWriter, pixels: str, axes: int) -> str:
        """`(1, C, …)` float32, normalized."""
        places = to.integers(*range(1, 1 + axes))
        gain, offset = (to.op("Unsqueeze", each, places) for each in (self.gain, self.offset))
        return to.op("Add", to.op("Mul", pixels, gain), offset)


def write_units(to: GraphWriter, image: str, kind: Pixels, plan: Plan) -> str:
    """The numbers that a net sees, before any resizing; see `inference.fitting.units_of`.

    Args:
        to: The graph.
        image: `(1, C, …)` of the type `kind`, of which integers are shares of their range.
        kind: Of its pixels.
        plan: Says what is clipped.

    Returns:
        `(1, C, …)` float32.
    """
    units = image if kind == "float32" else to.cast(image, "float32")
    if kind != "float32":
        units = to.op("Div", units, to.constant(GREATEST[kind], "float32"))
    if clip := plan.preprocessing.clip:
        shape = (1, -1, *[1] * plan.data.axes)
        low, high = (
            to.op("Reshape", to.constant([pair[at] for pair in clip], "float32"), to.integers(*shape))
            for at in (0, 1)
        )
        units = to.op("Min", to.op("Max", units, low), high)
    return units


def write_affine(to: GraphWriter, pixels: str, preprocessing: PreprocessingPlan) -> Affine | None:
    """How `(1, C, …)` is normalized, by its own numbers where the plan says so; None to leave it."""
    if preprocessing.normalization == "unit":
        return None
    if preprocessing.normalization == "dataset":
        mean, deviation = (
            np.array(each, np.float32) for each in (preprocessing.mean, preprocessing.standard_deviation)
        )
        return Affine(
            to.constant(np.float32(1) / deviation, "float32"), to.constant(-mean / deviation, "float32")
        )
    return _own_affine(to, pixels)


def _own_affine(to: GraphWriter, pixels: str) -> Affine:
    channels = to.op("Shape", pixels, start=1, end=2)
    rows = to.op("Reshape", pixels, to.joined(channels, to.integers(-1), to.op("Shape", pixels, start=-1)))
    mean = _mean(to, rows)
    squares = to.op("Sub", rows, to.cast(mean, "float32"))
    variance = _mean(to, to.op("Mul", squares, squares))
    one, deviation = to.constant(1, "float64"), to.op("Sqrt", variance)
    rounding = to.op("Mul", to.op("Abs", mean), to.constant(ROUNDING, "float64"))
    deviation = to.op("Where", to.op("Greater", deviation, rounding), deviation, one)
    whole = to.integers(1, 2)
    gain = to.op("Squeeze", to.op("Div", one, deviation), whole)
    offset = to.op("Squeeze", to.op("Neg", to.op("Div", mean, deviation)), whole)
    return Affine(to.cast(gain, "float32"), to.cast(offset, "float32"))


def _mean(to: GraphWriter, rows: str) -> str:
    """The mean of `(C, n, W)` for each channel, `(C, 1, 1)` float64: of rows first, which is exact enough."""
    of_rows = to.cast(to.op("ReduceMean", rows, to.integers(2), keepdims=1), "float64")
    return to.op("ReduceMean", of_rows, to.integers(1), keepdims=1)


def write_sample(to: GraphWriter, units: str) -> str:
    """Voxels of `(1, C, D, H, W)` on an even grid, as `inference.preprocess.slices` takes them."""
    voxels = to.op("ReduceProd", to.op("Shape", units, start=2, end=5), keepdims=1)
    ratio = to.op("Div", to.cast(voxels, "float64"), to.constant([SAMPLED_VOXELS], "float64"))
    root = to.op("Pow", ratio, to.constant(1 / 3, "float64"))
    step = to.op("Max", to.cast(to.op("Ceil", root), "int64"), to.integers(1))
    starts, ends = to.integers(0, 0, 0), to.op("Shape", units, start=2, end=5)
    return to.op("Slice", units, starts, ends, to.integers(2, 3, 4), to.op("Tile", step, to.integers(3)))
