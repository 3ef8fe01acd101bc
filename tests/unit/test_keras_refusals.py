"""Nets of Keras that are not ours: what is told of each layer that does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from keras_nets import Json, edited, layer, refusal, written

from delineate.errors import UsageError
from delineate.pretrained.keras import read_keras


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net"


Edit = Callable[[Json], object]


def changed(name: str, **options: object) -> Edit:
    """An edit of a layer's options."""
    return lambda config: layer(config, name)["config"].update(options)


def of_another_class(name: str, kind: str, **beside: object) -> Edit:
    return lambda config: layer(config, name).update({"class_name": kind} | beside)


def taking(name: str, other: str) -> Edit:
    """A layer takes the output of another one."""

    def edit(config: Json) -> None:
        tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": [other, 0, 0]}}
        layer(config, name)["inbound_nodes"] = [{"args": [tensor], "kwargs": {}}]

    return edit


def twice(name: str) -> Edit:
    return lambda config: layer(config, name)["inbound_nodes"].append(layer(config, name)["inbound_nodes"][0])


EDITS: list[tuple[str, Edit, str]] = [
    (
        "Lambda",
        of_another_class("max_pooling2d", "Lambda"),
        "Lambda max_pooling2d holds a program, and no program",
    ),
    (
        "unknown layer",
        of_another_class("conv2d_4", "SeparableConv2D"),
        "SeparableConv2D conv2d_4 is no layer of",
    ),
    (
        "registered class",
        of_another_class("conv2d_4", "Conv2D", registered_name="mine>Conv2D"),
        "Conv2D conv2d_4 is no layer of our net",
    ),
    (
        "foreign module",
        of_another_class("conv2d_4", "Conv2D", module="os"),
        "Conv2D conv2d_4 is no layer of our net",
    ),
    (
        "kernel",
        changed("conv2d_2", kernel_size=[5, 5]),
        "conv2d_2 has kernel_size 5 × 5, where 3 × 3 or 1 × 1 is",
    ),
    ("stride", changed("conv2d_2", strides=[2, 2]), "conv2d_2 has strides 2 × 2, where 1 × 1 is expected"),
    ("padding", changed("conv2d_2", padding="valid"), "conv2d_2 has padding valid, where same is expected"),
    ("dilation", changed("conv2d_2", dilation_rate=[2, 2]), "conv2d_2 has dilation_rate 2 × 2, where 1 × 1"),
    ("groups", changed("conv2d_2", groups=3), "conv2d_2 has groups 3, where 1 is expected"),
    (
        "axes",
        changed("conv2d_2", data_format="channels_first"),
        "data_format channels_first, where channels_last",
    ),
    (
        "activation",
        changed("conv2d_2", activation="tanh"),
        "conv2d_2 has activation tanh, where linear or relu",
    ),
    (
        "activation of its own",
        changed("conv2d_2", activation={"class_name": "function"}),
        "conv2d_2 has activation {'class_name': 'function'}, where",
    ),
    (
        "no activation",
        changed("conv2d_2", activation="linear"),
        "after Conv2D conv2d_2 comes Conv2D conv2d_3, where its",
    ),
    ("rank", changed("conv2d_2", lora_rank=4), "conv2d_2 has the option lora_rank, which is not known here"),
    (
        "quantized",
        changed("conv2d_2", dtype={"class_name": "X", "config": {"name": "int8"}}),
        "computes in int8",
    ),
    ("filters", changed("conv2d_2", filters="many"), "conv2d_2 has many filters, where a whole number"),
    ("pool", changed("max_pooling2d", pool_size=[3, 3]), "max_pooling2d has pool_size 3 × 3, where 2 × 2 is"),
    (
        "up kernel",
        changed("conv2d_transpose", kernel_size=[3, 3]),
        "has kernel_size 3 × 3, where 2 × 2 is expected",
    ),
    (
        "up activation",
        changed("conv2d_transpose", activation="relu"),
        "conv2d_transpose has activation relu, where",
    ),
    ("join", changed("concatenate", axis=1), "concatenate has axis 1, where -1 or 3 is expected"),
    (
        "join without axis",
        lambda config: layer(config, "concatenate")["config"].pop("axis"),
        "does not say its axis",
    ),
    ("join kind", of_another_class("concatenate", "Add"), "Add concatenate is no layer of our net"),
    (
        "head",
        changed("conv2d_10", activation="relu"),
        "conv2d_10 has activation relu, where sigmoid or softmax",
    ),
    ("one softmax", changed("conv2d_10", activation="softmax"), "conv2d_10 is a softmax of one output"),
    (
        "no skip",
        taking("conv2d_6", "conv2d_transpose"),
        "after Conv2DTranspose conv2d_transpose comes Concatenate concatenate and Conv2D conv2d_6, where one",
    ),
    ("shortcut", taking("conv2d_5", "max_pooling2d_1"), "after MaxPooling2D max_pooling2d_1 comes"),
    ("missing input", taking("conv2d_5", "nowhere"), "its layer conv2d_5 takes nowhere, which is not there"),
    ("circle", taking("conv2d", "conv2d_1"), "its layers go round in a circle at conv2d"),
    ("shared", twice("conv2d_3"), "its layer conv2d_3 is used 2 times, where each may be used once"),
    (
        "in training",
        lambda config: layer(config, "conv2d_3")["inbound_nodes"][0].update(kwargs={"training": True}),
        "conv2d_3 is called with training, which changes what it computes",
    ),
    (
        "two outputs",
        lambda config: config["config"].update(output_layers=[["conv2d_10", 0, 0], ["conv2d_9", 0, 0]]),
        "it has 1 inputs and 2 outputs, where one of each is expected",
    ),
    (
        "output before the end",
        lambda config: config["config"].update(output_layers=["conv2d_9", 0, 0]),
        "where the output is expected",
    ),
    (
        "subclassed",
        lambda config: config.update(class_name="MyUNet"),
        "its model is a MyUNet: only functional and",
    ),
    (
        "no shape",
        changed("input_layer", batch_shape=[None, 16]),
        "its input input_layer has the shape [None, 16]",
    ),
    (
        "channels",
        changed("input_layer", batch_shape=[None, 16, 16, 65]),
        "has 65 channels, where 1 to 64 are",
    ),
    (
        "fewer channels",
        changed("input_layer", batch_shape=[None, 16, 16, 2]),
        "where 3 × 3 × 2 × 2, 2 are expected",
    ),
    ("no layers", lambda config: config["config"].pop("layers"), "has no list of layers"),
    ("odd name", of_another_class("conv2d_4", "Lam\x1bbda\n"), "is no layer of our net"),
]


