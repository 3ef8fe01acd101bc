"""Writing ONNX graphs node by node."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto, NodeProto, ValueInfoProto

OPSET = 20
IR_VERSION = 10
TYPES = {
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "bool": TensorProto.BOOL,
}
Body = Callable[["GraphWriter", str, tuple[str, ...]], Sequence[str]]


class GraphWriter:
    """A graph to which nodes are added; values go by their names.

    Args:
        inner: Of the graph around this one, for one that is repeated in it: names are then unlike its.
    """

    def __init__(self, inner: GraphWriter | None = None) -> None:
        self._numbers: Iterator[int] = itertools.count() if inner is None else inner._numbers
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._known: dict[tuple[bytes, str, tuple[int, ...]], str] = {}

    def name(self, kind: str) -> str:
        """A new name."""
        return f"{kind.lower()}_{next(self._numbers)}"

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """The one output of a node of the operator `kind`."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: object) -> tuple[str, ...]:
        """The outputs of a node of the operator `kind`."""
        names = [self.name(kind) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=names[0], **attributes))
        return tuple(names)

    def constant(self, value: npt.ArrayLike, kind: str) -> str:
        """A constant of the type `kind`, the same name for the same value."""
        array = np.asarray(value, dtype=kind)
        key = (array.tobytes(), kind, array.shape)
        if key not in self._known:
            self._known[key] = self.name("constant")
            self.constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def preset(self, name: str, value: npt.ArrayLike, kind: str) -> None:
        """Give an input a value that it has where none is given."""
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=kind), name))

    def output(self, value: str, name: str) -> str:
        """The value by a name of its own, as an output of the whole."""
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        return name

    def integers(self, *values: int) -> str:
        """A constant row of int64."""
        return self.constant(values, "int64")

    def cast(self, value: str, kind: str) -> str:
        """The value as another type."""
        return self.op("Cast", value, to=TYPES[kind])

    def part(self, row: str, start: int, end: int) -> str:
        """Entries of a row."""
        return self.op("Slice", row, self.integers(start), self.integers(end), self.integers(0))

    def joined(self, *rows: str) -> str:
        """Rows one after another."""
        return self.op("Concat", *rows, axis=0)

    def loop(self, count: str, state: Sequence[str], body: Body, *, collected: int = 0) -> tuple[str, ...]:
        """Repeat `body` so many times.

        Args:
            count: int64, a row of one.
            state: What it changes, at first.
            body: Takes a writer, the number of the repetition (a scalar), and the state; gives the new state,
                then the values to be collected along a new first axis.
            collected: Number of those.

        Returns:
            The state at last, then what was collected.
        """
        inner = GraphWriter(self)
        at, going_on = inner.name("at"), inner.name("going_on")
        held = [inner.name("state") for _ in state]
        results = body(inner, at, tuple(held))
        inputs = [
            helper.make_tensor_value_info(at, TensorProto.INT64, []),
            helper.make_tensor_value_info(going_on, TensorProto.BOOL, []),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in held),
        ]
        outputs = [
            helper.make_tensor_value_info(inner.op("Identity", going_on), TensorProto.BOOL, []),
            *(
                helper.make_tensor_value_info(inner.op("Identity", name), TensorProto.FLOAT, None)
                for name in results
            ),
        ]
        graph = inner.graph(self.name("body"), inputs, outputs)
        scalar = self.op("Squeeze", count, self.integers(0))
        return self.ops("Loop", scalar, "", *state, outputs=len(state) + collected, body=graph)

    def graph(
        self, name: str, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> GraphProto:
        """What was written."""
        return helper.make_graph(self.nodes, name, list(inputs), list(outputs), initializer=self.constants)
