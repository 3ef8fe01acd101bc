"""Running a few nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import helper

from delineate.inference.engines.onnx_graph import IR_VERSION, OPSET, TYPES, GraphWriter

Numbers = npt.NDArray[Any]
Run = Callable[..., Numbers]


def runner(write: Callable[..., str], inputs: Sequence[tuple[str, Sequence[int | None]]], output: str) -> Run:
    """A function that runs what `write` writes.

    Args:
        write: Takes a writer and the names of the inputs, gives the name of the output.
        inputs: Type and shape of each.
        output: Its type.
    """
    writer = GraphWriter()
    names = [f"input_{at}" for at in range(len(inputs))]
    writer.output(write(writer, *names), "output")
    graph = writer.graph(
        "part",
        [
            helper.make_tensor_value_info(name, TYPES[kind], list(shape))
            for name, (kind, shape) in zip(names, inputs, strict=True)
        ],
        [helper.make_tensor_value_info("output", TYPES[output], None)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    session = onnxruntime.InferenceSession(proto.SerializeToString())

    def run(*values: npt.ArrayLike) -> Numbers:
        given = {
            name: np.asarray(value, kind)
            for name, value, (kind, _) in zip(names, values, inputs, strict=True)
        }
        found: Numbers = session.run(None, given)[0]
        return found

    return run
