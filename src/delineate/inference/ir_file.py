"""What an exported OpenVINO IR says of itself: the net alone; all else of a prediction is Delineate's."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from delineate.errors import ModelFileError, UsageError
from delineate.inference.engines.packages import optional_package
from delineate.model_file import ENTRY, ModelCard, card_of

if TYPE_CHECKING:
    from openvino import Model as Graph
    from openvino import Output as Port

GRAPH_NAME, WEIGHTS_NAME = "model.xml", "model.bin"
FORMAT, NEWEST = "format", 1
CARD, PARAMETERS, PRECISION = "card", "parameters", "precision"
WEIGHTS_SHA256, GRAPH_SHA256 = "bin_sha256", "graph_sha256"
_OF_ALL = re.compile(rb"\r?\n\t<rt_info>.*?\n\t</rt_info>", re.DOTALL)  # not those within, of single layers
MAXIMUM_XML_BYTES = 64 << 20
IrPrecision = Literal["fp32", "int8"]


@dataclass(frozen=True)
class IrFile:
    """An exported IR, checked.

    Attributes:
        graph: The content of its XML file.
        weights: The content of its binary file.
        card: What the model says about itself.
        precision: Of its weights.
        parameters: Of its nets.
    """

    graph: bytes = field(repr=False)
    weights: bytes = field(repr=False)
    card: ModelCard
    precision: IrPrecision
    parameters: int


def ir_path(path: str | Path) -> Path | None:
    """The XML file of an IR that `path`, the file or its folder, stands for; None if it is none."""
    place = Path(path)
    if place.suffix.lower() == ".xml" and not place.is_dir():
        return place
    inside = place / GRAPH_NAME
    return inside if inside.is_file() else None


def read_ir(path: Path) -> IrFile:
    """Read and check an exported IR.

    Args:
        path: Of its XML file; its binary file lies beside it.

    Raises:
        UsageError: There is none, or OpenVINO is not installed.
        ModelFileError: It cannot be read, is none that Delineate exported, or is damaged.
    """
    if not path.is_file():
        raise UsageError(f"There is no model at {path}. Give a model file or a run folder.")
    beside = path.with_suffix(".bin")
    try:
        if path.stat().st_size > MAXIMUM_XML_BYTES:
            raise ModelFileError(f"{path} is too large for a graph of ours.")
        graph, weights = path.read_bytes(), beside.read_bytes()
    except OSError as error:
        what = error.filename or path
        raise ModelFileError(f"The model {what} cannot be read: {error.strerror or error}.") from error
    openvino = optional_package("openvino", f"The OpenVINO IR {path}")
    try:
        model = openvino.Core().read_model(graph, weights)
    except Exception as error:  # whatever its reader raises on damage
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{path} is no OpenVINO IR, or is damaged: {reason}") from error
    told = _told(path, model)
    if hashlib.sha256(weights).hexdigest() != told.get(WEIGHTS_SHA256):
        raise ModelFileError(
            f"{beside} is damaged: it is not the one {path.name} was saved with. Copy both again."
        )
    if graph_sha256(graph) != told.get(GRAPH_SHA256):
        raise ModelFileError(f"{path} is damaged: its graph is not the one it was saved with. Copy it again.")
    card, precision, parameters = card_of(path, told[CARD]), told.get(PRECISION), told.get(PARAMETERS, "")
    if precision not in ("fp32", "int8") or not parameters.isdecimal():
        raise ModelFileError(f"{path} is damaged: its description is not whole. Export it anew.")
    _refuse_other_graphs(path, card, model)
    return IrFile(graph, weights, card, "int8" if precision == "int8" else "fp32", int(parameters[:15]))


def graph_sha256(graph: bytes) -> str:
    """A hash of the graph in an IR's XML file, without what is told of it."""
    return hashlib.sha256(_OF_ALL.sub(b"", graph)).hexdigest()


def _told(path: Path, model: Graph) -> dict[str, str]:
    """Our entries in the model's runtime information."""
    names = (CARD, PARAMETERS, PRECISION, WEIGHTS_SHA256, GRAPH_SHA256, FORMAT)
    told = {
        name: str(model.get_rt_info([ENTRY, name]).value)
        for name in names
        if model.has_rt_info([ENTRY, name])
    }
    if CARD not in told:
        raise ModelFileError(
            f"{path} is an OpenVINO IR, but none that Delineate exported. Make one with: "
            "delineate export MODEL --to openvino --out FOLDER"
        )
    version = told.get(FORMAT, "")
    if version.isdecimal() and int(version[:9]) > NEWEST:
        raise ModelFileError(
            f"{path} was exported by a newer Delineate: its format is {version[:9]}, this one's {NEWEST}. "
            "Install a newer one."
        )
    return told


def _refuse_other_graphs(path: Path, card: ModelCard, model: Graph) -> None:
    """Compare what the graph takes and gives with what its card says."""
    plan = card.plan
    size = plan.window
    expected = [[plan.data.channels, *size], [plan.network.output_channels, *size]]
    if [_sides(ports) for ports in (model.inputs, model.outputs)] != [[each] for each in expected]:
        raise ModelFileError(f"{path} is damaged: its graph does not fit what it says of itself.")


def _sides(ports: list[Port]) -> list[list[int | None]]:
    """The shape of each input or output without the first axis; None where it may be any."""
    shapes = [list(port.partial_shape)[1:] for port in ports if port.partial_shape.rank.is_static]
    return [[side.get_length() if side.is_static else None for side in shape] for shape in shapes]
