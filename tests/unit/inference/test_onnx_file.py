"""An exported file from a stranger: damaged, foreign, or made to reach out of itself."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from exporting import image_for, model_of, saved
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from delineate.errors import ModelFileError, UsageError
from delineate.export.onnx_model import onnx_model
from delineate.export.order import Form
from delineate.inference.exported import ExportedModel
from delineate.inference.loading import load_any
from delineate.inference.model import load
from delineate.inference.onnx_file import GRAPH_SHA256, OnnxFile, graph_sha256, read_onnx
from delineate.inference.protobuf import DamagedError, Message

Change = Callable[[onnx.ModelProto], object]


@functools.cache
def content() -> bytes:
    return onnx_model(model_of("patches"), Form("uint8", "last"))


def changed(change: Change, *, hashed_again: bool = True) -> bytes:
    """The file changed, with a hash that fits, as one who means harm would make it."""
    proto = onnx.load_model_from_string(content())
    change(proto)
    if hashed_again:
        told = next((each for each in proto.metadata_props if each.key == GRAPH_SHA256), None)
        if told is not None:
            told.value = graph_sha256(proto.SerializeToString())
    changed_content: bytes = proto.SerializeToString()
    return changed_content


def refusal(folder: Path, held: bytes) -> str:
    path = saved(folder / "model.onnx", held)
    with pytest.raises(ModelFileError) as caught:
        ExportedModel(read_onnx(path))
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    return message.replace(str(path), "FILE")


def loop_body(proto: onnx.ModelProto) -> onnx.GraphProto:
    loop = next(node for node in proto.graph.node if node.op_type == "Loop")
    body: onnx.GraphProto = next(each.g for each in loop.attribute if each.name == "body")
    return body


def outside(tensor: onnx.TensorProto) -> None:
    """Put a tensor's values into another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def named_outside(tensor: onnx.TensorProto) -> None:
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"


def constant_outside(proto: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "stranger")
    outside(tensor)
    loop_body(proto).node.append(helper.make_node("Constant", [], ["stranger"], value=tensor))


def sparse_outside(proto: onnx.ModelProto) -> None:
    sparse = proto.graph.sparse_initializer.add()
    sparse.values.name = "sparse"
    outside(sparse.values)


@pytest.mark.parametrize(
    "change",
    [
        lambda proto: outside(proto.graph.initializer[0]),
        lambda proto: named_outside(proto.graph.initializer[0]),
        lambda proto: outside(loop_body(proto).initializer[0]),
        constant_outside,
        sparse_outside,
    ],
)
def test_weights_in_other_files_are_refused(change: Change, tmp_path: Path) -> None:
    assert refusal(tmp_path, changed(change)) == (
        "FILE is refused: its weights lie in another file, which is never opened."
    )


def test_a_field_of_a_number_that_others_cut_short_is_damage() -> None:
    """Tags have 32 bits; a reader that takes more of them sees another field than one that does not."""
    longer = (1 << 32) | (1 << 3) | 0
    encoded = bytes([(longer >> shift & 0x7F) | (0x80 if shift < 28 else 0) for shift in range(0, 35, 7)])
    with pytest.raises(DamagedError, match="no number"):
        Message(encoded + b"\x01").number(1)


