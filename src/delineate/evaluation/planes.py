"""The three planes of a volume that are worth looking at, turned as radiologists look at them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from delineate.evaluation.display import Pixels, for_display, volume_window
from delineate.geometry import Geometry, Turn, turn_to
from delineate.image import BACKGROUND, IGNORED, Image, Mask

Array = npt.NDArray[np.generic]
Values = npt.NDArray[np.uint8]

# rows from head to foot and front to back, columns from the patient's right to left: so the patient's left
# is on the viewer's right
RADIOLOGICAL = "IPL"
NAMES = ("axial", "coronal", "sagittal")
COORDINATES = ((2, "S", "I"), (1, "P", "A"), (0, "L", "R"))  # across each: which of x, y, z, and its senses
OBLIQUE_DEGREES = 3.0  # less looks straight


@dataclass(frozen=True)
class Edges:
    """Where the edges of a plane lie in the patient: R, L, A, P, S or I."""

    left: str
    right: str
    top: str
    bottom: str


AS_STORED = Turn((0, 1, 2), (False, False, False))
EDGES = (Edges("R", "L", "A", "P"), Edges("R", "L", "S", "I"), Edges("A", "P", "S", "I"))


@dataclass(frozen=True)
class Plane:
    """A slice through a volume.

    Attributes:
        title: Which it is, and where: "axial · slice 12 of 35 · S 45.2 mm".
        remark: Why it is this one.
        pixels: `(H, W, 3)` for the eye.
        reference: `(H, W)`, or None.
        prediction: `(H, W)`.
        spacing: Between the centres of rows and of columns, in millimetres or pixels.
        edges: None where nobody says how the volume lies in the patient.
        window: What is shown as black and white.
    """

    title: str
    remark: str
    pixels: Pixels
    reference: Values | None
    prediction: Values
    spacing: tuple[float, float]
    edges: Edges | None
    window: str


def planes_of(image: Image, reference: Mask | None, prediction: Mask) -> tuple[Plane, Plane, Plane]:
    """Through a volume one plane a direction, where most is wrong.

    That is the slice with the most wrong voxels (false positive, false negative, or of another label); where
    none is wrong or there is no reference, the slice with the most labelled voxels. Of slices with as many,
    the middle one.

    Args:
        image: `(C, D, H, W)`.
        reference: The expert's mask on the image's grid, or None.
        prediction: Ours on the same grid.

    Returns:
        Axial, coronal and sagittal as radiologists look at them, the patient's left on the viewer's right;
        where the geometry has no directions, the planes across the three axes as they are stored.
    """
    geometry = image.geometry
    known = geometry.directions is not None
    turn = turn_to(geometry, RADIOLOGICAL) if known else AS_STORED
    turned = turn.geometry(geometry, image.size)
    pixels, predicted = turn.apply(image.pixels), turn.apply(prediction.values)
    expected = None if reference is None else turn.apply(reference.values)
    window = volume_window(image)
    spacing = turned.spacing_mm or (1.0, 1.0, 1.0)
    found = []
    for axis, (index, remark) in enumerate(_chosen(expected, predicted)):
        rows, columns = (other for other in range(3) if other != axis)
        at = tuple(index if each == axis else slice(None) for each in range(3))
        found.append(
            Plane(
                _title(turn, turned, predicted.shape, axis, index),
                remark,
                for_display(pixels[(slice(None), *at)], window),
                None if expected is None else expected[at].astype(np.uint8, copy=False),
                predicted[at].astype(np.uint8, copy=False),
                (spacing[rows], spacing[columns]),
                EDGES[axis] if known else None,
                window.words,
            )
        )
    first, second, third = found
    return first, second, third


def _chosen(reference: Array | None, prediction: Array) -> list[tuple[int, str]]:
    """For each axis the slice to be shown and why."""
    marked, of_what = prediction != BACKGROUND, "most predicted voxels"
    if reference is not None:
        wrong = (reference != prediction) & (reference != IGNORED)
        if wrong.any():
            counts = [_counts(wrong, axis) for axis in range(3)]
            return [(_most(count), f"the worst slice: {count.max():,} wrong voxels") for count in counts]
        of_what = "no voxel is wrong; most labelled voxels"
    if not marked.any():
        nothing = "nothing is labelled" if reference is not None else "nothing is predicted"
        return [(length // 2, f"{nothing}; the middle slice") for length in prediction.shape]
    return [(_most(_counts(marked, axis)), of_what) for axis in range(3)]


def _most(counts: npt.NDArray[np.intp]) -> int:
    """The slice with the most; of several with as many, the middle one."""
    most = np.flatnonzero(counts == counts.max())
    return int(most[len(most) // 2])


def _counts(mask: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.intp]:
    """How many are set in each slice across an axis."""
    others = tuple(each for each in range(3) if each != axis)
    counts: npt.NDArray[np.intp] = np.count_nonzero(mask, axis=others)
    return counts


def _title(turn: Turn, turned: Geometry, size: tuple[int, ...], axis: int, index: int) -> str:
    """Which plane it is, which slice of the stored array, and where in the patient."""
    stored, length = turn.order[axis], size[axis]
    number = length - index if turn.reversed[axis] else index + 1
    slice_words = f"slice {number} of {length}"
    if turned.directions is None:
        title = f"across axis {stored + 1} · {slice_words}"
        if turned.spacing_mm is None:
            return title
        return f"{title} · {_place_text(index * turned.spacing_mm[axis], turned)} mm from the first"
    along, rising, falling = COORDINATES[axis]
    rows, columns = (turned.directions[other] for other in range(3) if other != axis)
    normal = np.cross(rows, columns)
    tilt = math.degrees(math.acos(min(1.0, abs(float(normal[along])) / float(np.linalg.norm(normal)))))
    oblique = f", {tilt:.0f}° oblique" if tilt >= OBLIQUE_DEGREES else ""
    centre = [(each - 1) / 2 for each in size]
    centre[axis] = index
    position = float((turned.affine()[:3] @ [*centre, 1])[along])
    letter = rising if position >= 0 else falling
    return f"{NAMES[axis]}{oblique} · {slice_words} · {letter} {_place_text(abs(position), turned)} mm"


def _place_text(place_mm: float, turned: Geometry) -> str:
    """A place with one decimal, or more where the voxels are that small."""
    step = min(turned.spacing_mm or (1.0,))
    return f"{place_mm:.{max(1, -math.floor(math.log10(step)))}f}"
