"""Smooth closed outlines whose inside can be asked for at any point.

Lengths are in units: one unit is the shorter side of the image, the origin is its centre, x points right
and y down. Each outline gives a level, positive inside, zero on the outline and close to the distance from
it nearby; masks and pictures are both made from that one level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


def pixel_centres(size: tuple[int, int]) -> tuple[Field, Field]:
    """Where pixel centres lie, in units.

    Args:
        size: `(H, W)`.

    Returns:
        y as `(H, 1)` and x as `(1, W)`, to be broadcast.
    """
    unit = min(size)
    y = (np.arange(size[0], dtype=np.float32) + 0.5 - size[0] / 2) / unit
    x = (np.arange(size[1], dtype=np.float32) + 0.5 - size[1] / 2) / unit
    return y[:, None].astype(np.float32), x[None, :].astype(np.float32)


@dataclass(frozen=True)
class Outline:
    """An ellipse whose radius swings with the angle t.

    The radius is `1 + Σ aₖ cos(k t + pₖ)` times the ellipse's, summed over k = 2, 3, …

    Attributes:
        y: Centre, in units.
        x: Centre, in units.
        radius_y: Half axis along the height before turning, in units.
        radius_x: Half axis along the width before turning, in units.
        turn: Rotation, in radians, from x towards y.
        swings: aₖ, share of the radius, for k = 2, 3, …; their absolute sum stays below 1.
        phases: pₖ, in radians, as many as `swings`.
    """

    y: float
    x: float
    radius_y: float
    radius_x: float
    turn: float = 0.0
    swings: tuple[float, ...] = ()
    phases: tuple[float, ...] = ()

    def level(self, y: Field, x: Field) -> Field:
        """How far inside points are, in units: positive inside, negative outside, about the distance.

        Args:
            y: Points, in units.
            x: Points, in units, broadcastable with `y`.

        Returns:
            float32, in the broadcast shape.
        """
        cos, sin = float(np.cos(self.turn)), float(np.sin(self.turn))
        dy, dx = y - self.y, x - self.x
        u = (dx * cos + dy * sin) / self.radius_x
        v = (dy * cos - dx * sin) / self.radius_y
        reach = np.ones_like(u)
        if self.swings:
            angle = np.arctan2(v, u)
            for k, (swing, phase) in enumerate(zip(self.swings, self.phases, strict=True), start=2):
                reach += np.float32(swing) * np.cos(k * angle + np.float32(phase))
        distance = np.hypot(u, v)
        # one step along the direction to the centre turns the share of the radius into a length
        along = np.hypot(u * self.radius_x, v * self.radius_y) / np.maximum(distance, 1e-6)
        along = np.maximum(along, min(self.radius_x, self.radius_y))
        return np.asarray((reach - distance) * along, dtype=np.float32)

    def near(self, y: Field, x: Field, margin: float) -> tuple[slice, slice]:
        """The rows and columns of a grid that hold the outline and a margin about it.

        Args:
            y: `(H, 1)` rising, in units.
            x: `(1, W)` rising, in units.
            margin: In units.

        Returns:
            Slices along H and W, perhaps empty.
        """
        reach = (1 + sum(map(abs, self.swings))) * max(self.radius_y, self.radius_x) + margin
        rows = np.searchsorted(y[:, 0], (self.y - reach, self.y + reach))
        columns = np.searchsorted(x[0], (self.x - reach, self.x + reach))
        return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))

    def level_near(self, y: Field, x: Field, margin: float) -> Field:
        """As `level` on the whole `(H, W)` grid, but −`margin` far away, where nothing is computed."""
        level = np.full((y.shape[0], x.shape[1]), -margin, np.float32)
        rows, columns = self.near(y, x, margin)
        level[rows, columns] = np.maximum(self.level(y[rows], x[:, columns]), -margin)
        return level


def draw_outline(
    random: np.random.Generator,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    turn: float = 0.0,
    irregularity: float = 0.0,
    orders: int = 5,
) -> Outline:
    """An outline with random swings that fall off with their order, so that it stays smooth.

    Args:
        random: Source of all chance.
        centre: `(y, x)`, in units.
        radii: `(radius_y, radius_x)`, in units.
        turn: Rotation, in radians.
        irregularity: Standard deviation of the first swing, share of the radius.
        orders: How many swings.

    Returns:
        The outline; its swings together are at most 0.6 of the radius.
    """
    swings = irregularity * random.standard_normal(orders) / np.arange(1, orders + 1)
    swings *= min(1.0, 0.6 / max(float(np.abs(swings).sum()), 1e-9))
    phases = random.uniform(0, 2 * np.pi, orders)
    return Outline(
        y=float(centre[0]),
        x=float(centre[1]),
        radius_y=float(radii[0]),  # NumPy scalars would make the levels float64
        radius_x=float(radii[1]),
        turn=float(turn),
        swings=tuple(map(float, swings)),
        phases=tuple(map(float, phases)),
    )


def coverage(level: Field, edge: float) -> Field:
    """Share of each pixel that is inside: a ramp about the outline, exactly one half on it.

    Args:
        level: From `Outline.level`, in units.
        edge: Width of the ramp, in units; one pixel is `1 / min(H, W)`.

    Returns:
        float32, 0…1.
    """
    return np.asarray(np.clip(level / np.float32(edge) + np.float32(0.5), 0, 1), dtype=np.float32)
