"""The model file: what goes in comes out, and whatever bytes a stranger sends end in one kind of error."""

from __future__ import annotations

import functools
import json
import pickle
import resource
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from delineate.augment.settings import AugmentationSettings
from delineate.errors import ModelFileError, OutputError
from delineate.fingerprint import measure
from delineate.image import Image, LabelSet, Mask
from delineate.losses import LossSettings
from delineate.model_file import (
    ENTRY,
    FORMAT_VERSION,
    MAXIMUM_HEADER_BYTES,
    Estimate,
    LabelScores,
    ModelCard,
    Scores,
    TrainingFacts,
    load_model,
    read_card,
    save_model,
    weights_sha256,
)
from delineate.networks.settings import UNetSettings
from delineate.networks.unet import UNet
from delineate.plan import DataPlan, Plan, PredictionPlan, PreprocessingPlan, TrainingPlan

Weights = dict[str, torch.Tensor]
PLAN = Plan(
    preset="auto",
    data=DataPlan(colour="grey", channels=1, labels=("lesion",)),
    preprocessing=PreprocessingPlan(mode="whole", size=(16, 16), mean=(0.5,), standard_deviation=(0.1,)),
    network=UNetSettings(input_channels=1, output_channels=1, widths=(2, 3), normalization="batch"),
    augmentation=AugmentationSettings(),
    loss=LossSettings(),
    training=TrainingPlan(steps=10, batch_size=2, learning_rate=0.1),
    prediction=PredictionPlan(),
)
SCORES = Scores(
    part="validation",
    used_to_choose="They were not used to choose anything.",
    cases=3,
    groups=2,
    dice=Estimate(mean=1 / 3, low=0.1, high=0.9),
    pixel_accuracy=None,
    labels=(
        LabelScores(
            name="lesion",
            metrics={"dice": Estimate(mean=0.1 + 0.2), "hd95_px": None},
            cases_scored=3,
            cases_empty=0,
            cases_missed=1,
            cases_false_alarm=0,
        ),
    ),
)


@functools.cache
def example() -> tuple[ModelCard, Weights]:
    torch.manual_seed(3)
    weights = UNet(PLAN.network).state_dict()
    image = Image(np.arange(400, dtype=np.uint16).reshape(1, 20, 20))
    mask = Mask(np.eye(20, dtype=np.uint8), LabelSet.of("lesion"))
    card = ModelCard(
        weights_sha256=weights_sha256(weights),
        plan=PLAN,
        fingerprint=measure([(image, mask)], mask.labels, "grey"),
        training=TrainingFacts(
            cases=1, steps=10, seconds=1 / 7, precision="fp32", seed=0, case_digests=("0123456789abcdef",)
        ),
        scores=SCORES,
        software={"delineate": "0.1.0"},
    )
    return card, weights


def packed(header: object, data: bytes) -> bytes:
    """A file of this header and these bytes, in the layout of safetensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@functools.cache
def content() -> bytes:
    """The bytes of the example's file."""
    card, weights = example()
    return save(weights, metadata={ENTRY: card.model_dump_json()})


