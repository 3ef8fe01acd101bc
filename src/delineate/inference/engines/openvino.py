"""Nets computed by OpenVINO, on the processor. No torch here: a process that has none can use it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from delineate.choices import FloatPrecision
from delineate.errors import UsageError
from delineate.inference.engines.packages import optional_package

_HINT: dict[FloatPrecision, str] = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoSession:
    """A graph of `network_onnx`, compiled for one image at a time of one size.

    Images one by one: a batch takes longer than its images singly, as their features leave the caches.

    Args:
        graph: The ONNX model's bytes, or the XML of an IR.
        shape: `(C, …)` of an image.
        precision: Of the arithmetic.
        threads: To compute with.
        weights: The binary part of an IR.

    Raises:
        UsageError: The package openvino is not installed, or the processor has no bf16 arithmetic.
    """

    def __init__(
        self,
        graph: bytes,
        shape: tuple[int, ...],
        *,
        precision: FloatPrecision,
        threads: int,
        weights: bytes | None = None,
    ) -> None:
        openvino = optional_package("openvino", "--engine openvino")
        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise UsageError(
                "This processor has no bf16 arithmetic for OpenVINO to compute in. Give --precision fp32."
            )
        model = core.read_model(graph) if weights is None else core.read_model(graph, weights)
        model.reshape([1, *shape])
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINT[precision],
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": threads,
                "ENABLE_CPU_PINNING": False,  # others use the processor, too
            },
        )
        self._tensor = openvino.Tensor
        self._request = compiled.create_infer_request()

    def run(self, images: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> None:
        """Compute the probabilities of normalized images, in place: nothing is copied.

        Args:
            images: `(N, C, …)`, contiguous.
            found: `(N, K, …)`, contiguous; written.
        """
        for at in range(len(images)):
            one = slice(at, at + 1)
            self._request.set_input_tensor(self._tensor(images[one], shared_memory=True))
            self._request.set_output_tensor(self._tensor(found[one], shared_memory=True))
            self._request.infer()
