"""The data of a run: divided, measured, and the same when it goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_making import dicom
from dicom_making import written as written_dicom
from PIL import Image as Pictures

from delineate.dataset.split import write_splits
from delineate.errors import DataError, UsageError
from delineate.jobs.fold_parts import FoldParts
from delineate.jobs.parts import learned_of
from delineate.jobs.reporter import Reporter
from delineate.jobs.source import Parts, Source, measured


class Warnings(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six pictures, of which 4 and 5 are nearly the same."""
    folder = tmp_path / "data"
    random, before = np.random.default_rng(0), np.zeros(0, np.uint8)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(6):
        pixels = np.kron(random.integers(0, 250, (8, 8), dtype=np.uint8), np.ones((6, 6), np.uint8))
        if number == 4:
            before = pixels
        elif number == 5:
            pixels = before.copy()
            pixels[3, 3] += 2
        Pictures.fromarray(pixels).save(folder / "images" / f"{number}.png")
        mask = np.zeros((48, 48), np.uint8)
        mask[10:20, 10 : 30 + number] = 255
        Pictures.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


def written(folder: Path, **parts: list[str]) -> Path:
    path = folder / "MEIER^HANS.json"
    path.write_text(json.dumps({"train": [], "validation": [], "test": []} | parts))
    return path


def test_a_file_that_divides_copies_is_told_without_its_place_and_again_when_it_goes_on(
    data: Path, tmp_path: Path
) -> None:
    splits = written(tmp_path, train=["0", "1", "2", "3", "4"], validation=["5"])
    parts = Parts.read(Source(data, splits=splits), Reporter())
    (caution,) = (each for each in parts.cautions if "nearly identical" in each)
    assert "MEIER" not in caution
    again = Parts.read(Source(data), Reporter(), stored=splits, drawn=False)
    assert again.cautions == parts.cautions
    drawn = Parts.read(Source(data), Reporter(), stored=splits, drawn=True)
    assert not any("nearly identical" in each for each in drawn.cautions)


def table(data: Path, *lines: str) -> Path:
    """The data by a table whose lines are a name, a group and a part."""
    rows = (line.split(",", 1) for line in lines)
    text = "".join(f"images/{name}.png,masks/{name}.png,{rest}\n" for name, rest in rows)
    (data / "cases.csv").write_text(f"image,mask,group,split\n{text}")
    return data


def test_near_copies_across_a_given_split_stand_beside_the_score(data: Path) -> None:
    table(data, "0,,train", "1,,train", "2,,train", "3,,test", "4,,train", "5,,test")
    reporter = Warnings()
    parts = Parts.read(Source(data), reporter)
    assert [caution.split(":")[0] for caution in parts.cautions] == [
        "Nearly identical images stand in different parts of the given split, which inflates the score"
    ]
    assert "4 (train) = 5 (test)" in parts.cautions[0]
    assert not any("is kept in one part" in problem.message for problem in parts.train.report.problems)
    assert Parts.read(Source(data, data), reporter).cautions == ()  # another set is scored


def test_marks_that_divide_nothing_scored_inflate_nothing(data: Path, tmp_path: Path) -> None:
    table(data, "0,,train", "1,,train", "2,,train", "3,,validation", "4,,train", "5,,validation")
    assert len(Parts.read(Source(data), Reporter()).cautions) == 1
    folded = FoldParts.read(Source(data, folds=2), 2, Reporter())
    assert (folded.cautions, folded.of_fold(1).cautions) == ((), ())  # the copies are kept in one fold
    by_hand = written(tmp_path, train=["0", "4", "5"], validation=["1", "2", "3"])
    assert Parts.read(Source(data, splits=by_hand), Reporter()).cautions == ()
    table(data, "0,,train", "1,,train", "2,,train", "3,,test", "4,,train", "5,,test")
    folded = FoldParts.read(Source(data, folds=2), 2, Reporter())
    assert folded.of_fold(1).cautions == ()
    (caution,) = folded.final().cautions
    assert "4 (train) = 5 (test)" in caution
    assert FoldParts.read(Source(data, data, folds=2), 2, Reporter()).final().cautions == ()


