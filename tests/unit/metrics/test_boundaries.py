"""Boundaries: which pixels they are, and distances that are those of a distance transform."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from delineate.metrics.boundaries import boundaries, boundary, bounding_box, joined
from delineate.metrics.overlap import BoolArray

VOLUMES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def test_pixels_on_both_boundaries_are_found_once() -> None:
    # RRR.    the middle column is boundary of both, the left of the reference alone, the right of the
    # .PPP    prediction alone; in a row of one pixel's height everything is boundary
    reference, prediction = np.array([[1, 1, 1, 0]], bool), np.array([[0, 1, 1, 1]], bool)
    found = boundaries(reference, prediction)
    assert found.shared.tolist() == [[0, 1], [0, 2]]
    assert found.reference_alone.tolist() == [[0, 0]]
    assert found.prediction_alone.tolist() == [[0, 3]]
    assert found.to_prediction((1.0, 2.5)).tolist() == [0.0, 0.0, 2.5]


def test_distances_follow_the_spacing_without_finding_boundaries_anew() -> None:
    # one voxel each, (1, 2, 2) apart
    reference, prediction = np.zeros((2, 3, 4, 5), bool)
    reference[0, 1, 1] = prediction[1, 3, 3] = True
    found = boundaries(reference, prediction)
    assert found.to_reference((1.0, 1.0, 1.0)).tolist() == [3.0]
    assert found.to_reference((7.0, 2.0, 2.0)).tolist() == [9.0]


@pytest.mark.parametrize("empty", [(True, False), (False, True), (True, True)])
def test_empty_masks_have_no_boundary(empty: tuple[bool, bool]) -> None:
    found = boundaries(*(np.full((2, 3), not each) for each in empty))
    assert (found.reference_empty, found.prediction_empty) == empty
    assert len(found.shared) + len(found.reference_alone) + len(found.prediction_alone) == 0
    assert found.size == (2, 3)


@given(VOLUMES, st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 5.0])] * 3))
def test_distances_are_those_of_a_distance_transform(
    pair: tuple[BoolArray, BoolArray], spacing: tuple[float, float, float]
) -> None:
    reference, prediction = pair
    found = boundaries(reference, prediction)
    if found.reference_empty or found.prediction_empty:
        return
    one, other = boundary(reference), boundary(prediction)
    expected = ndimage.distance_transform_edt(~other, sampling=spacing)[one]
    assert np.sort(found.to_prediction(spacing)) == pytest.approx(np.sort(expected), rel=1e-12)


@given(VOLUMES)
def test_boundary_is_the_mask_less_its_erosion(pair: tuple[BoolArray, BoolArray]) -> None:
    mask = pair[0]
    assert np.array_equal(boundary(mask), mask & ~ndimage.binary_erosion(mask))


@given(VOLUMES)
def test_the_box_holds_the_mask_and_no_smaller_one_does(pair: tuple[BoolArray, BoolArray]) -> None:
    mask = pair[0]
    box = bounding_box(mask)
    if box is None:
        assert not mask.any()
        return
    assert np.count_nonzero(mask[box]) == np.count_nonzero(mask)
    for axis in range(mask.ndim):
        sides = np.moveaxis(mask[box], axis, 0)
        assert sides[0].any()
        assert sides[-1].any()


def test_joined_boxes() -> None:
    assert joined((slice(2, 4), slice(1, 9)), (slice(3, 7), slice(2, 3))) == (slice(2, 7), slice(1, 9))
