"""The model file: what goes in comes out, the same bytes each time, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from example_model import Weights, content, example, parts

from delineate.errors import OutputError
from delineate.model_file import (
    Estimate,
    ModelCard,
    load_model,
    read_card,
    save_model,
    weights_sha256,
)


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
    assert card.fingerprint is not None
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
