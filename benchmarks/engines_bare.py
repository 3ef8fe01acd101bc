"""OpenVINO and ONNX Runtime driven bare, as their documentation drives them: the measure of our engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.inference.engines.packages import optional_package

Images = npt.NDArray[np.float32]


def bare_sides(graph: bytes, images: Images, threads: int) -> dict[str, Callable[[], object]]:
    """What computes images, by name.

    Args:
        graph: An ONNX model, its bytes.
        images: `(N, C, …)` float32.
        threads: To compute with.
    """
    sides: dict[str, Callable[[], object]] = {"ONNX Runtime, bare": _onnxruntime(graph, images, threads)}
    for name, precision in (("f32", "f32"), ("bf16", "bf16")):
        sides[f"OpenVINO {name}, bare"] = _openvino(graph, images, threads, precision)
    if len(images) > 1 and threads > 1:
        sides["OpenVINO bf16, bare, a stream a thread"] = _streams(graph, images, threads)
    return sides


def _onnxruntime(graph: bytes, images: Images, threads: int) -> Callable[[], object]:
    runtime = optional_package("onnxruntime", "The benchmark")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: images})


def _openvino(graph: bytes, images: Images, threads: int, precision: str) -> Callable[[], object]:
    compiled = _compiled(graph, images, threads, precision, "LATENCY")
    return lambda: [compiled(each[None])[0] for each in images]


def _streams(graph: bytes, images: Images, threads: int) -> Callable[[], object]:
    openvino = optional_package("openvino", "The benchmark")
    compiled = _compiled(graph, images, threads, "bf16", "THROUGHPUT", NUM_STREAMS=threads)
    found: list[Images | None] = [None] * len(images)
    queue = openvino.AsyncInferQueue(compiled)

    def keep(request: Any, at: int) -> None:
        found[at] = request.get_output_tensor(0).data.copy()

    queue.set_callback(keep)

    def run() -> object:
        for at, each in enumerate(images):
            queue.start_async({0: each[None]}, at)
        queue.wait_all()
        return found

    return run


def _compiled(graph: bytes, images: Images, threads: int, precision: str, hint: str, **more: object) -> Any:
    openvino = optional_package("openvino", "The benchmark")
    core = openvino.Core()
    model = core.read_model(graph)
    model.reshape([1, *images.shape[1:]])
    settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": hint}
    return core.compile_model(model, "CPU", {**settings, "INFERENCE_NUM_THREADS": threads, **more})
