"""An argument that is empty, as of a variable that is not set, never means the current folder."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import delineate
from delineate.cli.app import app, run
from delineate.errors import UsageError


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", ""],
        ["train", ""],
        ["train", "data", "--out="],
        ["train", "data", "--out", ""],
        ["predict", "model", "", "--out", "masks"],
        ["evaluate", "", "data"],
        ["info", ""],
    ],
)
def test_the_command_line_refuses_it(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["delineate", *arguments])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    assert "One of the arguments is empty" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_python_refuses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for call in (
        lambda: delineate.check(""),
        lambda: delineate.train(""),
        lambda: delineate.train("data", test=""),
        lambda: delineate.resume(""),
        lambda: delineate.load(""),
        lambda: delineate.evaluate("", "data"),
        lambda: delineate.predict("model", "", "masks"),
        lambda: delineate.predict("model", "images", ""),
    ):
        with pytest.raises(UsageError, match="An empty path was given"):
            call()
    assert list(tmp_path.iterdir()) == []


def pairs(data: Path, *names: str) -> Path:
    generator = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (data / kind).mkdir(parents=True)
    for at, name in enumerate(names):
        picture = generator.integers(0, 256, (32, 32), dtype=np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        mask[4:20, 4 : 12 + at] = 255
        Image.fromarray(picture).save(data / "images" / f"{name}.png")
        Image.fromarray(mask).save(data / "masks" / f"{name}.png")
    return data


def test_a_folder_for_names_is_made_where_there_is_a_table(tmp_path: Path) -> None:
    names, data = tmp_path / "names", pairs(tmp_path / "data", "a", "b", "c")

    def checked(*arguments: object) -> str:
        done = CliRunner().invoke(app, ["check", *map(str, arguments), "--names", str(names)])
        return f"{done.exit_code} {done.output}"

    assert checked(tmp_path / "nope").startswith("2 ")
    assert not names.exists()
    assert "so there is no table for --names" in checked(data)
    assert not names.exists()
    assert checked(data, "--anonymous").startswith("0 ")
    assert (names / "private" / "names.csv").is_file()
    assert "is not empty" in checked(data, "--anonymous")
