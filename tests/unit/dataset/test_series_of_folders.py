"""Folders of DICOM series: what lies beside them is told, and a volume that may lack a slice is held back."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from clinic import volume, write_nifti, write_series
from PIL import Image as Picture

from delineate import formats
from delineate.dataset.discover import discover
from delineate.dataset.inputs import prediction_inputs
from delineate.errors import ImageError


def told(problems: object) -> list[tuple[str, str]]:
    return [(problem.level, problem.code) for problem in problems]  # type: ignore[attr-defined]


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Two patients, a folder of slices each."""
    for number in (1, 2):
        write_series(tmp_path / "scans" / f"p{number}", volume(number)[0], number)
    return tmp_path / "scans"


def test_folders_of_slices_are_volumes(patients: Path) -> None:
    found = prediction_inputs([patients], 1, volumes=True)
    assert [(image.name, image.stack) for image in found.images] == [("p1", True), ("p2", True)]
    assert found.problems == ()


def test_what_lies_beside_folders_of_slices_is_told(patients: Path) -> None:
    write_series(patients / "p3" / "study" / "series", volume(3)[0], 3)
    write_nifti(patients / "p4" / "ct.nii.gz", volume(4)[0])
    (patients / "empty").mkdir()
    (patients / "readme.txt").touch()
    (patients / "p5").symlink_to("nowhere")
    (patients / "p6").mkdir()
    (patients / "p6" / "series").symlink_to("/nowhere/p6")
    found = prediction_inputs([patients], 1, volumes=True)
    assert [image.name for image in found.images] == ["p1", "p2"]
    assert told(found.problems) == [
        ("error", "not-entered"),
        ("error", "not-entered"),
        ("error", "not-entered"),
        ("warning", "other-files"),
        ("error", "broken-link"),
    ]
    assert [problem.paths for problem in found.problems[:3]] == [
        (patients / name,) for name in ("p3", "p4", "p6")
    ]
    assert found.problems[3].message.endswith("skipped, without images: readme.txt, empty.")


@pytest.mark.parametrize("content", [b"", b"no DICOM at all"])
@pytest.mark.parametrize("suffix", [".dcm", "", ".17"])
def test_a_series_with_a_damaged_slice_is_not_predicted(patients: Path, content: bytes, suffix: str) -> None:
    for path in patients.rglob("*.dcm"):
        path.rename(path.with_suffix(suffix))
    last = sorted((patients / "p1").iterdir())[-1]
    last.write_bytes(content)
    with pytest.raises(ImageError, match=last.name):
        formats.read(patients / "p1")
    files = [path for path in sorted(patients.rglob("*")) if path.is_file()]
    for given in ([patients], [patients / "p1", patients / "p2"], files):
        found = prediction_inputs(given, 1, volumes=True)
        assert [image.name for image in found.images] == ["p2"]
        (problem,) = (each for each in found.problems if each.level == "error")
        assert (problem.level, problem.code, problem.paths) == ("error", "torn-series", (last,))
        assert "p1 holds a DICOM series and files that cannot be read" in problem.message
        assert last.name in problem.message


def test_nor_is_it_learned_from(patients: Path) -> None:
    folder = patients.parent / "data"
    for number in (1, 2):
        write_nifti(folder / "masks" / f"p{number}.nii.gz", volume(number)[1])
    images = patients.rename(folder / "images")
    assert [problem for problem in discover(folder).problems if problem.level == "error"] == []
    last = sorted((images / "p2").iterdir())[-1]
    last.write_bytes(b"")
    (problem,) = (problem for problem in discover(folder).problems if problem.level == "error")
    assert problem.code == "torn-series"
    assert problem.message.startswith("images/p2/ holds a DICOM series")


@pytest.fixture
def two_folders(patients: Path) -> Path:
    """The slices of p1: the lower part stays, the upper four lie in a folder of their own."""
    slices = list(formats.find_series(sorted((patients / "p1").iterdir()))[0][0].files)
    (patients / "p1b").mkdir()
    for path in slices[-4:]:
        path.rename(patients / "p1b" / path.name)
    return patients


