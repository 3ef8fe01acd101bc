"""Where pixels lie in the patient, and grids that differ only in the order and sense of their axes.

Patient coordinates are those of DICOM, in millimetres: x to the patient's left, y to the back (posterior),
z to the head (superior), in short LPS.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Vector = tuple[float, float, float]
Array = npt.NDArray[np.generic]
USUAL_ORIENTATION = "SPL"  # slices from the feet to the head, as they are looked at
AXIS_NAMES = ("RL", "AP", "IS")  # of x, y, z: the name of falling and of rising coordinates
SAME_PLACE = 0.05  # of a pixel: grids that differ by less are taken for the same
ROUNDING_MM = 1e-3  # of places in headers; below half a pixel
SAME_SPACING = 1e-3  # relative
SAME_DIRECTION = 1e-3  # of a unit vector


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of an array lie.

    Attributes:
        spacing_mm: Distance between neighbouring pixel centres per spatial axis, `(H, W)` or `(D, H, W)`,
            in millimetres; None where the file does not say, and distances are then in pixels.
        origin_mm: The centre of the first pixel, in patient coordinates; None where the file does not say.
        directions: One unit vector per spatial axis: where its index rises, in patient coordinates; None
            together with `origin_mm`.
        stated: How its file says so; None where no mask need say it in the same way. Not compared.

    Raises:
        ValueError: A number is not finite, a spacing not positive, directions are no unit vectors, lie in one
            plane or are not as many as spacings, or there is an origin without directions or without spacing.
    """

    spacing_mm: tuple[float, ...] | None = None
    origin_mm: Vector | None = None
    directions: tuple[Vector, ...] | None = None
    stated: Stated | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.spacing_mm is not None and not all(0 < each < math.inf for each in self.spacing_mm):
            raise ValueError(f"spacings must be positive: {self.spacing_mm}")
        if (self.origin_mm is None) != (self.directions is None):
            raise ValueError("an origin goes with directions")
        if self.origin_mm is None or self.directions is None:
            return
        if self.spacing_mm is None or len(self.spacing_mm) != len(self.directions):
            raise ValueError("every direction needs a spacing")
        vectors = np.array(self.directions, dtype=np.float64)
        if not (np.isfinite(vectors).all() and np.isfinite(self.origin_mm).all()):
            raise ValueError("origin and directions must be finite")
        if np.abs(np.linalg.norm(vectors, axis=1) - 1).max() > 1e-6:
            raise ValueError(f"directions must be unit vectors: {self.directions}")
        if np.linalg.svd(vectors, compute_uv=False).min() < 1e-3:
            raise ValueError(f"directions must not lie in one plane or line: {self.directions}")

    @classmethod
    def from_affine(cls, affine: npt.NDArray[np.floating]) -> Geometry:
        """The geometry of an array whose index `(k, j, i)` or `(j, i)` lies at `affine @ (k, j, i, 1)`.

        Args:
            affine: `(3, n + 1)` or with more rows, in patient coordinates (LPS), millimetres.

        Raises:
            ValueError: It is not finite, or a column is zero or lies in the plane of the others.
        """
        columns = np.asarray(affine, dtype=np.float64)[:3]
        lengths = np.linalg.norm(columns[:, :-1], axis=0)
        if not np.isfinite(columns).all() or not (lengths > 0).all():
            raise ValueError("the affine has axes without length")
        units = (columns[:, :-1] / lengths).T
        return cls(
            tuple(float(length) for length in lengths),
            _vector(columns[:, -1]),
            tuple(_vector(unit) for unit in units),
        )

    @property
    def axes(self) -> int | None:
        """Number of spatial axes, where the spacing is known."""
        return len(self.spacing_mm) if self.spacing_mm is not None else None

    def affine(self) -> npt.NDArray[np.float64]:
        """`(4, n + 1)`: from an index with a 1 behind it to patient coordinates with a 1 behind them.

        Raises:
            ValueError: The place is not known.
        """
        if self.origin_mm is None or self.directions is None or self.spacing_mm is None:
            raise ValueError("the place in the patient is not known")
        matrix = np.zeros((4, len(self.directions) + 1))
        matrix[:3, :-1] = np.array(self.directions).T * np.array(self.spacing_mm)
        matrix[:3, -1] = self.origin_mm
        matrix[3, -1] = 1
        return matrix

    @property
    def orientation(self) -> str | None:
        """One letter an axis for where its index rises: "SPL" is to the head, to the back, to the left.

        For oblique axes the nearest; None where the directions are not known.
        """
        if self.directions is None:
            return None
        letters = []
        for axis, direction in zip(_nearest_axes(self.directions), self.directions, strict=True):
            letters.append(AXIS_NAMES[axis][int(direction[axis] > 0)])
        return "".join(letters)

    @property
    def unit_mm(self) -> float:
        """The unit of lengths in its file, in millimetres, where that is known; else 1."""
        return 1.0 if self.stated is None else self.stated.unit_mm

    def in_own_unit(self) -> Geometry:
        """With the numbers of its file, in `unit_mm` where the names say millimetres."""
        spacing = self.spacing_mm and tuple(each / self.unit_mm for each in self.spacing_mm)
        origin = None if self.origin_mm is None else _vector(np.array(self.origin_mm) / self.unit_mm)
        return Geometry(spacing, origin, self.directions)

    def moved(self, steps: tuple[int, ...]) -> Geometry:
        """The geometry of the part of the array that begins at the index `steps`."""
        if self.origin_mm is None:
            return self
        return Geometry(self.spacing_mm, _vector(self.affine()[:3] @ [*steps, 1]), self.directions)

    def scaled(self, size: tuple[int, ...], new_size: tuple[int, ...]) -> Geometry:
        """The geometry of the same space cut into other pixels: `new_size` of them instead of `size`."""
        if self.spacing_mm is None:
            return self
        ratio = [old / new for old, new in zip(size, new_size, strict=True)]
        spacing = tuple(s * r for s, r in zip(self.spacing_mm, ratio, strict=True))
        if self.origin_mm is None:
            return Geometry(spacing)
        first = [(r - 1) / 2 for r in ratio]  # the edges stay, so the first centre moves
        return Geometry(spacing, _vector(self.affine()[:3] @ [*first, 1]), self.directions)


