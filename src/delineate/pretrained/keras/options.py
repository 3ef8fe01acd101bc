"""Whether each layer computes what a layer of our net does, option by option, all faults together."""

from __future__ import annotations

import math
from collections.abc import Iterator

from delineate.pretrained.keras.graph import Graph, Layer
from delineate.pretrained.keras.refusal import Refusal, all_of, shown

CONVOLUTION, TRANSPOSED, NORM = "Conv2D", "Conv2DTranspose", "BatchNormalization"
POOL, REPEAT, JOIN, INPUT = "MaxPooling2D", "UpSampling2D", "Concatenate", "InputLayer"
RESCALING, STANDARDIZING = "Rescaling", "Normalization"
ACTIVATIONS = {"Activation": "", "ReLU": "relu", "Softmax": "softmax"}
OF_TRAINING = (  # they do nothing in prediction
    *("Dropout", "SpatialDropout2D", "GaussianDropout", "AlphaDropout", "GaussianNoise", "Identity"),
    *("ActivityRegularization", "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation"),
    *("RandomContrast", "RandomBrightness"),
)
_PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")
_PAIRS = ("kernel_size", "strides", "dilation_rate", "pool_size", "size")
_FREE = ("name", "trainable", "dtype", "seed", "build_config", "batch_input_shape", "autocast")
_FREE_ENDINGS = ("_initializer", "_regularizer", "_constraint")
_GRID = {"data_format": ("channels_last",)}
_RULES: dict[str, dict[str, tuple[object, ...]]] = {
    CONVOLUTION: {
        **_GRID,
        "kernel_size": ((3, 3), (1, 1)),
        "strides": ((1, 1),),
        "padding": ("same", "valid"),
        "dilation_rate": ((1, 1),),
        "groups": (1,),
        "activation": ("linear", "relu", "sigmoid", "softmax", None),
    },
    TRANSPOSED: {
        **_GRID,
        "kernel_size": ((2, 2),),
        "strides": ((2, 2),),
        "padding": ("same", "valid"),
        "dilation_rate": ((1, 1),),
        "groups": (1,),
        "output_padding": (None,),
        "activation": ("linear", None),
    },
    NORM: {"axis": (-1, 3)},
    POOL: {**_GRID, "pool_size": ((2, 2),), "strides": ((2, 2), None), "padding": ("valid", "same")},
    REPEAT: {**_GRID, "size": ((2, 2),), "interpolation": ("nearest",)},
    JOIN: {"axis": (-1, 3)},
    "Activation": {"activation": ("linear", "relu", "sigmoid", "softmax")},
    "ReLU": {"max_value": (None,), "negative_slope": (0,), "threshold": (0,)},
    "Softmax": {"axis": (-1, 3)},
    RESCALING: {},
    STANDARDIZING: {"axis": (-1, 3), "invert": (False,)},
}
_OWN: dict[str, tuple[str, ...]] = {  # read elsewhere, or without effect on prediction
    CONVOLUTION: ("filters", "use_bias"),
    TRANSPOSED: ("filters", "use_bias"),
    NORM: ("momentum", "epsilon", "center", "scale", "synchronized", "renorm_momentum", "renorm_clipping"),
    RESCALING: ("scale", "offset"),
    STANDARDIZING: ("mean", "variance"),
}
_NEEDED = {  # what has another default in an operation of the same name, or none
    CONVOLUTION: ("kernel_size", "padding"),
    TRANSPOSED: ("kernel_size", "strides"),
    POOL: ("pool_size",),
    JOIN: ("axis",),
}


def check_options(graph: Graph) -> None:
    """See to it that every layer is one that our net has.

    Raises:
        Refusal: Some are not; they are named, with what is expected.
    """
    faults = [fault for layer in graph.layers.values() for fault in _faults(layer)]
    if faults:
        raise all_of(faults)


def _faults(layer: Layer) -> Iterator[str]:
    if layer.kind == INPUT:
        return
    if layer.kind == "Lambda" or "Lambda" in layer.kind:
        yield f"{layer} holds a program, and no program of a file is run"
        return
    known = layer.kind in _RULES or layer.kind in OF_TRAINING
    if not (known and _is_kerass_own(layer)):
        yield f"{layer} is no layer of our net"
        return
    if called := [name for name, value in layer.arguments.items() if value not in (None, False)]:
        yield f"{layer} is called with {', '.join(map(shown, called))}, which changes what it computes"
    if _precision(layer.config.get("dtype")) not in _PRECISIONS:
        yield f"{layer} computes in {shown(_precision(layer.config.get('dtype')))}"
    if layer.kind in OF_TRAINING:
        return
    rules = _RULES[layer.kind]
    for name in _NEEDED.get(layer.kind, ()):
        if name not in layer.config:
            yield f"{layer} does not say its {name}"
    for name, value in layer.config.items():
        if name in rules:
            yield from _against(layer, name, option(layer, name), rules[name])
        elif not _has_no_say(layer.kind, name) and value not in (None, False):
            yield f"{layer} has the option {shown(name)}, which is not known here"
    if layer.kind == CONVOLUTION and (option(layer, "kernel_size"), layer.config.get("padding")) == (
        (3, 3),
        "valid",
    ):
        yield f"{layer} has padding valid, where same is expected"


def _against(layer: Layer, name: str, value: object, allowed: tuple[object, ...]) -> Iterator[str]:
    if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in allowed):
        expected = " or ".join(_in_words(each) for each in allowed if each is not None)
        yield f"{layer} has {name} {_in_words(value)}, where {expected} is expected"


def _has_no_say(kind: str, name: str) -> bool:
    return name in _FREE or name.endswith(_FREE_ENDINGS) or name in _OWN.get(kind, ())


def _is_kerass_own(layer: Layer) -> bool:
    module, registered = layer.entry.get("module"), layer.entry.get("registered_name")
    root = module.split(".")[0] if isinstance(module, str) else module
    return root in (None, "keras", "tf_keras", "tensorflow") and registered in (None, layer.kind)


def _precision(value: object) -> object:
    if isinstance(value, dict):
        config = value.get("config")
        return config.get("name") if isinstance(config, dict) else shown(value.get("class_name"))
    return "float32" if value is None else value


def _in_words(value: object) -> str:
    return " × ".join(map(shown, value)) if isinstance(value, tuple) else shown(value)


def option(layer: Layer, name: str) -> object:
    """An option in one form: pairs as tuples, a list of one axis as that axis."""
    value = layer.config.get(name)
    if isinstance(value, list) and name == "axis" and len(value) == 1:
        return value[0]
    if name in _PAIRS:
        if isinstance(value, list):
            return tuple(value)
        return (value, value) if type(value) is int else value
    return value


def filters(layer: Layer) -> int:
    """How many channels a convolution gives.

    Raises:
        Refusal: It does not say.
    """
    value = layer.config.get("filters")
    if type(value) is not int or not 1 <= value <= 2048:
        raise Refusal(f"{layer} has {shown(value)} filters, where a whole number up to 2048 is expected")
    return value


def activation(layer: Layer) -> str:
    """What a layer applies last: "linear", "relu", "sigmoid" or "softmax"."""
    fixed = ACTIVATIONS.get(layer.kind)
    return fixed or str(layer.config.get("activation") or "linear")


def number(layer: Layer, name: str, usual: float) -> float:
    """An option that is a number.

    Raises:
        Refusal: It is none.
    """
    value = layer.config.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Refusal(f"{layer} has {name} {shown(value)}, which is no number")
    return float(value)
