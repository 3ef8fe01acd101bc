"""A file whose weights are not what it says they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from example_model import content, example, opened, parts, rebuilt, refusal
from safetensors.torch import save

from delineate.errors import ModelFileError
from delineate.model_file import (
    ENTRY,
    load_model,
    read_card,
    save_model,
    weights_sha256,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


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
        ({"data_offsets": None}, "its table of weights cannot be read"),
        ({"data_offsets": "ab"}, "its table of weights cannot be read"),
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
    told = (
        f"FILE is damaged: it is cut off, its last {missing} bytes are missing. Copy it again, or train anew."
    )
    assert refusal(path, content()[:-missing]) == told
    with pytest.raises(ModelFileError, match=f"its last {missing} bytes are missing"):
        read_card(path)


def test_bytes_behind_the_end(path: Path) -> None:
    told = "FILE is damaged: it has 4 bytes too many. Copy it again, or train anew."
    assert refusal(path, content() + b"more") == told
    with pytest.raises(ModelFileError, match="4 bytes too many"):
        read_card(path)


def test_places_that_cannot_be_read(tmp_path: Path) -> None:
    for place, reason in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        for read in (read_card, load_model):
            with pytest.raises(ModelFileError, match=f"cannot be read: {reason}"):
                read(place)