def times(lengths: Sequence[float]) -> str:
    """Sides or spacings `(…, H, W)` as people say them, width first: "640 × 480", "0.5 × 0.5 × 3"."""
    return " × ".join(str(each) if isinstance(each, int) else f"{each:.3g}" for each in reversed(lengths))


NOWHERE = Geometry()
"""Pixels of which nothing is known."""


@dataclass(frozen=True)
class Stated:
    """How a file says where its pixels lie, so that a mask can say it in the same way: numbers alone.

    Attributes:
        unit_mm: The unit of its lengths, in millimetres.
        nifti: The fields of a NIfTI header for this, by name: both forms, their codes, spacings and unit;
            of other formats none.
        qform: Where NIfTI's qform puts the pixels, if that is elsewhere than where the geometry has them.
    """

    unit_mm: float = 1.0
    nifti: Mapping[str, Array] = field(default_factory=dict)
    qform: Geometry | None = None


@dataclass(frozen=True)
class Turn:
    """Axes put in another order and reversed, which moves no pixel in the patient.

    Attributes:
        order: For each new axis, which old one it is.
        reversed: For each new axis, whether its index runs the other way.
    """

    order: tuple[int, ...]
    reversed: tuple[bool, ...]

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return self.order == tuple(range(len(self.order))) and not any(self.reversed)

    def apply(self, array: Array) -> Array:
        """A view of `array`, whose last axes are the spatial ones."""
        before = array.ndim - len(self.order)
        turned = array.transpose(*range(before), *(before + axis for axis in self.order))
        return turned[(..., *(slice(None, None, -1) if back else slice(None) for back in self.reversed))]

    def undo(self, array: Array) -> Array:
        """The reverse of `apply`."""
        before = array.ndim - len(self.order)
        array = array[(..., *(slice(None, None, -1) if back else slice(None) for back in self.reversed))]
        return array.transpose(*range(before), *(before + int(axis) for axis in np.argsort(self.order)))

    def size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The size after turning."""
        return tuple(size[axis] for axis in self.order)

    def geometry(self, geometry: Geometry, size: tuple[int, ...]) -> Geometry:
        """The geometry after turning an array of `size`."""
        spacing = geometry.spacing_mm and tuple(geometry.spacing_mm[axis] for axis in self.order)
        if geometry.origin_mm is None or geometry.directions is None:
            return Geometry(spacing)
        corner = [0.0] * len(size)
        directions = []
        for axis, back in zip(self.order, self.reversed, strict=True):
            corner[axis] = size[axis] - 1 if back else 0
            x, y, z = geometry.directions[axis]
            directions.append((-x, -y, -z) if back else (x, y, z))
        return Geometry(spacing, _vector(geometry.affine()[:3] @ [*corner, 1]), tuple(directions))


def turn_to(geometry: Geometry, orientation: str) -> Turn:
    """How a volume is turned so that its axes run, as nearly as may be, as `orientation` says.

    Args:
        geometry: With directions.
        orientation: One letter an axis, such as "SPL".

    Raises:
        ValueError: The directions are not known, or the letters name no three axes.
    """
    if geometry.directions is None:
        raise ValueError("the directions are not known")
    patient_axes = [_patient_axis(letter) for letter in orientation]
    if not is_orientation(orientation):
        raise ValueError(f"{orientation!r} is no orientation such as SPL")
    nearest = _nearest_axes(geometry.directions)
    order = tuple(nearest.index(axis) for axis in patient_axes)
    back = tuple(
        bool(geometry.directions[old][axis] > 0) != (letter in "LPS")
        for old, axis, letter in zip(order, patient_axes, orientation, strict=True)
    )
    return Turn(order, back)


def is_orientation(text: str) -> bool:
    """Whether it names each of the three directions once, such as "SPL"."""
    return len(text) == 3 and all(sum(letter in names for letter in text) == 1 for names in AXIS_NAMES)


def same_grid(first: Geometry, second: Geometry, size: tuple[int, ...]) -> bool:
    """Whether two geometries put every pixel of an array of `size` at the same place.

    What one of them does not know, it does not contradict.
    """
    if first.spacing_mm is None or second.spacing_mm is None:
        return True
    if len(first.spacing_mm) != len(second.spacing_mm):
        return False
    if not np.allclose(first.spacing_mm, second.spacing_mm, rtol=SAME_SPACING, atol=0):
        return False
    if first.origin_mm is None or second.origin_mm is None:
        return True
    finest = min(first.spacing_mm)
    tolerance = max(SAME_PLACE * finest, min(ROUNDING_MM, finest / 2))
    between = first.affine()[:3] - second.affine()[:3]
    corners = np.array(
        [(*corner, 1) for corner in itertools.product(*((0, n - 1) for n in size))], dtype=float
    )
    return bool(np.abs(corners @ between.T).max() <= tolerance)


@dataclass(frozen=True)
class Fit:
    """How one grid becomes part of another without resampling.

    Attributes:
        turn: Of the axes of the first.
        start: Index in the second at which the first then begins.
    """

    turn: Turn
    start: tuple[int, ...]


def fit(geometry: Geometry, size: tuple[int, ...], like: Geometry) -> Fit | None:
    """How an array becomes one on the grid of `like` by turning axes and moving by whole pixels.

    Args:
        geometry: The array's, with directions.
        size: The array's.
        like: The other grid's, with directions.

    Returns:
        None where the pixels of the two do not coincide.
    """
    if (
        geometry.directions is None
        or like.directions is None
        or len(geometry.directions) != len(like.directions)
    ):
        return None
    order, back = [], []
    for wanted in like.directions:
        dots = [float(np.dot(wanted, own)) for own in geometry.directions]
        best = int(np.argmax(np.abs(dots)))
        if np.abs(np.sign(dots[best]) * np.array(geometry.directions[best]) - wanted).max() > SAME_DIRECTION:
            return None
        order.append(best)
        back.append(dots[best] < 0)
    if sorted(order) != list(range(len(order))):
        return None
    turn = Turn(tuple(order), tuple(back))
    turned, turned_size = turn.geometry(geometry, size), turn.size(size)
    index, *_ = np.linalg.lstsq(
        like.affine()[:3, :-1], np.subtract(turned.origin_mm or (), like.origin_mm or ()), rcond=None
    )
    start = tuple(round(float(each)) for each in index)
    if not same_grid(turned, like.moved(start), turned_size):
        return None
    return Fit(turn, start)


def left_right_axis(orientation: str | None) -> int:
    """Which axis of `(D, H, W)` runs from left to right or back; the last where nobody says."""
    if orientation is None:
        return 2
    return next((axis for axis, letter in enumerate(orientation) if letter in "LR"), 2)


def _nearest_axes(directions: tuple[Vector, ...]) -> list[int]:
    """For each direction the patient axis it is nearest to, none twice.

    Where two ways are as near (axes at 45 degrees), the choice does not hang on the order and sense in which
    the axes are stored, so that a volume once turned stays as it is.
    """
    rounded = [[round(part, 6) for part in direction] for direction in directions]
    lines = [max(line, [-part for part in line]) for line in rounded]  # without their sense

    def rank(axes: Iterable[int]) -> tuple[float, list[tuple[int, list[float]]]]:
        nearness = sum(abs(direction[axis]) for axis, direction in zip(axes, directions, strict=True))
        return round(nearness, 6), sorted(zip(axes, lines, strict=True))

    return list(max(itertools.permutations(range(3), len(directions)), key=rank))


def _patient_axis(letter: str) -> int:
    for axis, names in enumerate(AXIS_NAMES):
        if letter in names:
            return axis
    raise ValueError(f"{letter!r} names no direction: use R, L, A, P, I, S")


def _vector(values: npt.ArrayLike) -> Vector:
    x, y, z = (float(value) for value in np.asarray(values))
    return x, y, z
