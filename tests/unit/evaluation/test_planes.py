"""Planes of a volume: the right slices, the right way round, in whatever order its axes are stored."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from delineate.evaluation.outlines import BLUE, YELLOW
from delineate.evaluation.overlays import draw_overlay
from delineate.evaluation.planes import Edges, planes_of
from delineate.geometry import Geometry, turn_to
from delineate.image import IGNORED, Image, LabelSet, Mask

LABEL = LabelSet.of("organ")
SIZE = (6, 8, 10)
# rows from head to foot, columns to the patient's left: spacing 4, 2 and 1 mm; the first voxel lies at
# x = −5 (right), y = −8 (front), z = 12 (head)
STANDING = Geometry((4.0, 2.0, 1.0), (-5.0, -8.0, 12.0), ((0, 0, -1), (0, 1, 0), (1, 0, 0)))
ALL_ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("LR", "AP", "IS"))
    for letters in itertools.product(*axes)
]


def marked(*voxels: tuple[int, int, int], geometry: Geometry = STANDING) -> Mask:
    """A mask with these voxels set."""
    values = np.zeros(SIZE, np.uint8)
    for voxel in voxels:
        values[voxel] = 1
    return Mask(values, LABEL, geometry)


def image(geometry: Geometry = STANDING) -> Image:
    """Brighter towards the patient's left, front and head, each by its own amount."""
    k, j, i = np.indices(SIZE)
    return Image(((5 - k) * 100 + (7 - j) * 10 + i).astype(np.float32)[None], geometry)


def test_the_slices_with_the_most_wrong_voxels_are_shown() -> None:
    # wrong: three voxels in slice 2 along the first axis, two of them in row 5, two in column 7
    wrong = [(2, 5, 7), (2, 5, 3), (2, 1, 7)]
    axial, coronal, sagittal = planes_of(image(), marked((4, 4, 4)), marked((4, 4, 4), *wrong))
    assert axial.title == "axial · slice 3 of 6 · S 4.0 mm"  # 12 − 2 · 4
    assert coronal.title == "coronal · slice 6 of 8 · P 2.0 mm"  # −8 + 5 · 2
    assert sagittal.title == "sagittal · slice 8 of 10 · L 2.0 mm"  # −5 + 7
    assert axial.remark == "the worst slice: 3 wrong voxels"
    assert coronal.remark == sagittal.remark == "the worst slice: 2 wrong voxels"
    assert np.argwhere(axial.prediction).tolist() == [[1, 7], [5, 3], [5, 7]]
    assert axial.reference is not None
    assert not axial.reference.any()
    assert np.argwhere(coronal.prediction).tolist() == [[2, 3], [2, 7]]
    assert np.argwhere(sagittal.prediction).tolist() == [[2, 1], [2, 5]]
    assert [plane.spacing for plane in (axial, coronal, sagittal)] == [(2, 1), (4, 1), (4, 2)]


@pytest.mark.parametrize("orientation", ALL_ORIENTATIONS)
def test_planes_are_the_same_however_the_axes_are_stored(orientation: str) -> None:
    reference, prediction = marked((1, 2, 3), (1, 2, 4)), marked((1, 2, 3), (4, 6, 8))
    turn = turn_to(STANDING, orientation)
    geometry = turn.geometry(STANDING, SIZE)
    turned = [
        Mask(turn.apply(mask.values).astype(np.uint8), LABEL, geometry) for mask in (reference, prediction)
    ]
    found = planes_of(Image(turn.apply(image().pixels), geometry), turned[0], turned[1])
    for plane, expected in zip(found, planes_of(image(), reference, prediction), strict=True):
        name, _, position = plane.title.split(" · ")
        assert (name, position) == tuple(expected.title.split(" · ")[::2])
        assert plane.edges == expected.edges
        assert plane.spacing == expected.spacing
        assert np.array_equal(plane.pixels, expected.pixels)
        assert np.array_equal(plane.prediction, expected.prediction)


def test_left_is_right_front_is_up_and_the_head_is_up() -> None:
    axial, coronal, sagittal = planes_of(image(), None, marked((3, 3, 3)))
    assert axial.edges == Edges(left="R", right="L", top="A", bottom="P")
    assert coronal.edges == Edges(left="R", right="L", top="S", bottom="I")
    assert sagittal.edges == Edges(left="A", right="P", top="S", bottom="I")
    # the image is brighter towards left, front and head
    for plane in (axial, coronal):
        assert (np.diff(plane.pixels[..., 0].astype(int), axis=1) >= 0).all()
        assert plane.pixels[0, -1, 0] > plane.pixels[0, 0, 0]
    assert (np.diff(sagittal.pixels[..., 0].astype(int), axis=1) <= 0).all()
    for plane in (axial, coronal, sagittal):
        assert plane.pixels[0, 4, 0] > plane.pixels[-1, 4, 0]


