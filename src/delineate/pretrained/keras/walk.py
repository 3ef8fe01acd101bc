"""From a graph to a U-Net: followed from the image on, each step compared with what a U-Net does there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from delineate.pretrained.keras.first_layers import FirstLayers, image_of, is_first
from delineate.pretrained.keras.found import Convolved, FoundUNet, Kind, Output, WayUp
from delineate.pretrained.keras.graph import Graph, Layer
from delineate.pretrained.keras.options import (
    ACTIVATIONS,
    CONVOLUTION,
    JOIN,
    NORM,
    OF_TRAINING,
    POOL,
    REPEAT,
    TRANSPOSED,
    activation,
    filters,
    option,
)
from delineate.pretrained.keras.refusal import Refusal
from delineate.pretrained.keras.weights import Weights, with_norm

END = "the output"


def find_unet(graph: Graph, weights: Weights) -> FoundUNet:
    """The U-Net that a graph is.

    Raises:
        Refusal: It is none that ours can be; said is what does not fit, and where.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        counts = f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs"
        raise Refusal(f"it has {counts}, where one of each is expected")
    return _Walk(graph, weights).unet()


@dataclass
class _Walk:
    graph: Graph
    weights: Weights
    after: dict[str, list[Layer]] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)  # what goes through layers without effect

    def __post_init__(self) -> None:
        for layer in self.graph.layers.values():
            into = tuple(self._source(key) for key in layer.inputs)
            if self._does_nothing(layer) and len(into) == 1:
                self.same[layer.key] = into[0]
                continue
            for key in dict.fromkeys(into):
                self.after.setdefault(key, []).append(replace(layer, inputs=into))

    def unet(self) -> FoundUNet:
        """Follow it from the image to the output."""
        at = self.graph.inputs[0]
        image_channels, size = image_of(self.graph.layers[at])
        first, channels = FirstLayers(image_channels), image_channels
        while is_first(layer := self._only(at)):
            first.add(layer, self.weights)
            at = layer.key
        down, skipped = [], []
        while True:
            block, at = self._block(at, channels)
            down.append(block)
            channels = len(block[-1].bias)
            pool = self._pool(at)
            if pool is None:
                break
            skipped.append((at, channels))
            at = pool.key
        if not skipped:
            raise Refusal("it has no MaxPooling2D, of which a U-Net has one between each two levels")
        up = []
        for skip, width in reversed(skipped):
            way, at = self._way_up(at, channels, skip, width)
            up.append(way)
            channels = len(way.block[-1].bias)
        head, output = self._head(at, channels)
        return FoundUNet(
            image_channels, size, first.gain, first.offset, first.takes, tuple(down), tuple(up), head, output
        )

    def _source(self, key: str) -> str:
        return self.same.get(key, key)

    def _does_nothing(self, layer: Layer) -> bool:
        linear = layer.kind == "Activation" and activation(layer) == "linear"
        return layer.kind in OF_TRAINING or linear

    def _next(self, at: str) -> list[Layer]:
        return self.after.get(at, [])

    def _only(self, at: str) -> Layer:
        """The one layer that takes what `at` gives."""
        found = self._next(at)
        if len(found) != 1:
            raise Refusal(f"after {self._told(at)} {self._what_follows(at)}, where one layer is expected")
        return found[0]

    def _told(self, at: str) -> str:
        return str(self.graph.layers[at])

    def _what_follows(self, at: str) -> str:
        found = " and ".join(map(str, self._next(at))) or END
        return f"comes {found}"

    def _block(self, at: str, channels: int) -> tuple[tuple[Convolved, ...], str]:
        """Convolutions of 3 × 3, each with its ReLU."""
        block: list[Convolved] = []
        while len(following := self._next(at)) == 1 and _is_convolution(following[0], 3):
            convolved, at = self._step(following[0], channels)
            block.append(convolved)
            channels = len(convolved.bias)
        if not block:
            raise Refusal(
                f"after {self._told(at)} {self._what_follows(at)}, where a Conv2D of 3 × 3 is expected"
            )
        return tuple(block), at

    def _step(self, layer: Layer, channels: int) -> tuple[Convolved, str]:
        """A convolution, a normalization if there is one, and a ReLU."""
        convolved = self.weights.convolution(layer, (3, 3, channels, filters(layer)))
        if activation(layer) == "relu":
            return convolved, self._without_late_norm(layer.key)
        if activation(layer) != "linear":
            raise Refusal(f"{layer} has activation {activation(layer)}, where relu is expected")
        following = self._only(layer.key)
        if following.kind == NORM:
            convolved = with_norm(convolved, self.weights.norm(following, len(convolved.bias)))
            following = self._only(following.key)
        if following.kind not in ACTIVATIONS or activation(following) != "relu":
            raise Refusal(f"after {layer} comes {following}, where its ReLU is expected")
        return convolved, self._without_late_norm(following.key)

    def _without_late_norm(self, at: str) -> str:
        """A ReLU, with no normalization after it."""
        if any(each.kind == NORM for each in self._next(at)):
            raise Refusal(
                f"after the ReLU of {self._told(at)} {self._what_follows(at)}: in our net a normalization "
                "comes before the ReLU, and moving it would change the result at the image's edge"
            )
        return at

    def _pool(self, at: str) -> Layer | None:
        """The pooling after a block of the way down, where the other that takes its output joins it again."""
        pools = [each for each in self._next(at) if each.kind == POOL]
        if not pools:
            return None
        others = [each for each in self._next(at) if each.kind != POOL]
        if len(pools) > 1 or len(others) != 1 or others[0].kind != JOIN:
            raise Refusal(
                f"after {self._told(at)} {self._what_follows(at)}, where MaxPooling2D and Concatenate "
                "are expected"
            )
        return pools[0]

    def _way_up(self, at: str, channels: int, skip: str, width: int) -> tuple[WayUp, str]:
        layer = self._only(at)
        if layer.kind == TRANSPOSED:
            up, at = self._projection(layer, (2, 2, filters(layer), channels))
            kind: Kind = "transposed"
        elif layer.kind == REPEAT:
            projection = self._only(layer.key)
            if not _is_convolution(projection, 1):
                raise Refusal(
                    f"after {layer} comes {projection}: our net can only have a Conv2D of 1 × 1 without "
                    "activation before or after UpSampling2D, or a Conv2DTranspose of 2 × 2 instead"
                )
            up, at = self._projection(projection, (1, 1, channels, filters(projection)))
            kind = "nearest"
        elif _is_convolution(layer, 1) and self._next(layer.key):
            up, before = self._projection(layer, (1, 1, channels, filters(layer)))
            repeat = self._only(before)
            if repeat.kind != REPEAT:
                raise Refusal(f"after {layer} comes {repeat}, where UpSampling2D is expected")
            at, kind = repeat.key, "nearest"
        else:
            raise Refusal(
                f"after {self._told(at)} comes {layer}, where a Conv2DTranspose of 2 × 2 is expected"
            )
        joined = self._only(at)
        if joined.kind != JOIN or sorted(joined.inputs) != sorted((at, skip)):
            other = " and ".join(self._told(key) for key in joined.inputs if key != at) or "nothing else"
            raise Refusal(
                f"after {self._told(at)} comes {joined} with {other}, where a Concatenate with "
                f"{self._told(skip)} is expected"
            )
        block, end = self._block(joined.key, len(up.bias) + width)
        return WayUp(kind, up, joined.inputs[0] == skip, block), end

    def _projection(self, layer: Layer, kernel: tuple[int, int, int, int]) -> tuple[Convolved, str]:
        """A convolution without activation, with the normalization that follows at once."""
        if activation(layer) != "linear":
            raise Refusal(f"{layer} has activation {activation(layer)}, where none is expected on the way up")
        up = self.weights.convolution(layer, kernel)
        following = self._next(layer.key)
        if len(following) == 1 and following[0].kind == NORM:
            return with_norm(up, self.weights.norm(following[0], len(up.bias))), following[0].key
        return up, layer.key

    def _head(self, at: str, channels: int) -> tuple[Convolved, Output]:
        layer = self._only(at)
        if not _is_convolution(layer, 1):
            raise Refusal(
                f"after {self._told(at)} comes {layer}, where the last Conv2D, of 1 × 1, is expected"
            )
        head, end = self.weights.convolution(layer, (1, 1, channels, filters(layer))), layer.key
        applied = activation(layer)
        following = self._next(end)
        if applied == "linear" and len(following) == 1 and following[0].kind in ACTIVATIONS:
            applied, end = activation(following[0]), following[0].key
        if self._next(end) or self._source(self.graph.outputs[0]) != end:
            raise Refusal(f"after {self._told(end)} {self._what_follows(end)}, where the output is expected")
        outputs: dict[str, Output] = {"sigmoid": "sigmoid", "softmax": "softmax", "linear": "linear"}
        if applied not in outputs:
            raise Refusal(f"{layer} has activation {applied}, where sigmoid or softmax is expected")
        return head, outputs[applied]


def _is_convolution(layer: Layer, side: int) -> bool:
    return layer.kind == CONVOLUTION and option(layer, "kernel_size") == (side, side)
