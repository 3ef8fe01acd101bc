"""Moving images and masks together: one affine map an image, applied to a whole batch at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from delineate.augment.movement import Movement, draw_movement, output_to_input
from delineate.augment.settings import AugmentationSettings
from delineate.augment.transfer import to_device

__all__ = ["Movement", "draw_movement", "inside_of", "move", "output_to_input", "warp", "warp_part"]


def move(
    images: Tensor, masks: Tensor, movement: Movement, settings: AugmentationSettings
) -> tuple[Tensor, Tensor]:
    """Move images and their masks alike; an identity leaves every value exactly as it was.

    Args:
        images: `(N, C, H, W)` or `(N, C, D, H, W)` float32.
        masks: `(N, H, W)` or `(N, D, H, W)` uint8.
        movement: N movements, of volumes with a depth.
        settings: Only `fill` is read.

    Returns:
        Images and masks, of the same shapes.
    """
    still = movement.is_identity()
    if bool(still.all()):
        return images, masks
    still = to_device(still, images.device)
    size = tuple(images.shape[2:])
    moved, labels = warp(images, masks, output_to_input(movement, size), size, settings)
    return torch.where(_each(still, images), images, moved), torch.where(_each(still, masks), masks, labels)


def warp(
    images: Tensor, masks: Tensor, maps: Tensor, size: tuple[int, ...], settings: AugmentationSettings
) -> tuple[Tensor, Tensor]:
    """Show each image and its mask through its map.

    Args:
        images: `(N, C, H, W)` or `(N, C, D, H, W)` float32; read linearly between pixels.
        masks: `(N, H, W)` or `(N, D, H, W)` uint8; read at the nearest pixel.
        maps: `(N, 2, 3)` or `(N, 3, 4)` from `output_to_input`.
        size: Of the outputs, `(height, width)` or `(depth, height, width)`, cut about the centre.
        settings: Only `fill` is read.

    Returns:
        Images `(N, C, *size)` and masks `(N, *size)`.
    """
    grid = _sampling_grid(to_device(maps, images.device), size, tuple(images.shape[2:]))
    padding = "border" if settings.fill == "nearest" else "reflection"
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    # the mask's nearest pixel by rounding: exact for every label, and cheaper than a second grid_sample
    positions = [
        inside_of(((grid[..., -axis] + 1) * (length / 2) - 0.5).round_().long(), length, settings.fill)
        for axis, length in enumerate(masks.shape[1:], start=1)
    ]
    index = positions[0]
    for position, length in zip(positions[1:], masks.shape[2:], strict=True):
        index = index * length + position
    labels = masks.flatten(1).gather(1, index.flatten(1)).view(-1, *size)
    return moved, labels


def warp_part(
    image: Tensor,
    mask: Tensor,
    seen: Tensor,
    size: tuple[int, ...],
    settings: AugmentationSettings,
    *,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Show one image through its map, of which only the part that is seen is taken to float32.

    Args:
        image: `(C, H, W)` or `(C, D, H, W)`, of any type; read linearly between pixels.
        mask: `(H, W)` or `(D, H, W)` uint8; read at the nearest pixel.
        seen: `(2, 3)` or `(3, 4)`, its map as from `output_to_input`, from the image's centre.
        size: Of the outputs.
        settings: Only `fill` is read.
        device: Where it is computed; the part that is seen is brought there.

    Returns:
        The image `(C, *size)` float32 and its mask `(*size)`.
    """
    part = _reached(seen, size, tuple(mask.shape), settings.fill)
    centre = [(piece.start + piece.stop - length) / 2 for piece, length in zip(part, mask.shape, strict=True)]
    there = seen.clone()
    there[:, -1] -= torch.tensor(centre[::-1])
    seen_image, seen_mask = to_device(image[:, *part], device), to_device(mask[part], device)
    moved, labels = warp(seen_image[None].float(), seen_mask[None], there[None], size, settings)
    return moved[0], labels[0]


def _reached(seen: Tensor, size: tuple[int, ...], source: tuple[int, ...], fill: str) -> tuple[slice, ...]:
    """The pixels of an image that a map reads; the whole of an axis where its edge is mirrored in."""
    half = torch.tensor([(side - 1) / 2 for side in reversed(size)])
    reach = (seen[:, :-1].abs() @ half).tolist()
    part = []
    for middle, most, length in zip(seen[:, -1].tolist()[::-1], reach[::-1], source, strict=True):
        low = math.floor((length - 1) / 2 + middle - most) - 1  # one more, for rounding
        high = math.ceil((length - 1) / 2 + middle + most) + 1
        if fill == "reflect" and (low < 0 or high >= length):
            low, high = 0, length - 1
        part.append(slice(min(max(low, 0), length - 1), min(max(high, 0), length - 1) + 1))
    return tuple(part)


def inside_of(position: Tensor, length: int, fill: str) -> Tensor:
    """Positions beyond the edge brought inside: the edge's own, or mirrored in it.

    Args:
        position: int64, of any shape; may be changed.
        length: Of the axis.
        fill: As of `AugmentationSettings`.

    Returns:
        Of the same shape, in [0, length).
    """
    if fill == "nearest":
        return position.clamp_(0, length - 1)
    folded = position.remainder(2 * length)
    return torch.minimum(folded, 2 * length - 1 - folded)


def _sampling_grid(maps: Tensor, size: tuple[int, ...], source: tuple[int, ...]) -> Tensor:
    """`(N, *size, axes)` coordinates for `grid_sample`, without its rounding of the corners."""
    axes = len(size)
    grid = maps.new_zeros(())
    for column, side in enumerate(reversed(size)):  # x, y and, of volumes, z
        places = torch.arange(side, device=maps.device, dtype=torch.float32) - (side - 1) / 2
        along = [1] * axes
        along[axes - 1 - column] = side
        coefficients = maps[..., column].view(-1, *[1] * axes, axes)
        grid = grid + coefficients * places.view(1, *along, 1)
    to_unit = to_device(torch.tensor([2 / side for side in reversed(source)]), maps.device)
    return grid.add_(maps[..., axes].view(-1, *[1] * axes, axes)).mul_(to_unit)


def _each(values: Tensor, like: Tensor) -> Tensor:
    """`(N,)` values so that each stands for one of N images."""
    return values.view(-1, *[1] * (like.ndim - 1))