@pytest.mark.parametrize(("edit", "told"), [each[1:] for each in EDITS], ids=[each[0] for each in EDITS])
def test_what_does_not_fit_is_named_with_its_place(path: Path, edit: Edit, told: str) -> None:
    assert told in refusal(path, edited("plain.keras", edit))


def test_all_layers_that_do_not_fit_are_named_at_once(path: Path) -> None:
    def edit(config: Json) -> None:
        for number in range(1, 9):
            changed(f"conv2d_{number}", strides=[2, 2])(config)

    message = refusal(path, edited("plain.keras", edit))
    assert all(f"Conv2D conv2d_{number} has strides" in message for number in range(1, 7))
    assert message.endswith("; and 2 more.")


def test_a_normalization_after_the_activation_is_told(path: Path) -> None:
    def edit(config: Json) -> None:
        layer(config, "activation")["config"]["activation"] = "linear"
        layer(config, "conv2d")["config"]["activation"] = "relu"

    assert "in our net a normalization comes before the ReLU" in refusal(
        path, edited("batch_norm.keras", edit)
    )


def test_repetition_without_a_convolution_of_one_pixel_is_told(path: Path) -> None:
    message = refusal(path, edited("repeated.keras", changed("conv2d_6", kernel_size=[3, 3], padding="same")))
    assert "after UpSampling2D up_sampling2d comes Conv2D conv2d_6: our net can only have" in message
    bilinear = changed("up_sampling2d", interpolation="bilinear")
    assert "has interpolation bilinear, where nearest" in refusal(path, edited("repeated.keras", bilinear))


