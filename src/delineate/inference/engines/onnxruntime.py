"""Nets computed by ONNX Runtime, on the processor. No torch here: a process that has none can use it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from delineate.inference.engines.packages import optional_package


class OnnxRuntimeSession:
    """A graph of `network_onnx`, ready to compute.

    Args:
        graph: The ONNX model's bytes.
        threads: To compute with.

    Raises:
        UsageError: The package onnxruntime is not installed.
    """

    def __init__(self, graph: bytes, *, threads: int) -> None:
        runtime = optional_package("onnxruntime", "--engine onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # between two images its threads sleep, so that others can read and write files meanwhile
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        self._binding = self._session.io_binding()

    def run(self, images: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> None:
        """Compute the probabilities of normalized images, in place: nothing is copied.

        Args:
            images: `(N, C, …)`, contiguous.
            found: `(N, K, …)`, contiguous; written.
        """
        for bind, name, array in (
            (self._binding.bind_input, self._input, images),
            (self._binding.bind_output, self._output, found),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self._session.run_with_iobinding(self._binding)
