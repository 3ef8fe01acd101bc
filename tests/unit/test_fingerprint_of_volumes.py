"""The fingerprint of volumes: their axes, spacings, slices and intensities, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.fingerprint import (
    LABELLED_SAMPLED,
    PIXELS_SAMPLED,
    Fingerprint,
    measure,
    slices_to_learn,
)
from delineate.geometry import Geometry
from delineate.image import IGNORED, Image, LabelSet, Mask, oriented, oriented_mask

ONE = LabelSet.of("lesion")
SIDED = LabelSet.of("left lung", "right lung")
SPL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
Values = npt.NDArray[np.generic]


def placed(*spacing_mm: float) -> Geometry:
    return Geometry(tuple(spacing_mm), (0.0, 0.0, 0.0), SPL)


def case(
    pixels: Values, mask: Values | None = None, geometry: Geometry | None = None, **other: Any
) -> tuple[Image, Mask]:
    """A volume of one channel in its own units, and its mask on the same grid."""
    geometry = geometry or Geometry()
    values = np.zeros(pixels.shape, np.uint8) if mask is None else mask.astype(np.uint8)
    image = Image(pixels[None], geometry, **({"shares": False} | other))
    return image, Mask(values, SIDED if values.max(initial=0) == 2 else ONE, geometry)


def of(*cases: tuple[Image, Mask], labels: LabelSet = ONE, orientation: str | None = None) -> Fingerprint:
    return measure(iter(cases), labels, "grey", orientation)


def zeros(*size: int) -> Values:
    return np.zeros(size, np.int16)


def test_volumes_are_measured_as_they_are_turned() -> None:
    # stored with depth to the left, rows to the head, columns to the back
    stored = oriented(Image(zeros(4, 6, 8)[None], placed(5, 0.5, 0.25), shares=False), "LSP")
    assert stored.size == (8, 4, 6)
    mask = Mask(np.zeros((8, 4, 6), np.uint8), ONE, stored.geometry)
    as_stored = of((stored, mask))
    assert (as_stored.axes, as_stored.orientation) == (3, None)
    assert (as_stored.median, as_stored.spacing_mm) == ((8, 4, 6), (0.25, 5.0, 0.5))
    assert as_stored.aspect == (4 / 6, 4 / 6)
    turned = of((stored, mask), orientation="SPL")
    assert turned.orientation == "SPL"
    assert (turned.smallest, turned.median, turned.largest) == ((4, 6, 8),) * 3
    assert turned.spacing_mm == turned.finest_mm == (5.0, 0.5, 0.25)
    assert turned.aspect == (6 / 8, 6 / 8)


@pytest.mark.parametrize("orientation", ["SPL", "LAI", "RIP", "PSR"])
def test_the_same_anatomy_has_the_same_fingerprint(orientation: str) -> None:
    generator = np.random.default_rng(3)
    upright = []
    for _ in range(4):
        mask = np.zeros((12, 14, 16), np.uint8)
        mask[2:9, 3:8, 2:6], mask[2:9, 3:8, 10:14] = 1, 2
        pixels = generator.normal(0, 100, mask.shape).astype(np.int16)
        upright.append(case(pixels, mask, placed(3, 1, 0.7)))
    turned = [(oriented(image, orientation), oriented_mask(mask, orientation)) for image, mask in upright]
    one, other = (of(*cases, labels=SIDED, orientation="SPL") for cases in (upright, turned))
    assert one.model_dump_json() == other.model_dump_json()


def test_spacings_are_medians_and_tenth_percentiles() -> None:
    spacings = [(1.0, 0.5, 0.5), (3.0, 0.7, 0.5), (5.0, 0.9, 0.5), (7.0, 1.1, 0.5), (9.0, 1.3, 0.5)]
    found = of(*(case(zeros(3, 4, 5), geometry=Geometry(spacing)) for spacing in spacings))
    assert found.spacing_mm == (5.0, 0.9, 0.5)
    assert found.finest_mm == pytest.approx((1.8, 0.58, 0.5))


def test_where_one_file_does_not_say_its_spacing_nobody_knows() -> None:
    found = of(case(zeros(3, 4, 5), geometry=placed(1, 1, 1)), case(zeros(3, 4, 5)))
    assert (found.spacing_mm, found.finest_mm) == (None, None)


def test_pictures_and_volumes_are_not_measured_together() -> None:
    with pytest.raises(ValueError, match="pictures or volumes, not both"):
        of(case(zeros(3, 4, 5)), case(zeros(4, 5)))


AIR = np.array([[[-1000, -1000, -990, 40]]], np.int16)
DARK = np.array([[[0, 5, 40, 300]]], np.int16)


@pytest.mark.parametrize(
    ("cases", "calibrated", "modality"),
    [
        ([(AIR, "CT"), (DARK, "CT")], True, "CT"),  # as the files say
        ([(AIR, None), (AIR, None)], True, None),  # as the air shows
        ([(AIR, None), (DARK, None)], False, None),
        ([(AIR, "MR"), (AIR, "MR")], False, "MR"),
        ([(DARK, "CT"), (AIR, None)], True, None),
        ([(AIR, "CT"), (DARK, None)], False, None),
        ([(AIR, "CT"), (AIR, "MR")], False, None),
        ([(DARK, "CT")], True, "CT"),
    ],
)
def test_numbers_are_calibrated_where_files_or_air_say_so(
    cases: list[tuple[Values, str | None]], calibrated: bool, modality: str | None
) -> None:
    found = of(*(case(values, modality=said) for values, said in cases))
    assert (found.calibrated, found.modality) == (calibrated, modality)


def padded(padding: float, darkest: float = -1000) -> npt.NDArray[np.float32]:
    """A slice with this outside of a circle: air, in the middle a body of 0 to 99."""
    rows, columns = np.mgrid[:64, :64] - 31.5
    radius = np.hypot(rows, columns)
    body = np.where(radius < 20, np.arange(64 * 64).reshape(64, 64) % 100, darkest)
    return np.where(radius < 32, body, padding)[None].astype(np.float32)


def rimmed(padding: float) -> npt.NDArray[np.float32]:
    """The same, with what interpolation leaves between padding and air."""
    values = padded(padding)
    values[0, ::8, :4] = (padding - 1000) / 2 + np.arange(4) / 7
    return values


@pytest.mark.parametrize("padding", [-2000, -2048, -3024, -4000])
def test_padding_outside_of_the_scanners_circle_leaves_a_ct_a_ct(padding: float) -> None:
    assert np.percentile(padded(padding), 20) == padding
    plain = padded(-1000)
    for values in (padded(padding), rimmed(padding), padded(padding).astype(np.int16)):
        assert of(*[case(plain)] * 9, case(values)).calibrated


@pytest.mark.parametrize(
    "values",
    [
        padded(-1500.25),  # an MR less its mean
        padded(-4096),  # lower than any padding
        padded(-2000, darkest=-1500),  # what is darker than air has two values
        padded(-2000, darkest=0),  # padded, and no air
        np.full((1, 8, 8), -2000, np.int16),  # nothing but padding
        np.linspace(-3000, 3000, 4096, dtype=np.float32).reshape(1, 64, 64),  # a phase or a difference
    ],
)
def test_other_very_negative_numbers_are_no_ct(values: Values) -> None:
    assert not of(case(values)).calibrated


def test_shares_are_never_calibrated() -> None:
    found = of(case(np.zeros((2, 3, 4), np.uint8), modality="CT", shares=True))
    assert (found.calibrated, found.pixels) == (False, "integer")
    assert of(case(np.zeros((2, 3, 4), np.uint8))).pixels == "float"


def test_intensities_of_the_labelled_voxels_by_hand() -> None:
    pixels = np.arange(200, dtype=np.int16).reshape(2, 10, 10)
    mask = np.zeros((2, 10, 10), np.uint8)
    mask[1] = 1  # 100 to 199
    other = np.full((2, 10, 10), -500, np.int16)
    found = of(case(pixels, mask), case(other))
    inside = np.arange(100, 200)
    assert found.labelled_mean == (inside.mean(),)
    assert found.labelled_deviation == (inside.std(),)
    assert found.labelled_range == (tuple(np.percentile(inside, [0.5, 99.5])),)
    assert found.mean == (np.concatenate([np.arange(200), np.full(200, -500)]).mean(),)


def test_what_is_not_scored_is_not_labelled() -> None:
    mask = np.full((1, 2, 2), IGNORED, np.uint8)
    mask[0, 0, 0] = 1
    found = of(case(np.array([[[7, 1000], [1000, 1000]]], np.int16), mask))
    assert (found.labelled_mean, found.labelled_range) == ((7.0,), ((7.0, 7.0),))


def test_without_labels_all_voxels_stand_for_them() -> None:
    found = of(case(np.array([[[1, 2, 3]]], np.int16)))
    assert found.labelled_mean == found.mean == (2.0,)


def test_every_case_counts_alike_in_the_labelled_intensities() -> None:
    small, large = np.full((2, 8, 8), 10, np.int16), np.full((40, 40, 40), 30, np.int16)
    found = of(case(small, np.ones((2, 8, 8))), case(large, np.ones((40, 40, 40))))
    assert found.labelled_mean == ((128 * 10 + LABELLED_SAMPLED * 30) / (128 + LABELLED_SAMPLED),)


@given(st.tuples(*[st.integers(1, 16)] * 3), st.integers(0, 2**32 - 1))
def test_of_a_small_volume_every_voxel_counts(size: tuple[int, int, int], seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(-1000, 1000, size, dtype=np.int16)
    found = of(case(pixels))
    assert pixels.size <= PIXELS_SAMPLED
    assert found.mean == pytest.approx((pixels.mean(dtype=np.float64),))
    assert found.standard_deviation == pytest.approx((pixels.std(dtype=np.float64) or 1,))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_large_volume_is_sampled_over_all_its_axes(axis: int) -> None:
    size = (60, 100, 80)
    shape = [1, 1, 1]
    shape[axis] = size[axis]
    ramp = np.broadcast_to(np.linspace(0, 1000, size[axis]).reshape(shape), size).astype(np.int16)
    found = of(case(ramp))
    assert found.mean[0] == pytest.approx(500, abs=10)
    assert found.standard_deviation[0] == pytest.approx(ramp.std(dtype=np.float64), rel=0.03)


def labelled_slices(*labelled: int, of_depth: int) -> npt.NDArray[np.uint8]:
    mask = np.zeros((of_depth, 3, 4), np.uint8)
    mask[list(labelled), 1, 2] = 1
    return mask


@pytest.mark.parametrize(
    ("labelled", "depth", "expected"),
    [
        ((), 5, [0, 1, 2, 3, 4]),
        ((0, 1, 2), 5, [0, 1, 2, 3, 4]),  # fewer without a label than with one
        ((4,), 9, [4, 5]),  # of 0 1 2 3 5 6 7 8 the middle one
        ((4, 5), 10, [2, 4, 5, 8]),  # of 0 1 2 3 6 7 8 9 the middles of two halves
        (tuple(range(5, 10)), 10, list(range(10))),
    ],
)
def test_slices_to_learn_by_hand(labelled: tuple[int, ...], depth: int, expected: list[int]) -> None:
    assert slices_to_learn(labelled_slices(*labelled, of_depth=depth)).tolist() == expected


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_slices_to_learn_hold_all_labels_and_as_many_without(labelled: list[bool]) -> None:
    depth, count = len(labelled), sum(labelled)
    mask = labelled_slices(*np.flatnonzero(labelled), of_depth=depth)
    chosen = slices_to_learn(mask).tolist()
    assert chosen == sorted(set(chosen))
    assert set(np.flatnonzero(labelled)) <= set(chosen)
    assert len(chosen) == (depth if not count else min(depth, 2 * count))
    empty = [at for at in range(depth) if not labelled[at]]
    places = [empty.index(at) for at in chosen if not labelled[at]]
    if len(places) > 1:  # evenly spread
        assert max(np.diff(places)) - min(np.diff(places)) <= 1


def test_slices_that_are_not_scored_are_without_a_label() -> None:
    mask = np.full((4, 2, 2), IGNORED, np.uint8)
    assert slices_to_learn(mask).tolist() == [0, 1, 2, 3]
    mask[1, 0, 0] = 1
    assert slices_to_learn(mask).tolist() == [1, 2]


def test_slices_are_counted_after_turning() -> None:
    mask = np.zeros((10, 20, 30), np.uint8)
    mask[3, 4:9, 20] = 1  # one slice across the depth, five across the rows
    turned = case(zeros(10, 20, 30), mask, placed(1, 1, 1))
    assert of(turned).slices == 2
    assert of(turned, orientation="PSL").slices == 10
    assert of(turned, turned, orientation="SPL").slices == 4
    assert of(case(zeros(20, 30))).slices == 0


def test_the_ceilings_of_volumes_are_those_of_their_fullest_slices() -> None:
    mask = np.zeros((40, 512, 512), np.uint8)
    mask[10:13, 128:384] = 1  # edges on multiples of 4: nothing is lost at these scales
    found = of(case(zeros(40, 512, 512), mask))
    assert found.scale_ceiling[0.5] == found.scale_ceiling[0.25] == 1.0
    lines = np.zeros((3, 512, 512), np.uint8)
    lines[:, 3::32] = 1
    assert of(case(zeros(3, 512, 512), lines)).scale_ceiling[0.25] == 0.0


def lungs(shift: int, axis: int) -> npt.NDArray[np.uint8]:
    """A first label at one side along an axis, a second at the other."""
    mask = np.zeros((32, 32, 32), np.uint8)
    low, high = [slice(8 + shift, 24)] * 3, [slice(8 + shift, 24)] * 3
    low[axis], high[axis] = slice(2, 12), slice(20, 30)
    mask[tuple(low)], mask[tuple(high)] = 1, 2
    return mask


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_sided_labels_are_unlike_their_mirror_image_along_one_axis(axis: int) -> None:
    cases = [case(zeros(32, 32, 32), lungs(n % 2, axis)) for n in range(4)]
    found = of(*cases, labels=SIDED)
    likeness = [found.mirrored_in_depth, found.mirrored_vertically, found.mirrored_horizontally]
    assert likeness[axis] == 0.0
    assert all(value > 0.85 for at, value in enumerate(likeness) if at != axis)


def test_pictures_have_no_depth_to_mirror() -> None:
    assert of(case(zeros(20, 30))).mirrored_in_depth == 1.0


def test_a_fingerprint_of_volumes_reads_back() -> None:
    found = of(case(zeros(5, 6, 7), lungs(0, 2)[:5, :6, :7], placed(3, 1, 1)), orientation="SPL")
    assert Fingerprint.model_validate_json(found.model_dump_json()) == found


def test_a_label_of_few_slices_has_its_say_in_the_ceilings() -> None:
    mask = np.zeros((20, 512, 512), np.uint8)
    mask[2:18, 128:384, 128:384] = 1
    mask[19, 3] = 2
    found = of(case(zeros(20, 512, 512), mask), labels=SIDED)
    assert found.scale_ceiling[0.25] == pytest.approx(0.5, abs=1e-3)
    mask[10] = 255  # what nobody drew is not what is looked at
    assert of(case(zeros(20, 512, 512), mask), labels=SIDED).scale_ceiling == found.scale_ceiling


def test_slices_are_counted_by_label() -> None:
    mask = np.zeros((10, 20, 30), np.uint8)
    mask[2:5, 4:9, 20] = 1
    mask[4, 4:9, 22] = 2
    found = of(case(zeros(10, 20, 30), mask), case(zeros(10, 20, 30)), labels=SIDED)
    assert (found.slices, found.label_slices) == (16, (3, 1))
