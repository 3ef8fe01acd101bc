"""Training from another model's weights: other labels, other channels, stops, images it has seen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commanding import Command
from test_stop_and_resume import started, wait_for

import delineate
from delineate.errors import ModelFileError, PlanError, UsageError
from delineate.inference.model import Model, load
from delineate.jobs.ancestor import Ancestor
from delineate.jobs.parts import checked_part
from delineate.jobs.reporter import Reporter
from delineate.jobs.scoring import learned_from
from delineate.model_file import read_card, save_model, weights_sha256
from delineate.networks.settings import UNetSettings
from delineate.networks.unet import UNet

OPTIONS = ("--epochs", "16", "--split-seed", "7")


@pytest.fixture(scope="module")
def vessels(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """Twelve small retinas in colour."""
    folder = tmp_path_factory.mktemp("phantoms") / "vessels"
    assert command("phantom", "vessels", folder, "--count", "12", "--size", "64x64").returncode == 0
    return folder


def test_other_labels_and_channels_start_from_a_model(
    finished_run: Path, vessels: Path, command: Command, tmp_path: Path
) -> None:
    model = finished_run / "model.safetensors"
    done = command("train", vessels, "--from", model, "--epochs", "2", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "the part that decides vessel is new. Its first convolution is adapted from 1 to 3" in said
    before, after = read_card(model), read_card(tmp_path / "run" / "model.safetensors")
    assert after.training.started_from == before.weights_sha256
    assert after.training.case_digests[10:] == before.training.case_digests
    assert after.training.cases == 10
    assert after.plan.network == before.plan.network.model_copy(update={"input_channels": 3})
    assert after.plan.data.labels == ("vessel",)
    shown = " ".join(command("info", tmp_path / "run").stdout.split())
    assert f"a model with the weights SHA-256 {before.weights_sha256}" in shown
    report = (tmp_path / "run" / "evaluation" / "report.html").read_text()
    assert before.weights_sha256 in report
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["started_from"] == before.weights_sha256
    source = json.loads((tmp_path / "run" / "private" / "source.json").read_text())
    assert source["start_from"] == str(model)
    public = [path for path in (tmp_path / "run").rglob("*.*") if path.parent.name != "private"]
    assert not [path for path in public if path.is_file() and str(model).encode() in path.read_bytes()]


@pytest.fixture(scope="module")
def another_split(
    finished_run: Path, small_data: Path, command: Command, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A run that starts from one on the same data with another part held out, and what it warned of."""
    run = tmp_path_factory.mktemp("runs") / "run"
    done = command("train", small_data, "--from", finished_run, *OPTIONS, "--out", run)
    assert done.returncode == 0, done.stderr
    return run, " ".join(done.stderr.split())


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_goes_on_without_the_model_it_started_from(
    finished_run: Path, another_split: tuple[Path, str], small_data: Path, command: Command, tmp_path: Path
) -> None:
    model, whole, run = tmp_path / "model.safetensors", another_split[0], tmp_path / "run"
    shutil.copy(finished_run / "model.safetensors", model)
    process = started("train", small_data, "--from", model, *OPTIONS, "--out", run)
    wait_for(run / "metrics.csv", process)
    process.kill()
    process.communicate(timeout=120)
    (run / "checkpoints" / "last.safetensors").unlink(missing_ok=True)  # written each minute
    model.unlink()
    done = command("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    ours, theirs = read_card(run / "model.safetensors"), read_card(whole / "model.safetensors")
    assert ours.weights_sha256 == theirs.weights_sha256
    without_time = {"training": {"seconds"}}
    assert ours.model_dump(exclude=without_time) == theirs.model_dump(exclude=without_time)
    scores = [(folder / "evaluation" / "cases.csv").read_bytes() for folder in (run, whole)]
    assert scores[0] == scores[1]


def test_images_that_the_first_model_learned_from_are_no_test(
    finished_run: Path, another_split: tuple[Path, str], small_data: Path
) -> None:
    run, warned = another_split
    parts = [json.loads((folder / "splits.json").read_text()) for folder in (finished_run, run)]
    both = set(parts[0]["train"]) & set(parts[1]["validation"])
    caution = f"The model that the training started from learned from {len(both)} of these 3 cases"
    assert both
    assert caution in warned
    scores = read_card(run / "model.safetensors").scores
    assert scores is not None
    assert scores.used_to_choose.startswith(caution)
    assert caution in " ".join((run / "evaluation" / "report.html").read_text().split())
    seen = set(parts[0]["train"]) | set(parts[1]["train"])
    learned = learned_from(
        delineate.load(run), checked_part(small_data, labels=None, group_regex=None, reporter=Reporter())
    )
    assert set(learned) == seen


@pytest.mark.slow
def test_a_cross_validation_says_what_the_first_model_had_learned_from(
    finished_run: Path, small_data: Path, tmp_path: Path
) -> None:
    run = delineate.train(
        small_data, folds=2, ensemble=True, epochs=1, start_from=finished_run, out=tmp_path / "run"
    )
    known = set(json.loads((finished_run / "splits.json").read_text())["train"])
    caution = f"The model that the training started from learned from {len(known)} of the 15 cases"
    scores = run.load().card.scores
    assert scores is not None
    assert scores.used_to_choose.startswith(caution)
    for number in (1, 2):
        fold = read_card(run.folder / "folds" / str(number) / "model.safetensors")
        assert fold.scores is not None
        assert fold.scores.used_to_choose.startswith("The model that the training started from learned from")
    manifest = json.loads((run.folder / "predictions" / "manifest.json").read_text())
    noted = {
        Path(entry["mask"]).stem
        for entry in manifest["files"]
        if "from a model that did" in str(entry["notes"])
    }
    assert noted == known
    # an ensemble as the model to start from gives its first net
    member = load(run.folder / "folds" / "1").network.state_dict()
    begun = Ancestor.of(run.folder).weights
    assert begun.keys() == member.keys()
    assert all(bool((begun[name] == member[name]).all()) for name in member)


def test_without_a_change_the_first_step_begins_where_the_model_ended(finished_run: Path) -> None:
    model = load(finished_run)
    start = Ancestor.of(model).start_of(model.plan, Reporter())
    begun = Model(model.card, start.weights)
    image = np.random.default_rng(3).integers(0, 255, (48, 64), np.uint8)
    assert np.array_equal(begun.probabilities(image), model.probabilities(image))


def test_what_cannot_be_is_said_on_the_command_line(
    small_data: Path, finished_run: Path, command: Command, tmp_path: Path
) -> None:
    options = ("--from", finished_run, "--preset", "classic", "--epochs", "1", "--out", tmp_path / "run")
    done = command("train", small_data, *options)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "The preset classic has another network than the model to start from" in said
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()
    done = command("train", "--resume", finished_run, "--from", finished_run)
    assert done.returncode == 2
    assert "--resume continues a run with its original settings" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ("none.safetensors", UsageError, r"There is no model at none\.safetensors\."),
        ("{data}", ModelFileError, r"holds no model\.safetensors"),
        ("{data}/masks/mask_1.png", ModelFileError, "is not a Delineate model file"),
        ("{weights}", ModelFileError, r"weights of an encoder alone are given with --encoder\.$"),
        ("{volumes}", UsageError, "Pictures cannot be seen as volumes"),
        ("{run}", PlanError, r"network\.widths is \[8, 8\] there and \[32, 64, 128, 192, 256\] in the model"),
    ],
)
def test_what_cannot_be_is_said(
    given: str, kind: type[Exception], said: str, finished_run: Path, small_data: Path, tmp_path: Path
) -> None:
    places = {"data": small_data, "run": finished_run, "volumes": tmp_path / "volumes.safetensors"}
    places["weights"] = tmp_path / "resnet18.pth"
    places["weights"].write_bytes(b"PK\x03\x04 and more")
    model_of_volumes(finished_run, places["volumes"])
    plan = tmp_path / "plan.yaml"
    text = (finished_run / "plan.yaml").read_text(encoding="utf-8")
    plan.write_text(text.replace("widths: [32, 64, 128, 192, 256]", "widths: [8, 8]"), encoding="utf-8")
    with pytest.raises(kind, match=said):
        delineate.train(
            small_data,
            start_from=given.format(**places),
            epochs=1,
            plan=plan if given == "{run}" else None,
            out=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def model_of_volumes(like: Path, path: Path) -> None:
    """Write a model that sees volumes, with all else as another's."""
    card = read_card(like / "model.safetensors")
    network = UNetSettings(axes=3, input_channels=1, output_channels=1, widths=(4, 8))
    plan = card.plan.model_dump(mode="json")
    plan["data"]["axes"], plan["network"] = 3, network.model_dump()
    plan["preprocessing"] |= {"mode": "patch", "size": [16, 16, 16]}
    weights = UNet(network).state_dict()
    changes = {"plan": type(card.plan).model_validate(plan), "weights_sha256": weights_sha256(weights)}
    save_model(path, card.model_copy(update=changes), weights)
