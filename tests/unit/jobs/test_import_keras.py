"""What the user is asked, told and given when a net of Keras is imported."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from keras_nets import Json, contents, edited, layer, written
from PIL import Image
from typer.testing import CliRunner

import delineate
from delineate import KerasWishes
from delineate.cli.app import app
from delineate.errors import ModelFileError, OutputError, UsageError
from delineate.jobs.imported import UNKNOWN_START
from delineate.model_file import read_card
from delineate.pretrained.keras import reading


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new" / "model.safetensors"


class Listener(delineate.Reporter):
    def __init__(self) -> None:
        self.told: list[str] = []

    def say(self, text: str) -> None:
        self.told.append(text)

    def warn(self, text: str) -> None:
        self.told.append(text)


def refused(file: Path, out: Path, wishes: KerasWishes) -> str:
    with pytest.raises(UsageError) as caught:
        delineate.import_keras(file, out, wishes=wishes)
    assert not out.exists()
    return str(caught.value)


def test_the_card_tells_what_is_known_and_nothing_else(tmp_path: Path, out: Path) -> None:
    card = delineate.import_keras(written(tmp_path, "batch_norm.keras"), out)
    assert card == read_card(out)
    assert (card.format_version, card.members, card.fingerprint, card.scores) == (3, 1, None, None)
    training = card.training
    assert (training.cases, training.steps, training.seconds, training.seed) == (None, None, None, None)
    assert (training.case_digests, training.started_from) == ((), None)
    assert card.imported is not None
    digest = hashlib.sha256(contents()["batch_norm.keras"]).hexdigest()
    assert (card.imported.program, card.imported.version, card.imported.file_sha256) == (
        "keras",
        "3.15.1",
        digest,
    )
    plan = card.plan
    assert plan.data.colour == "grey"
    assert plan.data.labels == ("foreground",)
    assert (plan.preprocessing.mode, plan.preprocessing.fit) == ("whole", "stretch")
    assert plan.preprocessing.size == (16, 16)
    assert plan.preprocessing.normalization == "unit"
    assert plan.network.normalization == "batch"
    assert plan.network.widths == (2, 3, 4)
    assert plan.prediction.mirror is False
    assert str(tmp_path) not in out.read_bytes()[:20_000].decode("latin-1")


def test_assumptions_are_told_and_kept(tmp_path: Path, out: Path) -> None:
    listener = Listener()
    file = written(tmp_path, "batch_norm.weights.h5")
    card = delineate.import_keras(file, out, wishes=KerasWishes(size=(16, 32)), reporter=listener)
    assert card.imported is not None
    assert listener.told == [f"Assumed: {each}." for each in card.imported.assumed]
    for part in ("with ReLU, and end in a sigmoid", "--skips-first", "epsilon, 0.001", "--range", "--labels"):
        assert any(part in each for each in card.imported.assumed), part
    assert card.plan.preprocessing.size == (16, 32)


def test_what_the_user_says_is_no_assumption(tmp_path: Path, out: Path) -> None:
    wishes = KerasWishes(labels=("kidney", "liver", "spleen"), pixels="0..255")
    card = delineate.import_keras(written(tmp_path, "four_classes.keras"), out, wishes=wishes)
    assert card.imported is not None
    assert card.imported.assumed == ("the first of the outputs is the background's",)
    assert card.plan.data.labels == ("kidney", "liver", "spleen")
    assert card.plan.preprocessing.standard_deviation == pytest.approx((1 / 255,))
    one = delineate.import_keras(
        written(tmp_path, "plain.keras"), out.with_name("one.safetensors"), wishes=KerasWishes(threshold=0.3)
    )
    assert one.plan.prediction.threshold == 0.3


def test_what_rescaling_layers_say_is_no_assumption(tmp_path: Path, out: Path) -> None:
    card = delineate.import_keras(written(tmp_path, "wrapped.keras"), out)
    assert card.imported is not None
    assert not any("--range" in each for each in card.imported.assumed)
    assert card.plan.preprocessing.normalization == "unit"


@pytest.mark.parametrize(
    ("name", "wishes", "told"),
    [
        ("plain.weights.h5", KerasWishes(), "does not say the size of the training's images: give --size"),
        ("any_size.keras", KerasWishes(), "does not say the size of the training's images: give --size"),
        ("normalizing.keras", KerasWishes(), "does not say which range they start from"),
        ("plain.keras", KerasWishes(size=(32, 32)), "says its own size, 16x16: omit --size"),
        ("plain.keras", KerasWishes(skips_first=True), "omit --skips-first"),
        ("plain.keras", KerasWishes(bgr=True), "takes images of 1 channel(s): --bgr is for three"),
        ("plain.keras", KerasWishes(logits=True), "ends in a sigmoid, which gives no logits"),
        ("plain.keras", KerasWishes(labels=("a", "b")), "finds 1 label(s), and 2 are named by --labels"),
        ("four_classes.keras", KerasWishes(labels=("a", "a", "b")), "label names must be distinct"),
        ("four_classes.keras", KerasWishes(labels=("a", "\x1b", "b")), "names are of letters"),
        ("any_size.keras", KerasWishes(size=(17, 16)), "preprocessing.size [17, 16] must be a multiple of 2"),
        ("any_size.keras", KerasWishes(size=(8, 8)), "preprocessing.size"),
        (
            "four_classes.keras",
            KerasWishes(threshold=0.3),
            "of which the likeliest wins: omit --threshold",
        ),
    ],
)
def test_what_is_left_open_names_the_option(
    tmp_path: Path, out: Path, name: str, wishes: KerasWishes, told: str
) -> None:
    assert told in refused(written(tmp_path, name), out, wishes)


def test_wishes_out_of_range() -> None:
    with pytest.raises(UsageError, match="The threshold 1 is out of range"):
        KerasWishes(threshold=1)
    with pytest.raises(UsageError, match="There is no range '0'"):
        KerasWishes(pixels="0")  # type: ignore[arg-type]  # what a user may give


def test_outputs_without_activation_are_logits_only_if_said_so(tmp_path: Path, out: Path) -> None:
    def linear(config: Json) -> None:
        layer(config, "conv2d_10")["config"]["activation"] = "linear"

    file = tmp_path / "linear.keras"
    file.write_bytes(edited("plain.keras", linear))
    assert "ends without an activation" in refused(file, out, KerasWishes())
    delineate.import_keras(file, out, wishes=KerasWishes(logits=True))
    whole = tmp_path / "whole.safetensors"
    delineate.import_keras(written(tmp_path, "plain.keras"), whole)
    assert read_card(out).weights_sha256 == read_card(whole).weights_sha256


def test_the_same_file_gives_the_same_bytes(tmp_path: Path, out: Path) -> None:
    file, again = written(tmp_path, "mixed.keras"), tmp_path / "again.safetensors"
    delineate.import_keras(file, out)
    delineate.import_keras(file, again)
    assert out.read_bytes() == again.read_bytes()


def test_all_kinds_of_file_of_a_net_give_the_same_weights(tmp_path: Path) -> None:
    found = set()
    for kind in (".keras", ".h5", ".weights.h5"):
        wishes = KerasWishes(size=(16, 16) if kind == ".weights.h5" else None)
        out = tmp_path / f"model{kind}.safetensors"
        card = delineate.import_keras(written(tmp_path, f"batch_norm{kind}"), out, wishes=wishes)
        found.add(card.weights_sha256)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("place", "told"),
    [("plain.keras", "is there already"), ("", "is there already"), ("new.pt", r"ends in \.safetensors")],
)
def test_nothing_is_written_over(tmp_path: Path, place: str, told: str) -> None:
    file = written(tmp_path, "plain.keras")
    with pytest.raises(UsageError, match=told):
        delineate.import_keras(file, tmp_path / place)
    assert file.read_bytes() == contents()["plain.keras"]
    assert not (tmp_path / "new.pt").exists()


def test_without_h5py_the_command_to_install_it_is_told(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "find_spec", lambda _: None)
    assert "pip install 'h5py>=" in refused(written(tmp_path, "plain.keras"), out, KerasWishes())


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six bright squares with their masks."""
    folder = tmp_path_factory.mktemp("pairs")
    random = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for at in range(6):
        mask = np.zeros((24, 20), np.uint8)
        mask[at : at + 10, 4:14] = 255
        image = random.integers(0, 100, mask.shape, dtype=np.uint8) + mask // 2
        Image.fromarray(image).save(folder / "images" / f"case{at}.png")
        Image.fromarray(mask).save(folder / "masks" / f"case{at}.png")
    return folder


