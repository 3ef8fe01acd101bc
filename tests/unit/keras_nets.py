"""The committed files of Keras and what it computed with them; see tests/fixtures/keras/."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from delineate.errors import ModelFileError
from delineate.pretrained.keras import read_keras

FIXTURES = Path(__file__).parents[1] / "fixtures" / "keras"
Json = dict[str, Any]


@functools.cache
def contents() -> dict[str, bytes]:
    """All files by their names."""
    found: dict[str, bytes] = {}
    for name in ("nets.zip", "nets_keras2.zip"):
        with zipfile.ZipFile(FIXTURES / name) as archive:
            found |= {each: archive.read(each) for each in archive.namelist() if each != "expected.npz"}
    return found


@functools.cache
def computed() -> dict[str, npt.NDArray[Any]]:
    """`NAME.images` `(N, H, W, C)` uint8 and `NAME.probabilities` `(N, H, W, K)` of each net."""
    found: dict[str, npt.NDArray[Any]] = {}
    for name in ("nets.zip", "nets_keras2.zip"):
        with zipfile.ZipFile(FIXTURES / name) as archive:
            arrays = np.load(io.BytesIO(archive.read("expected.npz")), allow_pickle=False)
            found |= {each: arrays[each] for each in arrays.files}
    return found


def written(folder: Path, name: str) -> Path:
    """One of the files."""
    path = folder / name
    path.write_bytes(contents()[name])
    return path


def parts(name: str) -> dict[str, bytes]:
    """What a `.keras` file holds."""
    with zipfile.ZipFile(io.BytesIO(contents()[name])) as archive:
        return {each: archive.read(each) for each in archive.namelist()}


def packed(held: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A `.keras` file of these parts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    return stream.getvalue()


def edited(name: str, edit: Callable[[Json], object]) -> bytes:
    """A `.keras` file with its description changed."""
    held = parts(name)
    config = json.loads(held["config.json"])
    edit(config)
    return packed(held | {"config.json": json.dumps(config).encode()})


def layer(config: Json, name: str) -> Json:
    """A layer's entry in a description."""
    found = [each for each in config["config"]["layers"] if each["name"] == name]
    assert len(found) == 1, name
    entry: Json = found[0]
    return entry


def refusal(path: Path, content: bytes) -> str:
    """What is told of a file, without its name."""
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_keras(path)
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be imported: ")
    assert message.isprintable()
    return message.removeprefix(f"{path} cannot be imported: ")