def test_near_copies_that_a_drawn_split_divides_stand_beside_the_score(data: Path, tmp_path: Path) -> None:
    for name in ("2", "3"):
        for kind in ("images", "masks"):
            (data / kind / f"{name}.png").unlink()
    copy = np.asarray(Pictures.open(data / "images" / "4.png")) + np.uint8(1)
    Pictures.fromarray(copy).save(data / "images" / "0.png")
    parts = Parts.read(Source(data), Reporter())
    (caution,) = parts.cautions
    assert "0 = 4 = 5. More than half of the set is one such group" in caution
    splits = tmp_path / "splits.json"
    write_splits(splits, parts.splits)
    assert Parts.read(Source(data), Reporter(), stored=splits, drawn=True).cautions == parts.cautions
    assert FoldParts.read(Source(data, folds=2), 2, Reporter()).cautions == parts.cautions
    by_hand = written(tmp_path, train=["0", "4", "5"], validation=["1"])
    assert Parts.read(Source(data, splits=by_hand), Reporter()).cautions == ()
    table(data, "0,,train", "1,,test", "4,,train", "5,,train")
    assert Parts.read(Source(data), Reporter()).cautions == ()


def test_patients_in_several_groups_stand_beside_the_score(tmp_path: Path) -> None:
    for number, patient in enumerate(("A", "A", "B", "C")):
        pixels = np.random.default_rng(number).integers(0, 250, (48, 48)).astype(np.uint16)
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "masks").mkdir(exist_ok=True)
        written_dicom(dicom(pixels, PatientID=patient), tmp_path / "images" / f"{number}.dcm")
        mask = np.zeros((48, 48), np.uint8)
        mask[10:20, 10 : 30 + number] = 255
        Pictures.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    lines = (f"images/{number}.dcm,masks/{number}.png,{number}\n" for number in range(4))
    (tmp_path / "cases.csv").write_text("image,mask,group\n" + "".join(lines))
    (caution,) = Parts.read(Source(tmp_path), Reporter()).cautions
    assert caution.startswith(
        "According to the file headers, the cases of 1 patient are spread over several of your groups"
    )


def test_a_division_that_cannot_be_drawn_is_taken_from_the_file_when_it_goes_on(
    data: Path, tmp_path: Path
) -> None:
    """All cases one group: nothing to draw from, but a file may divide near copies."""
    lines = [
        f"images/{name}.png,masks/{name}.png,{group}"
        for name, group in zip("0145", ["p"] * 3 + ["q"], strict=True)
    ]
    (data / "cases.csv").write_text("\n".join(["image,mask,group", *lines]))
    splits = written(tmp_path, train=["0", "1", "4"], validation=["5"])
    begun = Parts.read(Source(data, splits=splits), Reporter())
    again = Parts.read(Source(data), Reporter(), stored=splits, drawn=False)
    assert (again.splits, again.cautions) == (begun.splits, begun.cautions)
    with pytest.raises(DataError, match="one group"):
        Parts.read(Source(data), Reporter())


def test_what_a_file_calls_test_beside_another_test_set_is_told(data: Path, tmp_path: Path) -> None:
    splits = written(tmp_path, train=["0", "1"], validation=["2"], test=["3"])
    reporter = Warnings()
    parts = Parts.read(Source(data, data, splits=splits), reporter)
    assert len(parts.scored) == 6
    assert any(
        "1 case that the split calls test left aside" in said and said.endswith(": 3.")
        for said in reporter.said
    )
    reporter = Warnings()
    Parts.read(Source(data, splits=splits), reporter)
    assert not any("calls test" in said for said in reporter.said)


def volumes(folder: Path, depth_mm: float = 2.0, *, as_float_lps: bool = False) -> Path:
    """Three volumes of int16, whose axes run as RAS; or the same as float32 and LPS."""
    for number in range(3):
        values = np.random.default_rng(number).integers(0, 900, (20, 20, 6), dtype=np.int16)
        mask = np.zeros((20, 20, 6), np.uint8)
        mask[4:12, 4 : 10 + number, 1:4] = 1
        affine = np.diag([1.0, 1.0, depth_mm, 1.0])
        made = [nibabel.Nifti1Image(voxels, affine) for voxels in (values, mask)]
        if as_float_lps:
            affine[:2] = [[-1, 0, 0, 19], [0, -1, 0, 19]]
            turned = (values[::-1, ::-1].astype(np.float32), mask[::-1, ::-1])
            made = [nibabel.Nifti1Image(voxels, affine) for voxels in turned]
        for kind, image in zip(("images", "masks"), made, strict=True):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nibabel.save(image, folder / kind / f"{number}.nii.gz")
    return folder


