"""Surface metrics: distances derived by hand beside their drawings, and what must hold for any pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.metrics.boundaries import boundary
from delineate.metrics.overlap import BoolArray
from delineate.metrics.surface import hausdorff95, normalized_surface_dice, surface_distances

PAIRS = st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def box(shape: tuple[int, ...], *spans: tuple[int, int]) -> BoolArray:
    """A mask that is set within the spans."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*span) for span in spans)] = True
    return mask


def test_boundary_of_a_ring_has_an_outer_and_an_inner_part() -> None:
    # .......        .......
    # .#####.        .#####.   the corners round the hole have all four neighbours in the mask
    # .#####.        .#.#.#.
    # .##.##.   ->   .##.##.
    # .#####.        .#.#.#.
    # .#####.        .#####.
    # .......        .......
    ring = box((7, 7), (1, 6), (1, 6))
    ring[3, 3] = False
    expected = ring.copy()
    expected[[2, 2, 4, 4], [2, 4, 2, 4]] = False
    assert np.array_equal(boundary(ring), expected)


def test_boundary_lies_at_the_image_border_too() -> None:
    full = np.ones((4, 5), bool)
    inner = box((4, 5), (1, 3), (1, 4))
    assert np.array_equal(boundary(full), full & ~inner)


def test_square_shifted_by_one() -> None:
    # R: columns 2–5, P: columns 3–6, rows 2–5 both; a 4 × 4 square has 12 boundary pixels
    #
    #   col 2 3 4 5 6
    #       R B B B P      B: boundary of both (the top row; the bottom row likewise)
    #       R P . R P      R: of the reference alone
    #       R P . R P      P: of the prediction alone
    #       R B B B P
    # R to P: the 6 shared are 0; the 4 of column 2 and the 2 inner of column 5 are 1 -> [0]*6 + [1]*6
    reference, prediction = box((9, 9), (2, 6), (2, 6)), box((9, 9), (2, 6), (3, 7))
    distances = surface_distances(reference, prediction)
    assert sorted(distances.reference_to_prediction) == [0.0] * 6 + [1.0] * 6
    assert sorted(distances.prediction_to_reference) == [0.0] * 6 + [1.0] * 6
    assert distances.hausdorff95 == 1.0
    assert distances.normalized_surface_dice(1.0) == 1.0
    assert distances.normalized_surface_dice(0.5) == 12 / 24


def test_cube_shifted_by_one_along_the_coarse_axis() -> None:
    # seen from the side, planes of 3 × 3 voxels, 5 mm apart; a 3³ cube's boundary is all but its centre voxel
    #
    #   plane 1   R R R        R to P: 9 voxels lie 5 mm from plane 2, which is P's face
    #   plane 2   B . B        the ring of 8 is boundary of both: 0 (R's centre voxel is no boundary)
    #   plane 3   B r B        the ring of 8 likewise; r is P's centre voxel, no boundary: 1 mm to the ring
    #   plane 4   P P P
    reference, prediction = (box((7, 7, 7), (a, a + 3), (2, 5), (2, 5)) for a in (1, 2))
    distances = surface_distances(reference, prediction, spacing=(5.0, 1.0, 1.0))
    assert sorted(distances.reference_to_prediction) == [0.0] * 16 + [1.0] + [5.0] * 9
    assert distances.hausdorff95 == 5.0
    assert distances.normalized_surface_dice(1.0) == 34 / 52


def test_two_points_with_anisotropic_spacing() -> None:
    # one pixel each, 3 rows of 2 mm and 4 columns of 0.5 mm apart: √(6² + 2²)
    reference, prediction = box((9, 9), (1, 2), (1, 2)), box((9, 9), (4, 5), (5, 6))
    assert hausdorff95(reference, prediction, spacing=(2.0, 0.5)) == pytest.approx(math.sqrt(40), abs=1e-12)
    assert hausdorff95(reference, prediction) == 5.0


def test_percentile_is_of_each_direction_alone() -> None:
    # R: a line of 101 pixels; P: the same and one pixel 50 rows below its start
    # R to P: all 0. P to R: 101 zeros and one 50, whose 95th percentile is 0.
    reference = box((60, 101), (0, 1), (0, 101))
    prediction = reference | box((60, 101), (50, 51), (0, 1))
    assert hausdorff95(reference, prediction) == 0.0
    # R: that line; P: 10 pixels of it. P to R: all 0. R to P: 0 ×10, then 1, 2, … 91; rank 95 of 0…100 is 86.
    # Pooled with the zeros of P, the percentile would be 85.5: (111 − 1) · 0.95 = 104.5 -> between 85 and 86.
    assert hausdorff95(reference, box((60, 101), (0, 1), (0, 10))) == pytest.approx(86.0)


def test_percentile_is_interpolated() -> None:
    # R: pixels 0 and 8; P: pixel 0. R to P: [0, 8]; the 95th percentile lies at 0.95 of the way
    prediction = box((1, 9), (0, 1), (0, 1))
    reference = prediction | box((1, 9), (0, 1), (8, 9))
    assert hausdorff95(reference, prediction) == pytest.approx(0.95 * 8)


def test_a_missed_hole_is_seen() -> None:
    # a 5 × 5 square with a hole in its middle against the same without: the hole's 4 neighbours are boundary
    # of R alone, each 1 from the outer boundary. R to P: 16 zeros and 4 ones; P to R: 16 zeros
    full = box((7, 7), (1, 6), (1, 6))
    ring = full.copy()
    ring[3, 3] = False
    distances = surface_distances(ring, full)
    assert sorted(distances.reference_to_prediction) == [0.0] * 16 + [1.0] * 4
    assert list(distances.prediction_to_reference) == [0.0] * 16
    assert distances.hausdorff95 == 1.0
    assert distances.normalized_surface_dice(0) == 32 / 36


