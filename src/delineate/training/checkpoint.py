"""The whole state of a training, in one `.safetensors` file: to go on from it is to never have stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from delineate.errors import ModelFileError
from delineate.files import write_with

ENTRY = "delineate-checkpoint"
FOLDER, NAME = "checkpoints", "last.safetensors"


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: The file.
        network: The net.
        optimizer: With its moments.
        facts: JSON values: the step, the history, the plan's hash.

    Raises:
        OutputError: The place cannot be written.
    """
    content = checkpoint_content(network, optimizer, facts)
    write_with(path, lambda stream: stream.write(content))


def checkpoint_content(network: nn.Module, optimizer: torch.optim.Optimizer, facts: dict[str, Any]) -> bytes:
    """The bytes of a checkpoint; see `save_checkpoint`."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for position, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{position}.{name}": tensor for name, tensor in moments.items()}
    return save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
        metadata={ENTRY: json.dumps(facts)},
    )


def load_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    plan_sha256: str,
) -> dict[str, Any]:
    """Go on from a checkpoint: put its state into the given objects.

    Args:
        path: The file.
        network: Built from the same plan.
        optimizer: Of that network.
        plan_sha256: The plan's hash; the checkpoint must have been made by this plan.

    Returns:
        The facts.

    Raises:
        ModelFileError: It cannot be read, is damaged, or belongs to another plan.
    """
    try:
        facts, tensors = _read(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _unusable(path, error) from error
    if facts.get("plan_sha256") != plan_sha256:
        raise other_plan(path)
    try:
        moments = _moments(_part(tensors, "optimizer."), optimizer)
        network.load_state_dict(_part(tensors, "network."))
    except (RuntimeError, ValueError, IndexError) as error:
        raise _unusable(path, "its tensors are not those of this network") from error
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return facts


def other_plan(path: Path) -> ModelFileError:
    """The error that a checkpoint and its plan do not belong together."""
    return ModelFileError(
        f"The checkpoint {path} was made by another plan than the plan.yaml beside it. Put that plan "
        "back, or train with the changed one in a new folder: delineate train DATA --plan plan.yaml"
    )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as stream:
        metadata: dict[str, str] = stream.metadata() or {}
        facts = json.loads(metadata.get(ENTRY, "null"))
        if not isinstance(facts, dict):
            raise ValueError("it is no checkpoint of ours")
        return facts, {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  no dict


def _moments(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """The moments by the position of their parameter, each in its parameter's memory layout.

    torch's fused Adam walks through memory without asking for strides: moments in another layout than their
    parameter's would silently be those of other weights.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        position, key = name.split(".", 1)
        parameter = parameters[int(position)]
        moment = tensor if tensor.ndim == 0 else torch.empty_like(parameter, dtype=tensor.dtype)
        if moment.shape != tensor.shape:
            raise ValueError(f"{name} does not fit its parameter")
        moments.setdefault(int(position), {})[key] = moment.copy_(tensor)
    return moments


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _unusable(path: Path, reason: object) -> ModelFileError:
    return ModelFileError(
        f"The checkpoint {path} cannot be read: {reason}. Start the training anew in another folder."
    )
