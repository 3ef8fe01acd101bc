"""A ResNet's weights from a file, brought to the names and channels of a U-Net's encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.errors import ModelFileError
from delineate.files import sha256
from delineate.networks.settings import UNetSettings
from delineate.pretrained.state_dict import read_state_dict

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from delineate.networks.resnet import Architecture

PREFIX = "encoder."  # of the encoder's parameters in the U-Net
SUPPORTED = "a ResNet-18, -34 or -50 as torchvision and timm name its parts (conv1, bn1, layer1 to layer4)"
_PARTS = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
_COUNTER = ".num_batches_tracked"
_SHOWN = 5


@dataclass(frozen=True)
class PretrainedEncoder:
    """A ResNet's weights.

    Attributes:
        architecture: Which ResNet.
        weights: By torchvision's names, float32, without the classifier.
        sha256: Of the file.
    """

    architecture: Architecture
    weights: Mapping[str, Tensor]
    sha256: str

    def start_weights(self, settings: UNetSettings) -> dict[str, Tensor]:
        """The weights as a U-Net names them, its first convolution brought to the image's channels.

        See `networks.transfer.adapt_channels`.

        Args:
            settings: Of the U-Net; its encoder is of this architecture.
        """
        from delineate.networks.transfer import adapt_channels  # noqa: PLC0415  imports torch

        if settings.encoder != self.architecture:
            raise ValueError(f"weights of a {self.architecture} are none of a {settings.encoder}")
        weights = {f"{PREFIX}{name}": tensor for name, tensor in self.weights.items()}
        first, channels = weights[f"{PREFIX}conv1.weight"], settings.input_channels
        if first.shape[1] != channels:
            weights[f"{PREFIX}conv1.weight"] = adapt_channels(first, first.shape[1], channels)
        return weights


def read_encoder(path: Path) -> PretrainedEncoder:
    """Read a ResNet's weights; which one it is, is seen from their names and shapes.

    Args:
        path: See `read_state_dict`. What stands before the names ("module.", "backbone.", …) is taken off;
            the classifier and what else is not of the encoder is left out.

    Raises:
        UsageError: There is no such file.
        ModelFileError: It cannot be read, or holds no encoder that can be used.
    """
    tensors = read_state_dict(path)
    prefix = _prefix(path, tensors)
    inside = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
        and name.removeprefix(prefix).startswith(_PARTS)
        and not name.endswith(_COUNTER)
    }
    architecture = _recognised(path, inside)
    return PretrainedEncoder(
        architecture, {name: _usable(path, name, inside[name]) for name in inside}, sha256(path)
    )


def _prefix(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """What stands before every name of the encoder."""
    found = [
        name.removesuffix("conv1.weight")
        for name in tensors
        if name.endswith("conv1.weight")
        and (name.removesuffix("conv1.weight") + "layer4.0.conv1.weight") in tensors
    ]
    if not found:
        telling = [name for name in tensors if not name.endswith(_COUNTER)]
        first = ", ".join(map(_shown, telling[:_SHOWN])) or "none"
        raise ModelFileError(
            f"{path} holds no encoder that can be used, which is {SUPPORTED}. "
            f"It holds {len(tensors)} tensors, first: {first}."
        )
    if len(found) > 1:
        named = ", ".join(f"{_shown(prefix)}…" for prefix in found[:_SHOWN])
        raise ModelFileError(
            f"{path} holds several encoders, named {named}. Save the state dict of one of them."
        )
    return found[0]


def _recognised(path: Path, tensors: Mapping[str, Tensor]) -> Architecture:
    """The architecture whose names and shapes these are."""
    from delineate.networks.resnet import ARCHITECTURES  # noqa: PLC0415  imports torch

    first = tensors["conv1.weight"]
    channels = int(first.shape[1]) if first.ndim == 4 else 0
    if not 1 <= channels <= 64:
        raise _misshapen(path, "conv1.weight", first)
    known = {architecture: _shapes(architecture, channels) for architecture in ARCHITECTURES}
    nearest = min(known, key=lambda architecture: len(known[architecture].keys() ^ tensors.keys()))
    expected = known[nearest]
    if odd := [name for name in tensors if name not in expected]:
        raise _unknown(path, f"it has what a {nearest} has not, {_first(odd)}")
    if missing := [name for name in expected if name not in tensors]:
        raise _unknown(path, f"it lacks what a {nearest} has, {_first(missing)}")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise _misshapen(path, name, tensors[name])
    return nearest


def _shapes(architecture: Architecture, channels: int) -> dict[str, torch.Size]:
    import torch  # noqa: PLC0415  heavy

    from delineate.networks.resnet import ResNet  # noqa: PLC0415  imports torch

    with torch.device("meta"):
        state = ResNet(architecture, channels).state_dict()
    return {name: tensor.shape for name, tensor in state.items() if not name.endswith(_COUNTER)}


def _first(names: list[str]) -> str:
    return _shown(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _shown(name: str) -> str:
    """A stranger's name, fit for a line of text."""
    return name[:80] if name.isprintable() else ascii(name[:80])


def _unknown(path: Path, what: str) -> ModelFileError:
    return ModelFileError(
        f"{path} looks like a ResNet, but is none that can be used, which is {SUPPORTED}: {what}."
    )


def _misshapen(path: Path, name: str, tensor: Tensor) -> ModelFileError:
    return _unknown(path, f"its {name} has the shape {tuple(tensor.shape)}")


def _usable(path: Path, name: str, tensor: Tensor) -> Tensor:
    """The tensor as float32 in memory of its own."""
    import torch  # noqa: PLC0415  heavy

    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_floating_point()
    if not plain:
        raise ModelFileError(
            f"{path} cannot be used: its {name} is no plain tensor of floating-point numbers."
        )
    values = tensor.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    if not bool(values.isfinite().all()):
        raise ModelFileError(f"{path} cannot be used: its {name} holds values that are not numbers.")
    if name.endswith("running_var") and bool((values < 0).any()):
        raise ModelFileError(f"{path} cannot be used: its {name} holds variances below zero.")
    return values
