"""Engines by their names."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from torch import nn

from delineate.choices import FloatPrecision
from delineate.errors import UsageError
from delineate.inference.engines.engine import Engine, EngineName
from delineate.inference.engines.graph_engine import GraphEngine
from delineate.inference.engines.network_onnx import network_onnx
from delineate.inference.engines.packages import optional_package, refuse_lacking
from delineate.inference.engines.pytorch import TorchEngine
from delineate.inference.engines.sessions import Session, open_session
from delineate.inference.engines.wish import PrecisionChoice
from delineate.inference.hardware import has_fast_bf16
from delineate.plan import Plan


@dataclass(frozen=True)
class Net:
    """A trained net, or an ensemble, as the engines are made from it.

    Attributes:
        network: In evaluation mode; a `ModuleList` of several, whose probabilities are averaged.
        plan: The one it was trained by.
        members: Nets whose probabilities are averaged.
        trained_in: Precision of its training.
        weights_sha256: Hash of its weights.
    """

    network: nn.Module
    plan: Plan
    members: int
    trained_in: FloatPrecision
    weights_sha256: str

    @functools.cached_property
    def graph(self) -> bytes:
        """The ONNX model from normalized images to probabilities.

        Raises:
            UsageError: The package onnx is not installed.
        """
        optional_package("onnx", "Another engine than torch")
        proto = network_onnx(self.network, self.plan.data.channels, self.plan.window)
        content: bytes = proto.SerializeToString()
        return content

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, …)` of an image or a window."""
        return (self.plan.data.channels, *self.plan.window)

    @property
    def classes(self) -> int:
        """K of the probabilities."""
        return self.plan.network.output_channels

    def usual_precision(self, engine: EngineName = "torch") -> FloatPrecision:
        """That of its training, where the engine has it and is as fast in it; else fp32."""
        if engine == "onnxruntime" or self.trained_in == "fp32":
            return "fp32"
        of_torch = next(self.network.parameters()).device.type  # the others compute on the processor
        return "bf16" if has_fast_bf16(of_torch if engine == "torch" else "cpu") else "fp32"


def make_engine(net: Net, name: EngineName, precision: PrecisionChoice) -> Engine:
    """An engine for a net.

    Args:
        net: The net.
        name: Of the program that computes.
        precision: Of its arithmetic; "auto" for that of the training where the engine has it.

    Raises:
        UsageError: The engine has no such precision, or its package is not installed.
    """
    wanted = settled_precision(net, name, precision)
    if name == "torch":
        return TorchEngine(net.network, bf16=wanted == "bf16")
    refuse_lacking(name)
    graph, shape = net.graph, net.shape

    def ready(threads: int) -> Session:
        return open_session(name, graph, shape, precision=wanted, threads=threads)

    return GraphEngine(name, wanted, members=net.members, classes=net.classes, open_session=ready)


def settled_precision(net: Net, name: EngineName, precision: PrecisionChoice) -> FloatPrecision:
    """The precision that is meant.

    Raises:
        UsageError: The engine has no such precision.
    """
    if precision == "int8":
        raise UsageError(
            "The weights of this model are floating-point numbers. int8 needs images to calibrate with and a "
            "look at what it costs, so it is an export: delineate export MODEL --to openvino --precision int8"
        )
    if precision == "auto":
        return net.usual_precision(name)
    if name == "onnxruntime" and precision == "bf16":
        raise UsageError(
            "ONNX Runtime computes in fp32 on a processor. Omit --precision, or give --engine openvino "
            "or torch."
        )
    return precision
