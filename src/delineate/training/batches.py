"""The batch of a step: a function of plan and step alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from delineate.augment.geometry import (
    Movement,
    draw_movement,
    inside_of,
    move,
    output_to_input,
    warp,
    warp_part,
)
from delineate.augment.intensity import draw_recolouring, recolour
from delineate.augment.left_right import LeftRight, swap_labels
from delineate.augment.settings import AugmentationSettings
from delineate.augment.transfer import to_device
from delineate.geometry import left_right_axis
from delineate.plan import Plan
from delineate.training.cache import CachedCase
from delineate.training.drawing import Drawn, Having, drawn_at
from delineate.training.randomness import BATCH, generator_at


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        names: Of the cases.
        images: `(N, C, H, W)` or `(N, C, D, H, W)` float32, normalized and augmented.
        masks: `(N, H, W)` or `(N, D, H, W)` uint8.
    """

    names: tuple[str, ...]
    images: Tensor
    masks: Tensor


def batch_at(
    step: int, cases: Sequence[CachedCase], plan: Plan, device: torch.device, having: Having | None = None
) -> Batch:
    """The batch of a step.

    Args:
        step: From 0.
        cases: The training cases.
        plan: Its seed, batch size, augmentation and patches.
        device: Where the batch shall be; augmentation happens there.
        having: From `having`; None to have it looked up.

    Returns:
        The batch.
    """
    training, augmentation = plan.training, plan.augmentation
    drawn = drawn_at(step, cases, training, having)
    chosen = [each.case for each in drawn]
    generator = generator_at(training.seed, BATCH, step)
    movement = draw_movement(augmentation, len(chosen), generator, plan.network.axes)
    if plan.preprocessing.mode == "whole":
        images = _normalized(chosen, [case.pixels for case in chosen], device)
        masks = to_device(torch.stack([case.mask for case in chosen]), device)
        images, masks = move(images, masks, movement, augmentation)
    elif plan.network.axes == 3:
        images, masks = _volume_patches(drawn, movement, plan, generator, device)
    else:
        images, masks = _patches(drawn, movement, plan, generator, device)
    sides = _left_right(plan)
    if sides is not None:
        masks = swap_labels(masks, movement.is_mirrored(sides.axis), sides.pairs)
    recolouring = draw_recolouring(augmentation, len(chosen), images.shape[1], generator)
    spacing = plan.preprocessing.relative_spacing if plan.network.axes == 3 else None
    return Batch(tuple(case.name for case in chosen), recolour(images, recolouring, spacing), masks)


def _left_right(plan: Plan) -> LeftRight | None:
    """The labels that change places in the mirror, and the axis of the net's images that mirrors them."""
    axis = left_right_axis(plan.preprocessing.orientation) - (3 - plan.network.axes)
    pairs = plan.data.swapped_values
    return LeftRight(axis, pairs) if pairs and axis >= 0 else None


def _normalized(chosen: Sequence[CachedCase], pixels: Sequence[Tensor], device: torch.device) -> Tensor:
    batch = to_device(torch.stack(list(pixels)), device).float()
    shape = (len(chosen), -1, *[1] * (batch.ndim - 2))
    gain = to_device(torch.stack([case.gain for case in chosen]), device).view(shape)
    offset = to_device(torch.stack([case.offset for case in chosen]), device).view(shape)
    return batch.mul_(gain).add_(offset)


