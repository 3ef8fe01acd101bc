"""The weights that a run starts from, kept in it: it can go on without the model that they come from."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from delineate.errors import ModelFileError
from delineate.files import made_folder, write_with
from delineate.model_file import weights_sha256
from delineate.networks.settings import UNetSettings
from delineate.networks.unet import UNet
from delineate.training.checkpoint import FOLDER

ENTRY = "delineate-start"
NAME = "start.safetensors"


@dataclass(frozen=True)
class Start:
    """Where a training starts.

    Attributes:
        weights: Of the net to be trained, as it names them.
        started_from: Hash of the weights of the model that they come from; None for an encoder's.
        case_digests: Of the images that this model, and those it started from, were trained on.
        unknown_images: Whether they may have learned from others, too, of which nothing is known.
        encoder_sha256: Of the file of the pretrained encoder that they come from; None for a model's.
    """

    weights: dict[str, Tensor]
    started_from: str | None
    case_digests: tuple[str, ...]
    unknown_images: bool = False
    encoder_sha256: str | None = None


def write_start(folder: Path, start: Start) -> None:
    """Keep a start in a run, whole or not at all.

    Args:
        folder: The run's.
        start: To be kept.

    Raises:
        OutputError: The place cannot be written.
    """
    path = folder / FOLDER / NAME
    made_folder(path.parent)
    facts = {
        "weights_sha256": weights_sha256(start.weights),
        "started_from": start.started_from,
        "case_digests": start.case_digests,
        "unknown_images": start.unknown_images,
        "encoder_sha256": start.encoder_sha256,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in start.weights.items()}
    content = save(tensors, metadata={ENTRY: json.dumps(facts)})
    write_with(path, lambda stream: stream.write(content))


def read_start(folder: Path, network: UNetSettings) -> Start:
    """Read the start that is kept in a run.

    Args:
        folder: The run's.
        network: That is to be trained.

    Raises:
        ModelFileError: It cannot be read, is damaged, or belongs to another network.
    """
    path = folder / FOLDER / NAME
    try:
        with safe_open(path, framework="pt") as stream:
            facts = json.loads((stream.metadata() or {}).get(ENTRY, "null"))
            weights = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  no dict
        digests = tuple(map(str, facts["case_digests"]))
        unknown = bool(facts.get("unknown_images", not digests))  # older files do not say it
        start = Start(
            weights,
            _text(facts["started_from"]),
            digests,
            unknown,
            _text(facts.get("encoder_sha256")),  # older files have an encoder's as `started_from`
        )
        whole = weights_sha256(weights) == facts["weights_sha256"]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(path, error) from error
    if not whole:
        raise _unusable(path, "its weights are not those it was saved with")
    with torch.device("meta"):  # shapes alone
        expected = {name: tensor.shape for name, tensor in UNet(network).state_dict().items()}
    if {name: tensor.shape for name, tensor in weights.items()} != expected:
        raise _unusable(path, "its weights are not those of the network in plan.yaml")
    return start


def remove_start(folder: Path) -> None:
    """Remove the start from a run in which no training has begun."""
    (folder / FOLDER / NAME).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        (folder / FOLDER).rmdir()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _unusable(path: Path, reason: object) -> ModelFileError:
    return ModelFileError(
        f"The weights that the run starts from, {path}, cannot be read: {reason}. "
        "Start the training anew in another folder."
    )
