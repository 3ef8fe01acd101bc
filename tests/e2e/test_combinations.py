"""Options that are given together, and too little memory: folds with a budget, volumes from a model, …"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
from clinic import volume, write_nifti
from PIL import Image as Pictures
from volume_cases import volume_plan

import delineate
from delineate.errors import TooLittleMemoryError
from delineate.inference import memory
from delineate.inference.model import load
from delineate.jobs import job
from delineate.jobs.expectation import Outlook, look_ahead
from delineate.jobs.reporter import Reporter
from delineate.networks.resnet import ResNet
from delineate.plan import Plan, write_plan
from delineate.planner.encoders import IMAGENET_MEAN

FOLDS = ("1", "2")


class Warned(Reporter):
    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 of random weights."""
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(ResNet("resnet18", 3).state_dict(), path)
    return path


@pytest.mark.slow
def test_the_budget_of_folds_is_measured_once_and_all_nets_take_the_same_steps(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Outlook] = []

    def of_twelve(*given: Any) -> Outlook:
        outlook = look_ahead(*given)
        measured.append(replace(outlook, speed=replace(outlook.speed, steps=12)))
        return measured[-1]

    monkeypatch.setattr(job, "look_ahead", of_twelve)
    run = delineate.train(small_data, folds=2, budget=1.0, out=tmp_path / "run")
    assert len(measured) == 1
    plans = [
        delineate.read_plan(folder / "plan.yaml")
        for folder in (run.folder, *(run.folder / "folds" / fold for fold in FOLDS))
    ]
    assert [(plan.training.steps, plan.training.adjusted) for plan in plans] == [(12, ())] * 3
    nets = [delineate.load(folder).card for folder in (run.folder, *(run.folder / "folds").iterdir())]
    assert [card.training.steps for card in nets] == [12] * 3


@pytest.mark.slow
def test_each_fold_starts_from_the_encoder(weights: Path, small_data: Path, tmp_path: Path) -> None:
    run = delineate.train(small_data, folds=2, ensemble=True, encoder=weights, epochs=1, out=tmp_path / "run")
    before = torch.load(weights, weights_only=True)
    models = [load(run.folder / "folds" / fold) for fold in FOLDS]
    for model in models:
        moved = model.network.state_dict()["encoder.layer1.0.conv1.weight"] - before["layer1.0.conv1.weight"]
        assert 0 < float(moved.abs().max()) < 20 * 1e-4
    digests = {model.card.training.encoder_sha256 for model in models}
    assert digests == {run.load().card.training.encoder_sha256}
    assert None not in digests
    assert run.load().card.members == 2


