"""The numbers of each layer, wherever a kind of file keeps them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from delineate.pretrained.keras.archive import CONTAINERS, Layout
from delineate.pretrained.keras.found import Convolved, Floats, Norm
from delineate.pretrained.keras.graph import Layer
from delineate.pretrained.keras.hdf5 import Group
from delineate.pretrained.keras.options import filters, number
from delineate.pretrained.keras.refusal import Refusal, shown


@dataclass(frozen=True)
class Weights:
    """The weights of a file.

    Attributes:
        root: The group that holds them.
        layout: How they lie in it.
    """

    root: Group
    layout: Layout

    def of(self, layer: Layer) -> list[Floats]:
        """A layer's arrays in Keras's order."""
        return self._by_path(layer) if self.layout == "by path" else self._by_name(layer)

    def _by_path(self, layer: Layer) -> list[Floats]:
        for container in CONTAINERS:
            path = "/".join(f"{container}/{place.stored}" for place in layer.places)
            if (group := self.root.group(f"{path}/vars")) is not None:
                return variables(group)
        return []

    def _by_name(self, layer: Layer) -> list[Floats]:
        outermost, own = layer.places[0].name, layer.places[-1].name
        group = self.root.group(outermost)
        if group is None:
            return []
        names = group.texts("weight_names") or []
        if len(layer.places) > 1:  # a model's group holds those of all its layers
            names = [name for name in names if own in name.split("/")[-2:-1]]
        return [named(group, name) for name in names]

    def convolution(self, layer: Layer, kernel: tuple[int, int, int, int]) -> Convolved:
        """A convolution's weights, of a kernel of this shape.

        Raises:
            Refusal: They are missing or of another shape.
        """
        arrays, width = self.of(layer), filters(layer)
        biased = layer.config.get("use_bias") is not False
        expected: list[tuple[int, ...]] = [kernel, (width,)] if biased else [kernel]
        _compare(layer, arrays, expected)
        bias = arrays[1] if biased else np.zeros(width, dtype=np.float32)
        return Convolved(layer.key, arrays[0], bias)

    def norm(self, layer: Layer, channels: int) -> Norm:
        """A batch normalization's weights.

        Raises:
            Refusal: They are missing, of another shape, or a variance is below zero.
        """
        scaled, shifted = (layer.config.get(name) is not False for name in ("scale", "center"))
        arrays = self.of(layer)
        _compare(layer, arrays, [(channels,)] * (2 + scaled + shifted))
        each = iter(arrays)
        scale = next(each) if scaled else np.ones(channels, dtype=np.float32)
        shift = next(each) if shifted else np.zeros(channels, dtype=np.float32)
        return norm_of(str(layer), scale, shift, next(each), next(each), number(layer, "epsilon", 1e-3))

    def numbers(self, layer: Layer, count: int, shape: tuple[int, ...]) -> list[Floats]:
        """The first arrays of any layer."""
        arrays = self.of(layer)[:count]
        _compare(layer, arrays, [shape] * count)
        return arrays


def norm_of(  # noqa: PLR0917  its four arrays in Keras's order
    name: str, scale: Floats, shift: Floats, mean: Floats, variance: Floats, epsilon: float
) -> Norm:
    """A batch normalization of these arrays.

    Raises:
        Refusal: A variance is below zero, or 0 without an epsilon.
    """
    norm = Norm(
        scale.astype(np.float64),
        shift.astype(np.float64),
        mean.astype(np.float64),
        variance.astype(np.float64),
        epsilon,
    )
    if (norm.variance < 0).any() or (norm.variance + epsilon <= 0).any():
        raise Refusal(f"{name} holds variances below zero")
    return norm


def with_norm(convolved: Convolved, norm: Norm) -> Convolved:
    """The convolution with a normalization after it."""
    return replace(convolved, norm=norm)


def variables(group: Group) -> list[Floats]:
    """The arrays 0, 1, … of a group."""
    found: list[Floats] = []
    for at in itertools.count():
        array = group.array(str(at))
        if array is None:
            return found
        found.append(array)
    return found


def named(group: Group, name: str) -> Floats:
    """The array that a list of names speaks of.

    Raises:
        Refusal: It is not there.
    """
    array = group.array(name)
    if array is None:
        raise Refusal(f"it is damaged: its weights {shown(name)} are missing. Copy it again")
    return array


def _compare(layer: Layer, arrays: list[Floats], expected: list[tuple[int, ...]]) -> None:
    found = [each.shape for each in arrays]
    if not found:
        raise Refusal(f"it is damaged: the weights of {layer} are missing. Copy it again")
    if found != expected:
        shapes, wanted = _listed(found), _listed(expected)
        raise Refusal(f"{layer} has weights of the shapes {shapes}, where {wanted} are expected")


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(" × ".join(map(str, shape)) or "one number" for shape in shapes) or "none"
