"""From a file of encoder weights to masks: trained, stopped, gone on without the file, predicted."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from commanding import Command

import delineate
from delineate.errors import Interrupted, Stopped, UsageError
from delineate.files import sha256
from delineate.jobs import job, training
from delineate.jobs.imported import UNKNOWN_START
from delineate.networks.resnet import ResNet

QUICK = {"epochs": 2, "precision": "fp32"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 of random weights, with batch statistics that no new net has."""
    torch.manual_seed(7)
    state = ResNet("resnet18", 3).state_dict()
    state["bn1.running_mean"] += 0.25
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save({"state_dict": state}, path)
    return path


def train(data: Path, out: Path, **options: object) -> delineate.Run:
    return delineate.train(data, out=out, **{**QUICK, **options})  # type: ignore[arg-type]  # of several types


def test_training_from_an_encoder(
    weights: Path,
    small_data: Path,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = train(small_data, tmp_path / "whole", encoder=weights)
    assert whole.plan.network.encoder == "resnet18"
    digest = sha256(weights)
    card = whole.load().card
    assert card.training.encoder_sha256 == digest
    assert card.training.unknown_images
    assert card.scores is not None
    assert card.scores.used_to_choose.startswith(UNKNOWN_START)
    assert json.loads((whole.folder / "environment.json").read_text())["encoder_sha256"] == digest
    assert str(weights.parent) not in (whole.folder / "model.safetensors").read_bytes()[:100_000].decode(
        errors="replace"
    )

    # the encoder has moved little from the file's weights
    before = torch.load(weights, weights_only=True)["state_dict"]
    after = whole.load().network.state_dict()
    for name in ("layer1.0.conv1.weight", "layer4.1.conv2.weight"):
        moved = float((after[f"encoder.{name}"] - before[name]).abs().max())
        assert 0 < moved < 20 * 1e-4, name

    # stopped before the first step, it goes on without the file, to the same weights
    stopped = tmp_path / "stopped"
    with monkeypatch.context() as patched:
        patched.setattr(job, "fit", lambda *_, **__: (_ for _ in ()).throw(Stopped(signal.SIGTERM)))
        with pytest.raises(Interrupted, match="--resume"):
            train(small_data, stopped, encoder=weights)
    weights.rename(weights.with_suffix(".moved"))
    try:
        resumed = delineate.resume(stopped)
    finally:
        weights.with_suffix(".moved").rename(weights)
    assert resumed.load().card.weights_sha256 == card.weights_sha256
    assert resumed.load().card.training.encoder_sha256 == digest

    told = command("info", whole.folder)
    assert "U-Net around a resnet18" in told.stdout
    assert digest in "".join(told.stdout.split())
    image = small_data / "images" / "image_3.png"
    mask = whole.load().predict(image)
    assert mask.shape == (64, 48)
    assert set(np.unique(mask)) <= {0, 1}


def test_what_is_refused_leaves_nothing(weights: Path, small_data: Path, tmp_path: Path) -> None:
    for options in ({"dims": 3}, {"preset": "classic"}):
        with pytest.raises(UsageError, match="--encoder takes neither"):
            train(small_data, tmp_path / "run", encoder=weights, **options)
    with pytest.raises(UsageError, match="either --from or --encoder"):
        train(small_data, tmp_path / "run", encoder=weights, start_from=weights)
    with pytest.raises(UsageError, match="does not exist"):
        train(small_data, tmp_path / "run", encoder=tmp_path / "none.pth")
    assert not (tmp_path / "run").exists()


def test_a_stop_before_the_plan_leaves_nothing(
    weights: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(path: Path, text: str) -> None:
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr(training, "write_text", stopped)
    with pytest.raises(Interrupted, match="before the training began"):
        train(small_data, tmp_path / "run", encoder=weights)
    assert not (tmp_path / "run").exists()


def test_the_command(weights: Path, small_data: Path, command: Command, tmp_path: Path) -> None:
    other = tmp_path / "vit.pth"
    torch.save({"cls_token": torch.ones(1)}, other)
    done = command("train", small_data, "--out", tmp_path / "run", "--encoder", other)
    assert done.returncode == 1
    assert "holds 1 tensors, first: cls_token." in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    done = command("train", "--resume", tmp_path, "--encoder", weights)
    assert done.returncode == 2
    assert "continues a run with its original settings" in " ".join(done.stderr.split())
