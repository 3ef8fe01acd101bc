"""Our U-Net beside plain ones that are written out by hand: the same weights, and gradients to compare."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from delineate.networks import UNetSettings
from delineate.networks.unet import UNet


def seeded(settings: UNetSettings, seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(settings).eval()


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_name(name: str) -> str:
    """What the plain net calls a parameter of ours."""
    part, *places = name.split(".")
    match part, places:
        case "encoders", [level, "convolutions", place, kind]:
            return f"down.{level}.{2 * int(place)}.{kind}"
        case "decoders", [level, "block", "convolutions", place, kind]:
            return f"join.{level}.{2 * int(place)}.{kind}"
        case "decoders", [level, "up", kind]:
            return f"up.{level}.{kind}"
    return name


def share_weights(ours: UNet, plain: nn.Module) -> None:
    """Give both the same weights, and the same biases, ours being zero at first, which would prove less."""
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape))
    plain.load_state_dict({plain_name(name): tensor for name, tensor in ours.state_dict().items()})


def check_gradients(ours: UNet, plain: nn.Module) -> None:
    """Hold our gradients to the plain net's: of every parameter, none of them zero throughout."""
    theirs = {name: parameter.grad for name, parameter in plain.named_parameters()}
    for name, parameter in ours.named_parameters():
        gradient = theirs.pop(plain_name(name))
        assert parameter.grad is not None
        assert gradient is not None
        assert gradient.abs().max() > 0, name
        assert torch.allclose(parameter.grad, gradient), name
    assert not theirs
