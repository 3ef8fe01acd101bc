"""A model's net as an OpenVINO IR.

OpenVINO reads the ONNX graph of a whole prediction, but its answers are others (probabilities differ by as
much as 0.07 where images are made smaller): the IR holds the net alone, and Delineate does the rest as for
any engine.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delineate.errors import ExportError
from delineate.export.agreement import Agreement, compare, refuse_disagreement
from delineate.export.order import Order
from delineate.files import new_folder
from delineate.inference.engines.network_onnx import network_onnx
from delineate.inference.engines.packages import optional_package
from delineate.inference.engines.probe import Task, probe
from delineate.inference.ir_file import (
    CARD,
    FORMAT,
    GRAPH_NAME,
    GRAPH_SHA256,
    NEWEST,
    PARAMETERS,
    PRECISION,
    WEIGHTS_NAME,
    WEIGHTS_SHA256,
    IrPrecision,
    graph_sha256,
    read_ir,
)
from delineate.inference.ir_model import IrModel
from delineate.inference.model import Model
from delineate.model_file import ENTRY

if TYPE_CHECKING:
    from openvino import Model as Graph

WHY = "--to openvino"
LIMIT_S = 120.0


def export_openvino(order: Order, place: Path) -> Agreement:
    """Write a model's net as an IR in fp32, and compare the two.

    Args:
        order: What is asked for.
        place: A new folder, for `model.xml` and `model.bin`.

    Returns:
        How near the two are.

    Raises:
        UsageError: OpenVINO is not installed.
        ExportError: They do not agree, or OpenVINO cannot compute the net on this machine.
        DataError: An image does not fit the model.
    """
    write_ir(place, converted(order.model), order.model, "fp32")
    return refuse_disagreement(compare(order.model, exported(place), order.images), "The OpenVINO IR")


def converted(model: Model) -> Graph:
    """A model's net as OpenVINO's graph, from normalized images to probabilities.

    Raises:
        UsageError: OpenVINO is not installed.
        ExportError: It cannot compute the net on this machine; found out in a process of its own.
    """
    openvino, plan = optional_package("openvino", WHY), model.plan
    graph: bytes = network_onnx(model.network, plan.data.channels, plan.window).SerializeToString()
    images = np.zeros((1, plan.data.channels, *plan.window), np.float32)
    task = Task(graph, images, plan.network.output_channels, threads=1)
    if (fault := probe("openvino", ["fp32"], task, limit_s=LIMIT_S)["fp32"].fault) is not None:
        raise ExportError(
            f"OpenVINO {fault} on this machine, so that it cannot be compared. Nothing was written."
        )
    read: Graph = openvino.Core().read_model(graph)
    return read


def write_ir(place: Path, graph: Graph, model: Model, precision: IrPrecision) -> None:
    """Write a graph with the model's card.

    Args:
        place: A new or empty folder.
        graph: The net.
        model: That it is of.
        precision: Of the graph's weights.

    Raises:
        OutputError: The folder holds something already, or cannot be written.
    """
    openvino, folder = optional_package("openvino", WHY), new_folder(place, "the IR")
    told = {
        CARD: model.card.model_dump_json(),
        FORMAT: str(NEWEST),
        PARAMETERS: str(model.parameters),
        PRECISION: precision,
    }
    for name, text in told.items():
        graph.set_rt_info(text, [ENTRY, name])
    for _ in range(2):  # the second time with the hashes of what the first has written
        openvino.save_model(graph, folder / GRAPH_NAME, compress_to_fp16=False)
        weights = hashlib.sha256((folder / WEIGHTS_NAME).read_bytes()).hexdigest()
        graph.set_rt_info(weights, [ENTRY, WEIGHTS_SHA256])
        graph.set_rt_info(graph_sha256((folder / GRAPH_NAME).read_bytes()), [ENTRY, GRAPH_SHA256])


def exported(place: Path) -> IrModel:
    """The model from the IR in a folder.

    Raises:
        ModelFileError: It is not what was written.
    """
    return IrModel(read_ir(place / GRAPH_NAME))