def test_masks_at_the_border_have_their_boundary_there() -> None:
    # R: rows 0–3, P: rows 0–2 of a 10 × 4 image, each over the whole width.
    # Without a boundary at the border R's would be row 3 and P's row 2 alone, with all distances 1.
    # With it, R has 4+2+2+4 = 12 boundary pixels, P 4+2+4 = 10; R to P: row 3 is 1 away, the inner pixels of
    # row 2 lie on P's last row: 0. P to R: row 2's two inner pixels are 1 away from row 3.
    reference, prediction = box((10, 4), (0, 4), (0, 4)), box((10, 4), (0, 3), (0, 4))
    distances = surface_distances(reference, prediction)
    assert sorted(distances.reference_to_prediction) == [0.0] * 8 + [1.0] * 4
    assert sorted(distances.prediction_to_reference) == [0.0] * 8 + [1.0] * 2
    assert distances.normalized_surface_dice(0) == 16 / 22


@pytest.mark.parametrize("spacing", [None, (0.5, 2.0)])
def test_empty_masks(spacing: tuple[float, float] | None) -> None:
    empty, one = np.zeros((6, 8), bool), box((6, 8), (2, 3), (2, 3))
    diagonal = 10.0 if spacing is None else math.hypot(6 * 0.5, 8 * 2.0)
    assert hausdorff95(empty, empty, spacing) is None
    assert normalized_surface_dice(empty, empty, 2.0, spacing) is None
    for reference, prediction in ((empty, one), (one, empty)):
        assert hausdorff95(reference, prediction, spacing) == diagonal
        assert normalized_surface_dice(reference, prediction, 1000.0, spacing) == 0.0


def test_a_distance_equal_to_the_tolerance_but_for_rounding_is_within_it() -> None:
    assert 3 * 0.1 > 0.3
    reference, prediction = box((1, 9), (0, 1), (1, 2)), box((1, 9), (0, 1), (4, 5))
    assert normalized_surface_dice(reference, prediction, 0.3, spacing=(0.1, 0.1)) == 1.0
    assert normalized_surface_dice(reference, prediction, 0.2999, spacing=(0.1, 0.1)) == 0.0


def test_the_rounding_of_a_header_in_single_precision_is_allowed_for_and_no_more() -> None:
    # one pixel each, 5 columns apart; 0.4 mm in a header of NIfTI is 0.4000000059604645
    reference, prediction = box((1, 9), (0, 1), (1, 2)), box((1, 9), (0, 1), (6, 7))
    stored = float(np.float32(0.4))
    assert 5 * stored > 2 * (1 + 1e-8)
    assert normalized_surface_dice(reference, prediction, 2.0, spacing=(stored, stored)) == 1.0
    assert normalized_surface_dice(reference, prediction, 2.0, spacing=(0.400001, 0.400001)) == 0.0


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 0.0), (1.0, -1.0), (1.0, math.nan), (1.0, math.inf)])
def test_wrong_spacings_are_refused(spacing: tuple[float, ...]) -> None:
    one = np.ones((2, 2), bool)
    with pytest.raises(ValueError, match="2 positive spacings"):
        hausdorff95(one, one, spacing)


def test_wrong_shapes_and_tolerances_are_refused() -> None:
    one = np.ones((2, 2), bool)
    with pytest.raises(ValueError, match="must be equal"):
        hausdorff95(one, np.ones((2, 3), bool))
    for tolerance in (-1.0, math.nan):
        with pytest.raises(ValueError, match="tolerance"):
            normalized_surface_dice(one, one, tolerance)


@given(PAIRS, st.floats(0, 5))
def test_what_holds_for_any_pair(pair: tuple[BoolArray, BoolArray], tolerance: float) -> None:
    reference, prediction = pair
    distance = hausdorff95(reference, prediction)
    surface_dice = normalized_surface_dice(reference, prediction, tolerance)
    assert distance == hausdorff95(prediction, reference)
    assert surface_dice == normalized_surface_dice(prediction, reference, tolerance)
    if distance is None or surface_dice is None:
        assert distance is None
        assert surface_dice is None
        assert not (reference | prediction).any()
    else:
        assert 0 <= distance <= math.hypot(*reference.shape)
        assert 0 <= surface_dice <= 1


@given(PAIRS)
def test_a_mask_lies_on_itself(pair: tuple[BoolArray, BoolArray]) -> None:
    mask = pair[0]
    assert hausdorff95(mask, mask) == (0.0 if mask.any() else None)
    assert normalized_surface_dice(mask, mask, 0.0) == (1.0 if mask.any() else None)


@given(PAIRS, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_moving_both_masks_changes_nothing(
    pair: tuple[BoolArray, BoolArray], top: int, bottom: int, left: int, right: int
) -> None:
    # also with borders gained or lost, unless one is empty: then the diagonal grows with the image
    reference, prediction = pair
    if reference.any() != prediction.any():
        return
    moved = [np.pad(mask, ((top, bottom), (left, right))) for mask in pair]
    assert hausdorff95(moved[0], moved[1]) == hausdorff95(reference, prediction)
    assert normalized_surface_dice(moved[0], moved[1], 1.0) == normalized_surface_dice(
        reference, prediction, 1.0
    )


@given(PAIRS, st.floats(0.1, 10))
def test_distances_scale_with_the_spacing(pair: tuple[BoolArray, BoolArray], spacing: float) -> None:
    in_pixels = hausdorff95(*pair)
    in_units = hausdorff95(*pair, spacing=(spacing, spacing))
    assert in_units == (None if in_pixels is None else pytest.approx(in_pixels * spacing))
