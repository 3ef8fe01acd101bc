"""Growing the blood vessels of a retina, and where they lie on the pixel grid.

Lengths are shares of the radius of the field of view; the origin is its centre, x points right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

STEP = 0.03
TRUNK_RADIUS = 0.0185
TAPER_A_STEP = 0.004
FOVEA_CLEAR = 0.13
MAXIMUM_TIPS = 400


@dataclass(frozen=True)
class Eye:
    """Where the landmarks of a retina lie, `(y, x)` as shares of the radius of the field of view.

    Attributes:
        disc: Centre of the optic disc.
        fovea: Centre of sharpest sight.
        disc_radius: Radius of the disc.
    """

    disc: tuple[float, float]
    fovea: tuple[float, float]
    disc_radius: float

    @property
    def temporal(self) -> float:
        """+1 if the fovea lies right of the disc, else −1."""
        return float(np.sign(self.fovea[1] - self.disc[1]))


@dataclass(frozen=True)
class Segments:
    """Straight, tapering pieces of vessel.

    Attributes:
        start: `(N, 2)` y, x of the ends nearer the disc.
        end: `(N, 2)` y, x of the other ends.
        start_radius: `(N,)` half the calibre at the start.
        end_radius: `(N,)` half the calibre at the end.
        artery: `(N,)` bool; the others are veins.
    """

    start: Vector
    end: Vector
    start_radius: Vector
    end_radius: Vector
    artery: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Tips:
    """The growing ends, one row each; `arc` is 0 for a branch, else the half height of a trunk's arcade."""

    place: Vector
    heading: Vector
    radius: Vector
    until_branch: Vector
    arc: Vector
    bend: Vector
    artery: npt.NDArray[np.bool_]

    def take(self, chosen: npt.NDArray[np.bool_]) -> _Tips:
        return _Tips(**{name: value[chosen] for name, value in vars(self).items()})

    def with_more(self, other: _Tips) -> _Tips:
        mine, theirs = vars(self), vars(other)
        return _Tips(**{name: np.concatenate([mine[name], theirs[name]]) for name in mine})


def divide(radius: Vector, ratio: Vector) -> tuple[Vector, Vector]:
    """Radii of the two branches of a vessel by Murray's law: the cubes of the branches sum to the parent's.

    Args:
        radius: Radius of the parent, any length unit.
        ratio: Radius of the smaller branch over that of the larger, 0…1.

    Returns:
        The larger and the smaller branch's radius.

    Source:
        Murray, "The physiological principle of minimum work", PNAS 12 (1926).
    """
    larger = radius / np.cbrt(1 + ratio**3)
    return larger, larger * ratio


def branch_angles(ratio: Vector) -> tuple[Vector, Vector]:
    """By how much the branches turn away from the parent where the volume of blood is least (Murray).

    Args:
        ratio: Radius of the smaller branch over that of the larger, 0…1.

    Returns:
        Angle of the larger and of the smaller branch, in radians, both positive; they lie on opposite sides.

    Source:
        Murray, "The physiological principle of minimum work applied to the angle of branching of arteries",
        J. Gen. Physiol. 9 (1926).
    """
    cubes = 1 + ratio**3
    larger = (cubes ** (4 / 3) + 1 - ratio**4) / (2 * cubes ** (2 / 3))
    smaller = (cubes ** (4 / 3) + ratio**4 - 1) / (2 * ratio**2 * cubes ** (2 / 3))
    return np.arccos(np.clip(larger, -1, 1)), np.arccos(np.clip(smaller, -1, 1))


def grow(random: np.random.Generator, eye: Eye, thinnest: float) -> Segments:
    """Grow arteries and veins from the disc until they leave the field of view or become too thin.

    Args:
        random: Source of all chance.
        eye: The landmarks.
        thinnest: Radius at which a vessel ends.

    Returns:
        The pieces, those near the disc first.
    """
    tips = _trunks(random, eye)
    pieces: list[Segments] = []
    while len(tips.radius):
        heading = _steer(random, tips, eye)
        step = STEP * np.stack([np.sin(heading), np.cos(heading)], axis=1)
        radius = tips.radius * (1 - TAPER_A_STEP)
        moved = replace(
            tips,
            place=tips.place + step,
            heading=heading,
            radius=radius,
            until_branch=tips.until_branch - STEP,
        )
        pieces.append(Segments(tips.place, moved.place, tips.radius, radius, tips.artery))
        from_fovea = np.hypot(*(moved.place - eye.fovea).T)
        alive = (radius > thinnest) & (np.hypot(*moved.place.T) < 1.05) & (from_fovea > FOVEA_CLEAR)
        tips = _branch(random, moved.take(alive))
        tips = tips.take(tips.radius > thinnest)
    columns = zip(*(vars(piece).values() for piece in pieces), strict=True)
    return Segments(*(np.concatenate(column) for column in columns))


