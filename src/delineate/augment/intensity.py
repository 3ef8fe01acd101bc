"""Recolouring the images of a batch, never its masks.

Works on normalized images, so amounts are in standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from delineate.augment.settings import AugmentationSettings
from delineate.augment.transfer import to_device

SHARP_SIGMA_PX = 0.1  # a Gaussian of less reaches no neighbour


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
        blur_sigma_px: Along the finest axis; one value for the batch, so that one convolution serves all; 0
            for none.
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


def recolour(images: Tensor, recolouring: Recolouring, spacing: tuple[float, ...] | None = None) -> Tensor:
    """Apply the recolourings.

    Args:
        images: `(N, C, H, W)` or `(N, C, D, H, W)` float32, normalized.
        recolouring: N of them.
        spacing: Distances between pixels per spatial axis, in any unit, so that blur reaches as far along
            each; None where they are alike.

    Returns:
        Of the images' shape, float32.
    """
    axes = images.ndim - 2

    def each(values: Tensor) -> Tensor:
        values = to_device(values, images.device)
        return values.view(*values.shape, *[1] * (images.ndim - values.ndim))

    if bool((recolouring.gamma != 1).any()):
        images = _gamma(images, each(recolouring.gamma))
    shift = recolouring.brightness[:, None] + recolouring.colour
    if bool((recolouring.contrast != 1).any()) or bool((shift != 0).any()):
        contrast, mean = each(recolouring.contrast), images.mean(_all_but_first(images), keepdim=True)
        images = images * contrast + (mean * (1 - contrast) + each(shift))
    if recolouring.blur_sigma_px > SHARP_SIGMA_PX and bool(recolouring.blurred.any()):
        spacing = spacing or (1.0,) * axes
        sigmas_px = tuple(recolouring.blur_sigma_px * (min(spacing) / each_mm) for each_mm in spacing)
        images = torch.where(each(recolouring.blurred), _blur(images, sigmas_px), images)
    if bool((recolouring.noise != 0).any()):
        generator = torch.Generator().manual_seed(recolouring.noise_seed)
        noise = to_device(torch.randn(images.shape, generator=generator), images.device)
        images = images + noise * each(recolouring.noise)
    return images


def _all_but_first(images: Tensor) -> tuple[int, ...]:
    return tuple(range(1, images.ndim))


def _gamma(images: Tensor, gamma: Tensor) -> Tensor:
    within = _all_but_first(images)
    low, high = images.amin(within, keepdim=True), images.amax(within, keepdim=True)
    span = (high - low).clamp(min=1e-6)
    changed = ((images - low) / span).clamp(0, 1).pow(gamma) * span + low
    return torch.where(gamma == 1, images, changed)


def _blur(images: Tensor, sigmas_px: tuple[float, ...]) -> Tensor:
    """Blur slice by slice and, of volumes, then across the slices, each seen as one row of pixels."""
    blurred = _blur_plane(images.flatten(1, -3), sigmas_px[-2], sigmas_px[-1]).view(images.shape)
    if len(sigmas_px) == 2:
        return blurred
    return _blur_plane(blurred.flatten(3), sigmas_px[0], 0.0).view(images.shape)


def _blur_plane(images: Tensor, sigma_rows_px: float, sigma_columns_px: float) -> Tensor:
    """Blur `(N, C, H, W)` along each axis, with the edge repeated."""
    rows, columns = _kernel(sigma_rows_px, images), _kernel(sigma_columns_px, images)
    below, beside = len(rows) // 2, len(columns) // 2
    images = functional.pad(images, (beside, beside, below, below), mode="replicate")
    channels = images.shape[1]
    if beside:
        images = functional.conv2d(images, columns.expand(channels, 1, 1, -1), groups=channels)
    if below:
        images = functional.conv2d(images, rows[:, None].expand(channels, 1, -1, 1), groups=channels)
    return images


def _kernel(sigma_px: float, like: Tensor) -> Tensor:
    """A Gaussian's weights; a single one where it reaches no neighbour."""
    radius = max(1, round(3 * sigma_px)) if sigma_px > SHARP_SIGMA_PX else 0
    offset = torch.arange(-radius, radius + 1, device=like.device, dtype=like.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma_px) ** 2) if radius else torch.ones_like(offset)
    return kernel / kernel.sum()
