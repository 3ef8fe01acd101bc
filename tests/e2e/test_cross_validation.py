"""Cross-validation through the command line: each case scored once, by a net that did not learn from it."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from commanding import ENVIRONMENT, Command
from PIL import Image
from same_weights import assert_same_weights

import delineate
from delineate.dataset.pixel_digests import pixel_digest
from delineate.errors import DataError, UsageError
from delineate.formats import read
from delineate.model_file import Scores, load_model

FOLDS = ("1", "2", "3")


@pytest.fixture(scope="module")
def data(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine phantoms of six patients, two of them marked as test."""
    folder = tmp_path_factory.mktemp("folds") / "data"
    assert command("phantom", "ultrasound", folder, "--count", "9", "--size", "32x32").returncode == 0
    rows = ["image,mask,group,split"]
    for n in range(9):
        part = "test" if n >= 7 else "train"
        rows.append(f"images/image_{n}.png,masks/mask_{n}.png,p{n // 2 if n < 4 else n},{part}")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder / "cases.csv"


@pytest.fixture(scope="module")
def run(data: Path, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "folds"
    done = command("train", data, "--folds", "3", "--epochs", "6", "--out", folder)
    assert done.returncode == 0, done.stderr
    assert "3 folds, then a net of all cases: 4 trainings of 3 steps, 12 steps in all." in done.stdout
    for text in ("Fold 1 of 3: learning from", "Fold 3 of 3: mean Dice", "The net of all 7 cases."):
        assert text in done.stdout
    return folder


@pytest.fixture(scope="module")
def ensemble(data: Path, run: Path, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ensemble"
    plan = ("--plan", run / "plan.yaml")
    done = command("train", data, "--folds", "3", "--ensemble", *plan, "--out", folder)
    assert done.returncode == 0, done.stderr
    assert "3 folds, whose nets together are the model: 3 trainings of 3 steps" in done.stdout
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def scores_of(path: Path) -> Scores:
    scores = delineate.load(path).card.scores
    assert scores is not None
    return scores


def test_the_run_holds_a_run_a_fold(run: Path) -> None:
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    expected = {
        *("plan.yaml", "splits.json", "environment.json", "private/source.json", "metrics.csv"),
        *("model.safetensors", "checkpoints/last.safetensors", "predictions/manifest.json"),
        *(f"predictions/image_{n}.png" for n in range(7)),
        *(f"{part}/{name}" for part in ("evaluation", "test") for name in ("cases.csv", "summary.json")),
        *(f"{part}/report.html" for part in ("evaluation", "test")),
    }
    for fold in FOLDS:
        names = (
            "plan.yaml",
            "splits.json",
            "metrics.csv",
            "model.safetensors",
            "checkpoints/last.safetensors",
        )
        expected |= {f"folds/{fold}/{name}" for name in names}
        expected |= {f"folds/{fold}/evaluation/{name}" for name in ("cases.csv", "summary.json")}
    assert {name for name in files if "/overlays/" not in name} == expected


def test_no_case_is_scored_by_a_net_that_learned_from_it(run: Path, data: Path) -> None:
    scored = rows_of(run / "evaluation" / "cases.csv")
    assert [row["case"] for row in scored] == [f"image_{n}" for n in range(7)]
    for row in scored:
        digest = pixel_digest(read(data.parent / "images" / f"{row['case']}.png"))
        for fold in FOLDS:
            learned = digest in delineate.load(run / "folds" / fold).card.training.case_digests
            assert learned == (fold != row["fold"])
        assert digest in delineate.load(run).card.training.case_digests
    for n in (7, 8):
        digest = pixel_digest(read(data.parent / "images" / f"image_{n}.png"))
        models = (run, *(run / "folds" / fold for fold in FOLDS))
        assert all(digest not in delineate.load(model).card.training.case_digests for model in models)
    by_group: dict[str, set[str]] = {}
    for row in scored:
        by_group.setdefault(row["group"], set()).add(row["fold"])
    assert set(map(len, by_group.values())) == {1}


def test_the_scores_are_those_of_the_written_masks_and_the_headline_their_mean(run: Path, data: Path) -> None:
    rows = rows_of(run / "evaluation" / "cases.csv")
    dices = []
    for row in rows:
        prediction = np.asarray(Image.open(run / "predictions" / f"{row['case']}.png")) == 255
        mask = data.parent / "masks" / f"{row['case'].replace('image', 'mask')}.png"
        reference = np.asarray(Image.open(mask)) == 255
        own = delineate.load(run / "folds" / row["fold"])
        assert (own.predict(data.parent / "images" / f"{row['case']}.png") == prediction).all()
        dices.append(2 * (prediction & reference).sum() / (prediction.sum() + reference.sum()))
        assert float(row["dice"]) == pytest.approx(dices[-1], abs=1e-12)
    summary = json.loads((run / "evaluation" / "summary.json").read_text())
    assert summary["mean_over_labels"]["dice"]["mean"] == pytest.approx(fmean(dices), abs=1e-12)
    assert (summary["cases"], summary["groups"]) == (7, 5)
    manifest = json.loads((run / "predictions" / "manifest.json").read_text())
    assert manifest["complete"]
    assert {file["mask"] for file in manifest["files"]} == {f"{row['case']}.png" for row in rows}
    hashes = [delineate.load(run / "folds" / fold).card.weights_sha256 for fold in FOLDS]
    assert manifest["model"]["weights_sha256"] == hashes


@pytest.mark.slow
def test_a_fold_is_what_a_run_of_its_split_by_this_plan_would_be(
    run: Path, data: Path, command: Command, tmp_path: Path
) -> None:
    fold = run / "folds" / "2"
    options = ("--plan", run / "plan.yaml", "--splits", fold / "splits.json", "--out", tmp_path / "run")
    done = command("train", data, *options)
    assert done.returncode == 0, done.stderr
    alone, folded = (delineate.load(path).card for path in (tmp_path / "run", fold))
    assert alone.weights_sha256 == folded.weights_sha256
    assert alone.training.case_digests == folded.training.case_digests
    own = rows_of(tmp_path / "run" / "evaluation" / "cases.csv")
    assert own == rows_of(fold / "evaluation" / "cases.csv")


def test_the_test_part_is_scored_by_the_final_model(run: Path) -> None:
    assert [row["case"] for row in rows_of(run / "test" / "cases.csv")] == ["image_7", "image_8"]
    scores = scores_of(run)
    assert (scores.part, scores.cases) == ("test", 2)
    assert "Cross-validation on 7 other cases gave a mean Dice of" in scores.used_to_choose


def test_the_report_says_how_the_scores_came_about(run: Path, ensemble: Path) -> None:
    page = (run / "evaluation" / "report.html").read_text()
    for text in (
        "all 7 cases outside the test part, in 3 folds",
        "learned from the other folds alone",
        "The model itself learned from all 7 cases",
        "The plan was made once for all folds",
        "By fold",
        "These are the means over the nets of the folds",
    ):
        assert text in page
    assert str(run) not in page
    page = (ensemble / "evaluation" / "report.html").read_text()
    assert "The model is these 3 nets together" in page
    assert "The plan was given by hand" in page


def test_an_ensemble_holds_the_nets_of_the_folds(
    run: Path, ensemble: Path, data: Path, command: Command
) -> None:
    model = delineate.load(ensemble)
    assert (model.card.members, model.card.format_version, model.card.training.cases) == (3, 2, 7)
    assert not (ensemble / "checkpoints").exists()
    _, weights = load_model(ensemble / "model.safetensors")
    for at, fold in enumerate(FOLDS):
        _, own = load_model(ensemble / "folds" / fold / "model.safetensors")
        start = f"member.{at}."
        members = {name[len(start) :]: each for name, each in weights.items() if name.startswith(start)}
        assert_same_weights(members, own)
        twin = delineate.load(run / "folds" / fold).card.weights_sha256  # of the other run, by the same plan
        assert delineate.load(ensemble / "folds" / fold).card.weights_sha256 == twin
    thresholds = [delineate.load(ensemble / "folds" / fold).plan.threshold for fold in FOLDS]
    assert model.plan.threshold == pytest.approx(np.mean(thresholds))
    image = data.parent / "images" / "image_8.png"
    alone = [delineate.load(ensemble / "folds" / fold).probabilities(image) for fold in FOLDS]
    assert np.allclose(model.probabilities(image), np.mean(alone, axis=0), atol=1e-6)
    told = command("info", ensemble)
    assert "3 U-Nets, their probabilities averaged" in " ".join(told.stdout.split())
    for name in ("cases.csv", "summary.json"):
        assert (run / "evaluation" / name).read_bytes() == (ensemble / "evaluation" / name).read_bytes()


def stopped(run: Path, data: Path, at: Path) -> None:
    """Begin a cross-validation and stop it once a file is there."""
    command = [sys.executable, "-m", "delineate", "train", str(data), "--folds", "3", "--epochs", "60"]
    process = subprocess.Popen(
        [*command, "--out", str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    end = time.monotonic() + 240
    while not at.is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert f"delineate train --resume {run}" in " ".join(errors.split())
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_stopped_cross_validation_goes_on_to_the_same_result(
    data: Path, command: Command, tmp_path: Path
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    done = command("train", data, "--folds", "3", "--epochs", "60", "--out", whole)
    assert done.returncode == 0, done.stderr
    stopped(run, data, run / "folds" / "2" / "metrics.csv")
    assert not (run / "model.safetensors").exists()
    finished = run / "folds" / "1" / "model.safetensors"
    before = finished.stat().st_mtime_ns
    done = command("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert "Fold 1 of 3 is finished." in done.stdout
    assert finished.stat().st_mtime_ns == before
    for below in ("", *(f"folds/{fold}" for fold in FOLDS)):
        one, other = (delineate.load(folder / below).card for folder in (run, whole))
        assert one.weights_sha256 == other.weights_sha256
    names = ["evaluation/cases.csv", "evaluation/summary.json", "test/cases.csv", "splits.json", "plan.yaml"]
    for name in (*names, *(f"predictions/image_{n}.png" for n in range(7))):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    one, other = (json.loads((folder / "predictions/manifest.json").read_text()) for folder in (run, whole))
    assert (one["files"], one["model"], one["complete"]) == (other["files"], other["model"], True)


def test_a_finished_cross_validation_can_be_resumed_and_stays_as_it_is(
    ensemble: Path, command: Command, tmp_path: Path
) -> None:
    run = tmp_path / "copy"
    shutil.copytree(ensemble, run)
    (run / "predictions" / "manifest.json").unlink()
    done = command("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    for name in ("model.safetensors", "evaluation/cases.csv", "splits.json", "folds/1/model.safetensors"):
        assert (run / name).read_bytes() == (ensemble / name).read_bytes()


def test_what_cannot_be_is_said(data: Path, run: Path, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(UsageError, match="There cannot be 1 folds: give 2 or more"):
        delineate.train(data, folds=1, out=out)
    with pytest.raises(UsageError, match="give --folds"):
        delineate.train(data, ensemble=True, out=out)
    with pytest.raises(UsageError, match="Give either --folds or --splits"):
        delineate.train(data, folds=3, splits=run / "folds" / "1" / "splits.json", out=out)
    with pytest.raises(DataError, match="7 cases to train on form 5 groups, which cannot fill 6 folds"):
        delineate.train(data, folds=6, out=out)
    with pytest.raises(DataError, match="is that of a cross-validation"):
        delineate.train(data, splits=run / "splits.json", out=out)
    assert not out.exists()
    done = command("train", "--resume", run, "--folds", "3")
    assert done.returncode == 2
    assert "omit --folds. Give only the run's folder" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_codes_stand_for_names_in_all_that_is_written(
    data: Path, run: Path, command: Command, tmp_path: Path
) -> None:
    options = ("--folds", "2", "--ensemble", "--epochs", "1", "--anonymous", "--out", tmp_path / "run")
    done = command("train", data, *options)
    assert done.returncode == 0, done.stderr
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    masks = [path for path in written if path.parent.name == "predictions" and path.suffix == ".png"]
    assert len(masks) == 7
    for path in written:
        if "private" not in path.parts:
            assert "image_" not in path.name
            assert b"image_3" not in path.read_bytes(), path
