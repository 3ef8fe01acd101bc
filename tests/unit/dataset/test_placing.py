"""Masks brought onto their image's grid: every labelled voxel stays where it is in the patient."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from delineate import formats
from delineate.dataset import cases
from delineate.dataset.case_files import CaseFiles
from delineate.dataset.cases import load_case, load_image
from delineate.dataset.masks import understand
from delineate.dataset.placing import on_grid, size_in_words
from delineate.errors import DataError, ImageError
from delineate.formats import Reading, StoredMask
from delineate.geometry import NOWHERE, Geometry, Turn
from delineate.image import Image

Array = npt.NDArray[np.generic]
Affine = npt.NDArray[np.float64]
SIZE = (5, 6, 7)
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TURNS = [
    Turn(order, back)
    for order in itertools.permutations(range(3))
    for back in itertools.product((False, True), repeat=3)
]


def tilted(degrees: float = 20.0) -> Affine:
    """From `(k, j, i, 1)` to LPS: axial slices of 2.5 mm, tilted to the head."""
    turn = np.radians(degrees)
    affine = np.eye(4)
    affine[:3, 0] = 2.5 * np.array([0, -np.sin(turn), np.cos(turn)])
    affine[:3, 1] = 1.25 * np.array([0, np.cos(turn), np.sin(turn)])
    affine[:3, 2] = (0.75, 0, 0)
    affine[:3, 3] = (-31, 12, 101)
    return affine


IMAGE = Geometry.from_affine(tilted())
VALUES = np.zeros(SIZE, np.uint8)
VALUES[0, 1, 2], VALUES[4, 5, 6], VALUES[2, 3, 1:5], VALUES[3, 0, 0] = 1, 2, 3, 4
IMAGE_PIXELS = np.arange(5 * 6 * 7, dtype=np.int16).reshape(SIZE)


def stored(values: Array, geometry: Geometry, *, partial: bool = False) -> StoredMask:
    return StoredMask(values, volume=values.ndim == 3, geometry=geometry, partial=partial)


def brought(mask: StoredMask, *, resample: bool = False) -> Array:
    """The values on the image's grid."""
    found = on_grid(mask, SIZE, IMAGE, resample=resample)
    assert found.geometry == IMAGE
    assert found.values.shape == SIZE
    return found.values


def nifti(path: Path, values: Array, geometry: Geometry) -> Path:
    affine = TO_RAS @ geometry.affine()[:, [2, 1, 0, 3]]  # nibabel's first index is our last
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), affine), path)
    return path