def test_it_predicts_and_is_scored_with_a_caution(tmp_path: Path, out: Path, pairs: Path) -> None:
    delineate.import_keras(written(tmp_path, "plain.keras"), out)
    done = delineate.predict(out, [pairs / "images"], tmp_path / "masks")
    assert [each.status for each in done.files] == ["done"] * 6
    with Image.open(tmp_path / "masks" / "case0.png") as mask:
        assert mask.size == (20, 24)
    listener = Listener()
    delineate.evaluate(out, pairs, out=tmp_path / "scores", reporter=listener)
    assert any("which images it learned from is not known" in each for each in listener.told)
    page = (tmp_path / "scores" / "report.html").read_text(encoding="utf-8")
    assert "which images it learned from is not known" in page
    assert "a file of Keras 3.15.1 with the SHA-256" in page


@pytest.mark.slow
def test_training_goes_on_from_it(tmp_path: Path, out: Path, pairs: Path) -> None:
    imported = delineate.import_keras(written(tmp_path, "batch_norm.keras"), out)
    listener = Listener()
    run = delineate.train(pairs, out=tmp_path / "run", epochs=1, start_from=out, reporter=listener)
    assert listener.told.count(UNKNOWN_START) == 1
    card = read_card(run.model_path)
    assert card.training.unknown_images
    assert card.scores is not None
    assert card.scores.used_to_choose.startswith(UNKNOWN_START)
    page = (run.folder / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert UNKNOWN_START in page
    assert card.training.started_from == imported.weights_sha256
    assert card.format_version == 1
    assert card.imported is None
    assert card.plan.network == imported.plan.network
    (run.folder / "model.safetensors").rename(out.with_name("better.safetensors"))
    resumed = Listener()
    delineate.resume(run.folder, reporter=resumed)
    assert resumed.told.count(UNKNOWN_START) == 1
    assert read_card(run.model_path).training == card.training


@pytest.mark.slow
def test_a_model_that_started_from_it_is_not_called_innocent(tmp_path: Path, out: Path, pairs: Path) -> None:
    delineate.import_keras(written(tmp_path, "batch_norm.keras"), out)
    run = delineate.train(pairs, out=tmp_path / "run", epochs=1, start_from=out)
    others = tmp_path / "others"
    for name in ("images", "masks"):
        (others / name).mkdir(parents=True)
        for path in (pairs / name).iterdir():
            with Image.open(path) as picture:
                picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(others / name / path.name)
    listener = Listener()
    delineate.evaluate(run.model_path, others, out=tmp_path / "scores", reporter=listener)
    assert listener.told.count(UNKNOWN_START) == 1
    page = (tmp_path / "scores" / "report.html").read_text(encoding="utf-8")
    assert UNKNOWN_START in page
    assert "did not learn from any" not in page


def test_the_command(tmp_path: Path, out: Path) -> None:
    file, runner = written(tmp_path, "colour.keras"), CliRunner()
    command = ["import-keras", str(file), "--out", str(out)]
    done = runner.invoke(
        app, [*command, "--labels", "cell", "--range", "0..255", "--bgr", "--threshold", "0.4"]
    )
    assert done.exit_code == 0, done.output
    assert (
        "a U-Net of 2 – 3 – 4 channels for whole images brought to 16 × 16 px, labels: 1 cell" in done.output
    )
    assert runner.invoke(app, command).exit_code == OutputError.exit_code
    info = runner.invoke(app, ["info", str(out)])
    assert "not known: it was imported" in info.output
    assert "It was not scored: it was imported." in info.output
    new = ["import-keras", str(file), "--out", str(out.with_name("b.safetensors"))]
    assert runner.invoke(app, [*new, "--size", "huge"]).exit_code == UsageError.exit_code
    assert runner.invoke(app, [*new, "--range", "0..9"]).exit_code == UsageError.exit_code
    file.write_bytes(contents()["colour.keras"][:5000])
    assert runner.invoke(app, new).exit_code == ModelFileError.exit_code