def test_the_same_volumes_of_another_type_and_orientation_are_no_test(tmp_path: Path) -> None:
    data, other = volumes(tmp_path / "data"), volumes(tmp_path / "other", as_float_lps=True)
    reporter = Warnings()
    parts = Parts.read(Source(data, other), reporter)
    assert parts.leaks[0].startswith("The model learned from 3 of these 3 cases")
    digests = measured(parts.train, Reporter()).digests
    assert learned_of(parts.scored, digests[1:]) == ["1", "2"]
    assert learned_of(parts.scored, ()) == []


def test_what_earlier_versions_have_written_holds(tmp_path: Path) -> None:
    """The hash by which a run knows its data, and the hashes of images in models."""
    parts = Parts.read(Source(volumes(tmp_path / "data")), Reporter())
    sha256 = "6b3992ee47cc4a2356b763ca136513a2116309a556100f879c1839541443b515"
    assert measured(parts.train, Reporter()).sha256 == sha256
    assert learned_of(parts.train, ["00e5c2d9f89b19b3"]) == ["1"]


def test_another_place_of_the_same_voxels_is_other_data(tmp_path: Path) -> None:
    hashes: list[tuple[str, tuple[str, ...]]] = []
    for depth_mm in (2.0, 2.0, 3.0):
        parts = Parts.read(Source(volumes(tmp_path / f"data-{len(hashes)}", depth_mm)), Reporter())
        facts = measured(parts.train, Reporter())
        hashes.append((facts.sha256, facts.digests))
    assert hashes[0] == hashes[1]
    assert hashes[0][0] != hashes[2][0]
    assert hashes[0][1] == hashes[2][1]  # an image is known again wherever it lies


def test_folds_gone_on_with_say_why_cases_are_left_aside(data: Path, tmp_path: Path) -> None:
    from delineate.dataset.folds import write_folds  # noqa: PLC0415  only here

    parts = FoldParts.read(Source(data, folds=2), 2, Reporter())
    write_folds(tmp_path / "splits.json", parts.folds)
    content = json.loads((tmp_path / "splits.json").read_text())
    content["folds"] = [[name for name in fold if name != "0"] for fold in content["folds"]]
    (tmp_path / "splits.json").write_text(json.dumps(content))
    reporter = Warnings()
    FoldParts.read(Source(data, folds=2), 2, reporter, stored=tmp_path / "splits.json")
    assert any(said == "1 case that the run was begun without left aside: 0." for said in reporter.said)


def test_a_path_that_no_file_can_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no UTF-8"):
        Source(tmp_path / os.fsdecode(b"p\xe9t"))


def structures(folder: Path, *names: str, first: int) -> Path:
    """Three pictures with a mask a structure, each of four rows of its own."""
    for number in range(first, first + 3):
        pixels = np.random.default_rng(number).integers(0, 250, (32, 32), dtype=np.uint8)
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Pictures.fromarray(pixels).save(folder / "images" / f"{number}.png")
        for at, name in enumerate(names):
            mask = np.zeros((32, 32), np.uint8)
            mask[4 * at : 4 * at + 4] = 255
            (folder / "masks" / name).mkdir(parents=True, exist_ok=True)
            Pictures.fromarray(mask).save(folder / "masks" / name / f"{number}.png")
    return folder


def test_a_test_set_takes_the_values_of_joined_masks_by_name(tmp_path: Path) -> None:
    data = structures(tmp_path / "data", "heart", "lung", first=0)
    test = structures(tmp_path / "test", "lung", "heart", first=10)
    parts = Parts.read(Source(data, test), Reporter())
    assert parts.scored.labels.names == ("heart", "lung")
    assert next(iter(parts.scored)).mask.values[:, 0].tolist() == [2] * 4 + [1] * 4 + [0] * 24


def test_numbers_of_labels_that_mean_other_structures_in_the_test_set_are_refused(tmp_path: Path) -> None:
    data = structures(tmp_path / "data", "heart", "lung", first=0)
    test = structures(tmp_path / "test", "aorta", "heart", "lung", first=10)
    with pytest.raises(DataError, match="which are 1 heart, 2 lung in the data and 1 aorta, 2 heart, 3 lung"):
        Parts.read(Source(data, test, labels="1=heart"), Reporter())
    with pytest.raises(DataError, match="The masks have the labels aorta, heart, lung, but the model's are"):
        Parts.read(Source(data, test), Reporter())
    alike = structures(tmp_path / "alike", "heart", "lung", first=20)
    assert Parts.read(Source(data, alike, labels="1=heart"), Reporter()).scored.labels.names == ("heart",)