@pytest.mark.parametrize("inside", [False, True])
def test_operators_that_are_not_onnx_own_are_refused(inside: bool, tmp_path: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        proto.opset_import.append(helper.make_opsetid("com.stranger", 1))
        graph = loop_body(proto) if inside else proto.graph
        graph.node.append(helper.make_node("Run", [], ["there"], domain="com.stranger"))

    message = refusal(tmp_path, changed(change))
    assert message == "FILE is refused: it uses operators that are not ONNX's own ('com.stranger')."


def test_functions_are_refused(tmp_path: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        proto.functions.append(helper.make_function("", "Relu", ["x"], ["y"], [], []))

    assert "functions of its own" in refusal(tmp_path, changed(change))


def test_graphs_nested_too_deeply_are_refused(tmp_path: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        graph = helper.make_graph([], "innermost", [], [])
        for at in range(12):
            node = helper.make_node("If", ["x"], [], then_branch=graph)
            graph = helper.make_graph([node], f"graph_{at}", [], [])
        proto.graph.node.append(graph.node[0])

    assert "nested too deeply" in refusal(tmp_path, changed(change))


def test_two_graphs_are_refused(tmp_path: Path) -> None:
    other = onnx.ModelProto()
    other.graph.name = "second"
    assert "it has not one graph" in refusal(tmp_path, content() + other.SerializeToString())


def test_a_changed_weight_is_noticed(tmp_path: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        tensor = loop_body(proto).initializer[0]
        tensor.raw_data = bytes(len(tensor.raw_data))

    message = refusal(tmp_path, changed(change, hashed_again=False))
    assert message == "FILE is damaged: its graph is not the one it was saved with. Copy it again."


def test_a_graph_that_does_not_fit_its_description_is_refused(tmp_path: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        told = {each.key: each for each in proto.metadata_props}
        told["pixels"].value = "uint16"

    assert "its graph does not fit what it says of itself" in refusal(tmp_path, changed(change))


def test_a_graph_that_cannot_run_is_refused(tmp_path: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        proto.graph.node[0].input[0] = "nowhere"

    assert "holds a graph that cannot be run" in refusal(tmp_path, changed(change))


@pytest.mark.parametrize("missing", ["pixels", "channels", "parameters"])
def test_a_file_that_does_not_say_what_it_takes_is_refused(missing: str, tmp_path: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        kept = [each for each in proto.metadata_props if each.key != missing]
        del proto.metadata_props[:]
        proto.metadata_props.extend(kept)

    assert "does not say what images it takes" in refusal(tmp_path, changed(change))


def test_the_card_is_checked_as_a_model_files(tmp_path: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        told = {each.key: each for each in proto.metadata_props}
        card = json.loads(told["delineate"].value)
        card["plan"]["data"]["channels"] = 2
        told["delineate"].value = json.dumps(card)

    assert "has a description that cannot be used: plan: " in refusal(tmp_path, changed(change))


def test_a_newer_file_says_how_to_read_it(tmp_path: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        told = {each.key: each for each in proto.metadata_props}
        told["delineate_format"].value = "2"

    assert "exported by a newer Delineate: its format is 2" in refusal(tmp_path, changed(change))


def test_a_foreign_graph_says_what_it_lacks(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    proto = helper.make_model(helper.make_graph([node], "foreign", value[:1], value[1:]))
    assert "an ONNX file, but none that Delineate exported" in refusal(tmp_path, proto.SerializeToString())


@pytest.mark.parametrize("held", [b"", b"\x00", b"no model", b"\xff" * 100, b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_other_files_are_no_onnx(held: bytes, tmp_path: Path) -> None:
    assert "FILE is not an ONNX file" in refusal(tmp_path, held)


def test_nothing_there_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no model at"):
        load_any(tmp_path / "nothing.onnx")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_any(tmp_path / "model.onnx")


@pytest.mark.parametrize(("engine", "precision"), [("torch", None), ("openvino", None), (None, "bf16")])
def test_an_exported_file_has_its_own_engine(engine: str, precision: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "model.onnx", content())
    with pytest.raises(UsageError, match="computed by ONNX Runtime in fp32"):
        load_any(path, engine=engine, precision=precision)  # type: ignore[arg-type]  # words of a user
    assert load_any(path, engine="onnxruntime", precision="fp32").card == model_of("patches").card


def test_an_exported_file_is_none_to_train_from(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.onnx", content())
    with pytest.raises(UsageError, match="holds no net to go on from"):
        load(path)


def told_or_refused(path: Path, held: bytes) -> OnnxFile | None:
    path.write_bytes(held)
    try:
        return read_onnx(path)
    except ModelFileError:
        return None


@settings(max_examples=80)
@given(st.integers(0, len(content()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, at: int, bits: int
) -> None:
    held = bytearray(content())
    held[at] ^= bits
    found = told_or_refused(tmp_path_factory.getbasetemp() / "changed.onnx", bytes(held))
    assert found is None or graph_sha256(found.content) == graph_sha256(content())


@settings(max_examples=40)
@given(st.integers(0, len(content()) - 1))
def test_a_cut_file_is_refused_or_has_its_whole_graph(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    found = told_or_refused(tmp_path_factory.getbasetemp() / "cut.onnx", content()[:length])
    assert found is None or graph_sha256(found.content) == graph_sha256(content())


def test_neither_torch_nor_onnx_is_imported_to_predict(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.onnx", content())
    np.save(tmp_path / "image.npy", np.moveaxis(image_for(model_of("patches").plan, (30, 40)).pixels, 0, -1))
    code = (
        "import sys, numpy, delineate; "
        f"model = delineate.load({str(path)!r}); "
        f"print(model.predict(numpy.load({str(tmp_path / 'image.npy')!r})).shape, "
        "sorted({'torch', 'onnx', 'onnxscript'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(30, 40) []\n", done.stderr
