"""Parallel planes with gaps between them, found their places on one grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from delineate.formats.dicom_file import number, numbers
from delineate.formats.dicom_planes import vector_of
from delineate.geometry import Geometry

Positions = npt.NDArray[np.float64]
SAME_PLANE = 0.01  # of a pixel: planes nearer to each other are one
SHIFT_WITHIN_PLANE = 0.1  # of a pixel
UNEVEN_GAP = 0.05  # of the spacing: what rounded numbers do to one gap
UNEVEN = 0.25  # of the spacing: how far a plane may lie from its place on the grid, gaps adding up
MOST_PARTS = 4  # of the smallest gap, in search of a spacing that fits all: with more anything would


@dataclass(frozen=True)
class PlaneMeasures:
    """What planes have in common.

    Attributes:
        orientation: Image Orientation (Patient): where columns rise, then where rows rise.
        pixel_spacing_mm: Between rows, between columns.
        between_slices_mm: As the file says; None where it does not.
        thickness_mm: As the file says; None where it does not.
    """

    orientation: tuple[float, ...]
    pixel_spacing_mm: tuple[float, float]
    between_slices_mm: float | None = None
    thickness_mm: float | None = None

    def fits(self, other: PlaneMeasures) -> bool:
        """Whether planes of both may lie on one grid."""
        return np.allclose(self.orientation, other.orientation, rtol=0, atol=1e-4) and np.allclose(
            self.pixel_spacing_mm, other.pixel_spacing_mm, rtol=1e-4
        )


@dataclass(frozen=True)
class Stack:
    """Planes on one grid, of which some may be left out.

    Attributes:
        geometry: The grid's, its first axis along the planes' normal.
        depth: How many planes it has from the first to the last.
        slices: For each plane its index on the first axis.
    """

    geometry: Geometry
    depth: int
    slices: tuple[int, ...]


def measures_of(plane: Dataset | None, pixels: Dataset | None) -> PlaneMeasures | None:
    """The measures of a frame.

    Args:
        plane: Holds Image Orientation (Patient).
        pixels: Holds Pixel Spacing.

    Returns:
        None where either is missing.
    """
    orientation = plane and numbers(plane, "ImageOrientationPatient", 6)
    spacing = pixels and numbers(pixels, "PixelSpacing", 2)
    if not orientation or not spacing or pixels is None:
        return None
    between, thickness = number(pixels, "SpacingBetweenSlices"), number(pixels, "SliceThickness")
    return PlaneMeasures(orientation, (spacing[0], spacing[1]), between, thickness)


def stack(positions: Positions, measures: PlaneMeasures) -> Stack:
    """Find the grid on which planes lie.

    The distance of its slices is the one that the file states, if all planes fit it; else that of neighbours,
    where most planes have one; else the thickness of a slice, if all planes fit it; else the greatest that
    they all fit. A single plane takes what the file states, or 1 mm.

    Args:
        positions: `(n, 3)` centre of each plane's first pixel, in patient coordinates (LPS), millimetres.
        measures: Of them all.

    Raises:
        ValueError: They are on no grid; the reason is in words that stand after a colon.
    """
    column_rises, row_rises = _unit(measures.orientation[:3]), _unit(measures.orientation[3:])
    if abs(float(column_rises @ row_rises)) > 0.01:
        raise ValueError("rows and columns of its planes are not at right angles")
    if not (np.isfinite(positions).all() and min(measures.pixel_spacing_mm) > 0):
        raise ValueError("its planes have no place or pixel spacing that makes sense")
    normal = _unit(np.cross(column_rises, row_rises))
    along = (positions - positions[0]) @ normal
    aside = np.linalg.norm(positions - positions[0] - along[:, None] * normal, axis=1)
    pixel = min(measures.pixel_spacing_mm)
    if aside.max() > max(SHIFT_WITHIN_PLANE * pixel, 2e-3):
        raise ValueError(
            f"its planes are shifted against each other by up to {aside.max():.3g} mm within the plane, "
            f"as from a tilted gantry, and such are not read"
        )
    order = np.argsort(along, kind="stable")
    new_level = np.diff(along[order], prepend=-np.inf) > max(SAME_PLANE * pixel, 1e-3)
    level = np.empty(len(order), dtype=np.intp)
    level[order] = np.cumsum(new_level) - 1
    levels = along[order][new_level]
    spacing, steps = _spacing_and_steps(np.diff(levels), measures)
    geometry = Geometry(
        (spacing, *measures.pixel_spacing_mm),
        vector_of(positions[order[0]]),
        (vector_of(normal), vector_of(row_rises), vector_of(column_rises)),
    )
    return Stack(geometry, int(steps[-1]) + 1, tuple(int(each) for each in steps[level]))


def _spacing_and_steps(gaps: Positions, measures: PlaneMeasures) -> tuple[float, npt.NDArray[np.intp]]:
    """The slices' distance and the index of each level, the first's being 0."""
    if not gaps.size:
        stated = (measures.between_slices_mm, measures.thickness_mm)
        return next((abs(each) for each in stated if each), 1.0), np.zeros(1, dtype=np.intp)
    for candidate in _candidates(gaps, measures):
        ratio = gaps / candidate
        steps = np.rint(ratio)
        if steps.min() < 1 or np.abs(ratio - steps).max() > UNEVEN_GAP:
            continue
        index = np.concatenate([[0], np.cumsum(steps)])
        spacing = float(gaps.sum() / index[-1])
        places = np.concatenate([[0], np.cumsum(gaps)])
        if np.abs(places / spacing - index).max() <= UNEVEN:
            return float(f"{spacing:.9g}"), index.astype(np.intp)
    raise ValueError(
        f"its planes are not evenly spaced: "
        f"gaps of {gaps.min():.4g} to {gaps.max():.4g} mm fit no one distance"
    )


def _candidates(gaps: Positions, measures: PlaneMeasures) -> Iterator[float]:
    if measures.between_slices_mm:
        yield abs(measures.between_slices_mm)
    smallest = float(gaps.min())
    if gaps.size > 1 and 2 * np.count_nonzero(gaps < (1 + UNEVEN_GAP) * smallest) >= gaps.size:
        yield smallest
    if measures.thickness_mm:
        yield abs(measures.thickness_mm)
    for parts in range(1, MOST_PARTS + 1):
        yield smallest / parts


def _unit(values: npt.ArrayLike) -> Positions:
    vector = np.asarray(values, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if vector.shape != (3,) or not 0.9 < length < 1.1:
        raise ValueError("the orientation of its planes makes no sense")
    return vector / length
