"""How images are moved: one affine map an image, drawn from the settings' ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from delineate.augment.settings import AugmentationSettings


@dataclass(frozen=True)
class DepthMovement:
    """What is done to each of N volumes out of their slices' plane; every field is `(N,)` float32.

    Attributes:
        tilt_rows_degrees: Rotation about the width: what is below the centre comes to later slices.
        tilt_columns_degrees: Rotation about the height: what is right of the centre comes to later slices.
        shift: To later slices, as a share of the depth.
        zoom: Magnification along the depth; negative mirrors first and last.
    """

    tilt_rows_degrees: Tensor
    tilt_columns_degrees: Tensor
    shift: Tensor
    zoom: Tensor


@dataclass(frozen=True)
class Movement:
    """What is done to each of N images, about the image's centre; every tensor is `(N,)` float32.

    Attributes:
        rotation_degrees: Counter-clockwise as seen.
        shift_rows: Downwards, as a share of the height.
        shift_columns: To the right, as a share of the width.
        shear_degrees: Angle by which vertical lines lean.
        zoom_rows: Magnification along the height; negative mirrors top and bottom.
        zoom_columns: Magnification along the width; negative mirrors left and right.
        depth: Of volumes: what is done besides, after all that; None for images.
    """

    rotation_degrees: Tensor
    shift_rows: Tensor
    shift_columns: Tensor
    shear_degrees: Tensor
    zoom_rows: Tensor
    zoom_columns: Tensor
    depth: DepthMovement | None = None

    def is_identity(self) -> Tensor:
        """Which images stay as they are: `(N,)` bool."""
        amounts = [self.rotation_degrees, self.shift_rows, self.shift_columns, self.shear_degrees]
        zooms = [self.zoom_rows, self.zoom_columns]
        if self.depth is not None:
            amounts += [self.depth.tilt_rows_degrees, self.depth.tilt_columns_degrees, self.depth.shift]
            zooms += [self.depth.zoom]
        return torch.stack(amounts).eq(0).all(0) & torch.stack(zooms).eq(1).all(0)

    def is_mirrored(self, axis: int) -> Tensor:
        """Which images are mirrored along an axis of `(H, W)`, or of volumes `(D, H, W)`: `(N,)` bool."""
        zooms = [self.zoom_rows, self.zoom_columns]
        return (zooms if self.depth is None else [self.depth.zoom, *zooms])[axis] < 0


def draw_movement(
    settings: AugmentationSettings, count: int, generator: torch.Generator, axes: int = 2
) -> Movement:
    """Draw the movements of a batch.

    Args:
        settings: The ranges.
        count: Number of images N.
        generator: On the CPU, so that a seed gives the same movements on every device.
        axes: 2 for images; 3 for volumes, whose movement within their slices is the image's of that seed.

    Returns:
        N movements.
    """

    def even(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=generator)

    def moved_by(most: float) -> Tensor:
        return moved * even(-most, most)

    def mirror(wanted: bool) -> Tensor:
        coin = torch.randint(0, 2, (count,), generator=generator)
        return torch.where(coin.bool() & torch.tensor(wanted), -1.0, 1.0)

    moved = torch.ones(count)
    if settings.geometry_probability < 1:
        moved = (torch.rand(count, generator=generator) < settings.geometry_probability).float()
    zoom = (moved * even(math.log(settings.zoom[0]), math.log(settings.zoom[1]))).exp()
    stretch = (1 + moved_by(settings.stretch)).sqrt()
    in_plane = Movement(
        rotation_degrees=moved_by(settings.rotation_degrees),
        shift_rows=moved_by(settings.shift),
        shift_columns=moved_by(settings.shift),
        shear_degrees=moved_by(settings.shear_degrees),
        zoom_rows=zoom * stretch * mirror(settings.flip_vertical),
        zoom_columns=zoom / stretch * mirror(settings.flip_horizontal),
    )
    if axes == 2:
        return in_plane
    depth = DepthMovement(
        tilt_rows_degrees=moved_by(settings.tilt_degrees),
        tilt_columns_degrees=moved_by(settings.tilt_degrees),
        shift=moved_by(settings.shift),
        zoom=zoom * (1 + moved_by(settings.stretch)) * mirror(settings.flip_depth),
    )
    return replace(in_plane, depth=depth)


def output_to_input(
    movement: Movement, size: tuple[int, ...], spacing: tuple[float, ...] | None = None
) -> Tensor:
    """The maps from output pixels to the input pixels they show, both measured from the image's centre.

    Args:
        movement: N movements.
        size: `(H, W)` of images or `(D, H, W)` of volumes, for the shifts.
        spacing: Distances between pixels in the order of `size`, in any unit, so that what turns keeps its
            shape; None where they are alike.

    Returns:
        `(N, 2, 3)` float32: on `(x, y, 1)` in pixels, x to the right and y downwards; of volumes `(N, 3, 4)`
        on `(x, y, z, 1)`, z to later slices.
    """
    forward, shifts = _in_plane(movement), [movement.shift_columns, movement.shift_rows]
    if movement.depth is not None:
        forward = _tilt(movement.depth) @ _with_depth(forward, movement.depth.zoom)
        shifts.append(movement.depth.shift)
    if spacing is not None:
        pitch = torch.tensor(spacing[::-1], dtype=torch.float32)
        forward = forward * (pitch / pitch[:, None])
    inverse = torch.linalg.inv(forward)
    shift = torch.stack([share * side for share, side in zip(shifts, size[::-1], strict=True)], -1)
    return torch.cat([inverse, -inverse @ shift[..., None]], -1)


def _in_plane(movement: Movement) -> Tensor:
    """Input to output, on `(x, y)`: zoom, then shear, then rotate."""
    angle, lean = movement.rotation_degrees.deg2rad(), movement.shear_degrees.deg2rad()
    cos, sin = angle.cos(), angle.sin()
    scale_x, scale_y, slope = movement.zoom_columns, movement.zoom_rows, lean.tan()
    return _matrices(
        [
            [cos * scale_x, (cos * slope + sin) * scale_y],
            [-sin * scale_x, (cos - sin * slope) * scale_y],
        ]
    )


def _with_depth(in_plane: Tensor, zoom: Tensor) -> Tensor:
    """`(N, 2, 2)` on `(x, y)` as `(N, 3, 3)` on `(x, y, z)`, with a magnification of z."""
    forward = in_plane.new_zeros(len(in_plane), 3, 3)
    forward[:, :2, :2], forward[:, 2, 2] = in_plane, zoom
    return forward


def _tilt(depth: DepthMovement) -> Tensor:
    """Rotations on `(x, y, z)`: about x, then about y."""
    rows, columns = depth.tilt_rows_degrees.deg2rad(), depth.tilt_columns_degrees.deg2rad()
    zero, one = torch.zeros_like(rows), torch.ones_like(rows)
    about_x = _matrices([[one, zero, zero], [zero, rows.cos(), -rows.sin()], [zero, rows.sin(), rows.cos()]])
    about_y = _matrices(
        [[columns.cos(), zero, -columns.sin()], [zero, one, zero], [columns.sin(), zero, columns.cos()]]
    )
    return about_y @ about_x


def _matrices(rows: list[list[Tensor]]) -> Tensor:
    """`(N,)` entries as N matrices."""
    return torch.stack([torch.stack(row, -1) for row in rows], -2)