def test_slices_are_numbered_as_they_are_stored() -> None:
    turn = turn_to(STANDING, "SPL")  # the first axis the other way round
    flipped = turn.geometry(STANDING, SIZE)
    prediction = Mask(turn.apply(marked((2, 5, 7)).values).astype(np.uint8), LABEL, flipped)
    axial, _, _ = planes_of(Image(turn.apply(image().pixels), flipped), None, prediction)
    assert axial.title == "axial · slice 4 of 6 · S 4.0 mm"


def test_oblique_volumes_say_how_much() -> None:
    # turned by 20° about the axis from right to left: axial and coronal planes tilt, sagittal ones do not
    cosine, sine = math.cos(math.radians(20)), math.sin(math.radians(20))
    geometry = Geometry((4.0, 2.0, 1.0), (0, 0, 0), ((0, sine, -cosine), (0, cosine, sine), (1, 0, 0)))
    titles = [plane.title for plane in planes_of(image(geometry), None, marked((3, 3, 3)))]
    assert [title.split(" · ")[0] for title in titles] == [
        "axial, 20° oblique",
        "coronal, 20° oblique",
        "sagittal",
    ]


@pytest.mark.parametrize(
    ("geometry", "titles"),
    [
        (
            Geometry((4.0, 2.0, 1.0)),
            [
                "across axis 1 · slice 3 of 6 · 8.0 mm from the first",
                "across axis 2 · slice 6 of 8 · 10.0 mm from the first",
                "across axis 3 · slice 8 of 10 · 7.0 mm from the first",
            ],
        ),
        (
            Geometry((0.0005, 0.00025, 0.00025)),
            [
                "across axis 1 · slice 3 of 6 · 0.0010 mm from the first",
                "across axis 2 · slice 6 of 8 · 0.0013 mm from the first",
                "across axis 3 · slice 8 of 10 · 0.0018 mm from the first",
            ],
        ),
        (
            Geometry(),
            ["across axis 1 · slice 3 of 6", "across axis 2 · slice 6 of 8", "across axis 3 · slice 8 of 10"],
        ),
    ],
)
def test_without_directions_the_axes_are_named(geometry: Geometry, titles: list[str]) -> None:
    planes = planes_of(image(geometry), None, marked((2, 5, 7), geometry=geometry))
    assert [plane.title for plane in planes] == titles
    assert [plane.edges for plane in planes] == [None] * 3
    assert planes[0].remark == "most predicted voxels"


def test_where_nothing_is_wrong_the_largest_slice_is_shown() -> None:
    both = marked((1, 1, 1), (4, 4, 4), (4, 4, 5))
    axial, _, sagittal = planes_of(image(), both, both)
    assert axial.title.split(" · ")[1] == "slice 5 of 6"
    assert sagittal.remark == "no voxel is wrong; most labelled voxels"
    nothing = planes_of(image(), marked(), marked())
    assert [plane.title.split(" · ")[1] for plane in nothing] == [
        "slice 4 of 6",
        "slice 5 of 8",
        "slice 6 of 10",
    ]
    assert nothing[0].remark == "nothing is labelled; the middle slice"


def test_of_slices_with_as_many_the_middle_one_is_shown() -> None:
    block = marked()
    block.values[1:6, 2:5, 3:6] = 1
    titles = [plane.title.split(" · ")[1] for plane in planes_of(image(), None, block)]
    assert titles == ["slice 4 of 6", "slice 4 of 8", "slice 5 of 10"]


def test_voxels_that_are_not_scored_are_not_wrong() -> None:
    reference = marked((1, 1, 1))
    reference.values[5] = IGNORED
    axial, _, _ = planes_of(image(), reference, marked((5, 2, 2), (5, 3, 3)))
    assert axial.title.split(" · ")[1] == "slice 2 of 6"  # the missed voxel


def test_panels_stand_side_by_side_in_one_scale() -> None:
    # a block of 16 × 12 × 6 mm: largest side 24 mm of the volume
    block = np.zeros(SIZE, np.uint8)
    block[1:5, 1:7, 2:8] = 1
    nothing = Mask(np.zeros(SIZE, np.uint8), LABEL, STANDING)
    picture = draw_overlay(Image(np.zeros((1, *SIZE), np.uint8), STANDING), Mask(block, LABEL), nothing)
    height, width, _ = picture.shape
    assert width == 1440
    outlined = (picture == BLUE).all(axis=-1)
    panels = [outlined[:, start : start + 472] for start in (0, 484, 968)]
    extents = []
    for panel in panels:
        rows, columns = np.nonzero(panel)
        extents.append((np.ptp(rows), np.ptp(columns)))
    scale = (extents[1][0] - 2) / 16
    for found, expected in zip(extents, [(12, 6), (16, 6), (16, 12)], strict=True):
        assert found == pytest.approx([side * scale for side in expected], abs=4)
    assert height < width / 2


@pytest.mark.parametrize("longest_px", [300, 800, 1440, 4000])
def test_panels_are_no_wider_than_asked_for(longest_px: int) -> None:
    picture = draw_overlay(image(), None, marked((2, 5, 7)), longest_px=longest_px)
    assert min(longest_px, 1440) - 4 <= picture.shape[1] <= min(longest_px, 1440)
    assert (picture == YELLOW).all(axis=-1).any()
