"""A file of several nets: what it holds comes back, and each of them is checked as a single one is."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from example_model import PLAN, Weights, content, example, refusal
from safetensors.torch import save
from same_weights import assert_same_weights

from delineate.model_file import (
    ENTRY,
    ModelCard,
    apart,
    load_model,
    read_card,
    save_model,
    together,
    weights_sha256,
)
from delineate.networks.settings import most_parameters
from delineate.plan import MAXIMUM_MEMBERS, MAXIMUM_PARAMETERS, members_error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def nets(count: int) -> list[Weights]:
    _, weights = example()
    return [{name: tensor + at for name, tensor in weights.items()} for at in range(count)]


def several(count: int) -> tuple[ModelCard, Weights]:
    weights = together(nets(count))
    values = {"format_version": 2, "members": count, "weights_sha256": weights_sha256(weights)}
    return example()[0].model_copy(update=values), weights


def header(path: Path) -> dict[str, object]:
    with path.open("rb") as stream:
        length = struct.unpack("<Q", stream.read(8))[0]
        found: dict[str, object] = json.loads(json.loads(stream.read(length))["__metadata__"][ENTRY])
        return found


def test_what_is_put_together_comes_apart() -> None:
    for count in (1, 2, 11):
        back = apart(together(nets(count)), count)
        assert len(back) == count
        for given, found in zip(nets(count), back, strict=True):
            assert_same_weights(found, given)


def test_a_file_of_several_nets_is_read_back(path: Path) -> None:
    card, weights = several(3)
    save_model(path, card, weights)
    assert header(path)["format_version"] == 2
    assert header(path)["members"] == 3
    found, held = load_model(path)
    assert found == card == read_card(path)
    assert_same_weights(held, weights)


def test_a_file_of_one_net_is_as_it_always_was(path: Path) -> None:
    save_model(path, *example())
    assert path.read_bytes() == content()
    assert header(path)["format_version"] == 1
    assert "members" not in header(path)
    assert read_card(path).members == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": 2}, "do not fit"),
        ({"members": 4}, "do not fit"),
        ({"members": 1}, "format_version is 2, members 1"),
        ({"format_version": 1}, "format_version is 1, members 3"),
        ({"members": MAXIMUM_MEMBERS + 1}, "members"),
        ({"members": 0}, "members"),
        ({"members": 2.5}, "members"),
    ],
)
def test_another_number_than_it_says(path: Path, change: dict[str, object], message: str) -> None:
    card, weights = several(3)
    text = json.dumps(card.model_dump(mode="json") | {"members": 3} | change)
    assert message in refusal(path, save(weights, metadata={ENTRY: text}))


@pytest.mark.parametrize("member", [0, 1, 2])
def test_each_member_is_checked(path: Path, member: int) -> None:
    card, weights = several(3)
    name = f"member.{member}.head.bias"
    spoiled = weights | {name: torch.full_like(weights[name], float("nan"))}
    assert "not numbers" in refusal(path, save(spoiled, metadata={ENTRY: card.model_dump_json()}))
    other = weights | {name: weights[name] + 1}
    assert "not those it was saved with" in refusal(
        path, save(other, metadata={ENTRY: card.model_dump_json()})
    )
    larger = weights | {name: torch.zeros(7)}
    assert "do not fit" in refusal(path, save(larger, metadata={ENTRY: card.model_dump_json()}))


def test_all_members_together_have_a_largest_number_of_parameters(path: Path) -> None:
    wide = PLAN.model_copy(
        update={"network": PLAN.network.model_copy(update={"widths": (512, 1024, 1024, 1024)})}
    )
    most = MAXIMUM_PARAMETERS // most_parameters(wide.network)
    assert most >= 2
    assert members_error(wide, most) is None
    assert members_error(PLAN, MAXIMUM_MEMBERS) is None
    assert members_error(PLAN, MAXIMUM_MEMBERS + 1) == "101 nets are more than the 100 that a model can hold"
    assert members_error(wide, most + 1) == (
        f"{most + 1} nets of this plan have more than {MAXIMUM_PARAMETERS:,} parameters together"
    )
    card, weights = several(most + 1)
    text = json.dumps(card.model_dump(mode="json") | {"plan": wide.model_dump(mode="json")})
    assert "parameters together" in refusal(path, save(weights, metadata={ENTRY: text}))
