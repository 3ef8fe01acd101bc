"""A model's graph from its description, with the models inside it opened up.

Both forms are read: that of Keras 2 (`[["conv2d", 0, 0, {}]]`) and that of Keras 3 (`keras_history`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from delineate.pretrained.keras.archive import Json
from delineate.pretrained.keras.refusal import Refusal, shown

MODELS = ("Functional", "Model", "Sequential")
MAXIMUM_LAYERS = 1000
MAXIMUM_DEPTH = 8  # of models within models


@dataclass(frozen=True)
class Place:
    """Where a layer, or a model around it, is found among the weights.

    Attributes:
        name: As the user or Keras called it.
        stored: As Keras stores it by path: its class, numbered among those of the class beside it.
    """

    name: str
    stored: str


@dataclass(frozen=True)
class Layer:
    """A layer and what goes into it.

    Attributes:
        kind: Its class.
        config: Its options.
        entry: All that stands beside them in the description.
        places: The models around it, outermost first, then its own.
        inputs: The layers whose outputs go in, by their keys.
        arguments: With which it is called.
    """

    kind: str
    config: Json
    entry: Json
    places: tuple[Place, ...]
    inputs: tuple[str, ...]
    arguments: Json

    @property
    def key(self) -> str:
        """Its name, with the models' around it."""
        return "/".join(place.name for place in self.places)

    def __str__(self) -> str:
        return f"{shown(self.kind)} {shown(self.key)}"


@dataclass
class Graph:
    """All layers that are no models, in the order of the description."""

    layers: dict[str, Layer] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def read_graph(description: Json) -> Graph:
    """The graph of a model's description.

    Raises:
        Refusal: It is no functional or sequential model, or contradicts itself.
    """
    kind = description.get("class_name")
    if kind not in MODELS:
        raise Refusal(
            f"its model is a {shown(kind)}: only functional and sequential models say what they compute"
        )
    graph = Graph()
    _Opened(graph, ()).read(description, None)
    return graph


@dataclass
class _Opened:
    """A model that is gone through; `tensors` says which layer each of its layers' outputs comes from."""

    graph: Graph
    around: tuple[Place, ...]
    tensors: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def read(self, description: Json, given: tuple[str, ...] | None) -> tuple[str, ...]:
        """Add a model's layers; gives what its outputs come from."""
        if len(self.around) > MAXIMUM_DEPTH:
            raise Refusal("its models lie too deep within one another")
        config = description.get("config")
        if description.get("class_name") == "Sequential":
            outputs = self._sequence(config, given)
        else:
            outputs = self._functional(_mapping(config, "a model"), given)
        if not self.around:
            self.graph.outputs = outputs
        return outputs

    def _sequence(self, config: object, given: tuple[str, ...] | None) -> tuple[str, ...]:
        listed = config if isinstance(config, list) else _mapping(config, "a model").get("layers")
        at = given
        for number, (entry, place) in enumerate(_placed(listed)):
            if number == 0 and entry.get("class_name") != "InputLayer" and at is None:
                shape = _mapping(entry.get("config"), "a layer").get("batch_input_shape")
                at = self._add_input({"batch_input_shape": shape}, Place("input", "input_layer"))
            if entry.get("class_name") == "InputLayer":
                at = given or self._add_input(_mapping(entry.get("config"), "a layer"), place)
                continue
            at = self._call(entry, place, at or (), {})
        return at or ()

    def _functional(self, config: Json, given: tuple[str, ...] | None) -> tuple[str, ...]:
        waiting = list(_placed(config.get("layers")))
        inputs = [name for name, _ in _references(config.get("input_layers"))]
        if given is not None and len(inputs) != len(given):
            raise Refusal(f"its model {self._named('')} has {len(inputs)} inputs, and is given {len(given)}")
        known = {place.name for _, place in waiting}
        if len(known) != len(waiting):
            raise Refusal("two of its layers have the same name")
        while waiting:
            later = []
            for entry, place in waiting:
                if entry.get("class_name") == "InputLayer":
                    config_of = _mapping(entry.get("config"), "a layer")
                    outside = given[inputs.index(place.name)] if given and place.name in inputs else None
                    self.tensors[place.name] = (outside,) if outside else self._add_input(config_of, place)
                    continue
                references, arguments = _call_of(entry, place.name)
                if missing := [name for name, _ in references if name not in known]:
                    raise Refusal(
                        f"its layer {shown(place.name)} takes {shown(missing[0])}, which is not there"
                    )
                if any(name not in self.tensors for name, _ in references):
                    later.append((entry, place))
                    continue
                into = tuple(self._output(name, index) for name, index in references)
                self.tensors[place.name] = self._call(entry, place, into, arguments)
            if len(later) == len(waiting):
                raise Refusal(f"its layers go round in a circle at {shown(later[0][1].name)}")
            waiting = later
        return tuple(self._output(name, index) for name, index in _references(config.get("output_layers")))

    def _output(self, name: str, index: int) -> str:
        found = self.tensors.get(name, ())
        if not 0 <= index < len(found):
            raise Refusal(f"its description speaks of an output of {shown(name)} that is not there")
        return found[index]

    def _add_input(self, config: Json, place: Place) -> tuple[str, ...]:
        layer = Layer("InputLayer", config, {}, (*self.around, place), (), {})
        self._keep(layer)
        self.graph.inputs += (layer.key,)
        return (layer.key,)

    def _call(self, entry: Json, place: Place, into: tuple[str, ...], arguments: Json) -> tuple[str, ...]:
        kind = entry.get("class_name")
        if kind in MODELS and _is_of_keras(entry):
            if called := [name for name, value in arguments.items() if value not in (None, False)]:
                named = f"{self._named(place.name)} is called with {', '.join(map(shown, called))}"
                raise Refusal(f"its model {named}, which changes what it computes")
            return _Opened(self.graph, (*self.around, place)).read(entry, into)
        config = _mapping(entry.get("config"), f"the layer {shown(place.name)}")
        layer = Layer(str(kind), config, entry, (*self.around, place), into, arguments)
        self._keep(layer)
        return (layer.key,)

    def _keep(self, layer: Layer) -> None:
        if layer.key in self.graph.layers:
            raise Refusal(f"two of its layers are called {shown(layer.key)}")
        if len(self.graph.layers) >= MAXIMUM_LAYERS:
            raise Refusal(f"it has more than {MAXIMUM_LAYERS} layers")
        self.graph.layers[layer.key] = layer

    def _named(self, name: str) -> str:
        return shown("/".join([*(place.name for place in self.around), *filter(None, [name])]) or "itself")