def parts() -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The example's table of weights, card as plain values, and weights' bytes."""
    length = struct.unpack("<Q", content()[:8])[0]
    header = json.loads(content()[8 : 8 + length])
    card = json.loads(header.pop("__metadata__")[ENTRY])
    return header, card, content()[8 + length :]


def rebuilt(table: object, card: object, data: bytes) -> bytes:
    assert isinstance(table, dict)
    text = card if isinstance(card, str) else json.dumps(card)
    return packed({"__metadata__": {ENTRY: text}, **table}, data)


def opened(path: Path, held: bytes) -> tuple[ModelCard, Weights]:
    path.write_bytes(held)
    return load_model(path)


def refusal(path: Path, held: bytes) -> str:
    with pytest.raises(ModelFileError) as caught:
        opened(path, held)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 500
    return message.replace(str(path), "FILE")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_what_is_saved_is_loaded(path: Path) -> None:
    card, weights = example()
    save_model(path, card, weights)
    found, loaded = load_model(path)
    assert found == read_card(path) == card
    assert loaded.keys() == weights.keys()
    for name, tensor in weights.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    assert path.read_bytes() == content()


def test_the_same_model_is_the_same_bytes(tmp_path: Path) -> None:
    card, weights = example()
    one, other = tmp_path / "one", tmp_path / "other"
    save_model(one, card, weights)
    turned = dict(reversed([(name, tensor.clone()) for name, tensor in weights.items()]))
    save_model(other, ModelCard.model_validate_json(card.model_dump_json()), turned)
    assert one.read_bytes() == other.read_bytes()


def test_layout_in_memory_is_no_part_of_a_model(tmp_path: Path) -> None:
    card, weights = example()
    other = {
        name: tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
        for name, tensor in weights.items()
    }
    assert weights_sha256(other) == weights_sha256(weights)
    save_model(tmp_path / "a", card, other)
    assert (tmp_path / "a").read_bytes() == content()


def test_the_hash_is_of_names_shapes_types_and_values() -> None:
    base = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0])}
    assert weights_sha256(dict(reversed(base.items()))) == weights_sha256(base)
    others: list[Weights] = [
        {"a": base["b"], "b": base["a"]},
        {"a": base["a"], "c": base["b"]},
        base | {"a": torch.tensor([2.0, 1.0])},
        base | {"a": torch.tensor([[1.0, 2.0]])},
        base | {"a": torch.tensor([1.0, 2.0]).view(torch.int32)},
        {"a": base["a"]},
    ]
    assert len({weights_sha256(weights) for weights in [base, *others]}) == len(others) + 1


def test_without_scores(path: Path) -> None:
    card, weights = example()
    save_model(path, card.model_copy(update={"scores": None}), weights)
    assert load_model(path)[0].scores is None


def test_numbers_keep_every_digit(path: Path) -> None:
    save_model(path, *example())
    card = read_card(path)
    assert card.training.seconds == 1 / 7
    assert card.scores is not None
    assert card.scores.labels[0].metrics["dice"] == Estimate(mean=0.1 + 0.2)
    assert list(card.fingerprint.scale_ceiling) == [1.0, 0.75, 0.5, 0.375, 0.25]


def test_nothing_of_the_place_is_in_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "canary-patient-7"
    folder.mkdir()
    save_model(folder / "canary-run.safetensors", *example())
    held = (folder / "canary-run.safetensors").read_bytes()
    assert b"canary" not in held
    assert b"/" not in held[: len(held) - len(parts()[2])]
    assert [p.name for p in folder.iterdir()] == ["canary-run.safetensors"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Cannot write"):
        save_model(tmp_path / "none" / "model", *example())


def test_a_card_cannot_hold_numbers_that_json_cannot() -> None:
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            Estimate(mean=number)


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b"\0",
        b"\0" * 7,
        b"\0" * 8,
        struct.pack("<Q", 1) + b"{",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", MAXIMUM_HEADER_BYTES + 1) + b" " * (MAXIMUM_HEADER_BYTES + 1),
        struct.pack("<Q", 100) + b"{}",
        packed(b"{}", b""),
        packed(b"[]", b""),
        packed(b"null", b""),
        packed(b"12", b""),
        packed(b'"__metadata__"', b""),
        packed(b"\xff\xfe\xff", b""),
        packed(b"\xef\xbb\xbf{}", b""),
        packed(b"[" * 200_000, b""),
        packed(b'{"__metadata__":' * 100_000, b""),
        packed(b'{"__metadata__":{"delineate":"' + b"[" * 200_000 + b'"}}', b""),
        packed(b"9" * 10_000, b""),
        packed({"__metadata__": None}, b""),
        packed({"__metadata__": []}, b""),
        packed({"__metadata__": "delineate"}, b""),
        packed({"__metadata__": {"format": "pt"}}, b""),
        packed({"__metadata__": {ENTRY: None}}, b""),
        packed({"__metadata__": {ENTRY: 1}}, b""),
        packed({"__metadata__": {ENTRY: {}}}, b""),
        packed({"__metadata__": {ENTRY: "{"}}, b""),
        packed({"__metadata__": {ENTRY: ""}}, b""),
        b"PK\x03\x04" + b"\0" * 100,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        b"preset: auto\n" * 10,
    ],
)
def test_bytes_that_are_no_model(path: Path, held: bytes) -> None:
    assert refusal(path, held).startswith("FILE is not a Delineate model file")


@pytest.mark.parametrize(
    "card", ["null", "[]", "1", '"x"', "{}", "NaN", '{"format_version": 1}', '"\\ud800"']
)
def test_a_card_that_is_none(path: Path, card: str) -> None:
    assert refusal(path, rebuilt({}, card, b"")).startswith("FILE has a description that cannot be used: ")


def test_a_weights_file_of_another_program(path: Path) -> None:
    assert refusal(path, save({"a": torch.zeros(3)})) == "FILE is not a Delineate model file."


def test_a_pickle_is_never_opened(path: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Attack:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
            return Path.touch, (canary,)

    torch.save({"weights": Attack()}, path)
    assert refusal(path, path.read_bytes()).startswith("FILE is not a Delineate model file")
    assert refusal(path, pickle.dumps(Attack())).startswith("FILE is not a Delineate model file")
    assert not canary.exists()


def test_a_newer_format_says_update(path: Path) -> None:
    _, card, _ = parts()
    message = refusal(path, rebuilt({}, card | {"format_version": FORMAT_VERSION + 1, "new": 1}, b""))
    assert message == (
        f"FILE was made by a newer Delineate: its format is {FORMAT_VERSION + 1}, this one's "
        f"{FORMAT_VERSION}. "
        "Update with: pip install --upgrade delineate"
    )


@pytest.mark.parametrize("version", [0, -1, "2", 2.0, "x", None, [1], 1.5, float("nan")])
def test_odd_versions(path: Path, version: object) -> None:
    table, card, data = parts()
    assert "format_version" in refusal(path, rebuilt(table, card | {"format_version": version}, data))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("weights_sha256", 5),
        ("plan", "auto"),
        ("plan.training", {}),
        ("plan.training.steps", "many"),
        ("plan.training.steps", 0),
        ("plan.data.labels", ["a", "a"]),
        ("plan.data.labels", ["x" * 10] * 10_000),
        ("plan.preprocessing.size", [10**30, 16]),
        ("plan.preprocessing.size", [17, 16]),
        ("plan.preprocessing.mean", [float("nan")]),
        ("plan.preprocessing.mean", [float("inf")]),
        ("plan.preprocessing.standard_deviation", [0]),
        ("plan.network.widths", [2]),
        ("plan.network.widths", "23"),
        ("plan.network.output_channels", 2),
        ("plan.network.activation", "gelu"),
        ("fingerprint", None),
        ("fingerprint.cases", "../../etc/passwd"),
        ("training.seconds", {}),
        ("training.precision", "int8"),
        ("training.case_digests", ["../../etc/passw"]),
        ("scores", 1),
        ("scores.dice", {"mean": float("nan")}),
        ("scores.labels", [1]),
        ("software", {"delineate": 1}),
        ("anything", "more"),
    ],
)
def test_a_card_with_odd_values_names_the_place(path: Path, place: str, value: object) -> None:
    table, card, data = parts()
    *outer, last = place.split(".")
    inside = card
    for name in outer:
        inside = inside[name]
    inside[last] = value
    message = refusal(path, rebuilt(table, card, data))
    assert message.startswith("FILE has a description that cannot be used: ")
    assert place.split(".", maxsplit=1)[0] in message


def test_a_label_that_is_no_text(path: Path) -> None:
    table, card, data = parts()
    card["plan"]["data"]["labels"] = ["\ud800"]
    assert "has a description that cannot be used" in refusal(path, rebuilt(table, card, data))


def test_billions_of_parameters_take_no_memory(path: Path) -> None:
    table, card, data = parts()
    card["plan"]["network"].update(widths=[2048] * 8, convolutions=4, decoder_convolutions=4)
    card["plan"]["preprocessing"]["size"] = [128, 128]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "network.widths make a net of more than 500,000,000 parameters" in refusal(
        path, rebuilt(table, card, data)
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_large_net_without_its_weights_takes_no_memory(path: Path) -> None:
    table, card, data = parts()
    card["plan"]["network"]["widths"] = [1024, 2048, 2048]  # allowed, and 1 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "do not fit the network" in refusal(path, rebuilt(table, card, data))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(
    "change",
    [
        {"widths": [2, 4]},
        {"widths": [2, 3, 4]},
        {"convolutions": 1},
        {"normalization": "none"},
        {"residual": True},
        {"upsampling": "nearest"},
        {"stem": 2},
    ],
)
def test_a_plan_of_another_net(path: Path, change: dict[str, Any]) -> None:
    table, card, data = parts()
    card["plan"]["network"].update(change)
    message = refusal(path, rebuilt(table, card, data))
    assert message == "FILE is damaged: its weights do not fit the network it describes."


@pytest.mark.parametrize("entry", [None, "x", 1, [], {}, {"shape": 1, "dtype": "F32"}, {"shape": [1]}])
def test_a_table_of_weights_that_is_none(path: Path, entry: object) -> None:
    table, card, data = parts()
    table["head.bias"] = entry
    assert (
        refusal(path, rebuilt(table, card, data)) == "FILE is damaged: its table of weights cannot be read."
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [[1]]}, "do not fit"),
        ({"shape": ["a"]}, "do not fit"),
        ({"shape": [1 << 33, "a"]}, "do not fit"),
        ({"shape": [1e308, 1e308]}, "do not fit"),
        ({"shape": [float("nan")]}, "do not fit"),
        ({"shape": [-1]}, "do not fit"),
        ({"shape": [1 << 62, 4]}, "do not fit"),
        ({"dtype": "F16"}, "do not fit"),
        ({"dtype": "BF16"}, "do not fit"),
        ({"dtype": "F8_E4M3"}, "do not fit"),
        ({"dtype": "I32"}, "do not fit"),
        ({"dtype": ["F32"]}, "do not fit"),
        ({"shape": [1.0]}, "Copy it again"),
        ({"shape": [True]}, "Copy it again"),
        ({"data_offsets": [0, 0]}, "Copy it again"),
        ({"data_offsets": [4, 0]}, "Copy it again"),
        ({"data_offsets": [0, 1 << 62]}, "Copy it again"),
        ({"data_offsets": [-4, 0]}, "Copy it again"),
        ({"data_offsets": None}, "Copy it again"),
        ({"data_offsets": "ab"}, "Copy it again"),
    ],
)
def test_an_odd_entry_in_the_table_of_weights(path: Path, change: dict[str, object], message: str) -> None:
    table, card, data = parts()
    table["head.bias"] |= change
    found = refusal(path, rebuilt(table, card, data))
    assert found.startswith("FILE is damaged: ")
    assert message in found


def test_overlapping_weights(path: Path) -> None:
    table, card, data = parts()
    one, other = "encoders.0.normalizations.0.bias", "encoders.0.normalizations.0.weight"
    table[one]["data_offsets"] = table[other]["data_offsets"]
    assert "is damaged" in refusal(path, rebuilt(table, card, data))


@pytest.mark.parametrize("name", ["head.bias", "more"])
def test_a_tensor_missing_or_too_many(path: Path, name: str) -> None:
    _, card, _ = parts()
    weights = dict(example()[1])
    if name in weights:
        del weights[name]
    else:
        weights[name] = torch.zeros(1)
    assert "do not fit" in refusal(path, save(weights, metadata={ENTRY: json.dumps(card)}))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(path: Path, number: float) -> None:
    card, weights = example()
    wrong = {name: tensor.clone() for name, tensor in weights.items()}
    wrong["head.weight"].view(-1)[1] = number
    save_model(path, card.model_copy(update={"weights_sha256": weights_sha256(wrong)}), wrong)
    with pytest.raises(ModelFileError, match="weights that are not numbers"):
        load_model(path)


def test_every_bit_of_the_weights_counts(path: Path) -> None:
    data = len(parts()[2])
    for position in range(len(content()) - data, len(content()), 37):
        held = bytearray(content())
        held[position] ^= 1
        message = refusal(path, bytes(held))
        assert message == "FILE is damaged: its weights are not those it was saved with. Copy it again."


def test_other_weights_of_the_same_shapes(path: Path) -> None:
    card, weights = example()
    other = {name: tensor + 1 for name, tensor in weights.items()}
    with pytest.raises(ModelFileError, match="not those it was saved with"):
        opened(path, save(other, metadata={ENTRY: card.model_dump_json()}))


@pytest.mark.parametrize("missing", [1, 4, 8, 100])
def test_a_truncated_tail(path: Path, missing: int) -> None:
    message = refusal(path, content()[:-missing])
    assert message.startswith("FILE is damaged: ")
    assert message.endswith("Copy it again, or train anew.")


def test_bytes_behind_the_end(path: Path) -> None:
    assert refusal(path, content() + b"more").startswith("FILE is damaged: ")


def test_places_that_cannot_be_read(tmp_path: Path) -> None:
    for place, reason in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        for read in (read_card, load_model):
            with pytest.raises(ModelFileError, match=f"cannot be read: {reason}"):
                read(place)


def loaded_or_refused(held: bytes) -> None:
    """A changed file gives the very weights that were saved, or a `ModelFileError`, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        path.write_bytes(held)
        try:
            read_card(path)
            _, weights = load_model(path)
        except ModelFileError as error:
            assert str(path) in str(error)  # noqa: PT017  either outcome is right
        else:
            assert weights_sha256(weights) == example()[0].weights_sha256


