"""Places in the patient: values by hand, and that turning and fitting move no voxel."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from delineate.geometry import (
    NOWHERE,
    Geometry,
    Turn,
    Vector,
    fit,
    left_right_axis,
    same_grid,
    turn_to,
)

Floats = npt.NDArray[np.float64]
X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
STORED = Geometry((3.0, 1.0, 0.5), (-10.0, 20.0, 5.0), (Z, Y, X))
OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "I": "S", "S": "I"}
UNIT = {"L": X, "P": Y, "S": Z, "R": (-1.0, 0.0, 0.0), "A": (0.0, -1.0, 0.0), "I": (0.0, 0.0, -1.0)}
ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("RL", "AP", "IS"))
    for letters in itertools.product(*axes)
]
TURNS = [
    Turn(order, back)
    for order in itertools.permutations(range(3))
    for back in itertools.product((False, True), repeat=3)
]


class Grid(NamedTuple):
    """An array's geometry and size."""

    geometry: Geometry
    size: tuple[int, ...]


def vector(values: npt.ArrayLike) -> Vector:
    x, y, z = (float(value) for value in np.asarray(values))
    return x, y, z


def rotation(quaternion: tuple[float, float, float, float]) -> Floats:
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@st.composite
def grids(draw: st.DrawFn, axes: int = 3, least: int = 1, most: int = 6) -> Grid:
    """Grids that lie askew in the patient, of either handedness."""
    part = st.floats(-1, 1)
    quaternion = draw(st.tuples(part, part, part, part))
    assume(float(np.linalg.norm(quaternion)) > 0.1)
    turned = rotation(quaternion) * draw(st.sampled_from([1, -1]))
    number = st.floats(0.2, 5)
    spacing = tuple(draw(number) for _ in range(axes))
    origin = vector([draw(st.floats(-300, 300)) for _ in range(3)])
    size = tuple(draw(st.integers(least, most)) for _ in range(axes))
    return Grid(Geometry(spacing, origin, tuple(vector(row) for row in turned[:axes])), size)


turns = st.sampled_from(TURNS)


def places(geometry: Geometry, size: tuple[int, ...]) -> Floats:
    """`(3, *size)`: where each voxel lies."""
    index = np.stack([*np.indices(size), np.ones(size)]).astype(np.float64)
    found: Floats = np.tensordot(geometry.affine()[:3], index, axes=1)
    return found


class TestWhatCanBe:
    def test_nothing_known(self) -> None:
        assert (NOWHERE.axes, NOWHERE.orientation, NOWHERE.spacing_mm) == (None, None, None)
        with pytest.raises(ValueError, match="the place in the patient is not known"):
            NOWHERE.affine()
        assert NOWHERE.moved((1, 2, 3)) is NOWHERE
        assert NOWHERE.scaled((4, 4), (2, 2)) is NOWHERE

    def test_spacing_alone(self) -> None:
        picture = Geometry((0.5, 0.25))
        assert (picture.axes, picture.orientation) == (2, None)
        with pytest.raises(ValueError, match="not known"):
            picture.affine()
        assert picture.moved((3, 4)) is picture
        assert picture.scaled((10, 20), (5, 40)) == Geometry((1.0, 0.125))

    @pytest.mark.parametrize("spacing", [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0)])
    def test_spacings_must_be_positive(self, spacing: tuple[float, float]) -> None:
        with pytest.raises(ValueError, match="spacings must be positive"):
            Geometry(spacing)

    @pytest.mark.parametrize(
        ("spacing", "origin", "directions", "message"),
        [
            ((1.0, 1.0), (0.0, 0.0, 0.0), None, "an origin goes with directions"),
            ((1.0, 1.0), None, (X, Y), "an origin goes with directions"),
            (None, (0.0, 0.0, 0.0), (X, Y), "every direction needs a spacing"),
            ((1.0, 1.0), (0.0, 0.0, 0.0), (X, Y, Z), "every direction needs a spacing"),
            ((1.0, 1.0), (0.0, math.nan, 0.0), (X, Y), "must be finite"),
            ((1.0, 1.0), (0.0, 0.0, 0.0), (X, (0.0, math.inf, 0.0)), "must be finite"),
            ((1.0, 1.0), (0.0, 0.0, 0.0), (X, (0.0, 2.0, 0.0)), "must be unit vectors"),
            ((1.0, 1.0), (0.0, 0.0, 0.0), (X, (0.0, 0.0, 0.0)), "must be unit vectors"),
            ((1.0, 1.0), (0.0, 0.0, 0.0), (X, X), "must not lie in one plane or line"),
            ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (X, Y, (0.6, 0.8, 0.0)), "must not lie in one plane or line"),
        ],
    )
    def test_places_that_cannot_be(
        self,
        spacing: tuple[float, ...] | None,
        origin: Vector | None,
        directions: tuple[Vector, ...] | None,
        message: str,
    ) -> None:
        with pytest.raises(ValueError, match=message):
            Geometry(spacing, origin, directions)


