"""Training nets of volumes: the same bit for bit, also after a stop; optimizers on weights of five axes."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from same_weights import assert_same_weights
from torch import Tensor, nn
from volume_cases import volume_plan

from delineate.errors import Interrupted
from delineate.image import IGNORED
from delineate.inference.windows import slabs_of_windows
from delineate.networks.unet import UNet
from delineate.plan import Plan
from delineate.training.cache import CachedCase, places_of
from delineate.training.checkpoint import load_checkpoint, save_checkpoint
from delineate.training.history import HistoryRow
from delineate.training.loop import Progress, Trained, fit
from delineate.training.optimization import Muon, build_optimizer, orthogonalize
from delineate.training.reports import overlap_counts
from delineate.training.trainer import Trainer

BUSY: dict[str, Any] = {
    "rotation_degrees": 20,
    "tilt_degrees": 10,
    "shift": 0.1,
    "zoom": [0.9, 1.1],
    "flip_depth": True,
    "flip_horizontal": True,
    "brightness": 0.2,
    "noise": 0.1,
    "blur_sigma_px": 1.0,
}
KINDS: dict[str, dict[str, Any]] = {
    "muon": {},
    "adam": {
        "training": {"optimizer": "adam", "schedule": "constant", "learning_rate": 1e-3},
        "network": {"normalization": "none", "residual": False, "upsampling": "transposed"},
    },
    "bf16": {"training": {"precision": "bf16"}},
    "sides": {"data": {"left_right": [["label 1", "label 2"]]}},
}


def plan_of(**sections: dict[str, Any]) -> Plan:
    training = {
        "steps": 6,
        "batch_size": 2,
        "learning_rate": 5e-3,
        "precision": "fp32",
        "foreground_share": 0.5,
        "evaluations": 3,
    }
    sections["training"] = training | sections.get("training", {})
    sections["network"] = {
        "normalization": "batch",
        "residual": True,
        "upsampling": "nearest",
    } | sections.get("network", {})
    return volume_plan("volumes", 2, 1, **sections)


def balls(count: int = 3, size: tuple[int, int, int] = (6, 14, 14)) -> list[CachedCase]:
    """Two bright blobs on a dark ground, each label a shade of its own."""
    generator = torch.Generator().manual_seed(11)
    index = torch.stack(torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")).float()
    cases = []
    for number in range(count):
        mask = torch.zeros(size, dtype=torch.uint8)
        for value in (1, 2):
            centre = torch.tensor(size) * (0.25 + 0.5 * torch.rand(3, generator=generator))
            away = (index - centre.view(3, 1, 1, 1)) / torch.tensor([1.5, 3.0, 3.0]).view(3, 1, 1, 1)
            mask[away.square().sum(0) <= 1] = value
        pixels = mask.float() * 0.4 + 0.2 * torch.rand(size, generator=generator)
        cases.append(
            CachedCase(f"ball {number}", pixels[None], mask, torch.ones(1), torch.zeros(1), places_of(mask))
        )
    return cases


def folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def assert_same(one: Trained, other: Trained) -> None:
    assert_same_weights(one.weights, other.weights)
    rows = [[dataclasses.replace(row, seconds=0.0) for row in run.history] for run in (one, other)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_again_and_after_a_stop(tmp_path: Path, kind: str) -> None:
    plan, cases = plan_of(**KINDS[kind] | {"augmentation": BUSY}), balls()
    expected = fit(plan, cases[:2], cases[2:], folder(tmp_path, "whole"))
    torch.manual_seed(5)
    assert_same(fit(plan, cases[:2], cases[2:], folder(tmp_path, "again")), expected)

    def stop(progress: Progress, row: HistoryRow | None) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = folder(tmp_path, "stopped")
    with pytest.raises(Interrupted, match=r"^Stopped after step 3 of 6"):
        fit(plan, cases[:2], cases[2:], stopped, watcher=stop)
    torch.manual_seed(999)
    assert_same(fit(plan, cases[:2], cases[2:], stopped, resume=True), expected)
    assert [row.step for row in expected.history] == [2, 4, 6]
    assert all(row.validation_dice is not None for row in expected.history)
    other = fit(
        plan_of(**KINDS[kind] | {"augmentation": BUSY, "training": {"seed": 1}}),
        cases[:2],
        [],
        folder(tmp_path, "other"),
    )
    assert not torch.equal(other.weights["head.weight"], expected.weights["head.weight"])


def test_two_volumes_are_learned_by_heart(tmp_path: Path) -> None:
    plan = plan_of(
        network={"widths": [8, 16]},
        training={"steps": 120, "evaluations": 1, "learning_rate": 2e-2, "batch_size": 4},
    )
    cases = balls(2)
    (row,) = fit(plan, cases, cases, tmp_path).history
    assert row.validation_dice is not None
    assert row.validation_dice > 0.95


def test_validation_dice_is_that_of_all_windows_blended() -> None:
    plan, cases = plan_of(), balls()
    trainer = Trainer(plan.with_steps(6), cases)
    trainer.take_step()
    network = trainer.state.network.eval()
    scores = []
    for case in cases:
        with torch.no_grad():
            slabs = slabs_of_windows(network, case.normalized(), (4, 8, 8), plan.prediction.overlap)
            found = torch.cat(list(slabs), 1).argmax(0)
        dice = []
        for value in (1, 2):
            both = int(((found == value) & (case.mask == value)).sum())
            dice.append(2 * both / int((found == value).sum() + (case.mask == value).sum()))
        scores.append(fmean(dice))
    network.train()
    counted: list[int] = []

    def counts(logits: Tensor, masks: Tensor) -> Tensor:
        counted.append(logits.shape[2])
        return overlap_counts(logits, masks)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("delineate.training.trainer.overlap_counts", counts)
        assert trainer.validation_dice(cases) == pytest.approx(fmean(scores))
    assert sum(counted) == sum(case.mask.shape[0] for case in cases)
    assert max(counted) <= 4  # never the logits of more slices than a window has
    unscored = dataclasses.replace(cases[0], mask=torch.full_like(cases[0].mask, IGNORED))
    assert trainer.validation_dice([unscored]) is None
    assert network.training


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_a_muon_step_on_weights_of_five_axes_by_hand(layout: torch.memory_format) -> None:
    shape, generator = (4, 2, 1, 3, 3), torch.Generator().manual_seed(2)
    before, gradient = (torch.randn(shape, generator=generator) for _ in range(2))
    weight = nn.Parameter(before.clone().to(memory_format=layout))
    weight.grad = gradient.clone().to(memory_format=layout)
    Muon([weight], [], learning_rate=0.1, weight_decay=0.5, momentum=0.9).step()
    ahead = gradient.flatten(1) * (0.1 + 0.9 * 0.1)
    expected = 0.95 * before - 0.1 * 0.2 * math.sqrt(18) * orthogonalize([ahead])[0].view(shape)
    assert torch.allclose(weight, expected, atol=1e-5)


def test_steps_do_not_depend_on_the_layout_in_memory() -> None:
    generator = torch.Generator().manual_seed(3)
    before = torch.randn(6, 4, 3, 3, 3, generator=generator)
    gradients = [torch.randn(before.shape, generator=generator) for _ in range(3)]
    found: list[Tensor] = []
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        weight = nn.Parameter(before.clone().to(memory_format=layout))
        optimizer = Muon([weight], [], learning_rate=0.05, weight_decay=0.1)
        for gradient in gradients:
            weight.grad = gradient.to(memory_format=layout)
            optimizer.step()
        found.append(weight.detach())
    assert torch.allclose(found[0], found[1], atol=1e-6)


def test_the_convolutions_of_volumes_are_muons() -> None:
    plan = plan_of()
    network = UNet(plan.network)
    optimizer = build_optimizer(network, plan.training)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    filters, others = ([names[id(p)] for p in group["params"]] for group in optimizer.param_groups)
    assert sorted(filters + others) == sorted(names.values())
    for name, parameter in network.named_parameters():
        assert (name in filters) == (parameter.ndim == 5 and not name.startswith("head")), name


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_a_checkpoint_of_a_net_of_volumes_goes_on_exactly(tmp_path: Path, optimizer: str) -> None:
    plan = plan_of(training={"optimizer": optimizer})

    def fresh(seed: int) -> tuple[UNet, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        network = UNet(plan.network)
        network = network.to(memory_format=network.memory_format)  # type: ignore[call-overload]  # torch's stubs miss this form
        return network, build_optimizer(network, plan.training)

    def step(trained: tuple[UNet, torch.optim.Optimizer], seeds: range) -> None:
        for seed in seeds:
            volumes = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
            trained[1].zero_grad()
            trained[0](volumes).square().mean().backward()
            trained[1].step()

    one, other, path = fresh(0), fresh(1), tmp_path / "last.safetensors"
    step(one, range(3))
    save_checkpoint(path, *one, {"plan_sha256": plan.sha256()})
    load_checkpoint(path, *other, plan.sha256())
    step(one, range(3, 6))
    step(other, range(3, 6))
    for (name, mine), theirs in zip(one[0].state_dict().items(), other[0].state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name
