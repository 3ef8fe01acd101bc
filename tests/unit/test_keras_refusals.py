"""Files of Keras that are not imported: what is told of them, and that nothing in a file acts."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_nets import Json, contents, edited, layer, packed, parts, written

from delineate.errors import ModelFileError, UsageError
from delineate.pretrained.keras import Hints, archive, read_keras


def refusal(path: Path, content: bytes) -> str:
    """What is told of a file, without its name."""
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_keras(path)
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be imported: ")
    assert message.isprintable()
    return message.removeprefix(f"{path} cannot be imported: ")


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


def test_several_sigmoids_are_told(path: Path) -> None:
    message = refusal(path, edited("four_classes.keras", changed("conv2d_10", activation="sigmoid")))
    assert "conv2d_10 gives 4 outputs by a sigmoid each, labels that may overlap" in message


def test_nothing_at_the_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no file .*Give a \.keras"):
        read_keras(tmp_path / "none.keras")
    with pytest.raises(UsageError, match="is a folder, such as TensorFlow's SavedModel"):
        read_keras(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x89HDF", b"\0" * 1000, b"PK\x03\x04" + b"\0" * 99, b"{}"])
def test_what_is_no_file_of_keras(path: Path, content: bytes) -> None:
    assert refusal(path, content)


@pytest.mark.parametrize("name", ["plain.keras", "plain.h5", "plain.weights.h5", "keras2_plain.weights.h5"])
def test_cut_off_anywhere(path: Path, name: str) -> None:
    whole = contents()[name]
    for length in (10, 100, 1000, len(whole) // 3, len(whole) // 2, len(whole) - 5000, len(whole) - 1):
        assert refusal(path, whole[:length])


@given(
    name=st.sampled_from(["plain.weights.h5", "batch_norm.h5", "plain.keras"]),
    places=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    ),
)
@settings(max_examples=40)
def test_damage_is_an_error_for_the_user(
    tmp_path_factory: pytest.TempPathFactory, name: str, places: list[tuple[float, int]]
) -> None:
    content = bytearray(contents()[name])
    for share, value in places:
        content[int(share * len(content))] = value
    path = tmp_path_factory.mktemp("damage") / "net"
    path.write_bytes(content)
    with contextlib.suppress(ModelFileError):  # HDF5 has no checksums, so that not all damage is seen
        found = read_keras(path)
        assert all(bool(each.isfinite().all()) for each in found.weights.values())


class TestArchives:
    def test_compressed_ones(self, path: Path) -> None:
        bomb = parts("plain.keras") | {"model.weights.h5": b"\0" * 50_000_000}
        assert "is compressed or encrypted" in refusal(path, packed(bomb, zipfile.ZIP_DEFLATED))

    def test_files_that_are_missing(self, path: Path) -> None:
        held = parts("plain.keras")
        del held["config.json"]
        assert refusal(path, packed(held)).startswith(
            "it is an archive, but no .keras file: it has no config.json"
        )

    def test_files_that_are_there_twice(self, path: Path) -> None:
        stream = io.BytesIO(contents()["plain.keras"])
        with zipfile.ZipFile(stream, "a") as held, pytest.warns(UserWarning, match="Duplicate name"):
            held.writestr("config.json", b"{}")
        assert "holds a file twice" in refusal(path, stream.getvalue())

    @pytest.mark.parametrize("config", [b"[]", b"{", b"\xff", b"[" * 100_000, b"null", b"{}"])
    def test_descriptions_that_are_none(self, path: Path, config: bytes) -> None:
        assert refusal(path, packed(parts("plain.keras") | {"config.json": config}))

    def test_large_files(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "MAXIMUM_BYTES", 1000)
        assert "bytes; at most 1,000 are read" in refusal(path, contents()["plain.keras"])

    def test_models_within_models_without_end(self, path: Path) -> None:
        inside: Json = {"class_name": "Sequential", "config": {"name": "s", "layers": []}}
        for _ in range(50):
            inside = {"class_name": "Sequential", "config": {"name": "s", "layers": [inside]}}
        held = parts("plain.keras") | {"config.json": json.dumps(inside).encode()}
        assert refusal(path, packed(held))


Change = Callable[[h5py.File], object]
KERNEL = "layers/conv2d/vars/0"


def replaced(file: h5py.File, make: Callable[[], object]) -> None:
    del file[KERNEL]
    make()


def external_link(file: h5py.File) -> None:
    replaced(file, lambda: file.__setitem__(KERNEL, h5py.ExternalLink("/etc/other.h5", "/kernel")))


def external_group(file: h5py.File) -> None:
    del file["layers"]
    file["layers"] = h5py.ExternalLink("/etc/other.h5", "/layers")


def soft_link(file: h5py.File) -> None:
    replaced(file, lambda: file.__setitem__(KERNEL, h5py.SoftLink("/layers/conv2d_1/vars/0")))


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(3, 3, 1, 2), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "kernel", shape=(3, 3, 1, 2))
    replaced(file, lambda: file.create_virtual_dataset(KERNEL, layout))


def external_storage(file: h5py.File) -> None:
    replaced(
        file,
        lambda: file.create_dataset(KERNEL, (3, 3, 1, 2), "f4", external=[("/etc/hostname", 0, 72)]),
    )


def filtered(file: h5py.File) -> None:
    values = np.zeros((3, 3, 1, 2), "f4")
    replaced(file, lambda: file.create_dataset(KERNEL, data=values, compression="gzip"))


def immense(file: h5py.File) -> None:
    replaced(file, lambda: file.create_dataset(KERNEL, (1 << 20, 1 << 20, 1, 2), "f4"))


def immense_in_chunks(file: h5py.File) -> None:
    replaced(file, lambda: file.create_dataset(KERNEL, (1 << 20, 1 << 20, 1, 2), "f4", chunks=(9, 9, 1, 2)))


def integers(file: h5py.File) -> None:
    replaced(file, lambda: file.create_dataset(KERNEL, data=np.zeros((3, 3, 1, 2), np.int32)))


def not_finite(file: h5py.File) -> None:
    file[KERNEL][0, 0, 0, 0] = np.nan


def other_shape(file: h5py.File) -> None:
    replaced(file, lambda: file.create_dataset(KERNEL, data=np.zeros((3, 3, 2, 2), "f4")))


def missing(file: h5py.File) -> None:
    del file["layers/conv2d"]


def round_and_round(file: h5py.File) -> None:
    del file["layers/conv2d"]
    file["layers/conv2d"] = file["layers"]


HOSTILE: list[tuple[Change, str]] = [
    (external_link, "its /layers/conv2d/vars/0 is a link to somewhere else, not followed"),
    (external_group, "its /layers is a link to somewhere else, not followed"),
    (soft_link, "is a link to somewhere else, not followed"),
    (virtual, "has its numbers somewhere else, not followed"),
    (external_storage, "has its numbers somewhere else, not followed"),
    (filtered, "is stored through filters, as Keras stores nothing"),
    (immense, "is damaged: numbers are missing"),
    (immense_in_chunks, "is damaged: numbers are missing"),
    (integers, "holds no floating-point numbers"),
    (not_finite, "holds values that are not numbers"),
    (other_shape, "has weights of the shapes 3 × 3 × 2 × 2, 2, where 3 × 3 × 1 × 2, 2 are expected"),
    (missing, "the weights of Conv2D conv2d are missing"),
    (round_and_round, "the weights of Conv2D conv2d are missing"),
]


@pytest.mark.parametrize(("change", "told"), HOSTILE, ids=[each[0].__name__ for each in HOSTILE])
def test_weights_that_are_not_plain_numbers_in_the_file(path: Path, change: Change, told: str) -> None:
    held = parts("plain.keras")
    stream = io.BytesIO(held["model.weights.h5"])
    with h5py.File(stream, "r+") as file:
        change(file)
    assert told in refusal(path, packed(held | {"model.weights.h5": stream.getvalue()}))


def test_the_same_numbers_are_not_read_again_and_again(path: Path) -> None:
    """Many names for one large array do not make a small file large."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        first = file.create_dataset("layers/conv2d/vars/0", data=np.zeros((3, 3, 100, 100), "f4"))
        for at in range(1, 1000):
            file[f"layers/conv2d_{at}/vars/0"] = first
    assert "its arrays are larger than the file" in refusal(path, stream.getvalue())