def test_dropout_that_is_left_on_is_no_dropout_of_training(path: Path) -> None:
    def edit(config: Json) -> None:
        layer(config, "dropout")["inbound_nodes"][0]["kwargs"] = {"training": True}

    assert "Dropout dropout is called with training" in refusal(path, edited("dropout.keras", edit))


def test_models_within_that_stay_in_training_are_told(path: Path) -> None:
    def edit(config: Json) -> None:
        layer(config, "functional")["inbound_nodes"][0]["kwargs"] = {"training": True}

    message = refusal(path, edited("nested.keras", edit))
    assert "its model functional is called with training, which changes what it computes" in message


def test_layers_in_another_order_are_the_same_net(path: Path, tmp_path: Path) -> None:
    """How they are joined counts, not where they stand; their weights are numbered as they stand."""

    def edit(config: Json) -> None:
        layers = config["config"]["layers"]
        joins = [each for each in layers if each["class_name"] in ("Concatenate", "MaxPooling2D")]
        others = [each for each in layers if each not in joins]
        config["config"]["layers"] = [*reversed(joins), *others]

    path.write_bytes(edited("plain.keras", edit))
    found, whole = read_keras(path), read_keras(written(tmp_path, "plain.keras"))
    assert all(bool((found.weights[name] == whole.weights[name]).all()) for name in whole.weights)


def test_several_sigmoids_are_told(path: Path) -> None:
    message = refusal(path, edited("four_classes.keras", changed("conv2d_10", activation="sigmoid")))
    assert "conv2d_10 gives 4 outputs by a sigmoid each, labels that may overlap" in message


def test_nothing_at_the_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no file .*Give a \.keras"):
        read_keras(tmp_path / "none.keras")
    with pytest.raises(UsageError, match="is a folder, such as TensorFlow's SavedModel"):
        read_keras(tmp_path)


def test_a_sequence_that_says_its_shape_in_its_first_layer(path: Path) -> None:
    def edit(config: Json) -> None:
        first, second = config["config"]["layers"][:2]
        second["config"]["batch_input_shape"] = first["config"]["batch_shape"]
        del config["config"]["layers"][0]

    path.write_bytes(edited("wrapped.keras", edit))
    assert read_keras(path).found.size == (16, 16)


@pytest.mark.parametrize(
    ("scale", "offset", "told"),
    [
        (-1.0, 0.0, "Rescaling rescaling multiplies a channel of the image by -1, not above 0"),
        (
            [1.0, 2.0],
            0.0,
            "Rescaling rescaling has scale [1.0, 2.0], which is not one number or one a channel",
        ),
        (1.0, "x", "Rescaling rescaling has offset x, which is not one number or one a channel"),
    ],
)
def test_rescalings_that_make_no_sense(path: Path, scale: object, offset: object, told: str) -> None:
    def edit(config: Json) -> None:
        config["config"]["layers"][1]["config"].update(scale=scale, offset=offset)

    assert told in refusal(path, edited("wrapped.keras", edit))


@pytest.mark.parametrize(
    ("scale", "offset", "takes"),
    [(1 / 255, 0, "0..255"), (1 / 127.5, -1, "0..255"), (2, -1, "unclear"), (1 / 65535, 0, "unclear")],
)
def test_what_a_rescaling_tells_of_the_pixels(path: Path, scale: float, offset: float, takes: str) -> None:
    def edit(config: Json) -> None:
        config["config"]["layers"][1]["config"].update(scale=scale, offset=offset)

    path.write_bytes(edited("wrapped.keras", edit))
    found = read_keras(path).found
    assert (found.takes, found.gain.tolist(), found.offset.tolist()) == (takes, [scale] * 3, [offset] * 3)
