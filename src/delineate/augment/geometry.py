"""Moving images and masks together: one affine map an image, applied to a whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from delineate.augment.settings import AugmentationSettings


@dataclass(frozen=True)
class Movement:
    """What is done to each of N images, about the image's centre; every field is `(N,)` float32.

    Attributes:
        rotation_degrees: Counter-clockwise as seen.
        shift_rows: Downwards, as a share of the height.
        shift_columns: To the right, as a share of the width.
        shear_degrees: Angle by which vertical lines lean.
        zoom_rows: Magnification along the height; negative mirrors top and bottom.
        zoom_columns: Magnification along the width; negative mirrors left and right.
    """

    rotation_degrees: Tensor
    shift_rows: Tensor
    shift_columns: Tensor
    shear_degrees: Tensor
    zoom_rows: Tensor
    zoom_columns: Tensor

    def is_identity(self) -> Tensor:
        """Which images stay as they are: `(N,)` bool."""
        still = torch.stack(
            [self.rotation_degrees, self.shift_rows, self.shift_columns, self.shear_degrees]
        ).eq(0)
        return still.all(0) & (self.zoom_rows == 1) & (self.zoom_columns == 1)


def draw_movement(settings: AugmentationSettings, count: int, generator: torch.Generator) -> Movement:
    """Draw the movements of a batch.

    Args:
        settings: The ranges.
        count: Number of images N.
        generator: On the CPU, so that a seed gives the same movements on every device.

    Returns:
        N movements.
    """

    def even(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=generator)

    def mirror(wanted: bool) -> Tensor:
        coin = torch.randint(0, 2, (count,), generator=generator)
        return torch.where(coin.bool() & torch.tensor(wanted), -1.0, 1.0)

    moved = torch.ones(count)
    if settings.geometry_probability < 1:
        moved = (torch.rand(count, generator=generator) < settings.geometry_probability).float()
    zoom = (moved * even(math.log(settings.zoom[0]), math.log(settings.zoom[1]))).exp()
    stretch = (1 + moved * even(-settings.stretch, settings.stretch)).sqrt()
    return Movement(
        rotation_degrees=moved * even(-settings.rotation_degrees, settings.rotation_degrees),
        shift_rows=moved * even(-settings.shift, settings.shift),
        shift_columns=moved * even(-settings.shift, settings.shift),
        shear_degrees=moved * even(-settings.shear_degrees, settings.shear_degrees),
        zoom_rows=zoom * stretch * mirror(settings.flip_vertical),
        zoom_columns=zoom / stretch * mirror(settings.flip_horizontal),
    )


def output_to_input(movement: Movement, size: tuple[int, int]) -> Tensor:
    """The maps from output pixels to the input pixels they show, both measured from the image's centre.

    Args:
        movement: N movements.
        size: `(H, W)` of the image, for the shifts.

    Returns:
        `(N, 2, 3)` float32: on `(x, y, 1)` in pixels, x to the right and y downwards.
    """
    angle, lean = movement.rotation_degrees.deg2rad(), movement.shear_degrees.deg2rad()
    cos, sin = angle.cos(), angle.sin()
    # input to output: zoom, then shear, then rotate, then shift
    scale_x, scale_y, slope = movement.zoom_columns, movement.zoom_rows, lean.tan()
    forward = torch.stack(
        [
            torch.stack([cos * scale_x, (cos * slope + sin) * scale_y], -1),
            torch.stack([-sin * scale_x, (cos - sin * slope) * scale_y], -1),
        ],
        -2,
    )
    inverse = torch.linalg.inv(forward)
    shift = torch.stack([movement.shift_columns * size[1], movement.shift_rows * size[0]], -1)
    return torch.cat([inverse, -inverse @ shift[..., None]], -1)


def warp(
    images: Tensor, masks: Tensor, maps: Tensor, size: tuple[int, int], settings: AugmentationSettings
) -> tuple[Tensor, Tensor]:
    """Show each image and its mask through its map.

    Args:
        images: `(N, C, H, W)` float32; read bilinearly.
        masks: `(N, H, W)` uint8; read at the nearest pixel.
        maps: `(N, 2, 3)` from `output_to_input`.
        size: `(height, width)` of the outputs, cut about the centre.
        settings: Only `fill` is read.

    Returns:
        Images `(N, C, height, width)` and masks `(N, height, width)`.
    """
    grid = _sampling_grid(maps.to(images.device), size, (images.shape[-2], images.shape[-1]))
    padding = "border" if settings.fill == "nearest" else "reflection"
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    # the mask's nearest pixel by rounding: exact for every label, and cheaper than a second grid_sample
    height, width = masks.shape[-2:]
    column = _inside(((grid[..., 0] + 1) * (width / 2) - 0.5).round_().long(), width, settings.fill)
    row = _inside(((grid[..., 1] + 1) * (height / 2) - 0.5).round_().long(), height, settings.fill)
    labels = masks.flatten(1).gather(1, (row * width + column).flatten(1)).view(-1, *size)
    return moved, labels


def _inside(position: Tensor, length: int, fill: str) -> Tensor:
    """Positions beyond the edge brought inside: the edge's own, or mirrored in it."""
    if fill == "nearest":
        return position.clamp_(0, length - 1)
    folded = position.remainder(2 * length)
    return torch.minimum(folded, 2 * length - 1 - folded)


def move(
    images: Tensor, masks: Tensor, movement: Movement, settings: AugmentationSettings
) -> tuple[Tensor, Tensor]:
    """Move images and their masks alike; an identity leaves every value exactly as it was.

    Args:
        images: `(N, C, H, W)` float32.
        masks: `(N, H, W)` uint8.
        movement: N movements.
        settings: Only `fill` is read.

    Returns:
        Images and masks of the same shapes.
    """
    still = movement.is_identity().to(images.device)
    if bool(still.all()):
        return images, masks
    size = (images.shape[-2], images.shape[-1])
    moved, labels = warp(images, masks, output_to_input(movement, size), size, settings)
    return (
        torch.where(still[:, None, None, None], images, moved),
        torch.where(still[:, None, None], masks, labels),
    )


def _sampling_grid(maps: Tensor, size: tuple[int, int], source: tuple[int, int]) -> Tensor:
    """`(N, height, width, 2)` coordinates for `grid_sample`, without its rounding of the corners."""
    y = torch.arange(size[0], device=maps.device, dtype=torch.float32) - (size[0] - 1) / 2
    x = torch.arange(size[1], device=maps.device, dtype=torch.float32) - (size[1] - 1) / 2
    to_unit = torch.tensor([2 / source[1], 2 / source[0]], device=maps.device)
    along_x = maps[:, None, None, :, 0] * x[None, None, :, None]
    along_y = maps[:, None, None, :, 1] * y[None, :, None, None]
    return (along_x + along_y + maps[:, None, None, :, 2]) * to_unit
