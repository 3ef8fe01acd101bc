"""What an exported ONNX file says about itself, read without trusting it, and without torch or `onnx`.

Whatever could reach out of the file is refused before a runtime sees it: weights kept in other files, and
operators that are not ONNX's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from delineate.errors import ModelFileError, UsageError
from delineate.inference.protobuf import DamagedError, Message
from delineate.model_file import ENTRY, ModelCard, card_of

SUFFIX = ".onnx"
Pixels = Literal["uint8", "uint16", "float32"]
Channels = Literal["last", "first"]
FORMAT, LABEL_NAMES, CHANNELS, PIXELS = "delineate_format", "labels", "channels", "pixels"
PARAMETERS, GRAPH_SHA256 = "parameters", "graph_sha256"
IMAGE, SPACING, GIVEN = "image", "spacing_mm", "gain_and_offset"
LABELS, PROBABILITIES = "labels", "probabilities"
EXPORT_VERSION = 1  # the newest that is read
MAXIMUM_FILE_BYTES = (1 << 31) - 1  # of any protobuf message
MAXIMUM_DEPTH = 8  # of graphs in graphs
OWN_DOMAINS = ("", "ai.onnx")
# numbers of the fields, of ONNX's onnx.proto
_GRAPH, _METADATA, _FUNCTIONS, _TRAINING = 7, 14, 25, 20
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_ATTRIBUTE, _DOMAIN = 5, 7
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS, _SPARSE_TENSOR, _SPARSE_TENSORS = 5, 6, 10, 11, 22, 23
_VALUES, _INDICES = 1, 2
_EXTERNAL, _LOCATION = 13, 14
_KEY, _VALUE = 1, 2


@dataclass(frozen=True)
class OnnxFile:
    """An exported file, checked.

    Attributes:
        path: Where it lies.
        content: Its bytes, which are those that were checked.
        card: What the model says about itself.
        pixels: The type of the images it takes.
        channels: Whether their axis of channels comes last or first.
        parameters: Of its nets.
    """

    path: Path
    content: bytes = field(repr=False)
    card: ModelCard
    pixels: Pixels
    channels: Channels
    parameters: int


def read_onnx(path: Path) -> OnnxFile:
    """Read and check an exported file.

    Raises:
        UsageError: There is none.
        ModelFileError: It cannot be read, is no file that Delineate exported, is damaged, or reaches out of
            itself.
    """
    if not path.exists():
        raise UsageError(f"There is no model at {path}. Give a model file or a run folder.")
    try:
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            raise ModelFileError(f"{path} is too large for an ONNX file.")
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"The model {path} cannot be read: {error.strerror or error}.") from error
    try:
        model = Message(content)
        told = _metadata(model)
        if ENTRY not in told:
            raise ModelFileError(
                f"{path} is an ONNX file, but none that Delineate exported: it does not say what its labels "
                "are. Export the model with: delineate export MODEL --to onnx --out FILE.onnx"
                if any(model.messages(_GRAPH))
                else f"{path} is not an ONNX file."
            )
        return _checked(path, content, model, told)
    except DamagedError as error:
        raise ModelFileError(
            f"{path} is not an ONNX file, or is damaged ({error}). Copy it again, or export it anew."
        ) from error


def _checked(path: Path, content: bytes, model: Message, told: dict[str, str]) -> OnnxFile:
    version = told.get(FORMAT, "")
    if version.isdecimal() and int(version[:9]) > EXPORT_VERSION:
        raise ModelFileError(
            f"{path} was exported by a newer Delineate: its format is {version[:9]}, this one's "
            f"{EXPORT_VERSION}. Install a newer one."
        )
    card = card_of(path, told[ENTRY])
    if reason := _reaching_out(model):
        raise ModelFileError(f"{path} is refused: {reason}.")
    if graph_sha256(content) != told.get(GRAPH_SHA256):
        raise ModelFileError(f"{path} is damaged: its graph is not the one it was saved with. Copy it again.")
    pixels, channels, parameters = told.get(PIXELS), told.get(CHANNELS), told.get(PARAMETERS, "")
    known_pixels = {name: name for name in get_args(Pixels)}
    known_channels = {name: name for name in get_args(Channels)}
    if pixels not in known_pixels or channels not in known_channels or not parameters.isdecimal():
        raise ModelFileError(f"{path} does not say what images it takes. Export it anew.")
    return OnnxFile(path, content, card, known_pixels[pixels], known_channels[channels], int(parameters[:15]))


def graph_sha256(content: bytes) -> str:
    """A hash of the graph in an ONNX file, its weights included.

    Raises:
        DamagedError: It has not one graph.
    """
    graphs = list(Message(content).messages(_GRAPH))
    if len(graphs) != 1:
        raise DamagedError("it has not one graph")
    return hashlib.sha256(graphs[0].view).hexdigest()


def _metadata(model: Message) -> dict[str, str]:
    return {entry.text(_KEY): entry.text(_VALUE) for entry in model.messages(_METADATA)}


def _reaching_out(model: Message) -> str | None:
    """Why a model is not contained in its file and ONNX's own operators; None if it is."""
    if any(model.messages(_FUNCTIONS)) or any(model.messages(_TRAINING)):
        return "it holds functions of its own, which no exported file does"
    return next((reason for graph in model.messages(_GRAPH) for reason in _faults(graph, 1)), None)


def _faults(graph: Message, depth: int) -> Iterator[str]:
    if depth > MAXIMUM_DEPTH:
        yield "its graphs are nested too deeply"
        return
    tensors = list(graph.messages(_INITIALIZER))
    sparse = list(graph.messages(_SPARSE))
    for node in graph.messages(_NODE):
        domain = node.text(_DOMAIN)
        if domain not in OWN_DOMAINS:
            yield f"it uses operators that are not ONNX's own ({domain[:60]!r})"
        for attribute in node.messages(_ATTRIBUTE):
            for number in (_TENSOR, _TENSORS):
                tensors += attribute.messages(number)
            for number in (_SPARSE_TENSOR, _SPARSE_TENSORS):
                sparse += attribute.messages(number)
            for number in (_SUBGRAPH, _SUBGRAPHS):
                for inner in attribute.messages(number):
                    yield from _faults(inner, depth + 1)
    for each in sparse:
        for number in (_VALUES, _INDICES):
            tensors += each.messages(number)
    if any(any(tensor.messages(_EXTERNAL)) or tensor.number(_LOCATION) for tensor in tensors):
        yield "its weights lie in another file, which is never opened"
