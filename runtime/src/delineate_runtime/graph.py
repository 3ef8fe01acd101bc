"""The graph in an ONNX file, found by the lengths of its fields: whether it is the one that was saved."""

from __future__ import annotations

import hashlib

_GRAPH = 7  # number of the field, of ONNX's onnx.proto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def graph_sha256(content: bytes) -> str | None:
    """A hash of the graph in an ONNX file, its weights included.

    Args:
        content: Of the file.

    Returns:
        None where the bytes are no ONNX file with one graph.

    Source:
        protobuf.dev/programming-guides/encoding.
    """
    view, at, graphs = memoryview(content), 0, list[memoryview]()
    try:
        while at < len(view):
            key, at = _varint(view, at)
            kind = key & 7
            if kind == _VARINT:
                _, at = _varint(view, at)
                continue
            if kind == _BYTES:
                length, at = _varint(view, at)
            else:
                length = {_FIXED64: 8, _FIXED32: 4}[kind]
            if key >> 3 == _GRAPH:
                graphs.append(view[at : at + length])
            at += length
    except (IndexError, KeyError):
        return None
    return hashlib.sha256(graphs[0]).hexdigest() if len(graphs) == 1 and at == len(view) else None


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """A number of up to ten bytes, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        value |= (view[at] & 0x7F) << shift
        at += 1
        if view[at - 1] < 0x80:
            return value, at
    raise IndexError
