"""The main job through the command line: what is written, and that every number can be recomputed."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from commanding import Command
from PIL import Image
from safetensors import safe_open

import delineate
from delineate.dataset.split import read_splits
from delineate.plan import read_plan
from delineate.training.checkpoint import ENTRY


def test_the_run_holds_what_the_design_says(finished_run: Path) -> None:
    found = {str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()}
    overlays = {name for name in found if name.startswith("evaluation/overlays/")}
    assert len(overlays) == 3  # of three validation cases the worst, the median and the best
    assert found - overlays == {
        "plan.yaml",
        "splits.json",
        "environment.json",
        "private/source.json",
        "metrics.csv",
        "checkpoints/last.safetensors",
        "model.safetensors",
        "evaluation/cases.csv",
        "evaluation/summary.json",
        "evaluation/report.html",
    }


def test_the_headline_follows_from_the_cases(finished_run: Path, small_data: Path) -> None:
    with (finished_run / "evaluation" / "cases.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    summary = json.loads((finished_run / "evaluation" / "summary.json").read_text())
    groups = {f"image_{n}": f"image_{n}" for n in range(15)}
    validation = read_splits(
        finished_run / "splits.json", {row["case"]: row["group"] for row in rows} | _names(small_data, groups)
    ).validation
    assert {row["case"] for row in rows} == set(validation)
    mean = fmean(float(row["dice"]) for row in rows)
    assert summary["mean_over_labels"]["dice"]["mean"] == pytest.approx(mean, abs=1e-12)
    scores = delineate.load(finished_run).card.scores
    assert scores is not None
    assert scores.dice is not None
    assert scores.dice.mean == pytest.approx(mean, abs=1e-12)
    assert scores.part == "validation"


def _names(data: Path, groups: dict[str, str]) -> dict[str, str]:
    return {case.name: case.name for case in delineate.check(data).cases} or groups


def test_the_dice_of_a_case_is_that_of_the_written_mask(
    finished_run: Path, small_data: Path, command: Command, tmp_path: Path
) -> None:
    done = command("predict", finished_run, small_data / "images", "--out", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    with (finished_run / "evaluation" / "cases.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        number = re.sub(r"\D", "", row["case"])
        prediction = np.asarray(Image.open(tmp_path / "masks" / f"image_{number}.png")) == 255
        reference = np.asarray(Image.open(small_data / "masks" / f"mask_{number}.png")) == 255
        total = prediction.sum() + reference.sum()
        assert float(row["dice"]) == pytest.approx(2 * (prediction & reference).sum() / total, abs=1e-9)


def test_the_report_stands_alone_and_says_what_was_chosen(finished_run: Path) -> None:
    page = (finished_run / "evaluation" / "report.html").read_text()
    assert "Nothing was chosen by it" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", page)
    for text in ("Training loss", "Worst", "lesion", "preprocessing:", "torch"):
        assert text in page
    assert str(finished_run) not in page


def test_no_path_and_no_case_name_in_the_model(finished_run: Path, small_data: Path) -> None:
    content = (finished_run / "model.safetensors").read_bytes()
    assert str(small_data).encode() not in content
    assert str(finished_run).encode() not in content
    assert b"image_1" not in content


def test_the_plan_of_a_run_trains_the_same_model_again(
    finished_run: Path, small_data: Path, command: Command, tmp_path: Path
) -> None:
    done = command("train", small_data, "--out", tmp_path / "again", "--plan", finished_run / "plan.yaml")
    assert done.returncode == 0, done.stderr
    again, first = (delineate.load(run).card for run in (tmp_path / "again", finished_run))
    assert again.weights_sha256 == first.weights_sha256
    page = (tmp_path / "again" / "evaluation" / "report.html").read_text()
    assert "The plan was given by hand" in page


def test_the_threshold_is_half_of_the_dice_that_the_training_reached(finished_run: Path) -> None:
    assert read_plan(finished_run / "plan.yaml").prediction.threshold is None
    plan = delineate.load(finished_run).plan
    with safe_open(finished_run / "checkpoints" / "last.safetensors", "np") as checkpoint:
        pixels = np.array(json.loads(checkpoint.metadata()[ENTRY])["pixels"])
    dice = 2 * pixels[:, 1].sum() / pixels[:, 0].sum()
    assert plan.prediction.threshold == (round(dice / 2, 3) if dice >= 0.5 else 0.5)
    report = (finished_run / "evaluation" / "report.html").read_text()
    assert f"threshold: {plan.threshold:g}" in report
    assert plan.model_copy(
        update={"prediction": read_plan(finished_run / "plan.yaml").prediction}
    ) == read_plan(finished_run / "plan.yaml")


def test_another_seed_trains_another_model(
    finished_run: Path, small_data: Path, command: Command, tmp_path: Path
) -> None:
    plan = finished_run / "plan.yaml"
    done = command("train", small_data, "--out", tmp_path / "run", "--plan", plan, "--seed", "1")
    assert done.returncode == 0, done.stderr
    card = delineate.load(tmp_path / "run").card
    assert card.plan.training.seed == 1
    assert card.weights_sha256 != delineate.load(finished_run).card.weights_sha256
    assert read_plan(plan).training.seed == 0


def test_a_budget_is_settled_into_steps_and_kept(small_data: Path, command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = command("train", small_data, "--out", run, "--budget", "3s")
    assert done.returncode == 0, done.stderr
    plan = read_plan(run / "plan.yaml")
    assert plan.training.budget_s == 3
    assert plan.training.steps is not None
    assert "steps: null" not in (run / "plan.yaml").read_text()
    assert "# as many as fit into budget_s" in (run / "plan.yaml").read_text()
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert int(rows[-1]["step"]) == plan.training.last_step  # more or fewer than planned, by the clock
    assert delineate.load(run).card.training.steps == plan.training.last_step


def test_predictions_come_back_on_their_own_grid_and_one_bad_file_stops_none(
    finished_run: Path, command: Command, tmp_path: Path
) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    generator = np.random.default_rng(0)
    sizes = {"a": (64, 48), "b": (31, 257), "c": (1, 1), "d": (300, 200)}
    for name, size in sizes.items():
        Image.fromarray(generator.integers(0, 256, size, dtype=np.uint8)).save(inputs / f"{name}.png")
    (inputs / "broken.png").write_text("no picture")
    Image.fromarray(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(inputs / "colour.jpg")
    done = command("predict", finished_run, inputs, "--out", tmp_path / "out", "--overlay", "--probabilities")
    assert done.returncode == 1
    assert "broken.png" in done.stderr
    assert "Traceback" not in done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    threshold = delineate.load(finished_run).plan.threshold
    files = {file["input"][0]: file for file in manifest["files"]}
    assert manifest["complete"]
    assert files["broken.png"]["status"] == "failed"
    assert set(files) == {"a.png", "b.png", "c.png", "d.png", "broken.png", "colour.jpg"}
    for name, size in sizes.items():
        mask = np.asarray(Image.open(tmp_path / "out" / f"{name}.png"))
        assert mask.shape == size
        assert set(np.unique(mask)) <= {0, 255}
        assert files[f"{name}.png"]["size"] == list(size)
        digest = hashlib.sha256((inputs / f"{name}.png").read_bytes()).hexdigest()
        assert files[f"{name}.png"]["sha256"] == [digest]
        assert files[f"{name}.png"]["label_share"]["lesion"] == pytest.approx((mask == 255).mean(), abs=1e-6)
        probabilities = np.asarray(Image.open(tmp_path / "out" / "probabilities" / f"{name}.tif"))
        assert ((probabilities >= threshold) == (mask == 255)).all()
        assert (tmp_path / "out" / "overlays" / f"{name}.png").is_file()
    assert not list((tmp_path / "out").glob("broken*"))


def test_python_and_command_line_agree(
    finished_run: Path, small_data: Path, command: Command, tmp_path: Path
) -> None:
    command("predict", finished_run, small_data / "images" / "image_3.png", "--out", tmp_path / "out")
    model = delineate.load(finished_run)
    written = np.asarray(Image.open(tmp_path / "out" / "image_3.png"))
    picture = Image.open(small_data / "images" / "image_3.png")
    for given in (small_data / "images" / "image_3.png", picture, np.asarray(picture)):
        assert (model.predict(given) * 255 == written).all()


def test_evaluation_on_the_training_images_is_called_no_test(
    finished_run: Path, small_data: Path, command: Command, tmp_path: Path
) -> None:
    done = command("evaluate", finished_run, small_data, "--out", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    assert "learned from 12 of these 15 cases" in " ".join(done.stderr.split())
    assert "learned from 12 of these 15 cases" in (tmp_path / "scores" / "report.html").read_text()
    fresh = tmp_path / "fresh"
    assert command("phantom", "ultrasound", fresh, "--count", "3", "--seed", "9").returncode == 0
    evaluation = delineate.evaluate(finished_run, fresh)
    assert evaluation.summary.cases == 3
    assert evaluation.folder is None


def test_a_separate_test_set_is_scored_and_all_else_trained_on(
    small_data: Path, command: Command, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    assert (
        command("phantom", "ultrasound", other, "--count", "4", "--seed", "5", "--size", "64x64").returncode
        == 0
    )
    done = command("train", small_data, "--test", other, "--epochs", "2", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    card = delineate.load(tmp_path / "run").card
    assert card.training.cases == 15
    assert card.scores is not None
    assert (card.scores.part, card.scores.cases) == ("test", 4)


def test_several_labels_are_written_by_value(command: Command, tmp_path: Path) -> None:
    data, run = tmp_path / "organs", tmp_path / "run"
    assert command("phantom", "organs", data, "--count", "6", "--size", "64x64").returncode == 0
    done = command("train", data, "--out", run, "--epochs", "20")
    assert done.returncode == 0, done.stderr
    model = delineate.load(run)
    assert len(model.labels) == 6
    assert command("predict", run, data / "images", "--out", tmp_path / "out").returncode == 0
    for number in range(6):
        mask = np.asarray(Image.open(tmp_path / "out" / f"image_{number}.png"))
        assert mask.max() <= 6
        assert (mask == model.predict(data / "images" / f"image_{number}.png")).all()


def test_info_tells_what_the_model_is(finished_run: Path, command: Command) -> None:
    done = command("info", finished_run)
    assert done.returncode == 0, done.stderr
    card = delineate.load(finished_run).card
    assert card.scores is not None
    assert card.scores.dice is not None
    for text in (
        "1 lesion",
        "12 cases",
        card.weights_sha256[:20],
        f"{card.scores.dice.mean:.3f}",
        "Nothing was",
    ):
        assert text in done.stdout


def test_a_run_logs_to_tensorboard(small_data: Path, command: Command, tmp_path: Path) -> None:
    done = command("train", small_data, "--out", tmp_path / "run", "--epochs", "12", "--log", "tensorboard")
    assert done.returncode == 0, done.stderr
    logs = list((tmp_path / "run" / "tensorboard").iterdir())
    assert len(logs) == 1
    assert b"validation/Dice" in logs[0].read_bytes()


def test_a_test_set_that_was_learned_from_is_called_no_test(
    small_data: Path, command: Command, tmp_path: Path
) -> None:
    done = command("train", small_data, "--test", small_data, "--epochs", "1", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "learned from 15 of these 15 cases" in " ".join(done.stderr.split())
    assert (
        "learned from 15 of these 15 cases" in (tmp_path / "run" / "evaluation" / "report.html").read_text()
    )
    scores = delineate.load(tmp_path / "run").card.scores
    assert scores is not None
    assert "learned from 15 of these 15 cases" in scores.used_to_choose


def test_labels_can_be_renamed_in_a_plan(
    finished_run: Path, small_data: Path, command: Command, tmp_path: Path
) -> None:
    text = (finished_run / "plan.yaml").read_text()
    plan = tmp_path / "plan.yaml"
    plan.write_text(text.replace("labels: [lesion]", "labels: [polyp]"))
    done = command("train", small_data, "--plan", plan, "--out", tmp_path / "run", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert delineate.load(tmp_path / "run").labels.names == ("polyp",)
    kept = (tmp_path / "run" / "plan.yaml").read_text()
    assert read_plan(tmp_path / "run" / "plan.yaml").training.steps == 1
    assert kept.count("#") == text.count("#")  # the reasons are kept


def test_the_held_out_part_follows_its_own_seed(small_data: Path, command: Command, tmp_path: Path) -> None:
    for name, seed, split_seed in (("a", "0", "42"), ("b", "1", "42"), ("c", "0", "7")):
        options = ("--seed", seed, "--split-seed", split_seed, "--epochs", "1", "--out", tmp_path / name)
        assert command("train", small_data, *options).returncode == 0
    a, b, c = (json.loads((tmp_path / name / "splits.json").read_text())["validation"] for name in "abc")
    assert a == b != c
