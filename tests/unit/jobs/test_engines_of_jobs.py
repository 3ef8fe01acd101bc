"""The engine of a job: chosen for its work, said, and kept in the manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from example_model import example
from PIL import Image as Pillow
from typer.testing import CliRunner

import delineate
from delineate.cli.app import app
from delineate.dataset.inputs import GivenImage
from delineate.errors import OutputError, UsageError
from delineate.formats import USUAL
from delineate.inference.engines import choice
from delineate.inference.engines.choice import Chosen
from delineate.inference.engines.making import Net, make_engine
from delineate.inference.model import Model
from delineate.jobs.engines import windows_of_images
from delineate.jobs.reporter import Reporter
from delineate.model_file import MODEL_NAME, save_model


class Listener(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and two pictures."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save_model(tmp_path / MODEL_NAME, *example())
    (tmp_path / "images").mkdir()
    for name in "ab":
        values = np.random.default_rng(1).integers(0, 256, (20, 20), dtype=np.uint8)
        Pillow.fromarray(values).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def computed_by(folder: Path) -> tuple[str, str]:
    told = json.loads((folder / "manifest.json").read_text())
    return told["engine"], told["precision"]


def test_two_small_images_are_torchs_without_any_measuring(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "try_out", None)
    listener = Listener()
    delineate.predict(run, run / "images", run / "masks", reporter=listener)
    assert computed_by(run / "masks") == ("torch", "fp32")
    assert listener.said == ["Computed by torch in fp32."]
    assert not (run / "cache").exists()


def test_what_is_chosen_is_said_and_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    def chosen(net: Net, precision: str, *, windows: int | None = None) -> Chosen:
        asked.append(windows)
        return Chosen(make_engine(net, "onnxruntime", "fp32"), 2.345, ("openvino in fp32 crashed",))

    monkeypatch.setattr(choice, "choose", chosen)
    listener = Listener()
    delineate.predict(run, run / "images", run / "masks", reporter=listener)
    assert asked == [2]
    assert computed_by(run / "masks") == ("onnxruntime", "fp32")
    assert listener.said == ["Computed by onnxruntime in fp32, 2.3 × as fast here as torch."]
    assert listener.warned == ["The engine openvino in fp32 crashed. It is skipped."]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_one_asked_for_makes_the_same_masks(run: Path, engine: str) -> None:
    runner = CliRunner()
    for name in ("torch", engine):
        arguments = [
            "predict",
            run,
            run / "images",
            "--out",
            run / name,
            "--engine",
            name,
            "--precision",
            "fp32",
        ]
        done = runner.invoke(app, list(map(str, arguments)))
        assert done.exit_code == 0, done.output
        assert f"Computed by {name} in fp32." in done.output
        assert computed_by(run / name) == (name, "fp32")
    for name in "ab":
        assert (run / "torch" / f"{name}.png").read_bytes() == (run / engine / f"{name}.png").read_bytes()


def test_a_loaded_model_keeps_its_engine(run: Path) -> None:
    model = delineate.load(run, engine="onnxruntime")
    listener = Listener()
    delineate.predict(model, run / "images", run / "masks", reporter=listener)
    assert computed_by(run / "masks") == ("onnxruntime", "fp32")
    assert listener.said == []
    with pytest.raises(UsageError, match=r"loaded already. Give its engine and precision to delineate.load"):
        delineate.predict(model, run / "images", run / "more", engine="torch")
    assert not (run / "more").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--precision", "int8"), "delineate export MODEL --to openvino --precision int8"),
        (("--engine", "onnxruntime", "--precision", "bf16"), "ONNX Runtime computes in fp32 on a processor"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(run: Path, arguments: tuple[str, ...], told: str) -> None:
    given = ["predict", run, run / "images", "--out", run / "masks", *arguments]
    done = CliRunner().invoke(app, list(map(str, given)))
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())
    assert not (run / "masks").exists()


def test_evaluation_is_torchs_unless_another_is_asked_for(run: Path) -> None:
    (run / "masks").mkdir()
    for name in "ab":
        Pillow.fromarray((255 * np.eye(20)).astype(np.uint8)).save(run / "masks" / f"{name}.png")
    dice = {}
    for engine in (None, "openvino"):
        listener = Listener()
        found = delineate.evaluate(run / MODEL_NAME, run, engine=engine, reporter=listener)
        dice[engine] = found.dice
        assert listener.said == ([f"Computed by {engine} in fp32."] if engine else [])
    assert dice["openvino"] == pytest.approx(dice[None], abs=1e-4)


def test_the_work_is_read_from_some_headers(run: Path) -> None:
    plan = Model(*example()).plan
    image = GivenImage("a", (run / "images" / "a.png",))
    broken = GivenImage("none", (run / "none.png",))
    assert windows_of_images(plan, [image] * 7, USUAL) == 7
    assert windows_of_images(plan, [image, broken, image], USUAL) == 3
    assert windows_of_images(plan, [broken], USUAL) == 0
    assert windows_of_images(plan, [], USUAL) == 0


def test_a_folder_that_is_taken_is_refused_before_engines_are_tried(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried(*_: object, **__: object) -> Chosen:
        raise AssertionError("time was spent on engines")

    monkeypatch.setattr(choice, "choose", tried)
    with pytest.raises(OutputError, match="is not empty"):
        delineate.predict(run / MODEL_NAME, run / "images", run)