def legacy(change: Change, name: str = "plain.h5") -> bytes:
    stream = io.BytesIO(contents()[name])
    with h5py.File(stream, "r+") as file:
        change(file)
    return stream.getvalue()


def test_theanos_kernels_are_mirrored(path: Path) -> None:
    content = legacy(lambda file: file["model_weights"].attrs.modify("backend", "theano"))
    assert "come from the backend theano; those of tensorflow are read" in refusal(path, content)


def test_a_list_of_names_that_leads_nowhere(path: Path) -> None:
    content = legacy(
        lambda file: file["model_weights/conv2d"].attrs.modify("weight_names", ["a/b", "../../c"])
    )
    assert "its weights a/b are missing" in refusal(path, content)


def test_a_description_that_is_no_text(path: Path) -> None:
    content = legacy(lambda file: file.attrs.create("model_config", np.arange(3)))
    assert "its attribute model_config is no text" in refusal(path, content)


def test_long_lists_of_names_in_parts(path: Path) -> None:
    """Keras divides lists that are too long for HDF5's header: `weight_names0`, `weight_names1`."""

    def divide(file: h5py.File) -> None:
        group = file["model_weights/conv2d_1"]
        names = list(group.attrs["weight_names"])
        del group.attrs["weight_names"]
        for at, name in enumerate(names):
            group.attrs[f"weight_names{at}"] = [name]

    path.write_bytes(legacy(divide))
    found, whole = read_keras(path), read_keras(written(path.parent, "plain.h5"))
    assert all(bool((found.weights[name] == whole.weights[name]).all()) for name in whole.weights)


