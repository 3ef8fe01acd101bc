"""Graphs that other engines than torch have made ready. No torch here."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from delineate.choices import FloatPrecision
from delineate.inference.engines.engine import EngineName

Numbers = npt.NDArray[np.float32]


class Session(Protocol):
    """A graph that is ready to compute."""

    def run(self, images: Numbers, found: Numbers) -> None:
        """Write the probabilities `(N, K, …)` of normalized images `(N, C, …)` to `found`; both contiguous.

        Raises:
            RuntimeError: The engine could not.
        """
        ...


def open_session(
    name: EngineName, graph: bytes, shape: tuple[int, ...], *, precision: FloatPrecision, threads: int
) -> Session:
    """Make a graph ready.

    Args:
        name: "onnxruntime" or "openvino".
        graph: An ONNX model as `network_onnx` makes it, its bytes.
        shape: `(C, …)` of an image.
        precision: Of the arithmetic; ONNX Runtime has fp32 alone.
        threads: To compute with.

    Raises:
        UsageError: The package is not installed, or the processor lacks the precision.
        RuntimeError: The engine cannot run the graph.
    """
    if name == "onnxruntime":
        from delineate.inference.engines.onnxruntime import OnnxRuntimeSession  # noqa: PLC0415  one at a time

        return OnnxRuntimeSession(graph, threads=threads)
    from delineate.inference.engines.openvino import OpenVinoSession  # noqa: PLC0415  likewise

    return OpenVinoSession(graph, shape, precision=precision, threads=threads)