def test_a_series_in_two_folders_is_not_predicted_as_two(two_folders: Path) -> None:
    files = [path for path in sorted(two_folders.rglob("*")) if path.is_file()]
    folders = [two_folders / name for name in ("p1", "p1b", "p2")]
    for given in ([two_folders], folders, files):
        found = prediction_inputs(given, 1, volumes=True)
        assert [image.name for image in found.images] == ["p2"]
        (problem,) = found.problems
        assert (problem.level, problem.code) == ("error", "spread-series")
        assert problem.paths == tuple(path for path in files if path.parent.name in ("p1", "p1b"))
        total = len(list((two_folders / "p2").iterdir()))
        assert problem.message == (
            f"Parts of one DICOM series lie in several folders: {two_folders / 'p1'} ({total - 4}), "
            f"{two_folders / 'p1b'} (4). Put its files into one folder."
        )
    assert [image.name for image in prediction_inputs(files, 1).images if image.stack] == []


def test_a_single_slice_elsewhere_is_a_part_too(two_folders: Path) -> None:
    for path in sorted((two_folders / "p1b").iterdir())[1:]:
        path.rename(two_folders / "p1" / path.name)
    found = prediction_inputs([two_folders], 1, volumes=True)
    assert [image.name for image in found.images] == ["p2"]
    assert told(found.problems) == [("error", "spread-series")]


def test_nor_is_a_part_learned_from(two_folders: Path) -> None:
    folder = two_folders.parent / "data"
    for name in ("p1", "p1b", "p2"):
        write_nifti(folder / "masks" / f"{name}.nii.gz", volume(1)[1])
    two_folders.rename(folder / "images")
    found = discover(folder)
    assert [case.name for case in found.cases] == ["p2"]
    assert told(found.problems) == [("error", "spread-series"), ("warning", "unpaired-mask")]
    assert "images/p1/ (" in found.problems[0].message


def test_what_shares_a_series_and_is_rightly_apart(patients: Path) -> None:
    """Stacks at the same places, slices of another direction, and files of several frames."""
    first = sorted((patients / "p1").iterdir())
    for name in ("echo", "turned"):
        (patients / name).mkdir()
        for number, path in enumerate(first):
            header = pydicom.dcmread(path)
            if name == "turned":
                header.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]
                header.ImagePositionPatient = [float(number), 0, 0]
            header.save_as(patients / name / path.name)
    file = pydicom.dcmread(first[0])
    file.NumberOfFrames, file.PixelData = 2, file.PixelData * 2
    file.ImagePositionPatient = [0, 0, 900]
    (patients / "several").mkdir()
    file.save_as(patients / "several" / "a.dcm")
    found = prediction_inputs([patients], 1, volumes=True)
    assert told(found.problems) == []
    assert sorted(image.name for image in found.images) == ["a", "echo", "p1", "p2", "turned"]


def test_the_part_of_a_series_is_not_in_its_plain_name(patients: Path) -> None:
    for part, number in (("train", 1), ("test", 2)):
        write_nifti(patients.parent / "data" / part / "masks" / f"p{number}.nii.gz", volume(number)[1])
        images = patients.parent / "data" / part / "images"
        images.mkdir()
        (patients / f"p{number}").rename(images / f"p{number}")
    found = discover(patients.parent / "data")
    assert [(case.name, case.plain) for case in found.cases] == [("test__p2", "p2"), ("train__p1", "p1")]


def test_broken_links_are_an_input_each(tmp_path: Path) -> None:
    Picture.new("L", (4, 4)).save(tmp_path / "a.png")
    for name in ("b.png", "c.png"):
        (tmp_path / name).symlink_to("nowhere")
    found = prediction_inputs([tmp_path], 1)
    assert [problem.paths for problem in found.problems] == [(tmp_path / "b.png",), (tmp_path / "c.png",)]


def test_patients_under_one_number_of_series_are_not_put_together(two_folders: Path) -> None:
    for path in (two_folders / "p1b").iterdir():
        file = pydicom.dcmread(path)
        file.PatientID = "another"
        file.save_as(path)
    found = prediction_inputs([two_folders], 1, volumes=True)
    assert "spread-series" not in [problem.code for problem in found.problems]
    assert {image.name for image in found.images} == {"p1", "p1b", "p2"}