HEADER_BYTES = 8 + struct.unpack("<Q", content()[:8])[0]


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, HEADER_BYTES - 1), st.integers(1, 255)), min_size=1, max_size=3))
def test_any_change_of_the_header(changes: list[tuple[int, int]]) -> None:
    held = bytearray(content())
    for position, bits in changes:
        held[position] ^= bits
    loaded_or_refused(bytes(held))


@settings(max_examples=100)
@given(st.integers(0, len(content()) - 1))
def test_a_cut_at_any_place(length: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(ModelFileError):
        opened(Path(folder) / "model", content()[:length])


@settings(max_examples=100)
@given(st.integers(0, len(content())), st.binary(min_size=1, max_size=8))
def test_bytes_put_in_at_any_place(position: int, more: bytes) -> None:
    loaded_or_refused(content()[:position] + more + content()[position:])


@settings(max_examples=100)
@given(st.binary(max_size=64), st.booleans())
def test_any_bytes(held: bytes, sized: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(ModelFileError):
        opened(Path(folder) / "model", packed(held, held) if sized else held)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["shape", "dtype", "x"]), inner, max_size=3),
    ),
    max_leaves=5,
)


@settings(max_examples=150)
@given(st.data())
def test_any_value_anywhere_in_header_and_card(data: st.DataObject) -> None:
    table, card, weights = parts()
    inside: Any = data.draw(st.sampled_from([table, card]))
    while True:
        keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(inside[key], (dict, list)) or not inside[key] or data.draw(st.booleans()):
            break
        inside = inside[key]
    inside[key] = data.draw(json_values)
    loaded_or_refused(rebuilt(table, card, weights))