def channels_of(kind: str, picture: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """The picture in 16 bits, or as the first of five channels."""
    if kind == "16 bits":
        return picture.astype(np.uint16) * 257
    return np.stack([picture, *(np.roll(picture, at, 0) // (at + 1) for at in range(1, 5))])


@pytest.mark.parametrize(
    ("kind", "channels", "of_imagenet"), [("16 bits", 1, True), ("five channels", 5, False)]
)
def test_an_encoder_is_trained_on_pictures_that_are_no_colours(
    kind: str, channels: int, of_imagenet: bool, weights: Path, small_data: Path, tmp_path: Path
) -> None:
    for number in range(4):
        picture = np.asarray(Pictures.open(small_data / "images" / f"image_{number}.png"))
        path = tmp_path / "data" / "images" / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        planes = {"planarconfig": "separate"} if channels > 1 else {}
        tifffile.imwrite(path, channels_of(kind, picture), photometric="minisblack", **planes)
        mask = tmp_path / "data" / "masks" / f"{number}.png"
        mask.parent.mkdir(exist_ok=True)
        mask.write_bytes((small_data / "masks" / f"mask_{number}.png").read_bytes())
    run = delineate.train(tmp_path / "data", encoder=weights, epochs=1, out=tmp_path / "run")
    assert (run.plan.network.encoder, run.plan.network.input_channels) == ("resnet18", channels)
    grey = round(sum(IMAGENET_MEAN) / 3, 3)
    assert (run.plan.preprocessing.mean == (grey,)) == of_imagenet
    assert run.load().predict(path).shape == picture.shape


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five volumes with a ball each, of which one is of eight times as many voxels."""
    root = tmp_path_factory.mktemp("volumes") / "balls"
    for number in range(5):
        values, mask = volume(number)
        if number == 1:
            values, mask = (np.repeat(np.repeat(each, 2, 1), 4, 2) for each in (values, mask))
        write_nifti(root / "images" / f"ball_{number}.nii.gz", values)
        write_nifti(root / "masks" / f"ball_{number}.nii.gz", mask)
    return root


@pytest.fixture(scope="module")
def small_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By which volumes are learned from in a moment."""
    data = {"colour": "grey", "labels": ["foreground"]}
    seen = {"orientation": "SPL", "size": (8, 32, 32)}
    path = tmp_path_factory.mktemp("plans") / "plan.yaml"
    write_plan(path, volume_plan("volumes", data=data, preprocessing=seen, prediction={"overlap": 0.25}))
    return path


def test_volumes_start_from_a_model_of_volumes(volumes: Path, small_plan: Path, tmp_path: Path) -> None:
    first = delineate.train(volumes, plan=small_plan, out=tmp_path / "first")
    again = delineate.train(volumes, start_from=first.folder, epochs=1, dims=3, out=tmp_path / "again")
    assert (again.plan.data.axes, again.plan.network) == (3, first.plan.network)
    card = again.load().card
    assert card.training.started_from == first.load().card.weights_sha256
    assert card.weights_sha256 != card.training.started_from
    assert set(first.load().card.training.case_digests) <= set(card.training.case_digests)


def with_memory(patch: pytest.MonkeyPatch, free_bytes: int) -> None:
    patch.setattr(memory, "free_memory_bytes", lambda: free_bytes)
    patch.setattr(memory, "process_memory", lambda: None)


def only(volumes: Path, folder: Path, held_out: str) -> Path:
    """A table of the volumes with one of them to be scored."""
    lines = [
        f"{volumes}/images/ball_{n}.nii.gz,{volumes}/masks/ball_{n}.nii.gz,"
        f"{'validation' if f'ball_{n}' == held_out else 'train'}"
        for n in range(5)
    ]
    (folder / "cases.csv").write_text("\n".join(["image,mask,split", *lines]))
    return folder / "cases.csv"


def needed(run: delineate.Run, volumes: Path, name: str) -> int:
    from delineate.formats import read  # noqa: PLC0415  beside its use
    from delineate.inference.volumes import needed_bytes  # noqa: PLC0415  likewise

    return needed_bytes(run.plan, read(volumes / "images" / f"{name}.nii.gz"))


def test_a_volume_that_cannot_be_scored_is_told_before_the_training_and_scored_later(
    volumes: Path, small_plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the large volume an excerpt is measured, for which the memory suffices."""
    from delineate.jobs import scoring_cost  # noqa: PLC0415  beside its use

    table = only(volumes, tmp_path, "ball_1")
    usual = delineate.train(table, plan=small_plan, out=tmp_path / "usual")
    monkeypatch.setattr(scoring_cost, "MOST_VOXELS", 1000)
    with_memory(monkeypatch, needed(usual, volumes, "ball_1") - 1)
    reporter = Warned()
    with pytest.raises(TooLittleMemoryError) as caught:
        delineate.train(table, plan=small_plan, out=tmp_path / "run", reporter=reporter)
    (told,) = (text for text in reporter.warned if "To be scored" in text)
    assert told.startswith("To be scored, case ball_1 would take about ")
    assert "the run ends with a model that has no scores" in told
    assert str(caught.value).startswith("Case ball_1 cannot be scored: it would take about ")
    assert str(caught.value).endswith(f"go on with: delineate train --resume {tmp_path / 'run'}")
    assert delineate.load(tmp_path / "run").card.scores is None
    monkeypatch.undo()
    scored = delineate.resume(tmp_path / "run")
    assert scored.load().card.weights_sha256 == usual.load().card.weights_sha256
    assert scored.dice == usual.dice


def test_a_cross_validation_that_cannot_be_scored_is_not_begun_and_goes_on_later(
    volumes: Path, small_plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan: Plan = delineate.read_plan(small_plan)
    assert plan.training.steps == 1
    first = delineate.train(volumes, plan=small_plan, out=tmp_path / "first")
    with_memory(monkeypatch, needed(first, volumes, "ball_1") - 1)
    with pytest.raises(TooLittleMemoryError) as caught:
        delineate.train(volumes, plan=small_plan, folds=2, out=tmp_path / "run")
    assert str(caught.value).startswith("To be scored, case ball_1 would take about ")
    assert "not begun" in str(caught.value)
    assert not (tmp_path / "run" / "folds").exists()
    with pytest.raises(TooLittleMemoryError, match="not begun"):
        delineate.resume(tmp_path / "run")
    monkeypatch.undo()
    assert delineate.resume(tmp_path / "run").evaluation.summary.cases == 5