def _volume_patches(
    drawn: Sequence[Drawn],
    movement: Movement,
    plan: Plan,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Patches of volumes, each seen through its movement straight from the volume."""
    size, settings = plan.preprocessing.size, plan.augmentation
    maps = output_to_input(movement, size, plan.preprocessing.relative_spacing)
    images, masks = [], []
    for each, seen in zip(drawn, maps, strict=True):
        case, centre = each.case, _centre(each, size, generator)
        # from the volume's centre to the patch's, x before y before z as maps have it
        away = [
            at - side // 2 + (side - 1) / 2 - (length - 1) / 2
            for at, side, length in zip(centre, size, case.mask.shape, strict=True)
        ]
        there = seen.clone()
        there[:, -1] += torch.tensor(away[::-1])
        image, labels = warp_part(case.pixels, case.mask, there, size, settings, device=device)
        images.append(image)
        masks.append(labels)
    return _normalized([each.case for each in drawn], images, device), torch.stack(masks)


def _patches(
    drawn: Sequence[Drawn],
    movement: Movement,
    plan: Plan,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Cut-outs with room around them for the movement, then moved and trimmed to the patch."""
    size = (plan.preprocessing.size[-2], plan.preprocessing.size[-1])
    room = _room(size, plan.augmentation)
    cuts = [_cut(each.case, _centre(each, size, generator), room, plan.augmentation) for each in drawn]
    images = _normalized([each.case for each in drawn], [pixels for pixels, _ in cuts], device)
    masks = to_device(torch.stack([mask for _, mask in cuts]), device)
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


def _centre(drawn: Drawn, size: tuple[int, ...], generator: torch.Generator) -> tuple[int, ...]:
    """Where a patch is cut: about a pixel of a label, or anywhere, inside the image where it fits."""
    case = drawn.case
    shape = tuple(case.mask.shape)
    wish, *draws = torch.rand(1 + len(shape), generator=generator, dtype=torch.float64).tolist()
    if wish < drawn.foreground_share and case.places:
        at_label = int(draws[0] * len(case.places)) if drawn.label is None else case.labels.index(drawn.label)
        places = case.places[at_label]
        at = int(places[int(draws[1] * len(places))])
        centre = [int(each) for each in np.unravel_index(at, shape)]
    else:
        centre = [int(draw * length) for draw, length in zip(draws, shape, strict=True)]
    return tuple(
        _clamp(each, side // 2, length - (side + 1) // 2, length)
        for each, side, length in zip(centre, size, shape, strict=True)
    )


def _clamp(value: int, low: int, high: int, length: int) -> int:
    return length // 2 if high < low else min(max(value, low), high)


def _cut(
    case: CachedCase, centre: tuple[int, ...], room: tuple[int, int], settings: AugmentationSettings
) -> tuple[Tensor, Tensor]:
    """`room` pixels about the centre, beyond the edge what `fill` says, in image and mask."""
    starts = [at - side // 2 for at, side in zip(centre, room, strict=True)]
    pixels, mask = case.pixels, case.mask
    for axis, start, side in zip((-2, -1), starts, room, strict=True):
        pixels, mask = (part_of(each, axis, start, side, settings.fill) for each in (pixels, mask))
    return pixels, mask


def part_of(
    values: Tensor, axis: int, start: int, side: int, fill: Literal["nearest", "reflect"] = "nearest"
) -> Tensor:
    """A part of one axis; beyond the edge the edge is repeated, or the values are mirrored in it.

    Args:
        values: Of any shape.
        axis: Of it.
        start: Where the part begins, also below 0 or beyond the end.
        side: Its length, at least 1.
        fill: As of `AugmentationSettings`.

    Returns:
        A view where nothing of it lies beyond the edge.
    """
    length = values.shape[axis]
    if fill == "reflect" and (start < 0 or start + side > length):
        places = inside_of(torch.arange(start, start + side, device=values.device), length, fill)
        return values.index_select(axis, places)
    first, last = max(0, min(start, length - 1)), max(0, min(start + side, length) - 1)
    inside = values.narrow(axis, first, last - first + 1)
    before = max(0, min(-start, side - 1))
    after = side - before - inside.shape[axis]
    if not before and not after:
        return inside

    def edge(at: int, count: int) -> list[Tensor]:
        sizes = [-1] * values.ndim
        sizes[axis] = count
        return [values.narrow(axis, at, 1).expand(sizes)] if count else []

    return torch.cat([*edge(first, before), inside, *edge(last, after)], dim=axis)
