"""A model file changed anywhere, in any way."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from example_model import content, example, opened, packed, parts, rebuilt
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import ModelFileError
from delineate.model_file import (
    load_model,
    read_card,
    weights_sha256,
)


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