class TestWeightsAlone:
    def test_which_channels_come_first_is_told_by_the_user(self, tmp_path: Path) -> None:
        file = written(tmp_path, "skip_first.weights.h5")
        up_first, skip_first = read_keras(file), read_keras(file, Hints(skip_first=True))
        name = "decoders.0.block.convolutions.0.weight"
        expected = up_first.weights[name].roll(3, dims=1)
        assert bool((skip_first.weights[name] == expected).all())
        assert not bool((up_first.weights[name] == expected).all())

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda file: file.__delitem__("layers/conv2d_3"), "no U-Net has weights of these shapes"),
            (lambda file: file.__delitem__("layers/conv2d_10"), "it has no last convolution of 1 × 1"),
            (
                lambda file: file.create_dataset("layers/conv2d_11/vars/0", data=np.ones((5, 5, 1, 1), "f4")),
                "5 × 5",
            ),
            (
                lambda file: file.create_dataset("layers/dense/vars/0", data=np.ones((5, 5), "f4")),
                "the shape (5, 5)",
            ),
            (
                lambda file: file.create_dataset("layers/batch_normalization/vars/0", data=np.ones(2, "f4")),
                "1 normalizations and 10 convolutions of 3 × 3",
            ),
            (
                lambda file: file.create_group("layers/functional/layers"),
                "it holds a model within a model, functional, and no graph",
            ),
        ],
    )
    def test_other_nets(self, path: Path, change: Change, told: str) -> None:
        message = refusal(path, legacy(change, "plain.weights.h5"))
        assert told in message
        assert "Save the whole model instead" in message