class TestAffine:
    def test_by_hand(self) -> None:
        assert STORED.affine().tolist() == [
            [0, 0, 0.5, -10], [0, 1, 0, 20], [3, 0, 0, 5], [0, 0, 0, 1]
        ]  # fmt: skip
        assert (STORED.affine() @ (2, 3, 4, 1)).tolist() == [-8, 23, 11, 1]

    def test_of_a_picture(self) -> None:
        picture = Geometry((2.0, 0.5), (1.0, 2.0, 3.0), (Z, X))
        assert picture.affine().tolist() == [[0, 0.5, 1], [0, 0, 2], [2, 0, 3], [0, 0, 1]]

    @given(st.sampled_from([2, 3]).flatmap(grids))
    def test_there_and_back(self, grid: Grid) -> None:
        geometry = grid.geometry
        found = Geometry.from_affine(geometry.affine())
        assert found.spacing_mm == pytest.approx(geometry.spacing_mm, rel=1e-12)
        assert found.origin_mm == geometry.origin_mm
        assert np.allclose(found.affine(), geometry.affine(), rtol=1e-12, atol=1e-12)
        assert found.orientation == geometry.orientation

    def test_sheared_axes_are_kept(self) -> None:
        affine = np.array([[1.0, 0.5, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0]])
        assert np.allclose(Geometry.from_affine(affine).affine()[:3], affine, atol=1e-12)

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ([(1, 0, 0), (0, 0, 0), (0, 0, 1), (0, 0, 0)], "axes without length"),
            ([(1, 0, 0), (0, math.nan, 0), (0, 0, 1), (0, 0, 0)], "axes without length"),
            ([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, math.inf, 0)], "axes without length"),
            ([(1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 0)], "must not lie in one plane"),
            ([(1, 0, 0), (1, 1e-5, 0), (0, 0, 1), (0, 0, 0)], "must not lie in one plane"),
        ],
    )
    def test_that_is_none(self, columns: list[tuple[float, ...]], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Geometry.from_affine(np.array(columns, dtype=np.float64).T)


class TestOrientation:
    @pytest.mark.parametrize("letters", ORIENTATIONS)
    def test_of_every_order_and_sense_of_axes(self, letters: str) -> None:
        upright = Geometry((1.0, 2.0, 3.0), (0.0, 0.0, 0.0), tuple(UNIT[letter] for letter in letters))
        assert upright.orientation == letters
        tilt = rotation((1.0, 0.15, -0.1, 0.2))  # by 30 degrees
        oblique = tuple(vector(tilt @ UNIT[letter]) for letter in letters)
        assert Geometry((1.0, 2.0, 3.0), (0.0, 0.0, 0.0), oblique).orientation == letters

    def test_there_are_48(self) -> None:
        assert len(set(ORIENTATIONS)) == 48

    def test_of_numbers_of_numpy(self) -> None:
        down, across, up = np.eye(3)[::-1]
        numbers = Geometry((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (tuple(down), tuple(across), tuple(up)))
        assert numbers.orientation == "SPL"
        assert turn_to(numbers, "IPL") == Turn((0, 1, 2), (True, False, False))

    def test_of_pictures(self) -> None:
        sagittal = Geometry((1.0, 1.0), (0.0, 0.0, 0.0), (UNIT["I"], UNIT["P"]))
        assert sagittal.orientation == "IP"

    def test_no_patient_axis_is_taken_twice(self) -> None:
        # the second axis is nearest to x, too, but that is the first's
        second = vector(np.array((0.75, 0.66, 0.0)) / math.hypot(0.75, 0.66))
        third = Z
        assert Geometry((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (X, second, third)).orientation == "LPS"

    @pytest.mark.parametrize(
        ("orientation", "axis"), [("SPL", 2), ("LPS", 0), ("PRI", 1), (None, 2), ("SP", 2)]
    )
    def test_which_axis_runs_from_side_to_side(self, orientation: str | None, axis: int) -> None:
        assert left_right_axis(orientation) == axis


class TestParts:
    def test_moved_by_hand(self) -> None:
        assert STORED.moved((2, 3, 4)) == Geometry(STORED.spacing_mm, (-8.0, 23.0, 11.0), STORED.directions)

    @given(grids(least=3), st.tuples(*[st.integers(0, 2)] * 3))
    def test_a_part_lies_where_it_was(self, grid: Grid, steps: tuple[int, int, int]) -> None:
        whole = places(*grid)[(slice(None), *(slice(step, None) for step in steps))]
        part = places(grid.geometry.moved(steps), whole.shape[1:])
        assert np.allclose(part, whole, atol=1e-9)

    def test_scaled_by_hand(self) -> None:
        # along i 4 pixels of 0.5 mm become 2 of 1 mm: the first centre goes from 0.25 to 0.5 mm past the edge
        found = STORED.scaled((6, 10, 4), (6, 5, 2))
        assert found == Geometry((3.0, 2.0, 1.0), (-9.75, 20.5, 5.0), STORED.directions)

    @given(grids(), st.tuples(*[st.integers(1, 9)] * 3))
    def test_scaling_keeps_the_edges(self, grid: Grid, new_size: tuple[int, int, int]) -> None:
        scaled = grid.geometry.scaled(grid.size, new_size)
        for corner in itertools.product((0, 1), repeat=3):
            old, new = (
                [share * n - 0.5 for share, n in zip(corner, size, strict=True)]
                for size in (grid.size, new_size)
            )
            assert np.allclose(grid.geometry.affine() @ [*old, 1], scaled.affine() @ [*new, 1], atol=1e-9)


class TestTurn:
    @given(turns, st.integers(0, 3), st.tuples(*[st.integers(1, 4)] * 3))
    def test_undo_is_the_inverse(self, turn: Turn, before: int, size: tuple[int, int, int]) -> None:
        shape = (*(2, 1, 3)[:before], *size)
        array = np.arange(math.prod(shape)).reshape(shape)
        turned = turn.apply(array)
        assert turned.shape == (*shape[:before], *turn.size(size))
        assert np.array_equal(turn.undo(turned), array)
        assert np.array_equal(turn.apply(turn.undo(turned)), turned)

    @given(turns)
    def test_leading_axes_are_left_alone(self, turn: Turn) -> None:
        array = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4)
        assert np.array_equal(turn.apply(array), np.stack([turn.apply(channel) for channel in array]))

    def test_is_a_view(self) -> None:
        array = np.zeros((2, 3, 4))
        assert np.shares_memory(Turn((2, 0, 1), (True, False, True)).apply(array), array)

    def test_by_hand(self) -> None:
        array = np.array([[1, 2, 3], [4, 5, 6]])
        assert Turn((1, 0), (True, False)).apply(array).tolist() == [[3, 6], [2, 5], [1, 4]]

    @given(grids(), turns)
    def test_no_voxel_moves_in_the_patient(self, grid: Grid, turn: Turn) -> None:
        turned = turn.geometry(grid.geometry, grid.size)
        before, after = places(*grid), places(turned, turn.size(grid.size))
        assert np.allclose(turn.apply(before), after, atol=1e-9)

    @given(grids(axes=2), st.booleans(), st.booleans(), st.booleans())
    def test_nor_a_pixel_of_a_picture(self, grid: Grid, swapped: bool, up: bool, left: bool) -> None:
        turn = Turn((1, 0) if swapped else (0, 1), (up, left))
        turned = turn.geometry(grid.geometry, grid.size)
        assert np.allclose(turn.apply(places(*grid)), places(turned, turn.size(grid.size)), atol=1e-9)

    def test_spacing_alone_is_put_in_order(self) -> None:
        turn = Turn((2, 0, 1), (True, False, True))
        assert turn.geometry(Geometry((1.0, 2.0, 3.0)), (4, 5, 6)) == Geometry((3.0, 1.0, 2.0))
        assert turn.geometry(NOWHERE, (4, 5, 6)) == NOWHERE

    def test_identity(self) -> None:
        assert [turn for turn in TURNS if turn.is_identity] == [Turn((0, 1, 2), (False, False, False))]


class TestTurnTo:
    @pytest.mark.parametrize("wanted", ["SPL", "LPS", "RAS", "PSR"])
    @pytest.mark.parametrize("stored", ORIENTATIONS)
    def test_every_orientation_becomes_every_other(self, stored: str, wanted: str) -> None:
        tilt = rotation((1.0, -0.1, 0.2, 0.1))
        directions = tuple(vector(tilt @ UNIT[letter]) for letter in stored)
        geometry = Geometry((1.0, 2.0, 3.0), (7.0, 8.0, 9.0), directions)
        turn = turn_to(geometry, wanted)
        assert turn.geometry(geometry, (2, 3, 4)).orientation == wanted
        assert turn.is_identity == (stored == wanted)

    @given(grids(), st.sampled_from(ORIENTATIONS))
    def test_and_stays_where_it_is(self, grid: Grid, wanted: str) -> None:
        turn = turn_to(grid.geometry, wanted)
        turned = turn.geometry(grid.geometry, grid.size)
        assert turned.orientation == wanted
        assert np.allclose(turn.apply(places(*grid)), places(turned, turn.size(grid.size)), atol=1e-9)
        assert turn_to(turned, wanted).is_identity

    @pytest.mark.parametrize("turn", TURNS)
    def test_axes_at_45_degrees_are_turned_alike_however_they_are_stored(self, turn: Turn) -> None:
        half = math.sqrt(0.5)
        directions = ((0.0, -half, half), (0.0, half, half), X)
        oblique = Geometry((3.0, 1.0, 1.0), (0.0, 0.0, 0.0), directions)
        stored = turn.geometry(oblique, (2, 3, 4))
        wanted = turn_to(oblique, "SPL").geometry(oblique, (2, 3, 4))
        again = turn_to(stored, "SPL")
        assert again.size(turn.size((2, 3, 4))) == turn_to(oblique, "SPL").size((2, 3, 4))
        assert same_grid(again.geometry(stored, turn.size((2, 3, 4))), wanted, (2, 3, 4))

    def test_by_hand(self) -> None:
        assert turn_to(STORED, "SPL") == Turn((0, 1, 2), (False, False, False))
        assert turn_to(STORED, "LAS") == Turn((2, 1, 0), (False, True, False))

    @pytest.mark.parametrize("letters", ["SP", "SPLR", "SPP", "SPX", "", "spl", "LRS"])
    def test_letters_that_name_no_orientation(self, letters: str) -> None:
        with pytest.raises(ValueError, match=r"is no orientation such as SPL|names no direction"):
            turn_to(STORED, letters)

    def test_without_directions(self) -> None:
        with pytest.raises(ValueError, match="the directions are not known"):
            turn_to(Geometry((1.0, 1.0, 1.0)), "SPL")


class TestSameGrid:
    size = (40, 50, 60)

    def moved(self, *, by_mm: float) -> Geometry:
        return Geometry(STORED.spacing_mm, (-10.0 + by_mm, 20.0, 5.0), STORED.directions)

    def test_a_micrometre_is_no_rounding_under_a_microscope(self) -> None:
        def at(z_mm: float) -> Geometry:
            return Geometry((0.001,) * 3, (0, 0, z_mm), STORED.directions)

        assert same_grid(at(0), at(0.0004), self.size)
        assert not same_grid(at(0), at(0.0009), self.size)

    def test_a_twentieth_of_the_finest_pixel_is_the_same(self) -> None:
        assert same_grid(STORED, self.moved(by_mm=0.0249), self.size)
        assert not same_grid(STORED, self.moved(by_mm=0.0251), self.size)

    def test_what_counts_is_the_farthest_corner(self) -> None:
        assert STORED.spacing_mm is not None
        k, j, i = STORED.spacing_mm
        near = Geometry((k, j, i + 0.0249 / 59), STORED.origin_mm, STORED.directions)
        far = Geometry((k, j, i + 0.0251 / 59), STORED.origin_mm, STORED.directions)
        assert same_grid(STORED, near, self.size)
        assert not same_grid(STORED, far, self.size)
        assert same_grid(STORED, far, (40, 50, 10))

    def test_a_tilt_counts_where_it_moves_a_corner(self) -> None:
        angle = 0.0245 / 59
        tilted = (Z, Y, (math.cos(angle), math.sin(angle), 0.0))
        assert not same_grid(STORED, Geometry(STORED.spacing_mm, STORED.origin_mm, tilted), (40, 50, 200))
        assert same_grid(STORED, Geometry(STORED.spacing_mm, STORED.origin_mm, tilted), self.size)

    def test_what_is_not_known_is_not_contradicted(self) -> None:
        assert same_grid(NOWHERE, STORED, self.size)
        assert same_grid(STORED, NOWHERE, self.size)
        assert same_grid(STORED, Geometry((3.0, 1.0, 0.5)), self.size)
        assert same_grid(Geometry((3.0, 1.0, 0.5)), STORED, self.size)

    def test_known_spacings_must_agree(self) -> None:
        assert same_grid(Geometry((1.0, 1.0)), Geometry((1.0, 1.0009)), (9, 9))
        assert not same_grid(Geometry((1.0, 1.0)), Geometry((1.0, 1.0011)), (9, 9))
        assert not same_grid(Geometry((1.0, 1.0)), Geometry((1.0, 1.0, 1.0)), (9, 9))
        assert not same_grid(Geometry((1.0, 2.0, 3.0)), Geometry((3.0, 2.0, 1.0)), (9, 9, 9))


class TestFit:
    @given(grids(least=2), turns, st.tuples(*[st.integers(-4, 4)] * 3), st.tuples(*[st.integers(1, 5)] * 3))
    def test_every_turn_and_whole_shift_is_found(
        self, grid: Grid, turn: Turn, start: tuple[int, int, int], part: tuple[int, int, int]
    ) -> None:
        """An array cut out of a larger grid and turned is put back where it was."""
        cut = grid.geometry.moved(start)
        stored, stored_size = turn.geometry(cut, part), turn.size(part)
        found = fit(stored, stored_size, grid.geometry)
        assert found is not None
        assert found.start == start
        assert found.turn.size(stored_size) == part
        values = np.arange(math.prod(part)).reshape(part)
        assert np.array_equal(found.turn.apply(turn.apply(values)), values)

    @given(grids(least=2), st.sampled_from([0, 1, 2]), st.floats(0.1, 0.9))
    def test_part_of_a_voxel_is_none(self, grid: Grid, axis: int, step: float) -> None:
        assert grid.geometry.spacing_mm is not None
        # SAME_PLACE counts in the finest spacing
        assume(min(step, 1 - step) * grid.geometry.spacing_mm[axis] > 0.06 * min(grid.geometry.spacing_mm))
        index = [step if at == axis else 0.0 for at in range(3)]
        origin = vector(grid.geometry.affine()[:3] @ [*index, 1])
        moved = Geometry(grid.geometry.spacing_mm, origin, grid.geometry.directions)
        assert fit(moved, grid.size, grid.geometry) is None

    @given(grids(least=2), st.sampled_from([0, 1, 2]), st.sampled_from([0.5, 0.9, 1.1, 2.0]))
    def test_nor_another_spacing(self, grid: Grid, axis: int, factor: float) -> None:
        assert grid.geometry.spacing_mm is not None
        spacing = tuple(s * factor if at == axis else s for at, s in enumerate(grid.geometry.spacing_mm))
        other = Geometry(spacing, grid.geometry.origin_mm, grid.geometry.directions)
        assert fit(other, grid.size, grid.geometry) is None

    @given(grids(least=2), st.floats(0.003, 0.7))
    def test_nor_a_tilt(self, grid: Grid, radians: float) -> None:
        tilt = rotation((math.cos(radians / 2), 0, 0, math.sin(radians / 2)))
        assert grid.geometry.directions is not None
        tilted = tuple(vector(tilt @ each) for each in grid.geometry.directions)
        # turned about an axis of the grid itself nothing but the two others move
        assume(max(np.abs(np.subtract(tilted, grid.geometry.directions)).ravel()) > 0.0011)
        other = Geometry(grid.geometry.spacing_mm, grid.geometry.origin_mm, tilted)
        assert fit(other, grid.size, grid.geometry) is None

    def test_axes_of_equal_spacing_are_told_apart_by_their_direction(self) -> None:
        like = Geometry((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (Z, Y, X))
        stored = Geometry((1.0, 1.0, 1.0), (3.0, 0.0, 0.0), (UNIT["R"], UNIT["P"], UNIT["S"]))
        found = fit(stored, (4, 5, 6), like)
        assert found is not None
        assert (found.turn, found.start) == (Turn((2, 1, 0), (False, False, True)), (0, 0, 0))

    def test_pictures_of_one_plane(self) -> None:
        like = Geometry((1.0, 2.0), (0.0, 0.0, 50.0), (Y, X))
        upside_down = Geometry((1.0, 2.0), (4.0, 9.0, 50.0), (UNIT["A"], X))
        found = fit(upside_down, (10, 3), like)
        assert found is not None
        assert (found.turn.reversed, found.start) == ((True, False), (0, 2))

    def test_pictures_of_parallel_planes_do_not_fit(self) -> None:
        like = Geometry((1.0, 2.0), (0.0, 0.0, 50.0), (Y, X))
        assert fit(Geometry((1.0, 2.0), (0.0, 0.0, 53.0), (Y, X)), (10, 3), like) is None

    def test_a_picture_is_no_volume(self) -> None:
        assert fit(Geometry((1.0, 2.0), (0.0, 0.0, 5.0), (Y, X)), (10, 3), STORED) is None

    @pytest.mark.parametrize("silent", [NOWHERE, Geometry((3.0, 1.0, 0.5))])
    def test_without_directions_nothing_is_known(self, silent: Geometry) -> None:
        assert fit(silent, (2, 2, 2), STORED) is None
        assert fit(STORED, (2, 2, 2), silent) is None
