"""Checkpoints: every bit comes back; what is damaged, foreign or another plan's is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from same_weights import assert_same_weights

from delineate.errors import ModelFileError, OutputError
from delineate.networks.unet import UNet
from delineate.plan import Plan
from delineate.training.checkpoint import ENTRY, load_checkpoint, save_checkpoint
from delineate.training.optimization import build_optimizer

PlanMaker = Callable[..., Plan]
Trained = tuple[UNet, torch.optim.Optimizer]
ADAM: dict[str, Any] = {"training": {"optimizer": "adam"}}


def fresh(plan: Plan, seed: int) -> Trained:
    torch.manual_seed(seed)
    network = UNet(plan.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs miss this form
    return network, build_optimizer(network, plan.training)


def stepped(trained: Trained, steps: int, first: int = 0) -> Trained:
    network, optimizer = trained
    for step in range(first, first + steps):
        images = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()
    return trained


def moments(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{place}.{name}": tensor for place, named in state.items() for name, tensor in named.items()}


@pytest.mark.parametrize("sections", [{}, ADAM], ids=["muon", "adam"])
def test_a_round_trip_is_exact_and_the_next_steps_are_the_same(
    tiny_plan: PlanMaker, tmp_path: Path, sections: dict[str, Any]
) -> None:
    plan, path = tiny_plan(**sections), tmp_path / "last.safetensors"
    network, optimizer = stepped(fresh(plan, 0), 3)
    optimizer.param_groups[0]["lr"] = 0.125
    facts = {"plan_sha256": plan.sha256(), "step": 3, "losses": [0.1, 1 / 3], "text": "ü"}
    save_checkpoint(path, network, optimizer, facts)
    other, its_optimizer = stepped(fresh(plan, 1), 1)  # of other weights and moments, all to be replaced
    assert load_checkpoint(path, other, its_optimizer, plan.sha256()) == facts
    for (name, mine), theirs in zip(network.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name
        assert mine.dtype == theirs.dtype, name
    before, after = moments(optimizer), moments(its_optimizer)
    assert len(before) > 20
    assert_same_weights(after, before)
    its_optimizer.param_groups[0]["lr"] = 0.125  # the rate is the schedule's, and not kept
    stepped((network, optimizer), 3, first=3)
    stepped((other, its_optimizer), 3, first=3)
    for (name, mine), theirs in zip(network.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


def test_another_plan_is_refused_and_nothing_is_loaded(tiny_plan: PlanMaker, tmp_path: Path) -> None:
    plan, path = tiny_plan(), tmp_path / "last.safetensors"
    save_checkpoint(path, *fresh(plan, 0), {"plan_sha256": plan.sha256()})
    changed = tiny_plan(training={"learning_rate": 4e-3})
    network, optimizer = fresh(changed, 1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(
        ModelFileError, match=r"another plan than the plan\.yaml beside it.*--plan plan\.yaml"
    ):
        load_checkpoint(path, network, optimizer, changed.sha256())
    assert_same_weights(network.state_dict(), before)


def refused(plan: Plan, path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        load_checkpoint(path, *fresh(plan, 1), plan.sha256())
    message = str(caught.value)
    assert message.startswith(f"The checkpoint {path} cannot be read: ")
    assert message.endswith("Start the training anew in another folder.")
    return message


def test_a_file_cut_anywhere_is_refused(tiny_plan: PlanMaker, tmp_path: Path) -> None:
    plan, path = tiny_plan(), tmp_path / "last.safetensors"
    save_checkpoint(path, *stepped(fresh(plan, 0), 1), {"plan_sha256": plan.sha256()})
    content = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(plan, path)
    path.write_bytes(content + b"\0")
    refused(plan, path)


def test_foreign_files_are_refused(tiny_plan: PlanMaker, tmp_path: Path) -> None:
    plan, path = tiny_plan(), tmp_path / "last.safetensors"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    refused(plan, path)
    torch.save({"step": 1}, path)
    refused(plan, path)
    save_file({"weight": torch.zeros(3)}, path)
    assert "it is no checkpoint of ours" in refused(plan, path)
    for text in ("[]", "3", "{", "null"):
        save_file({"weight": torch.zeros(3)}, path, metadata={ENTRY: text})
        refused(plan, path)


def test_a_folder_in_its_place_is_refused(tiny_plan: PlanMaker, tmp_path: Path) -> None:
    refused(tiny_plan(), tmp_path)


@pytest.mark.parametrize("change", ["less", "more", "shape", "moment"])
def test_tensors_that_do_not_fit_the_network_are_refused(
    tiny_plan: PlanMaker, tmp_path: Path, change: str
) -> None:
    plan, path = tiny_plan(), tmp_path / "last.safetensors"
    save_checkpoint(path, *stepped(fresh(plan, 0), 1), {"plan_sha256": plan.sha256()})
    tensors = load_file(path)
    if change == "less":
        del tensors["network.head.weight"]
    elif change == "more":
        tensors["network.tail.weight"] = torch.zeros(3)
    elif change == "shape":
        tensors["network.head.weight"] = torch.zeros(3)
    else:
        tensors["optimizer.first.momentum"] = torch.zeros(3)
    save_file(tensors, path, metadata={ENTRY: json.dumps({"plan_sha256": plan.sha256()})})
    refused(plan, path)


def test_a_failed_write_leaves_the_old_checkpoint(tiny_plan: PlanMaker, tmp_path: Path) -> None:
    plan, path = tiny_plan(), tmp_path / "last.safetensors"
    save_checkpoint(path, *fresh(plan, 0), {"step": 1})
    content = path.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(path, *fresh(plan, 1), {"step": object()})
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.safetensors"]
    with pytest.raises(OutputError, match="Cannot write"):
        save_checkpoint(tmp_path / "gone" / "last.safetensors", *fresh(plan, 0), {})
