"""The batch of a step: a function of plan and step alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from delineate.augment.geometry import Movement, draw_movement, move, output_to_input, warp
from delineate.augment.intensity import draw_recolouring, recolour
from delineate.augment.settings import AugmentationSettings
from delineate.image import BACKGROUND, IGNORED
from delineate.plan import Plan
from delineate.training.cache import CachedCase
from delineate.training.randomness import BATCH, generator_at, indices_at


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        names: Of the cases.
        images: `(N, C, H, W)` float32, normalized and augmented.
        masks: `(N, H, W)` uint8.
    """

    names: tuple[str, ...]
    images: Tensor
    masks: Tensor


def batch_at(step: int, cases: Sequence[CachedCase], plan: Plan, device: torch.device) -> Batch:
    """The batch of a step.

    Args:
        step: From 0.
        cases: The training cases.
        plan: Its seed, batch size, augmentation and patches.
        device: Where the batch shall be; augmentation happens there.

    Returns:
        The batch.
    """
    training, augmentation = plan.training, plan.augmentation
    chosen = [cases[i] for i in indices_at(training.seed, step, training.batch_size, len(cases))]
    generator = generator_at(training.seed, BATCH, step)
    movement = draw_movement(augmentation, len(chosen), generator)
    if plan.preprocessing.mode == "whole":
        images = _normalized(chosen, [case.pixels for case in chosen], device)
        masks = torch.stack([case.mask for case in chosen]).to(device)
        images, masks = move(images, masks, movement, augmentation)
    else:
        images, masks = _patches(chosen, movement, plan, generator, device)
    recolouring = draw_recolouring(augmentation, len(chosen), images.shape[1], generator)
    return Batch(tuple(case.name for case in chosen), recolour(images, recolouring), masks)


def _normalized(chosen: Sequence[CachedCase], pixels: Sequence[Tensor], device: torch.device) -> Tensor:
    batch = torch.stack(list(pixels)).to(device).float()
    gain = torch.stack([case.gain for case in chosen]).to(device)
    offset = torch.stack([case.offset for case in chosen]).to(device)
    return batch.mul_(gain[:, :, None, None]).add_(offset[:, :, None, None])


def _patches(
    chosen: Sequence[CachedCase],
    movement: Movement,
    plan: Plan,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Cut-outs with room around them for the movement, then moved and trimmed to the patch."""
    size = plan.preprocessing.size
    room = _room(size, plan.augmentation)
    cuts = [
        _cut(case, _centre(case, size, plan.training.foreground_share, generator), room) for case in chosen
    ]
    images = _normalized(chosen, [pixels for pixels, _ in cuts], device)
    masks = torch.stack([mask for _, mask in cuts]).to(device)
    return warp(images, masks, output_to_input(movement, size), size, plan.augmentation)


def _room(size: tuple[int, int], settings: AugmentationSettings) -> tuple[int, int]:
    """Source pixels that any movement of a patch can reach, parity kept so that centres fall together."""
    smallest = settings.zoom[0] * math.sqrt(1 - settings.stretch)
    reach = (float(size[0]), float(size[1]))
    if settings.rotation_degrees or settings.shear_degrees:
        side = math.hypot(*size) * (1 + math.tan(math.radians(settings.shear_degrees)))
        reach = (side, side)
    # shifts come last, so that in the source they too are turned and as much larger as the image is smaller
    rooms = [math.ceil(r * (1 + 2 * settings.shift) / smallest) for r in reach]
    height, width = (room + (room - side) % 2 for room, side in zip(rooms, size, strict=True))
    return max(height, size[0]), max(width, size[1])


def _centre(
    case: CachedCase, size: tuple[int, int], foreground_share: float, generator: torch.Generator
) -> tuple[int, int]:
    """Where a patch is cut: about a pixel of a random label, or anywhere, inside the image where it fits."""
    height, width = case.mask.shape
    wish, first, second = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    row, column = int(first * height), int(second * width)
    if wish < foreground_share:
        present = [v for v in torch.unique(case.mask).tolist() if v not in (BACKGROUND, IGNORED)]
        if present:
            places = torch.nonzero(case.mask.flatten() == present[int(first * len(present))])
            row, column = divmod(int(places[int(second * len(places))]), width)
    return (
        _clamp(row, size[0] // 2, height - (size[0] + 1) // 2, height),
        _clamp(column, size[1] // 2, width - (size[1] + 1) // 2, width),
    )


def _clamp(value: int, low: int, high: int, length: int) -> int:
    return length // 2 if high < low else min(max(value, low), high)


def _cut(case: CachedCase, centre: tuple[int, int], room: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """`room` pixels about the centre; beyond the edge the edge's pixels are repeated, in image and mask."""
    height, width = case.mask.shape
    rows = torch.arange(centre[0] - room[0] // 2, centre[0] - room[0] // 2 + room[0]).clamp_(0, height - 1)
    columns = torch.arange(centre[1] - room[1] // 2, centre[1] - room[1] // 2 + room[1]).clamp_(0, width - 1)
    first, last = int(columns[0]), int(columns[-1]) + 1
    local = columns - first
    return (
        case.pixels[:, rows, first:last].index_select(2, local),
        case.mask[rows, first:last].index_select(1, local),
    )
