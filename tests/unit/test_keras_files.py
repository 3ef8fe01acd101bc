"""Files of Keras that are damaged, hostile or of an older form."""

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
from keras_nets import Json, contents, packed, parts, refusal, written

from delineate.errors import ModelFileError
from delineate.pretrained.keras import Hints, archive, read_keras


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net"


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


def test_the_forms_of_older_versions(path: Path) -> None:
    """Keras 2.2: the class Model, names of fixed length, weights named with `:0`, fewer options."""

    def older(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        config["class_name"] = "Model"
        for entry in config["config"]["layers"]:
            for name in ("dtype", "groups", "output_padding", "interpolation", "optional"):
                entry["config"].pop(name, None)
            if "batch_shape" in entry["config"]:
                entry["config"]["batch_input_shape"] = entry["config"].pop("batch_shape")
            node = entry["inbound_nodes"]
            given = node[0]["args"][0] if node else []
            tensors = given if isinstance(given, list) else [given]
            histories = [tensor["config"]["keras_history"] for tensor in tensors]
            entry["inbound_nodes"] = [[[*history, {}] for history in histories]] if node else []
        file.attrs["model_config"] = np.bytes_(json.dumps(config).encode())
        del file.attrs["keras_version"]
        weights = file["model_weights"]
        weights.attrs["layer_names"] = np.array([name.encode() for name in weights.attrs["layer_names"]])
        for group in weights.values():
            names = list(group.attrs["weight_names"])
            for name in names:
                group.move(name, f"{name}:0")
            group.attrs["weight_names"] = np.array([f"{name}:0".encode() for name in names], dtype="S40")

    path.write_bytes(legacy(older, "batch_norm.h5"))
    found, whole = read_keras(path), read_keras(written(path.parent, "batch_norm.h5"))
    assert found.settings == whole.settings
    assert all(bool((found.weights[name] == whole.weights[name]).all()) for name in whole.weights)
    assert found.version is None


def test_the_layout_before_keras_2_14(path: Path) -> None:
    held = parts("nested.keras")
    stream = io.BytesIO(held["model.weights.h5"])
    with h5py.File(stream, "r+") as file:
        for name in [each for each in file["layers"] if f"layers/{each}/layers" in file]:
            file.move(f"layers/{name}/layers", f"layers/{name}/_layer_checkpoint_dependencies")
        file.move("layers", "_layer_checkpoint_dependencies")
    path.write_bytes(packed(held | {"model.weights.h5": stream.getvalue()}))
    found, whole = read_keras(path), read_keras(written(path.parent, "nested.keras"))
    assert all(bool((found.weights[name] == whole.weights[name]).all()) for name in whole.weights)


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
