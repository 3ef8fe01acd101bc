"""Masks joined of several files: exact values, what lies over what, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from dicom_making import slices, written
from PIL import Image as Picture

from delineate.dataset.case_files import Structure
from delineate.dataset.cases import load_case
from delineate.dataset.check import check
from delineate.dataset.check_report import CheckReport
from delineate.dataset.joining import Joining, drawn_in, join, painted
from delineate.dataset.mask_shelf import MaskShelf
from delineate.dataset.pseudonyms import Pseudonyms
from delineate.errors import DataError, ImageError
from delineate.formats import USUAL, Reading, StoredMask, read_mask
from delineate.geometry import NOWHERE
from delineate.image import LabelSet

Array = npt.NDArray[np.generic]
Box = tuple[int, int]
SIZE = (24, 30)


def rows(first: int, last: int, value: int = 255) -> npt.NDArray[np.uint8]:
    drawn = np.zeros(SIZE, np.uint8)
    drawn[first:last] = value
    return drawn


def save(path: Path, values: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(values).save(path)


def save_image(path: Path, seed: int) -> None:
    save(path, np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8))


def folders(root: Path, drawn: Mapping[str, Box], count: int = 4) -> Path:
    """Images, and a folder of masks a structure, each of some rows."""
    for number in range(count):
        save_image(root / "images" / f"{number}.png", number)
        for name, box in drawn.items():
            save(root / "masks" / name / f"{number}.png", rows(*box))
    return root


def nifti(path: Path, values: Array, step_mm: float = 2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, step_mm, 1.0])), path)


def errors(report: CheckReport) -> list[str]:
    return [problem.code for problem in report.problems if problem.level == "error"]


def said(report: CheckReport, code: str) -> str:
    (message,) = [problem.message for problem in report.problems if problem.code == code]
    return message


def loaded(report: CheckReport, at: int = 0) -> npt.NDArray[np.uint8]:
    assert report.encoding is not None
    mask = load_case(report.cases[at], report.encoding).mask
    assert mask is not None
    return mask.values


def test_structures_become_labels_in_natural_order_of_their_names(tmp_path: Path) -> None:
    report = check(folders(tmp_path, {"right lung": (0, 6), "heart": (6, 10), "left lung": (12, 24)}))
    assert report.ok
    assert report.encoding is not None
    assert report.encoding.labels == LabelSet.of("heart", "left lung", "right lung")
    assert loaded(report)[:, 0].tolist() == [3] * 6 + [1] * 4 + [0] * 2 + [2] * 12
    assert report.labels_by_case["2"] == ("heart", "left lung", "right lung")
    assert [(row.value, row.label, row.cases) for row in report.label_rows] == [
        ("0", None, 4), ("1", "heart", 4), ("2", "left lung", 4), ("3", "right lung", 4)
    ]  # fmt: skip


def test_the_smaller_structure_lies_over_the_larger_in_all_cases_alike(tmp_path: Path) -> None:
    root = folders(tmp_path, {"heart": (0, 8), "lung": (5, 20)})
    save(root / "masks" / "heart" / "3.png", rows(0, 18))  # larger than the lung, here alone
    report = check(root)
    assert loaded(report)[:, 0].tolist() == [1] * 8 + [2] * 12 + [0] * 4
    assert loaded(report, 3)[:, 0].tolist() == [1] * 18 + [2] * 2 + [0] * 4
    assert said(report, "structures-overlap") == (
        "660 pixels, 27.50% of those labelled, in several structures. Every pixel has one label: there the "
        "structure that is smaller on average is seen, in all cases alike: heart over lung (660 pixels, "
        "36.7% of it)."
    )
    assert [each.name for each in report.cases[0].structures] == ["lung", "heart"]


def test_a_structure_within_another_is_seen_however_many_cases_show_it(tmp_path: Path) -> None:
    root = folders(tmp_path, {"liver": (0, 20), "tumour": (4, 6)}, count=8)
    for number in range(1, 8):
        save(root / "masks" / "liver" / f"{number}.png", rows(0, 0))
    report = check(root)
    assert loaded(report)[:, 0].tolist() == [1] * 4 + [2] * 2 + [1] * 14 + [0] * 4
    assert loaded(report, 1)[:, 0].tolist() == [0] * 4 + [2] * 2 + [0] * 18


def test_a_part_that_coincides_much_with_the_whole_is_joined(tmp_path: Path) -> None:
    report = check(folders(tmp_path, {"disc": (0, 20), "cup": (4, 17)}))  # Dice 0.79
    assert report.ok
    assert loaded(report)[:, 0].tolist() == [2] * 4 + [1] * 13 + [2] * 3 + [0] * 4


def test_structures_that_nearly_coincide_are_several_readings(tmp_path: Path) -> None:
    report = check(folders(tmp_path, {"meier": (0, 10), "schulz": (2, 12), "heart": (14, 20)}))
    assert errors(report) == ["competing-structures"]
    assert "meier and schulz (Dice 0.80). Leave one of them" in said(report, "competing-structures")


def test_readings_are_compared_over_the_cases_that_both_show(tmp_path: Path) -> None:
    root = folders(tmp_path, {"meier": (0, 10), "schulz": (1, 11)}, count=8)
    for number in range(2, 8):
        save(root / "masks" / "schulz" / f"{number}.png", rows(0, 0))
    assert errors(check(root)) == ["competing-structures"]


def test_structures_that_overlap_much_are_told(tmp_path: Path) -> None:
    report = check(folders(tmp_path, {"huber": (0, 10), "wagner": (6, 16), "heart": (18, 20)}))
    assert report.ok
    assert said(report, "overlapping-structures") == (
        "Structures overlap much: huber and wagner (Dice 0.40). If they are two readers' masks of the same "
        "thing, keep one of them."
    )


@pytest.mark.parametrize(("one", "other"), [((0, 10), (9, 20)), ((0, 20), (4, 14)), ((0, 4), (0, 20))])
def test_parts_and_edges_are_not_told_as_readings(tmp_path: Path, one: Box, other: Box) -> None:
    report = check(folders(tmp_path, {"ab": one, "cd": other}))
    assert report.ok
    assert [problem.code for problem in report.problems if problem.level == "warning"] == []


def test_initials_whose_masks_overlap_are_readers(tmp_path: Path) -> None:
    report = check(folders(tmp_path, {"JK": (0, 10), "MS": (6, 16)}))
    assert errors(report) == ["competing-structures"]
    assert said(report, "competing-structures") == (
        "Masks that were taken for those of several structures overlap and are called by what may be "
        "readers' initials: JK and MS (Dice 0.40). Leave one of them in the data, or say which mask is meant "
        "in a CSV table with the columns image,mask; if they are of several structures, save one mask an "
        "image with a value for each."
    )


def test_a_structure_that_others_hide_is_refused(tmp_path: Path) -> None:
    report = check(folders(tmp_path, {"lungs": (0, 20), "left": (0, 10), "right": (10, 20)}))
    assert errors(report) == ["hidden-structure"]
    assert said(report, "hidden-structure").startswith(
        "Nearly nothing of lungs would be left: left, right lie over it, being smaller"
    )


def test_objects_are_one_label(tmp_path: Path) -> None:
    for number in range(4):
        save_image(tmp_path / f"b ({number}).png", number)
        save(tmp_path / f"b ({number})_mask.png", rows(0, 4))
    save(tmp_path / "b (1)_mask_1.png", rows(10, 12))
    report = check(tmp_path)
    assert report.ok
    assert report.encoding is not None
    assert report.encoding.labels.names == ("foreground",)
    assert loaded(report, 0)[:, 0].tolist() == [1] * 4 + [0] * 20
    assert loaded(report, 1)[:, 0].tolist() == [1] * 4 + [0] * 6 + [1] * 2 + [0] * 12


def with_another_object(root: Path, box: Box) -> Path:
    """Four images with an object each, and a second one of the image 1."""
    for number in range(4):
        save_image(root / f"{number}.png", number)
        save(root / f"{number}_mask.png", rows(0, 10))
    save(root / "1_mask_1.png", rows(*box))
    return root


def test_objects_that_are_drawn_twice_are_several_readings(tmp_path: Path) -> None:
    report = check(with_another_object(tmp_path, (1, 11)))
    assert errors(report) == ["competing-structures"]
    assert "overlap: 45% of what they draw is drawn more than once" in said(report, "competing-structures")


def test_objects_that_overlap_a_little_are_told(tmp_path: Path) -> None:
    report = check(with_another_object(tmp_path, (9, 19)))
    assert report.ok
    assert said(report, "objects-overlap") == (
        "Masks of single objects overlap: 5.00% of what they draw is drawn more than once. If some are "
        "further readers' masks of the same objects, take these out of the data."
    )
    save(tmp_path / "1_mask_1.png", rows(8, 18))
    assert errors(check(tmp_path)) == ["competing-structures"]


def test_a_file_without_a_place_in_the_patient_is_named(tmp_path: Path) -> None:
    for number in range(2):
        values = np.random.default_rng(number).integers(0, 200, (8, 9, 5)).astype(np.int16)
        nifti(tmp_path / f"s{number}" / "ct.nii.gz", values)
        drawn = np.zeros(values.shape, np.uint8)
        drawn[:3] = 1
        nifti(tmp_path / f"s{number}" / "masks" / "liver.nii.gz", drawn)
        np.save(tmp_path / f"s{number}" / "masks" / "spleen.npy", drawn[::-1].T)
    assert said(check(tmp_path), "unplaced-mask").startswith(
        "2 masks without a place in the patient, of images that have one: s0/masks/spleen.npy, "
        "s1/masks/spleen.npy."
    )


def test_names_of_structures_that_tell_of_a_patient_are_refused(tmp_path: Path) -> None:
    for number in range(4):
        save_image(tmp_path / "images" / f"a{number}.png", number)
        save(tmp_path / "masks" / f"a{number}_20200101_heart.png", rows(0, 4))
        save(tmp_path / "masks" / f"a{number}_lung.png", rows(6, 10))
    report = check(tmp_path)
    assert errors(report) == ["telling-structure"]
    assert (report.cases, report.encoding, report.discovery.label_names) == ((), None, None)
    message = said(report, "telling-structure")
    assert message.startswith(
        "Names of structures, which become names of labels, look as if they said who a patient is or when an "
        "image was made, those of 4 masks: masks/"
    )
    assert message.endswith(
        ".png. Rename these files or folders: beside the image's name they should hold the structure's alone."
    )
    assert "20200101" not in json.dumps(report.to_json())


def test_words_of_one_patients_header_are_no_names_of_structures(tmp_path: Path) -> None:
    for number, who in enumerate(("Muster", "Beispiel", "Beispiel")):
        series = slices(
            np.full((3, 12, 9), number, np.uint16),
            SeriesInstanceUID=f"1.2.3.{number}",
            PatientName=f"{who}^Max",
            PatientID=who,
            StudyDescription="CT spleen",
        )
        (tmp_path / f"p{number}" / "ct").mkdir(parents=True)
        for index, made in enumerate(series):
            written(made, tmp_path / f"p{number}" / "ct" / f"{index}.dcm")
        for name in ("spleen", "muster liver") if number == 0 else ("spleen", "liver"):
            save(tmp_path / f"p{number}" / "masks" / f"{name}.png", rows(0, 4))
    report = check(tmp_path)
    assert errors(report) == ["telling-structure"]
    assert "those of 1 mask: p0/masks/name-" in said(report, "telling-structure")
    assert "muster" not in json.dumps(report.to_json()).casefold()


def test_volumes_with_empty_and_missing_structures(tmp_path: Path) -> None:
    for number in range(4):
        values = np.random.default_rng(number).integers(0, 200, (8, 9, 5)).astype(np.int16)
        nifti(tmp_path / f"s{number}" / "ct.nii.gz", values)
        place = np.arange(8)[:, None, None] * np.ones(values.shape, int)
        for name, drawn in (("liver", place < 3), ("kidney_left", place > 5), ("spleen", place < 0)):
            nifti(tmp_path / f"s{number}" / "segmentations" / f"{name}.nii.gz", drawn.astype(np.uint8))
    (tmp_path / "s2" / "segmentations" / "liver.nii.gz").unlink()
    report = check(tmp_path)
    assert errors(report) == []
    assert report.encoding is not None
    assert report.encoding.labels.names == ("kidney_left", "liver", "spleen")
    assert report.labels_by_case["s1__ct"] == ("kidney_left", "liver")
    assert report.labels_by_case["s2__ct"] == ("kidney_left",)
    assert loaded(report, 1)[0, 0].tolist() == [2, 2, 2, 0, 0, 0, 1, 1]
    assert loaded(report, 2)[0, 0].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert said(report, "missing-structures").startswith(
        "Structures without a mask in some of the 4 images: liver (1)."
    )


def test_a_file_on_another_grid_is_named(tmp_path: Path) -> None:
    root = folders(tmp_path, {"heart": (0, 8), "lung": (10, 20)})
    save(root / "masks" / "lung" / "2.png", np.zeros((10, 12), np.uint8))
    report = check(root)
    assert errors(report) == ["size-mismatch"]
    assert said(report, "size-mismatch").startswith(
        "1 mask not on the grid of the image: masks/lung/2.png of images/2.png: it is 12 × 10 px, but the "
        "image is 30 × 24 px."
    )
    assert [case.name for case in report.cases] == ["0", "1", "3"]
    whole = check(folders(tmp_path, {"heart": (0, 8), "lung": (10, 20)}))
    save(root / "masks" / "lung" / "2.png", np.zeros((10, 12), np.uint8))
    with pytest.raises(DataError, match=r"Case 2: the mask .*lung.2\.png does not fit: it is 12 × 10 px"):
        loaded(whole, 2)


def test_a_turned_structure_is_laid_on_the_image(tmp_path: Path) -> None:
    upright, turned = np.diag([1.0, 1.0, 2.0, 1.0]), np.diag([-1.0, 1.0, 2.0, 1.0])
    turned[0, 3] = 7
    drawn = np.zeros((8, 9, 5), np.uint8)
    drawn[0] = 1
    for number in range(2):
        values = np.random.default_rng(number).integers(0, 200, drawn.shape).astype(np.int16)
        nifti(tmp_path / f"s{number}" / "ct.nii.gz", values)
        for name, affine in (("liver", upright), ("spleen", turned)):
            path = tmp_path / f"s{number}" / "masks" / f"{name}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(drawn, affine), path)
    assert loaded(check(tmp_path))[0, 0].tolist() == [1, 0, 0, 0, 0, 0, 0, 2]


def test_files_that_cannot_be_read_and_that_hold_labels_are_told_at_once(tmp_path: Path) -> None:
    root = folders(tmp_path, {"heart": (0, 8), "lung": (10, 20)})
    (root / "masks" / "lung" / "0.png").write_text("no picture")
    labels = rows(0, 8, 1)
    labels[8:10] = 2
    save(root / "masks" / "heart" / "0.png", labels)
    report = check(root)
    assert errors(report) == ["unreadable-file", "unreadable-file"]
    assert (
        "masks/heart/0.png: it is one of several masks of an image, of which each should hold background (0) "
        "and one other value, but it holds 0, 1, 2. Save it with two values, or keep one mask an image that "
        "holds all labels."
    ) in [problem.message for problem in report.problems]


def test_shares_are_told_as_they_are_stored() -> None:
    values = rows(0, 8, 1).astype(np.float32)
    values[8:10] = 0.5
    with pytest.raises(ImageError, match=r"but it holds 0, 0\.5, 1\. Save it with two values"):
        drawn_in(stored(values), Path("x.nii"))


def stored(values: Array, *, lossy: bool = False, palette: Array | None = None) -> StoredMask:
    return StoredMask(values, None if palette is None else palette.astype(np.uint8), lossy)


def disc(highest: int) -> npt.NDArray[np.uint8]:
    """A disc with a smooth edge."""
    y, x = np.mgrid[:40, :40]
    values = np.clip(12.5 - np.hypot(y - 20, x - 20), 0, 1) * highest
    return np.asarray(values.round(), np.uint8)


@pytest.mark.parametrize(
    ("mask", "pixels"),
    [
        (stored(rows(0, 2)), 60),
        (stored(rows(0, 2, 1)), 60),
        (stored(rows(0, 0)), 0),
        (stored(rows(0, 24)), 720),
        (stored(rows(0, 2).astype(bool)), 60),
        (stored(rows(0, 2, 1).astype(np.float32)), 60),
        (stored(np.dstack([rows(0, 2)] * 3)), 60),
        (stored(np.dstack([rows(0, 2), rows(0, 0), rows(0, 0)])), 60),
        (stored(rows(0, 2, 1), palette=np.array([[0, 0, 0], [9, 9, 9]])), 60),
        (stored(rows(0, 2, 1), palette=np.array([[255] * 3, [0] * 3])), 660),
        (stored(rows(0, 2, 1), palette=np.zeros((2, 3))), 60),
        (stored(disc(255)), int((disc(255) > 127).sum())),
        (stored(disc(250), lossy=True), int((disc(250) > 127).sum())),
    ],
)
def test_two_values_are_background_and_structure(mask: StoredMask, pixels: int) -> None:
    drawn = drawn_in(mask, Path("x.png"))
    assert (str(drawn.dtype), int(drawn.sum()), drawn.shape) == ("uint8", pixels, mask.size)


@pytest.mark.parametrize(
    "mask",
    [
        stored(rows(0, 2) + rows(4, 6, 100)),
        stored(rows(0, 2, 1) + 1),
        stored(rows(0, 2, 1), lossy=True),
        stored(disc(255) // 2 + rows(0, 1)[:1, :1] // 255 * 9, lossy=True),
        stored(rows(0, 2).astype(np.int16) - 5),
        stored(np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8)),
        stored(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)),
        stored(np.dstack([rows(0, 2), rows(4, 6), rows(0, 0)])),
    ],
)
def test_more_values_are_refused(mask: StoredMask) -> None:
    with pytest.raises(ImageError):
        drawn_in(mask, Path("x.png"))


def test_each_pixel_knows_its_structures_and_the_last_in_order_is_seen() -> None:
    drawn = {"a": rows(0, 10), "b": rows(4, 8), "c": rows(6, 14)}

    def read(path: Path, _reading: Reading) -> StoredMask:
        return StoredMask(drawn[path.name])

    structures = [Structure(name, value, (Path(name),)) for value, name in enumerate(drawn, start=1)]
    joined = join(structures, SIZE, NOWHERE, USUAL, read)
    pixels = {each: number // 30 for each, number in zip(joined.sets, joined.pixels, strict=True) if number}
    assert pixels == {(): 10, (1,): 4, (1, 2): 2, (1, 2, 3): 2, (1, 3): 2, (3,): 4}
    assert joined.drawn == {1: (300,), 2: (120,), 3: (240,)}
    for order, expected in (
        ((1, 2, 3), [1] * 4 + [2] * 2 + [3] * 8 + [0] * 10),
        ((3, 2, 1), [1] * 10 + [3] * 4 + [0] * 10),
        ((3, 1, 2), [1] * 4 + [2] * 4 + [1] * 2 + [3] * 4 + [0] * 10),
    ):
        assert painted(joined.stored, joined.sets, order).values[:, 0].tolist() == expected


def test_one_file_at_a_time_is_read_and_let_go(tmp_path: Path) -> None:
    joining = Joining(SIZE, NOWHERE, USUAL)
    for value in range(1, 101):
        save(tmp_path / "m.png", rows(value % 24, value % 24 + 1))
        joining.add(value, tmp_path / "m.png")
    joined = joining.joined()
    assert joined.stored.values.dtype == np.uint16
    assert painted(joined.stored, joined.sets, range(1, 101)).values[:, 0].tolist() == [
        *range(96, 101), *range(77, 96)
    ]  # fmt: skip


def test_what_is_not_kept_is_joined_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folders(tmp_path, {"heart": (0, 8), "lung": (5, 20)})
    kept = check(root)
    monkeypatch.setattr(MaskShelf.__init__, "__defaults__", (USUAL, 0))
    again = check(root)
    assert again.label_rows == kept.label_rows
    assert again.labels_by_case == kept.labels_by_case


def test_labels_mean_the_numbers_that_the_check_shows(tmp_path: Path) -> None:
    root = folders(tmp_path, {"heart": (0, 4), "left lung": (6, 10), "right lung": (12, 24)})
    report = check(root, labels="2=lung,3=lung")
    assert loaded(report)[:, 0].tolist() == [0] * 6 + [1] * 4 + [0] * 2 + [1] * 12
    assert report.encoding is not None
    assert report.encoding.notes == ("not named by --labels, so background: 1",)
    assert errors(check(root, labels="255=lung")) == ["mask-values"]


def test_a_set_to_score_takes_the_models_numbers_by_name(tmp_path: Path) -> None:
    expected = LabelSet.of("spleen", "lung", "heart")
    report = check(folders(tmp_path / "two", {"Heart": (0, 4), "lung": (6, 10)}), expected=expected)
    assert report.encoding is not None
    assert report.encoding.labels == expected
    assert loaded(report)[:, 0].tolist() == [3] * 4 + [0] * 2 + [2] * 4 + [0] * 14
    more = folders(tmp_path / "more", {"aorta": (0, 4), "heart": (6, 10), "lung": (12, 14), "rib": (16, 18)})
    refused = check(more, expected=expected)
    assert errors(refused) == ["mask-values"]
    assert "The masks have the labels aorta, heart, lung, rib, but the model's are spleen, lung, heart" in (
        said(refused, "mask-values")
    )
    trained = check(folders(tmp_path / "trained", {"heart": (0, 4), "lung": (6, 10)})).encoding
    assert errors(check(more, encoding=trained)) == ["mask-values"]  # not read by numbers of other names


def test_another_set_is_painted_in_a_given_order(tmp_path: Path) -> None:
    trained = check(folders(tmp_path / "trained", {"heart": (0, 4), "lung": (2, 20), "rib": (22, 23)}))
    assert trained.order == ("lung", "heart", "rib")
    other = folders(tmp_path / "other", {"Heart": (0, 14), "lung": (12, 20)})
    own, report = check(other), check(other, order=trained.order)
    assert loaded(own)[:, 0].tolist() == [1] * 12 + [2] * 8 + [0] * 4
    assert loaded(report)[:, 0].tolist() == [1] * 14 + [2] * 6 + [0] * 4
    assert report.order == ("lung", "Heart")
    assert (
        "there the structure that is over the others in the training data is seen, in all cases alike: Heart "
        "over lung"
    ) in said(report, "structures-overlap")
    assert check(other, order=("lung", "aorta")).order == own.order == ("Heart", "lung")


def test_copies_with_other_structures_are_told(tmp_path: Path) -> None:
    root = folders(tmp_path, {"heart": (0, 4), "lung": (6, 10)})
    save_image(root / "images" / "3.png", 2)
    save(root / "masks" / "lung" / "3.png", rows(6, 11))
    assert "2 = 3" in said(check(root), "same-image-different-masks")


@pytest.mark.parametrize("anonymous", [False, True])
def test_no_name_of_a_patient_is_told(tmp_path: Path, anonymous: bool) -> None:
    who = ("Zacharias", "Yolanda", "Xaver") if anonymous else ("Meier^A", "Kunz^B", "Hahn^C")
    for number, name in enumerate(who):
        save_image(tmp_path / "images" / f"{name}.png", number)
        for structure, box in (("heart", (0, 4)), ("lung", (6, 10))):
            save(tmp_path / "masks" / structure / f"{name}.png", rows(*box))
    save(tmp_path / "masks" / "lung" / f"{who[0]}.png", np.zeros((3, 3), np.uint8))
    report = check(tmp_path, pseudonyms=Pseudonyms(all_names=anonymous))
    assert errors(report) == ["size-mismatch"]
    told = json.dumps(report.to_json()) + "".join(case.name for case in report.cases)
    assert not any(name in told for name in who)
    assert report.encoding is not None
    assert report.encoding.labels.names == ("heart", "lung")


def test_files_called_by_their_structure_are_not_hidden_as_a_case(tmp_path: Path) -> None:
    for number in range(2):
        save_image(tmp_path / f"s{number}" / "ct.png", number)
        for name, box in (("liver", (0, 4)), ("spleen", (6, 10))):
            save(tmp_path / f"s{number}" / "masks" / f"{name}.png", rows(*box))
    save(tmp_path / "s1" / "masks" / "spleen.png", np.zeros((3, 3), np.uint8))
    report = check(tmp_path, pseudonyms=Pseudonyms(all_names=True))
    assert "/masks/spleen.png of folder-" in said(report, "size-mismatch")


def test_masks_of_structures_are_read_as_their_files_are(tmp_path: Path) -> None:
    """JPEG masks, in which an edge is blurred."""
    for number in range(3):
        save_image(tmp_path / "images" / f"{number}.png", number)
        for name, box in (("heart", (0, 8)), ("lung", (12, 20))):
            path = tmp_path / "masks" / name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Picture.fromarray(rows(*box)).save(path, quality=80)
            assert read_mask(path).lossy
    assert loaded(check(tmp_path))[:, 0].tolist() == [1] * 8 + [0] * 4 + [2] * 8 + [0] * 4