def _trunks(random: np.random.Generator, eye: Eye) -> _Tips:
    """Four pairs of artery and vein: up and down along the arcades, and up and down to the nasal side."""
    up_down = np.repeat([-1.0, 1.0, -1.0, 1.0], 2)
    arcade = np.repeat([True, True, False, False], 2)
    artery = np.tile([True, False], 4)
    count = len(artery)
    lean = np.where(arcade, random.uniform(1.25, 1.6, count), random.uniform(1.9, 2.6, count))
    lean += np.where(artery, -0.1, 0.1)
    heading = np.arctan2(up_down * np.sin(lean), eye.temporal * np.cos(lean))
    place = np.array(eye.disc) + 0.3 * eye.disc_radius * random.standard_normal((count, 2))
    calibre = TRUNK_RADIUS * np.where(arcade, 1.0, 0.68) * np.where(artery, 0.78, 1.0)
    calibre *= np.exp(0.1 * random.standard_normal(count))
    height = random.uniform(0.5, 0.6, count) + np.where(artery, -0.06, 0.05)
    return _Tips(
        place,
        heading,
        calibre,
        until_branch=random.uniform(0.1, 0.3, count),
        arc=np.where(arcade, up_down * height, 0.0),
        bend=np.zeros(count),
        artery=artery,
    )


def _steer(random: np.random.Generator, tips: _Tips, eye: Eye) -> Vector:
    """Where each tip goes next: trunks follow an ellipse about the fovea, branches spread from the disc."""
    away = tips.place - np.array(eye.disc)
    outward = np.arctan2(away[:, 0], away[:, 1])
    y, x = (tips.place - np.array(eye.fovea)).T
    half_height = np.where(tips.arc == 0, 1.0, np.abs(tips.arc))
    half_width = 1.02 * abs(eye.fovea[1] - eye.disc[1])
    v, u = y / half_height, x / half_width
    reach = np.hypot(u, v) + 1e-9
    # along the ellipse away from the disc, and back to it where the tip has strayed
    sense = np.sign(tips.arc) * eye.temporal
    towards_y = -sense * u * half_height + 1.5 * (1 - reach) * v
    towards_x = sense * v * half_width + 1.5 * (1 - reach) * u
    along = np.arctan2(towards_y, towards_x)
    on_arc = (tips.arc != 0) & (x * eye.temporal < 0.45)
    wanted = np.where(on_arc, along, outward)
    pull = np.where(on_arc, 0.22, 0.05)
    turn = np.angle(np.exp(1j * (wanted - tips.heading)))
    return np.asarray(
        tips.heading + pull * turn + 0.06 * np.sin(tips.bend) + 0.05 * random.standard_normal(len(turn))
    )


def _branch(random: np.random.Generator, tips: _Tips) -> _Tips:
    """Split the tips that have gone their way; the larger branch goes on, the smaller leaves to one side."""
    count = len(tips.radius)
    due = (tips.until_branch <= 0) & (count < MAXIMUM_TIPS)
    on_arc = tips.arc != 0
    ratio = np.where(on_arc, random.uniform(0.4, 0.75, count), random.uniform(0.5, 0.95, count))
    larger, smaller = divide(tips.radius, ratio)
    larger_turn, smaller_turn = branch_angles(ratio)
    side = random.choice((-1.0, 1.0), count)
    smaller_turn = np.clip(smaller_turn, 0.4, 1.3)
    again = random.uniform(0.1, 0.34, count) * np.sqrt(tips.radius / TRUNK_RADIUS + 0.25)
    bend = tips.bend + random.uniform(0.1, 0.3, count)
    older = replace(
        tips,
        heading=np.where(due, tips.heading + side * larger_turn * 0.7, tips.heading),
        radius=np.where(due, larger, tips.radius),
        until_branch=np.where(due, again, tips.until_branch),
        bend=bend,
    )
    younger = replace(
        tips,
        heading=tips.heading - side * smaller_turn,
        radius=smaller,
        until_branch=again * random.uniform(0.5, 1.5, count),
        arc=np.zeros(count),
        bend=random.uniform(0, 2 * np.pi, count),
    )
    return older.with_more(younger.take(due))
