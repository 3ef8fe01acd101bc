"""A stranger's file whose header or description is not what it should be: one kind of error, no memory."""

from __future__ import annotations

import json
import pickle
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from example_model import opened, packed, parts, rebuilt, refusal
from safetensors.torch import save

from delineate.model_file import (
    ENTRY,
    FORMAT_VERSION,
    MAXIMUM_HEADER_BYTES,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


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
        "Install a newer one."
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
        ("software", {"\x1b]0;torch": "2"}),
        ("weights_sha256", "\x1b[8m"),
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


def imported_card(**changes: object) -> dict[str, Any]:
    _, card, _ = parts()
    unknown = dict.fromkeys(("cases", "steps", "seconds", "seed"))
    imported = {"program": "keras", "version": "3.15.1", "file_sha256": "0" * 64, "assumed": ["grey"]}
    card["training"] |= unknown
    return card | {"format_version": 3, "fingerprint": None, "imported": imported} | changes


def test_an_imported_net_leaves_its_training_open(path: Path) -> None:
    table, _, data = parts()
    card, _ = opened(path, rebuilt(table, imported_card(), data))
    assert card.imported is not None
    assert (card.imported.version, card.imported.assumed, card.training.cases) == ("3.15.1", ("grey",), None)
    assert json.loads(card.model_dump_json())["imported"]["file_sha256"] == "0" * 64


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"imported": None}, "format_version"),
        ({"format_version": 1}, "format_version"),
        (
            {"format_version": 1, "imported": None},
            "may leave open its cases, steps, seconds, seed, fingerprint",
        ),
        ({"format_version": 2, "members": 2}, "format_version"),
    ],
)
def test_a_net_of_ours_leaves_nothing_open(path: Path, changes: dict[str, object], told: str) -> None:
    table, _, data = parts()
    assert told in refusal(path, rebuilt(table, imported_card(**changes), data))


def test_whether_all_images_are_known_is_read_from_older_files_too(path: Path) -> None:
    table, card, data = parts()
    assert "unknown_images" not in card["training"]
    assert not opened(path, rebuilt(table, card, data))[0].unknown_images
    encoder = card | {"training": card["training"] | {"encoder_sha256": "ab" * 32}}
    assert opened(path, rebuilt(table, encoder, data))[0].unknown_images
    assert opened(path, rebuilt(table, imported_card(), data))[0].unknown_images
    stated = card | {"training": card["training"] | {"unknown_images": True}}
    found, _ = opened(path, rebuilt(table, stated, data))
    assert found.unknown_images
    assert json.loads(found.model_dump_json()) == stated


def test_older_formats_are_written_as_before() -> None:
    """Programs that know no imported nets read what they can."""
    _, card, _ = parts()
    assert card["format_version"] == 1
    assert {"imported", "members"} & card.keys() == set()
