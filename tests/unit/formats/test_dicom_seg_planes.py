"""Planes found their places on one grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.formats.dicom_seg_planes import PlaneMeasures, Positions, stack

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def heights(*values: float) -> Positions:
    return np.array([(10.0, 20.0, each) for each in values])


@pytest.mark.parametrize(
    ("places", "between", "thickness", "spacing", "slices"),
    [
        ((0, 1, 2), 1.0, None, 1.0, (0, 1, 2)),  # as stated
        ((4, 0, 2), None, None, 2.0, (2, 0, 1)),  # in any order
        ((0, 0, 2, 2), None, None, 2.0, (0, 0, 1, 1)),  # two segments a slice
        ((0, 10), 2.5, None, 2.5, (0, 4)),  # two far slices, the distance stated
        ((0, 10), None, 2.5, 2.5, (0, 4)),  # or the thickness
        ((0, 10), None, None, 10.0, (0, 1)),  # or nothing
        ((0, 10), -2.5, None, 2.5, (0, 4)),  # a sense that some state
        ((0, 10), 3.0, None, 10.0, (0, 1)),  # a stated one that does not fit
        ((0, 2.5, 5), None, 1.25, 2.5, (0, 1, 2)),  # neighbours rather than the thickness
        ((0, 2.5, 5), None, 5.0, 2.5, (0, 1, 2)),
        ((0, 2, 5), None, None, 1.0, (0, 2, 5)),  # the greatest that all fit
        ((0, 3, 8, 10), None, None, 1.0, (0, 3, 8, 10)),
        ((0, 0.667, 1.333, 2.0), None, None, 2 / 3, (0, 1, 2, 3)),  # rounded numbers
        ((5,), 3.0, 2.0, 3.0, (0,)),
        ((5,), None, 2.0, 2.0, (0,)),
        ((5,), None, None, 1.0, (0,)),
    ],
)
def test_places_of_planes(
    places: tuple[float, ...],
    between: float | None,
    thickness: float | None,
    spacing: float,
    slices: tuple[int, ...],
) -> None:
    found = stack(heights(*places), PlaneMeasures(AXIAL, (0.5, 0.75), between, thickness))
    assert found.slices == slices
    assert found.depth == max(slices) + 1
    assert found.geometry.spacing_mm == pytest.approx((spacing, 0.5, 0.75))
    assert found.geometry.origin_mm == (10.0, 20.0, min(places))
    assert found.geometry.directions == ((0, 0, 1), (0, 1, 0), (1, 0, 0))


@pytest.mark.parametrize(
    ("positions", "orientation", "said"),
    [
        (heights(0, 1, 2.37), AXIAL, "not evenly spaced"),
        (np.array([(10.0, 20, 0), (10.3, 20, 1)]), AXIAL, "shifted against each other by up to 0.3 mm"),
        (heights(0, 1), (1.0, 0.0, 0.0, 1.0, 0.0, 0.0), "right angles"),
        (heights(0, 1), (0.0, 0.0, 0.0, 0.0, 1.0, 0.0), "orientation"),
        (heights(0, np.nan), AXIAL, "no place"),
    ],
)
def test_planes_on_no_grid_are_refused(
    positions: Positions, orientation: tuple[float, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        stack(positions, PlaneMeasures(orientation, (0.5, 0.75)))


@given(
    steps=st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True),
    spacing=st.floats(0.3, 10),
    angle=st.floats(-3, 3),
)
def test_stated_spacing_gives_every_plane_its_slice(steps: list[int], spacing: float, angle: float) -> None:
    cosine, sine = np.cos(angle), np.sin(angle)
    row_rises = np.array((cosine, 0, sine))
    normal = np.cross(row_rises, (0, 1, 0))
    positions = np.array([(1.0, 2.0, 3.0) + step * spacing * normal for step in steps])
    found = stack(positions.round(6), PlaneMeasures((*row_rises, 0, 1, 0), (1.0, 1.0), spacing))
    assert found.slices == tuple(step - min(steps) for step in steps)
    affine = found.geometry.affine()
    for position, index in zip(positions, found.slices, strict=True):
        assert affine[:3] @ (index, 0, 0, 1) == pytest.approx(position, abs=1e-4)
