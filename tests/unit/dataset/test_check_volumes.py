"""A check of volumes: sizes, spacings, orientation, and masks that lie otherwise than their images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Picture

from delineate.dataset.check import CheckReport, Sizes, check
from delineate.dataset.image_findings import orientation_of
from delineate.dataset.inspection import ImageFacts, describe
from delineate.formats import Reading
from delineate.geometry import Geometry, turn_to
from delineate.image import Image

Array = npt.NDArray[np.generic]
SIZE = (6, 16, 20)
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("RL", "AP", "IS"))
    for letters in itertools.product(*axes)
]


def geometry(spacing: tuple[float, float, float] = (2.0, 1.0, 0.5), tilt: float = 0.1) -> Geometry:
    """Slices from the feet to the head, tilted; SPL."""
    c, s = math.cos(tilt), math.sin(tilt)
    directions = ((0.0, -s, c), (0.0, c, s), (1.0, 0.0, 0.0))
    return Geometry(spacing, (-20.0, 10.0, 5.0), directions)


def image(seed: int, size: tuple[int, ...] = SIZE) -> npt.NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-1000, 1000, size, dtype=np.int16)


def drawn(seed: int = 0, size: tuple[int, int, int] = SIZE) -> npt.NDArray[np.uint8]:
    mask = np.zeros(size, np.uint8)
    mask[1:3, 2 : 5 + seed % 5, 3:9] = 1
    mask[3, 4:6, 3:9] = 2
    return mask


def nifti(path: Path, values: Array, where: Geometry) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = TO_RAS @ where.affine()[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), affine), path)
    return path


def turned(values: Array, where: Geometry, orientation: str) -> tuple[Array, Geometry]:
    turn = turn_to(where, orientation)
    return turn.apply(values), turn.geometry(where, values.shape)


def case(root: Path, name: str, seed: int, *, image_as: str = "SPL", mask_as: str = "SPL") -> None:
    nifti(root / "images" / f"{name}.nii.gz", *turned(image(seed), geometry(), image_as))
    nifti(root / "masks" / f"{name}.nii.gz", *turned(drawn(seed), geometry(), mask_as))


def codes(report: CheckReport) -> list[tuple[str, str]]:
    return [(problem.level, problem.code) for problem in report.problems]


def said(report: CheckReport, code: str) -> str:
    (message,) = [problem.message for problem in report.problems if problem.code == code]
    return message


def facts_of(where: Geometry, size: tuple[int, ...] = (3, 4, 5)) -> ImageFacts:
    return describe(Image(np.arange(60, dtype=np.uint8).reshape(1, *size), where))


class TestVolumes:
    def test_a_sound_set(self, tmp_path: Path) -> None:
        for seed in range(3):
            case(tmp_path, str(seed), seed)
        report = check(tmp_path)
        assert (report.ok, codes(report), report.axes, report.orientation) == (True, [], 3, "SPL")
        assert (report.colour, report.channels) == ("grey", 1)
        assert report.sizes is not None
        assert replace(report.sizes, spacing_mm=None) == Sizes(SIZE, SIZE, SIZE, 1)
        assert report.sizes.spacing_mm == pytest.approx((2.0, 1.0, 0.5), rel=1e-6)
        values = np.stack([image(seed) for seed in range(3)])
        (grey,) = report.intensities
        assert (grey.minimum, grey.maximum) == (values.min(), values.max())  # in their own units
        assert grey.mean == pytest.approx(values.mean())
        assert grey.standard_deviation == pytest.approx(values.std())
        assert set(report.labels_by_case.values()) == {("label 1", "label 2")}
        said_so = report.to_json()
        assert (said_so["axes"], said_so["orientation"]) == (3, "SPL")

    def test_sizes_and_spacings_are_medians_as_stored(self, tmp_path: Path) -> None:
        for seed, (depth, spacing) in enumerate([(4, 3.0), (6, 2.0), (9, 2.5)]):
            where = geometry((spacing, 1.0, 0.5))
            nifti(tmp_path / "images" / f"{seed}.nii", image(seed, (depth, 16, 20)), where)
            nifti(tmp_path / "masks" / f"{seed}.nii", drawn(seed, (depth, 16, 20)), where)
        sizes = check(tmp_path).sizes
        assert sizes is not None
        assert (sizes.smallest, sizes.median, sizes.largest) == ((4, 16, 20), (6, 16, 20), (9, 16, 20))
        assert sizes.distinct == 3
        assert sizes.spacing_mm == pytest.approx((2.5, 1.0, 0.5), rel=1e-6)

    @pytest.mark.parametrize(("image_as", "mask_as"), [("LPS", "RAS"), ("SPL", "IAR"), ("PSL", "LIA")])
    def test_masks_that_are_stored_otherwise(self, tmp_path: Path, image_as: str, mask_as: str) -> None:
        for seed in range(3):
            case(tmp_path, str(seed), seed, image_as=image_as, mask_as=mask_as)
        report = check(tmp_path)
        assert report.ok
        assert "size-mismatch" not in {problem.code for problem in report.problems}
        assert len(report.cases) == 3
        rows = [(row.value, row.cases) for row in report.label_rows]
        assert rows == [("0", 3), ("1", 3), ("2", 3)]

    def test_images_that_are_stored_otherwise_are_turned_and_that_is_said(self, tmp_path: Path) -> None:
        for seed, stored in enumerate(["LPS", "SPL", "LPS", "RAS"]):
            case(tmp_path, str(seed), seed, image_as=stored, mask_as="SPL")
        report = check(tmp_path)
        assert (report.orientation, codes(report)) == ("SPL", [("note", "turned")])
        assert said(report, "turned") == (
            "Volumes are turned to SPL for the net (stored as 2 LPS, 1 RAS); masks come back as their images "
            "lie."
        )

    def test_masks_on_other_grids_are_told_with_what_to_do(self, tmp_path: Path) -> None:
        for seed in range(5):
            case(tmp_path, str(seed), seed)
        nifti(tmp_path / "masks" / "1.nii.gz", drawn(1), geometry(tilt=0.2))
        nifti(tmp_path / "masks" / "2.nii.gz", drawn(2), geometry((2.0, 1.0, 0.75)))
        nifti(tmp_path / "masks" / "3.nii.gz", drawn(3)[1:], geometry().moved((1, 0, 0)))
        Picture.fromarray(drawn(4)[2]).save(tmp_path / "masks" / "4.png")
        (tmp_path / "masks" / "4.nii.gz").unlink()
        report = check(tmp_path)
        assert codes(report)[0] == ("error", "size-mismatch")
        assert said(report, "size-mismatch") == (
            "4 masks not on the grid of the image: masks/1.nii.gz of images/1.nii.gz: it lies elsewhere in "
            "the patient, or is tilted against the image, so that pixels do not coincide. --resample-masks "
            "brings it onto the image's grid; masks/2.nii.gz of images/2.nii.gz: its pixels lie 0.75 × 1 × 2 "
            "mm apart, but those of the image 0.5 × 1 × 2 mm, so that they do not coincide. --resample-masks "
            "brings it onto the image's grid; masks/3.nii.gz of images/3.nii.gz: it is 20 × 16 × 5 voxels, "
            "but the image is 20 × 16 × 6 voxels, and covers another part. --resample-masks brings it onto "
            "the image's grid; masks/4.png of images/4.nii.gz: it is 20 × 16 px, but the image is 20 × 16 × "
            "6 voxels. Masks are never resized by guess: export them again on the image's grid, or take "
            "these cases out."
        )
        assert [found.name for found in report.cases] == ["0"]
        (tmp_path / "masks" / "4.png").unlink()
        resampled = check(tmp_path, reading=Reading(resample_masks=True))
        assert (resampled.ok, len(resampled.cases)) == (True, 4)
        assert resampled.reading.resample_masks

    def test_a_mask_without_a_place_is_taken_as_it_is_stored(self, tmp_path: Path) -> None:
        for seed in range(3):
            case(tmp_path, str(seed), seed)
            (tmp_path / "masks" / f"{seed}.nii.gz").unlink()
            np.save(tmp_path / "masks" / f"{seed}.npy", drawn(seed))
        report = check(tmp_path)
        assert (report.ok, report.labels_by_case["0"]) == (True, ("label 1", "label 2"))

    def test_equal_volumes_are_found_whatever_their_place(self, tmp_path: Path) -> None:
        for seed in range(3):
            case(tmp_path, str(seed), seed)
        nifti(tmp_path / "images" / "2.nii.gz", image(0), geometry(tilt=0.3))
        nifti(tmp_path / "masks" / "2.nii.gz", drawn(0), geometry(tilt=0.3))
        assert check(tmp_path).duplicate_groups == (("0", "2"),)

    def test_copies_of_another_type_and_orientation_are_duplicates(self, tmp_path: Path) -> None:
        for seed in range(3):
            case(tmp_path, str(seed), seed)
        case(tmp_path, "3", 0, image_as="LPS", mask_as="RAS")
        values, where = turned(image(1), geometry(), "IAR")
        nifti(tmp_path / "images" / "4.nii.gz", values.astype(np.float32), where)
        nifti(tmp_path / "masks" / "4.nii.gz", drawn(2), geometry())  # not that of 1
        report = check(tmp_path)
        assert report.duplicate_groups == (("0", "3"), ("1", "4"))
        assert "different masks: 1 = 4." in said(report, "same-image-different-masks")

    def test_a_mask_without_a_place_turns_with_its_image(self, tmp_path: Path) -> None:
        for seed in range(3):
            case(tmp_path, str(seed), seed)
        values, where = turned(image(0), geometry(), "IAR")
        nifti(tmp_path / "images" / "3.nii.gz", values, where)
        np.save(tmp_path / "masks" / "3.npy", turned(drawn(0), geometry(), "IAR")[0])
        report = check(tmp_path)
        assert report.duplicate_groups == (("0", "3"),)
        assert "same-image-different-masks" not in [problem.code for problem in report.problems]

    def test_copies_nearly_the_same_are_found_in_any_orientation(self, tmp_path: Path) -> None:
        blocks = [np.kron(image(seed, (6, 8, 10)), np.ones((1, 2, 2), np.int16)) for seed in range(5)]
        for seed, values in enumerate(blocks):
            nifti(tmp_path / "images" / f"{seed}.nii.gz", values, geometry())
            nifti(tmp_path / "masks" / f"{seed}.nii.gz", drawn(seed), geometry())
        noisy = blocks[0] + np.random.default_rng(9).integers(-9, 10, SIZE, dtype=np.int16)
        nifti(tmp_path / "images" / "5.nii.gz", *turned(noisy, geometry(), "LAI"))
        nifti(tmp_path / "masks" / "5.nii.gz", drawn(0), geometry())
        assert check(tmp_path).near_duplicate_groups == (("0", "5"),)


class TestMixed:
    def test_pictures_and_volumes(self, tmp_path: Path) -> None:
        for seed in range(3):
            case(tmp_path, str(seed), seed)
        Picture.fromarray(np.arange(320, dtype=np.uint8).reshape(16, 20)).save(tmp_path / "images" / "p.png")
        Picture.fromarray(drawn()[2]).save(tmp_path / "masks" / "p.png")
        report = check(tmp_path)
        assert ("error", "mixed-axes") in codes(report)
        assert said(report, "mixed-axes") == (
            "Most of the images are volumes, but there are also pictures (1): images/p.png. Train on the one "
            "or on the other."
        )
        assert (report.axes, report.orientation) == (3, "SPL")
        assert report.sizes is not None
        assert (report.sizes.median, report.sizes.distinct) == (SIZE, 1)

    def test_volumes_and_pictures(self, tmp_path: Path) -> None:
        for seed in range(3):
            pixels = np.random.default_rng(seed).integers(0, 256, (16, 20), dtype=np.uint8)
            for folder, values in (("images", pixels), ("masks", drawn(seed)[2])):
                (tmp_path / folder).mkdir(exist_ok=True)
                Picture.fromarray(values).save(tmp_path / folder / f"p{seed}.png")
        case(tmp_path, "v", 7)
        report = check(tmp_path)
        assert said(report, "mixed-axes").startswith(
            "Most of the images are pictures, but there are also volumes (1): images/v.nii.gz."
        )
        assert (report.axes, report.orientation) == (2, None)

    def test_volumes_without_directions_among_others(self, tmp_path: Path) -> None:
        for seed in range(3):
            case(tmp_path, str(seed), seed, image_as="LPS")
        (tmp_path / "images" / "1.nii.gz").unlink()
        np.save(tmp_path / "images" / "1.npy", turned(image(1), geometry(), "LPS")[0])
        nifti(tmp_path / "masks" / "1.nii.gz", *turned(drawn(1), geometry(), "LPS"))
        report = check(tmp_path)
        assert report.orientation is None
        assert said(report, "no-orientation") == (
            "How they lie in the patient is not said by 1 of 3 volumes: 1. All volumes are taken as they are "
            "stored."
        )
        assert report.sizes is not None
        assert report.sizes.spacing_mm is None  # not all say it
        assert ("warning", "no-spacing") in codes(report)
        assert said(report, "no-spacing").startswith(
            "How far their voxels lie apart is not said by 1 of 3 volumes: 1. A plan that learns from one of "
            "these cannot go by the spacing of the others either: nothing is resampled to one spacing"
        )

    def test_none_with_directions(self, tmp_path: Path) -> None:
        for seed in range(3):
            for folder, values in (("images", image(seed)), ("masks", drawn(seed))):
                (tmp_path / folder).mkdir(exist_ok=True)
                np.save(tmp_path / folder / f"{seed}.npy", values)
        report = check(tmp_path)
        assert (report.axes, report.orientation, report.ok) == (3, None, True)
        assert not {"no-orientation", "no-spacing", "turned"} & {problem.code for problem in report.problems}


class TestOrientation:
    """Slices are cut across the direction in which voxels lie far apart."""

    @pytest.mark.parametrize(
        ("spacing", "wanted"),
        [
            ((1.0, 1.0, 1.0), "SPL"),
            ((5.0, 1.0, 1.0), "SPL"),
            ((1.0, 5.0, 1.0), "PSL"),
            ((1.0, 1.0, 5.0), "LSP"),
            ((1.0, 1.0, 1.5), "SPL"),  # not coarse enough
            ((1.0, 1.0, 1.51), "LSP"),
            ((5.0, 5.0, 1.0), "SPL"),  # no single coarse axis
            ((1.0, 5.0, 4.0), "SPL"),
        ],
    )
    @pytest.mark.parametrize("stored", ["SPL", "RAS", "PIR", "ALS"])
    def test_begins_with_the_coarse_axis(
        self, spacing: tuple[float, float, float], wanted: str, stored: str
    ) -> None:
        where = turn_to(geometry(spacing), stored).geometry(geometry(spacing), (3, 4, 5))
        orientation, problems = orientation_of({"a": facts_of(where)})
        assert orientation == wanted
        assert [problem.code for problem in problems] == ([] if stored == wanted else ["turned"])

    @pytest.mark.parametrize("stored", ORIENTATIONS)
    def test_every_orientation_is_known(self, stored: str) -> None:
        where = turn_to(geometry(), stored).geometry(geometry(), (3, 4, 5))
        orientation, problems = orientation_of({"a": facts_of(where)})
        assert orientation == "SPL"
        assert [f"stored as 1 {stored}" in problem.message for problem in problems] == [True] * (
            stored != "SPL"
        )

    def test_by_the_median_of_the_set(self) -> None:
        def found(*kinds: tuple[float, float, float]) -> str | None:
            volumes = {str(n): facts_of(geometry(spacing)) for n, spacing in enumerate(kinds)}
            return orientation_of(volumes)[0]

        sagittal, axial = (1.0, 1.0, 4.0), (4.0, 1.0, 1.0)
        assert found(sagittal, sagittal, axial) == "LSP"
        assert found(sagittal, axial, axial) == "SPL"

    def test_pictures_among_them_do_not_count(self) -> None:
        picture = describe(Image(np.zeros((1, 4, 5), np.uint8)))
        assert orientation_of({"p": picture, "v": facts_of(geometry())}) == ("SPL", [])
        assert orientation_of({"p": picture}) == (None, [])


def facts(report: CheckReport) -> tuple[object, ...]:
    assert report.sizes is not None
    return report.axes, report.orientation, report.sizes.smallest, report.sizes.median, report.sizes.largest


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "cases", "expected", "spacing", "notes"),
    [
        (
            "hippocampus",
            60,
            (3, "SPL", (28, 40, 32), (37, 50, 36), (45, 55, 42)),
            (1.0, 1.0, 1.0),
            [
                "Volumes are turned to SPL for the net (stored as 60 SAR); masks come back as their images "
                "lie."
            ],
        ),
        (
            "formats/sct_spinalcord_nifti",
            3,
            (3, "SPL", (9, 54, 42), (52, 55, 49), (77, 76, 60)),
            (1.0, 1.0, 1.0),
            [
                "Volumes are turned to SPL for the net (stored as 1 SAR, 1 RSP, 1 SAL); masks come back as "
                "their images lie."
            ],
        ),
        (
            "formats/pyradiomics_nrrd",
            3,
            (3, "SPL", (21, 120, 45), (23, 256, 256), (25, 256, 256)),
            (6.5, 0.78125, 0.78125),
            ["Volumes are turned to SPL for the net (stored as 2 SAL); masks come back as their images lie."],
        ),
    ],
)
def test_real_volumes(
    data_root: Path,
    *,
    name: str,
    cases: int,
    expected: tuple[object, ...],
    spacing: tuple[float, float, float],
    notes: Sequence[str],
) -> None:
    report = check(data_root / name)
    assert (report.ok, len(report.cases), report.colour) == (True, cases, "grey")
    assert facts(report) == expected
    assert report.sizes is not None
    assert report.sizes.spacing_mm == pytest.approx(spacing, rel=1e-4)
    assert [problem.message for problem in report.problems if problem.level == "note"] == list(notes)
    assert [problem.code for problem in report.problems] == ["turned"]
    assert report.pseudonyms.table == {}


@pytest.mark.data
def test_slices_of_patients(data_root: Path) -> None:
    report = check(data_root / "sunnybrook")
    assert (report.ok, len(report.cases), report.axes, report.orientation) == (True, 56, 2, None)
    assert report.sizes is not None
    assert report.sizes.spacing_mm == pytest.approx((1.367188, 1.367188))
    assert said(report, "patients") == "The files tell of 3 patients; the cases of one stay together."
    by_name = {found.name: found.image[0].stem[:10] for found in report.cases}
    groups = report.case_groups()
    assert {(by_name[name], group) for name, group in groups.items()} == {
        ("SCD0000101", "patient 1"),
        ("SCD0000201", "patient 2"),
        ("SCD0000301", "patient 3"),
    }
    assert "SCD" not in " ".join(problem.message for problem in report.problems)
    by_pattern = check(data_root / "sunnybrook", group_regex="^(.{10})").case_groups()
    assert len(set(by_pattern.values())) == 3
    assert not {name for name in by_pattern.values() if "SCD" in name}


@pytest.mark.data
def test_series_with_segmentations(data_root: Path) -> None:
    report = check(data_root / "formats" / "dcmqi_ct_dicom_seg")
    assert (len(report.cases), report.axes, report.orientation) == (2, 3, "SPL")
    assert report.encoding is not None
    assert report.encoding.labels.names == ("Liver",)
    assert set(report.labels_by_case.values()) == {("Liver",)}
    assert [problem.code for problem in report.problems if problem.level == "error"] == ["one-group"]
