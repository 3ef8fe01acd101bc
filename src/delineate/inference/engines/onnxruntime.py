"""Nets computed by ONNX Runtime, on the processor. No torch here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from delineate.inference.engines.packages import optional_package


class OnnxRuntimeSession:
    """See `Session`.

    Args:
        graph: The ONNX model's bytes.
        threads: To compute with.

    Raises:
        UsageError: The package onnxruntime is not installed.
        RuntimeError: The graph cannot be run.
    """

    def __init__(self, graph: bytes, *, threads: int) -> None:
        runtime = optional_package("onnxruntime", "--engine onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, too
        # between two images its threads sleep, so that others can read and write files meanwhile
        options.add_session_config_entry("session.force_spinning_stop", "1")
        with _as_runtime_errors():
            self._session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        self._binding = self._session.io_binding()

    def run(self, images: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> None:
        """See `Session`; nothing is copied."""
        for bind, name, array in (
            (self._binding.bind_input, self._input, images),
            (self._binding.bind_output, self._output, found),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        with _as_runtime_errors():
            self._session.run_with_iobinding(self._binding)


@contextlib.contextmanager
def _as_runtime_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # its errors have no common class but this
        raise RuntimeError(f"ONNX Runtime failed: {' '.join(str(error).split())[:300]}") from error
