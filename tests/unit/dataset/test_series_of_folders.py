"""Folders of DICOM series: what lies beside them is told, and a volume that may lack a slice is held back."""

from __future__ import annotations

from pathlib import Path

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
