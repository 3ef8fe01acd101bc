"""The ONNX file: one graph from a raw image to labels and probabilities, and the model's card."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

from delineate.export.agreement import Agreement, compare, refuse_disagreement
from delineate.export.graph_network import Net
from delineate.export.graph_prediction import Inputs, write_prediction
from delineate.export.order import Form, Order
from delineate.files import write_with
from delineate.inference.engines.onnx_graph import IR_VERSION, OPSET, TYPES, GraphWriter
from delineate.inference.exported import ExportedModel
from delineate.inference.onnx_file import (
    CHANNELS,
    EXPORT_VERSION,
    FORMAT,
    GIVEN,
    GRAPH_SHA256,
    IMAGE,
    LABEL_NAMES,
    LABELS,
    PARAMETERS,
    PIXELS,
    PROBABILITIES,
    SPACING,
    graph_sha256,
    read_onnx,
)
from delineate.model_file import ENTRY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from delineate.inference.model import Model
    from delineate.networks.unet import UNet

SIDES = {2: ("height", "width"), 3: ("depth", "height", "width")}


def onnx_model(model: Model, form: Form) -> bytes:
    """A model as an ONNX file.

    Args:
        model: The model.
        form: In which the file takes its images.

    Returns:
        The file's bytes: opset 20, no external data, no operators but ONNX's own.
    """
    card, plan = model.card, model.plan
    graph = _graph(Net(networks_of(model), plan), form)
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="delineate",
    )
    helper.set_model_props(
        proto,
        {
            ENTRY: card.model_dump_json(),
            FORMAT: str(EXPORT_VERSION),
            LABEL_NAMES: json.dumps(list(plan.data.labels), ensure_ascii=False),
            CHANNELS: form.channels,
            PIXELS: form.pixels,
            PARAMETERS: str(model.parameters),
        },
    )
    onnx.checker.check_model(proto)
    entry = proto.metadata_props.add()
    entry.key, entry.value = GRAPH_SHA256, graph_sha256(proto.SerializeToString(deterministic=True))
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def export_onnx(order: Order, path: Path) -> Agreement:
    """Write a model as an ONNX file, and compare what it says with what the model says.

    Args:
        order: What is asked for.
        path: Of the file.

    Raises:
        ExportError: They do not agree.
        OutputError: The place cannot be written.
    """
    content = onnx_model(order.model, order.form)
    write_with(path, lambda stream: stream.write(content))
    written = ExportedModel(read_onnx(path))
    return refuse_disagreement(compare(order.model, written, order.images), "The ONNX file")


def networks_of(model: Model) -> Sequence[UNet]:
    """The nets of a model, one or several."""
    from torch import nn  # noqa: PLC0415  heavy

    network = model.network
    return list(network) if isinstance(network, nn.ModuleList) else [network]  # type: ignore[arg-type, list-item]  # a model's nets are U-Nets


def _graph(net: Net, form: Form) -> onnx.GraphProto:
    plan = net.plan
    sides = SIDES[plan.data.axes]
    channels = plan.data.channels
    shape = [*sides, channels] if form.channels == "last" else [channels, *sides]
    inputs = [helper.make_tensor_value_info(IMAGE, TYPES[form.pixels], shape)]
    writer = GraphWriter()
    spacing = given = None
    if plan.preprocessing.spacing_mm is not None:
        spacing = SPACING
        inputs.append(helper.make_tensor_value_info(SPACING, TensorProto.DOUBLE, [3]))
    if plan.data.axes == 2 and plan.preprocessing.normalization == "image":
        given = GIVEN
        inputs.append(helper.make_tensor_value_info(GIVEN, TensorProto.FLOAT, [2, channels]))
        writer.preset(GIVEN, [[float("nan")] * channels] * 2, "float32")
    labels, probabilities = write_prediction(writer, net, form, Inputs(IMAGE, spacing, given))
    writer.output(labels, LABELS)
    writer.output(probabilities, PROBABILITIES)
    outputs = [
        helper.make_tensor_value_info(LABELS, TensorProto.UINT8, list(sides)),
        helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, [len(plan.data.labels), *sides]),
    ]
    return writer.graph("delineate", inputs, outputs)
