"""Recolouring the images of a batch, never its masks.

Works on normalized images, so amounts are in standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from delineate.augment.settings import AugmentationSettings


@dataclass(frozen=True)
class Recolouring:
    """What is done to each of N images.

    Attributes:
        brightness: `(N,)`, added.
        contrast: `(N,)`, multiplied about the image's mean.
        gamma: `(N,)`, exponent on the image stretched to [0, 1].
        colour: `(N, C)`, added to each channel.
        noise: `(N,)`, standard deviation.
        noise_seed: Seeds the noise.
        blur_sigma_px: One value for the batch, so that one convolution serves all; 0 for none.
        blurred: `(N,)` bool, which images the blur touches.
    """

    brightness: Tensor
    contrast: Tensor
    gamma: Tensor
    colour: Tensor
    noise: Tensor
    noise_seed: int
    blur_sigma_px: float
    blurred: Tensor


def draw_recolouring(
    settings: AugmentationSettings, count: int, channels: int, generator: torch.Generator
) -> Recolouring:
    """Draw the recolourings of a batch.

    Args:
        settings: The ranges.
        count: Number of images N.
        channels: Number of channels C.
        generator: On the CPU.

    Returns:
        N recolourings; identity for the images that `intensity_probability` leaves alone.
    """

    def even(amount: float, *shape: int) -> Tensor:
        return torch.empty(shape).uniform_(-amount, amount, generator=generator)

    touched = torch.rand(count, generator=generator) < settings.intensity_probability
    sign = even(1.0, count)
    gamma = torch.where(sign > 0, 1 + settings.gamma * sign, 1 / (1 - settings.gamma * sign))
    return Recolouring(
        brightness=even(settings.brightness, count) * touched,
        contrast=1 + even(settings.contrast, count) * touched,
        gamma=torch.where(touched, gamma, 1.0),
        colour=even(settings.colour, count, channels) * touched[:, None],
        noise=settings.noise * torch.rand(count, generator=generator) * touched,
        noise_seed=int(torch.randint(2**62, (), generator=generator)),
        blur_sigma_px=settings.blur_sigma_px * float(torch.rand((), generator=generator)),
        blurred=(torch.rand(count, generator=generator) < 0.5) & touched,
    )


def recolour(images: Tensor, recolouring: Recolouring) -> Tensor:
    """Apply the recolourings.

    Args:
        images: `(N, C, H, W)` float32, normalized.
        recolouring: N of them.

    Returns:
        `(N, C, H, W)` float32.
    """

    def each(values: Tensor) -> Tensor:
        return values.to(images.device)[:, None, None, None]

    if bool((recolouring.gamma != 1).any()):
        images = _gamma(images, each(recolouring.gamma))
    contrast = each(recolouring.contrast)
    shift = each(recolouring.brightness) + recolouring.colour.to(images.device)[:, :, None, None]
    if bool((contrast != 1).any()) or bool((shift != 0).any()):
        mean = images.mean((1, 2, 3), keepdim=True)
        images = images * contrast + (mean * (1 - contrast) + shift)
    if recolouring.blur_sigma_px > 0.1 and bool(recolouring.blurred.any()):
        blurred = _blur(images, recolouring.blur_sigma_px)
        images = torch.where(each(recolouring.blurred), blurred, images)
    if bool((recolouring.noise != 0).any()):
        generator = torch.Generator().manual_seed(recolouring.noise_seed)
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        images = images + noise * each(recolouring.noise)
    return images


def _gamma(images: Tensor, gamma: Tensor) -> Tensor:
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    span = (high - low).clamp(min=1e-6)
    changed = ((images - low) / span).clamp(0, 1).pow(gamma) * span + low
    return torch.where(gamma == 1, images, changed)


def _blur(images: Tensor, sigma_px: float) -> Tensor:
    radius = max(1, round(3 * sigma_px))
    offset = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, -1)
    padded = functional.pad(images, (radius, radius, radius, radius), mode="replicate")
    along_rows = functional.conv2d(padded, kernel[:, :, None, :], groups=images.shape[1])
    return functional.conv2d(along_rows, kernel[:, :, :, None], groups=images.shape[1])