def itk(path: Path, values: Array, geometry: Geometry) -> Path:
    image = SimpleITK.GetImageFromArray(values)
    assert geometry.spacing_mm is not None
    assert geometry.directions is not None
    assert geometry.origin_mm is not None
    image.SetSpacing(geometry.spacing_mm[::-1])
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(np.array(geometry.directions[::-1]).T.ravel().tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


def labelled_places(values: Array, geometry: Geometry) -> dict[tuple[float, ...], int]:
    """Where in the patient, to a hundredth of a millimetre, which label lies."""
    found = {}
    for index in np.argwhere(values):
        place = np.round(geometry.affine()[:3] @ [*index, 1], 2) + 0.0
        found[tuple(place.tolist())] = int(values[tuple(index)])
    return found


class TestTurned:
    @pytest.mark.parametrize("turn", TURNS)
    def test_every_order_and_sense_of_axes(self, turn: Turn) -> None:
        mask = stored(turn.apply(VALUES), turn.geometry(IMAGE, SIZE))
        assert np.array_equal(brought(mask), VALUES)

    @pytest.mark.parametrize("image_suffix", [".nii.gz", ".mha"])
    @pytest.mark.parametrize(
        ("mask_suffix", "turn"),
        [
            (".nii", Turn((0, 1, 2), (False, True, True))),
            (".nii.gz", Turn((2, 1, 0), (True, False, False))),
            (".nrrd", Turn((1, 2, 0), (True, False, True))),
            (".mha", Turn((0, 2, 1), (False, False, False))),
        ],
    )
    def test_files_of_other_programs(
        self, tmp_path: Path, image_suffix: str, mask_suffix: str, turn: Turn
    ) -> None:
        """A mask in another orientation and format: its labels lie where its own program put them."""
        write = {".nii": nifti, ".gz": nifti, ".mha": itk, ".nrrd": itk}
        (tmp_path / "i").mkdir()
        image = tmp_path / "i" / f"a{image_suffix}"
        mask = tmp_path / f"a{mask_suffix}"
        turned = turn.geometry(IMAGE, SIZE)
        write[image.suffix](image, IMAGE_PIXELS, IMAGE)
        write[mask.suffix](mask, np.ascontiguousarray(turn.apply(VALUES)), turned)

        files = CaseFiles("a", (image,), mask)
        case = load_case(files, understand([mask], labels="1=a,2=b,3=c,4=d"))
        assert case.mask is not None
        assert np.array_equal(case.image.pixels[0], IMAGE_PIXELS)
        assert np.array_equal(case.mask.values, VALUES)
        assert case.mask.geometry == case.image.geometry
        found = labelled_places(case.mask.values, case.mask.geometry)
        assert found == labelled_places(VALUES, IMAGE)
        own = formats.read_mask(mask)
        assert found == labelled_places(own.values, own.geometry)
        other = SimpleITK.ReadImage(str(mask))  # and by a reader that is not ours
        for place, label in found.items():
            assert other[other.TransformPhysicalPointToIndex(place)] == label

    def test_values_are_copied_in_order(self) -> None:
        turn = Turn((2, 1, 0), (True, True, True))
        found = brought(stored(turn.apply(VALUES), turn.geometry(IMAGE, SIZE)))
        assert found.flags.c_contiguous
        assert found.dtype == np.uint8

    def test_what_lies_in_place_is_left_as_it_is(self) -> None:
        assert brought(stored(VALUES, IMAGE)) is VALUES
        nearly = Geometry(IMAGE.spacing_mm, (-31.0, 12.0, 101.02), IMAGE.directions)
        assert brought(stored(VALUES, nearly)) is VALUES


class TestWithoutDirections:
    @pytest.mark.parametrize("own", [NOWHERE, Geometry(IMAGE.spacing_mm)])
    def test_equal_sizes_are_taken_as_stored(self, own: Geometry) -> None:
        assert brought(stored(VALUES, own)) is VALUES
        found = on_grid(stored(VALUES, IMAGE), SIZE, own, resample=False)
        assert found.values is VALUES
        assert found.geometry == own

    @pytest.mark.parametrize("resample", [False, True])
    def test_other_sizes_are_refused(self, resample: bool) -> None:
        with pytest.raises(DataError, match=r"^it is 5 × 6 × 7 voxels, but the image is 7 × 6 × 5 voxels$"):
            brought(stored(VALUES.T, NOWHERE), resample=resample)

    def test_other_spacings_are_refused(self) -> None:
        with pytest.raises(
            DataError,
            match=r"^its pixels lie 1 × 1 × 1 mm apart, but those of the image 0.75 × 1.25 × 2.5 mm$",
        ):
            brought(stored(VALUES, Geometry((1.0, 1.0, 1.0))))

    def test_colours_have_no_grid_of_their_own(self) -> None:
        colours = np.zeros((4, 5, 3), np.uint8)
        mask = StoredMask(colours)
        assert on_grid(mask, (4, 5), NOWHERE, resample=False).values is colours
        with pytest.raises(DataError, match=r"^it is 5 × 4 px, but the image is 4 × 5 px$"):
            on_grid(mask, (5, 4), NOWHERE, resample=True)

    def test_a_picture_is_no_volume_nor_the_reverse(self) -> None:
        with pytest.raises(DataError, match=r"^it is 7 × 6 px, but the image is 7 × 6 × 5 voxels$"):
            brought(stored(VALUES[0], NOWHERE))
        with pytest.raises(DataError, match=r"^it is 7 × 6 × 5 voxels, but the image is 7 × 6 px$"):
            on_grid(stored(VALUES, NOWHERE), (6, 7), NOWHERE, resample=False)


class TestPartial:
    @given(st.tuples(*[st.integers(-7, 7)] * 3), st.tuples(*[st.integers(1, 6)] * 3), st.sampled_from(TURNS))
    def test_pasted_and_cropped(
        self, start: tuple[int, int, int], part: tuple[int, int, int], turn: Turn
    ) -> None:
        """As voxel by voxel: what lies in the image is set, the rest is background."""
        values = np.arange(1, 1 + int(np.prod(part))).reshape(part)
        geometry = turn.geometry(IMAGE.moved(start), part)
        expected = np.zeros(SIZE, values.dtype)
        for index in np.ndindex(part):
            there = tuple(a + b for a, b in zip(index, start, strict=True))
            if all(0 <= at < side for at, side in zip(there, SIZE, strict=True)):
                expected[there] = values[index]
        given_mask = stored(turn.apply(values), geometry, partial=True)
        if not expected.any():  # the two have no voxel in common
            with pytest.raises(DataError, match="covers another part of the patient"):
                brought(given_mask)
            return
        assert np.array_equal(brought(given_mask), expected)

    def test_only_masks_that_say_so(self) -> None:
        with pytest.raises(
            DataError,
            match=r"^it is 7 × 6 × 4 voxels, but the image is 7 × 6 × 5 voxels, and covers another part. "
            r"--resample-masks brings it onto the image's grid$",
        ):
            brought(stored(VALUES[1:], IMAGE.moved((1, 0, 0))))

    def test_a_whole_mask_of_another_part(self) -> None:
        with pytest.raises(DataError, match=r"^it covers another part of the patient than the image\. --res"):
            brought(stored(VALUES, IMAGE.moved((1, 0, 0))))
        found = brought(stored(VALUES, IMAGE.moved((1, 0, 0))), resample=True)
        assert np.array_equal(found[1:], VALUES[:-1])
        assert not found[0].any()


class TestRefused:
    @pytest.mark.parametrize(
        ("geometry", "message"),
        [
            (
                Geometry((2.5, 1.25, 1.5), IMAGE.origin_mm, IMAGE.directions),
                "its pixels lie 1.5 × 1.25 × 2.5 mm apart, but those of the image 0.75 × 1.25 × 2.5 mm, so "
                "that they do not coincide. --resample-masks brings it onto the image's grid",
            ),
            (
                Geometry.from_affine(tilted(23)),
                "it lies elsewhere in the patient, or is tilted against the image, so that pixels do not "
                "coincide. --resample-masks brings it onto the image's grid",
            ),
            (
                Geometry(IMAGE.spacing_mm, (-31.375, 12.0, 101.0), IMAGE.directions),
                "it lies elsewhere in the patient, or is tilted against the image, so that pixels do not "
                "coincide. --resample-masks brings it onto the image's grid",
            ),
        ],
        ids=["spacing", "tilt", "half a voxel"],
    )
    def test_what_differs_is_said_and_what_to_do(self, geometry: Geometry, message: str) -> None:
        with pytest.raises(DataError) as refused:
            brought(stored(VALUES, geometry))
        assert str(refused.value) == message

    def test_a_case_names_its_mask(self, tmp_path: Path) -> None:
        image = nifti(tmp_path / "a.nii", IMAGE_PIXELS, IMAGE)
        mask = nifti(tmp_path / "m.nii", VALUES, Geometry.from_affine(tilted(23)))
        encoding = understand([mask], labels="1=a,2=b,3=c,4=d")
        with pytest.raises(
            DataError,
            match=r"^Case a: the mask .*m\.nii does not fit: it lies .* --resample-masks .* image's grid\.$",
        ):
            load_case(CaseFiles("a", (image,), mask), encoding)
        case = load_case(CaseFiles("a", (image,), mask), encoding, Reading(resample_masks=True))
        assert case.mask is not None
        assert set(np.unique(case.mask.values)) <= {0, 1, 2, 3, 4}


class TestResampled:
    @pytest.mark.parametrize(
        "geometry",
        [
            Geometry.from_affine(tilted(31)),
            Geometry((1.1, 0.9, 1.3), IMAGE.origin_mm, IMAGE.directions),
            Geometry((4.0, 3.0, 2.0), IMAGE.moved((-1, -1, -1)).origin_mm, IMAGE.directions),
            Turn((2, 0, 1), (True, False, True)).geometry(Geometry.from_affine(tilted(-17)), (6, 8, 9)),
        ],
        ids=["tilted", "finer", "coarser", "turned and tilted"],
    )
    def test_as_simpleitk(self, tmp_path: Path, geometry: Geometry) -> None:
        """The nearest value, also in the outer half of the outermost voxels, and 0 beyond."""
        values = np.random.default_rng(0).integers(1, 9, (6, 8, 9), dtype=np.uint8)  # no background inside
        mask = SimpleITK.ReadImage(str(itk(tmp_path / "m.mha", values, geometry)))
        image = SimpleITK.ReadImage(str(itk(tmp_path / "i.mha", IMAGE_PIXELS, IMAGE)))
        expected = SimpleITK.GetArrayFromImage(
            SimpleITK.Resample(mask, image, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0)
        )
        found = brought(stored(values, geometry), resample=True)
        assert np.array_equal(found, expected)

    def test_half_a_voxel_at_the_edge_belongs_to_it(self) -> None:
        coarse = Geometry((5.0, 2.5, 1.5), IMAGE.scaled(SIZE, (2, 3, 3)).origin_mm, IMAGE.directions)
        found = brought(stored(np.ones((3, 3, 5), np.uint8), coarse), resample=True)
        assert found.all()

    def test_only_where_it_must_be(self) -> None:
        turn = Turn((1, 0, 2), (True, False, False))
        mask = stored(turn.apply(VALUES), turn.geometry(IMAGE, SIZE))
        assert np.array_equal(brought(mask, resample=True), VALUES)

    @pytest.mark.parametrize("steps", [(0.5, 40, 0), (-3.5, 0, 0)])
    def test_refused_where_nothing_would_be_left(self, steps: tuple[float, ...]) -> None:
        values = np.zeros(SIZE, np.uint8)
        elsewhere = Geometry.from_affine(
            np.column_stack([IMAGE.affine()[:3, :-1], IMAGE.affine()[:3] @ [*steps, 1]])
        )
        assert not brought(stored(values, elsewhere), resample=True).any()
        values[1, 1, 1] = 2
        with pytest.raises(DataError, match="nothing of what it labels lies in the image"):
            brought(stored(values, elsewhere), resample=True)

    def test_values_of_other_kinds(self) -> None:
        finer = IMAGE.scaled(SIZE, (10, 12, 14))
        for dtype in (np.int64, np.float32, np.uint16, bool):
            values = np.ones((10, 12, 14), dtype)
            assert brought(stored(values, finer), resample=True).dtype == dtype


class TestOneSlice:
    """Pictures whose masks are volumes of one slice or of several: DICOM slices with NIfTI or SEG masks."""

    picture = Geometry((1.25, 0.75), IMAGE.origin_mm, IMAGE.directions[1:] if IMAGE.directions else None)

    def test_a_volume_of_one_slice(self) -> None:
        mask = stored(VALUES[2:3], IMAGE)
        found = on_grid(mask, (6, 7), self.picture, resample=False)
        assert np.array_equal(found.values, VALUES[2])
        assert (found.volume, found.geometry) == (False, self.picture)

    def test_without_places(self) -> None:
        for geometry in (NOWHERE, Geometry((2.5, 1.25, 0.75))):
            mask = stored(VALUES[2:3], geometry)
            found = on_grid(mask, (6, 7), Geometry((1.25, 0.75)), resample=False)
            assert np.array_equal(found.values, VALUES[2])

    def test_turned(self) -> None:
        turn = Turn((0, 2, 1), (False, True, False))
        mask = stored(turn.apply(VALUES[2:3]), turn.geometry(IMAGE, (1, 6, 7)))
        found = on_grid(mask, (6, 7), self.picture, resample=False)
        assert np.array_equal(found.values, VALUES[2])

    @pytest.mark.parametrize("at", range(5))
    def test_the_slice_at_the_pictures_place(self, at: int) -> None:
        origin = IMAGE.moved((at, 0, 0)).origin_mm
        picture = Geometry(self.picture.spacing_mm, origin, self.picture.directions)
        for partial in (False, True):
            found = on_grid(stored(VALUES, IMAGE, partial=partial), (6, 7), picture, resample=False)
            assert np.array_equal(found.values, VALUES[at])

    def test_beyond_a_partial_mask_is_background(self) -> None:
        origin = IMAGE.moved((7, 0, 0)).origin_mm
        picture = Geometry(self.picture.spacing_mm, origin, self.picture.directions)
        found = on_grid(stored(VALUES, IMAGE, partial=True), (6, 7), picture, resample=False)
        assert not found.values.any()
        with pytest.raises(DataError, match="it is 7 × 6 × 5 voxels, but the image is 7 × 6 px"):
            on_grid(stored(VALUES, IMAGE), (6, 7), picture, resample=False)

    @pytest.mark.parametrize("resample", [False, True])
    def test_a_slice_of_another_plane_is_refused(self, resample: bool) -> None:
        picture = Geometry(self.picture.spacing_mm, IMAGE.moved((1, 0, 0)).origin_mm, self.picture.directions)
        mask = stored(VALUES[2], self.picture)
        with pytest.raises(DataError, match=r"^it lies in another plane than the image$"):
            on_grid(mask, (6, 7), picture, resample=resample)

    def test_a_picture_of_other_pixels_is_resampled_in_its_plane(self) -> None:
        finer = self.picture.scaled((6, 7), (12, 14))
        values = VALUES[2].repeat(2, 0).repeat(2, 1)
        with pytest.raises(DataError, match="--resample-masks"):
            on_grid(stored(values, finer), (6, 7), self.picture, resample=False)
        found = on_grid(stored(values, finer), (6, 7), self.picture, resample=True)
        assert np.array_equal(found.values, VALUES[2])


class TestChannels:
    def test_of_one_grid(self, tmp_path: Path) -> None:
        first = nifti(tmp_path / "a_0000.nii", IMAGE_PIXELS, IMAGE)
        second = itk(tmp_path / "a_0001.nrrd", IMAGE_PIXELS[::-1].copy(), IMAGE)
        image = load_image((first, second))
        assert np.array_equal(image.pixels, np.stack([IMAGE_PIXELS, IMAGE_PIXELS[::-1]]))
        assert np.allclose(image.geometry.affine(), IMAGE.affine(), atol=1e-5)

    def test_of_different_grids_are_refused(self, tmp_path: Path) -> None:
        first = nifti(tmp_path / "a_0000.nii", IMAGE_PIXELS, IMAGE)
        second = nifti(tmp_path / "a_0001.nii", IMAGE_PIXELS, Geometry.from_affine(tilted(23)))
        with pytest.raises(
            ImageError,
            match=r"a_0001.nii: this channel lies on another grid than a_0000.nii of the same case. Resample "
            r"all channels of a case onto one grid$",
        ):
            load_image((first, second))

    def test_all_that_identifies_is_kept_to_be_looked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def read(path: Path, _reading: Reading) -> Image:
            return Image(np.zeros((1, 2, 2), np.uint8), identifying=frozenset({path.stem}))

        monkeypatch.setattr(cases, "formats", SimpleNamespace(read=read))
        assert load_image((Path("doe.dcm"), Path("jane.dcm"))).identifying == {"doe", "jane"}

    def test_of_which_one_says_no_place(self, tmp_path: Path) -> None:
        first = nifti(tmp_path / "a_0000.nii", IMAGE_PIXELS, IMAGE)
        np.save(tmp_path / "a_0001.npy", IMAGE_PIXELS)
        assert load_image((first, tmp_path / "a_0001.npy")).channels == 2


@pytest.mark.parametrize(
    ("size", "words"), [((480, 640), "640 × 480 px"), ((300, 512, 511), "511 × 512 × 300 voxels")]
)
def test_sizes_are_said_width_first(size: tuple[int, ...], words: str) -> None:
    assert size_in_words(size) == words


@pytest.mark.parametrize("steps", [(5, 0, 0), (-5, 0, 0), (0, 6, 0), (0, 0, -7)])
def test_a_partial_mask_of_another_part_of_the_patient_is_refused(steps: tuple[int, int, int]) -> None:
    elsewhere = stored(VALUES, IMAGE.moved(steps), partial=True)
    with pytest.raises(DataError, match="it covers another part of the patient than the image, and nothing"):
        on_grid(elsewhere, VALUES.shape, IMAGE, resample=False)
    nearer = tuple(step - (step > 0) + (step < 0) for step in steps)
    found = on_grid(stored(VALUES, IMAGE.moved(nearer), partial=True), VALUES.shape, IMAGE, resample=False)
    assert found.values.any()