def _is_of_keras(entry: Json) -> bool:
    return entry.get("registered_name") in (None, *MODELS)


def _placed(listed: object) -> Iterator[tuple[Json, Place]]:
    """Each layer's entry with where its weights lie."""
    if not isinstance(listed, list) or len(listed) > MAXIMUM_LAYERS:
        raise Refusal("its description has no list of layers, or one that is too long")
    numbers: dict[str, int] = {}
    for at, each in enumerate(listed):
        entry = _mapping(each, "a layer")
        kind = entry.get("class_name")
        config = entry.get("config")
        name = (
            entry.get("name") or (config.get("name") if isinstance(config, dict) else None) or f"layer {at}"
        )
        if not isinstance(kind, str) or not isinstance(name, str):
            raise Refusal(f"the layer {at + 1} of its description has no class and name")
        base = _as_stored(kind)
        numbers[base] = numbers.get(base, -1) + 1
        yield entry, Place(name, f"{base}_{numbers[base]}" if numbers[base] else base)


def _as_stored(kind: str) -> str:
    """A class's name as Keras stores it: `Conv2DTranspose` as `conv2d_transpose`."""
    name = re.sub(r"\W+", "", kind)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _call_of(entry: Json, name: str) -> tuple[list[tuple[str, int]], Json]:
    """What a layer is given, and its other arguments."""
    nodes = entry.get("inbound_nodes")
    if not isinstance(nodes, list) or not nodes:
        raise Refusal(f"its layer {shown(name)} is given nothing")
    if len(nodes) > 1:
        raise Refusal(f"its layer {shown(name)} is used {len(nodes)} times, where each may be used once")
    node = nodes[0]
    if isinstance(node, dict):
        given, arguments = list(_histories(node.get("args"))), _mapping(node.get("kwargs") or {}, "a call")
        return given, dict(arguments)
    if not isinstance(node, list):
        raise Refusal(f"what its layer {shown(name)} is given cannot be read")
    together: Json = {}
    for each in node:
        if isinstance(each, list) and len(each) > 3 and isinstance(each[3], dict):
            together |= each[3]
    return _references(node), together


def _histories(value: object) -> Iterator[tuple[str, int]]:
    """References of Keras 3, however they are nested; what else a layer is called with is refused."""
    if isinstance(value, list):
        for each in value:
            yield from _histories(each)
    elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield from _references([_mapping(value.get("config"), "a call").get("keras_history")])
    elif value is not None:
        raise Refusal(f"a layer of it is called with {shown(value)}, which is no layer's output")


def _references(value: object) -> list[tuple[str, int]]:
    """`[name, node, tensor]` or a list of such: names and tensors."""
    if isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str):
        value = [value]
    if not isinstance(value, list):
        raise Refusal("its description speaks of inputs or outputs in a form that is not known")
    found = []
    for each in value:
        if not (isinstance(each, list) and len(each) >= 3 and _is_reference(each[0], each[2])):
            raise Refusal("its description speaks of inputs or outputs in a form that is not known")
        found.append((each[0], each[2]))
    return found


def _is_reference(name: object, tensor: object) -> bool:
    return isinstance(name, str) and type(tensor) is int


def _mapping(value: object, what: str) -> Json:
    if not isinstance(value, dict):
        raise Refusal(f"its description of {what} cannot be read")
    return value
