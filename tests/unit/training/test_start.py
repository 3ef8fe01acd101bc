"""The weights that a run starts from: kept whole, refused when they are others, and gone on from exactly."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from same_weights import assert_same_weights

from delineate.errors import Interrupted, ModelFileError, OutputError
from delineate.networks.settings import UNetSettings
from delineate.networks.unet import UNet
from delineate.plan import Plan
from delineate.training.cache import CachedCase
from delineate.training.history import HistoryRow
from delineate.training.loop import Progress, fit
from delineate.training.start import ENTRY, Start, read_start, remove_start, write_start
from delineate.training.trainer import Trainer

SETTINGS = UNetSettings(input_channels=1, output_channels=1, widths=(4, 8), normalization="batch")
DIGESTS = ("0123456789abcdef", "fedcba9876543210")


def started(settings: UNetSettings = SETTINGS, seed: int = 77) -> Start:
    torch.manual_seed(seed)
    weights = UNet(settings).state_dict()
    weights["encoders.0.normalizations.0.running_mean"] += 0.5  # as no fresh net has it
    return Start(weights, "ab" * 32, DIGESTS)


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    start = started()
    write_start(tmp_path, start)
    found = read_start(tmp_path, SETTINGS)
    assert (found.started_from, found.case_digests) == (start.started_from, DIGESTS)
    assert not found.unknown_images
    assert_same_weights(found.weights, start.weights)
    before = (tmp_path / "checkpoints" / "start.safetensors").read_bytes()
    write_start(tmp_path, start)
    assert (tmp_path / "checkpoints" / "start.safetensors").read_bytes() == before


def test_that_not_all_images_are_known_is_kept(tmp_path: Path) -> None:
    write_start(tmp_path, dataclasses.replace(started(), unknown_images=True))
    assert read_start(tmp_path, SETTINGS).unknown_images


@pytest.mark.parametrize(("digests", "unknown"), [(DIGESTS, False), ((), True)])
def test_of_an_older_file_the_images_tell_whether_all_are_known(
    digests: tuple[str, ...], unknown: bool, tmp_path: Path
) -> None:
    write_start(tmp_path, dataclasses.replace(started(), case_digests=digests))
    path = tmp_path / "checkpoints" / "start.safetensors"
    with safe_open(path, framework="pt") as stream:
        facts = json.loads(stream.metadata()[ENTRY])
    del facts["unknown_images"]
    save_file(load_file(path), path, metadata={ENTRY: json.dumps(facts)})
    assert read_start(tmp_path, SETTINGS).unknown_images == unknown


@pytest.mark.parametrize(
    ("position", "value", "said"), [(-1, None, "not those it was saved with"), (0, b"\xff", "cannot be read")]
)
def test_damage_is_noticed(tmp_path: Path, position: int, value: bytes | None, said: str) -> None:
    write_start(tmp_path, started())
    path = tmp_path / "checkpoints" / "start.safetensors"
    content = bytearray(path.read_bytes())
    content[position] = value[0] if value else content[position] ^ 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=said):
        read_start(tmp_path, SETTINGS)


def test_another_network_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"start\.safetensors, cannot be read"):
        read_start(tmp_path, SETTINGS)
    write_start(tmp_path, started())
    with pytest.raises(ModelFileError, match=r"not those of the network in plan\.yaml"):
        read_start(tmp_path, SETTINGS.model_copy(update={"widths": (4, 6)}))


def test_it_is_removed_with_its_folder_but_not_with_other_work(tmp_path: Path) -> None:
    write_start(tmp_path, started())
    remove_start(tmp_path)
    assert not list(tmp_path.iterdir())
    remove_start(tmp_path)
    write_start(tmp_path, started())
    (tmp_path / "checkpoints" / "last.safetensors").touch()
    with pytest.raises(OSError, match="checkpoints"):
        remove_start(tmp_path)
    assert (tmp_path / "checkpoints" / "last.safetensors").exists()


def test_an_encoders_weights_are_of_no_model(tmp_path: Path) -> None:
    start = Start(started().weights, None, (), unknown_images=True, encoder_sha256="cd" * 32)
    write_start(tmp_path, start)
    found = read_start(tmp_path, SETTINGS)
    assert (found.started_from, found.encoder_sha256, found.unknown_images) == (None, "cd" * 32, True)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(OutputError, match="checkpoints"):
        write_start(tmp_path, started())


def test_the_first_step_sees_the_given_weights(
    tiny_plan: Callable[..., Plan], tiny_cases: Callable[..., list[CachedCase]]
) -> None:
    plan = tiny_plan()
    start = started(plan.network)
    trainer = Trainer(plan, tiny_cases(), start.weights)
    state = trainer.state.network.state_dict()
    assert_same_weights(state, start.weights)
    trainer.take_step()
    assert not torch.equal(state["head.weight"], start.weights["head.weight"])  # and leaves the given alone


@pytest.mark.parametrize("stopped_after", [0, 5])
def test_a_stopped_training_goes_on_to_the_same_weights(
    stopped_after: int,
    tiny_plan: Callable[..., Plan],
    tiny_cases: Callable[..., list[CachedCase]],
    tmp_path: Path,
) -> None:
    plan, cases = tiny_plan(), tiny_cases()
    start = started(plan.network)
    for name in ("whole", "stopped", "random"):
        (tmp_path / name).mkdir()
    whole = fit(plan, cases, cases[:2], tmp_path / "whole", start=start.weights)
    write_start(tmp_path / "stopped", start)

    def stop(progress: Progress, row: HistoryRow | None) -> None:
        if progress.step == stopped_after:
            os.kill(os.getpid(), signal.SIGINT)

    if stopped_after:
        with pytest.raises(Interrupted):
            fit(
                plan,
                cases,
                cases[:2],
                tmp_path / "stopped",
                start=start.weights,
                watcher=stop,
            )
    kept = read_start(tmp_path / "stopped", plan.network)
    resumed = fit(plan, cases, cases[:2], tmp_path / "stopped", resume=True, start=kept.weights)
    assert_same_weights(resumed.weights, whole.weights)
    curves = [
        [(row.step, row.train_loss, row.validation_dice) for row in done.history] for done in (whole, resumed)
    ]
    assert curves[0] == curves[1]
    random = fit(plan, cases, cases[:2], tmp_path / "random")
    assert not torch.equal(random.weights["head.weight"], whole.weights["head.weight"])
