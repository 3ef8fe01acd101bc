"""Which DICOM files belong together, and folders that hold one series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_making import DEEP, GREY, H, W, dicom, enhanced, slices, written

from delineate import formats
from delineate.errors import ImageError

VOLUME = np.stack([GREY.astype(np.int16) * (index + 1) for index in range(4)])
POSITIONS = [[0, 0, 3 * index] for index in range(4)]


def fill(folder: Path, name: str = "a", **elements: object) -> list[Path]:
    """A series of four slices, in the reverse of the order of their names."""
    folder.mkdir(exist_ok=True)
    made = slices(VOLUME)
    for each in made:
        each.update(elements)
    return [written(each, folder / f"{name}{9 - index}") for index, each in enumerate(made)]


def test_series_are_told_apart_by_their_headers(tmp_path: Path) -> None:
    one = fill(tmp_path)
    other = fill(tmp_path, "b", SeriesInstanceUID="1.2.3.4.9", Modality="MR", PatientID="P-002")
    alone = written(dicom(DEEP, SeriesInstanceUID="1.2.3.4.10", Modality="DX"), tmp_path / "c")
    many = written(enhanced(VOLUME, POSITIONS), tmp_path / "d")
    localizer = written(slices(VOLUME[:1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[0], tmp_path / "e")
    broken = tmp_path / "f.dcm"
    broken.write_bytes(one[0].read_bytes()[:300])
    paths = sorted(tmp_path.iterdir())
    for path in one + other:
        path.write_bytes(path.read_bytes()[:-2])  # the pixels are not looked at
    series, refused = formats.find_series(paths)
    assert [each.files for each in series] == [tuple(one), tuple(other), (alone,), (many,), (localizer,)]
    assert [each.frames for each in series] == [4, 4, 1, 4, 1]
    assert [each.is_volume for each in series] == [True, True, False, True, False]
    assert [each.modality for each in series] == ["CT", "MR", "DX", "CT", "CT"]
    assert series[0].subject == series[2].subject != series[1].subject
    assert [error.path for error in refused] == [broken]


def test_slices_without_a_place_keep_their_numbers(tmp_path: Path) -> None:
    made = [dicom(plane, InstanceNumber=number) for plane, number in zip(VOLUME, (3, 1, 2, 4), strict=True)]
    paths = [written(each, tmp_path / f"{index}") for index, each in enumerate(made)]
    (series,), refused = formats.find_series(paths)
    assert series.files == (paths[1], paths[2], paths[0], paths[3])
    assert not series.is_volume
    assert not refused


def test_a_folder_of_one_series_is_a_volume(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    fill(folder)
    (folder / "notes.txt").write_text("not DICOM")
    (folder / ".hidden").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    written(dicom(GREY, PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11"), folder / "report")
    written(
        dicom(GREY, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", Modality="SEG", SeriesInstanceUID="1.9"),
        folder / "seg",
    )
    np.testing.assert_array_equal(formats.read(folder).pixels, VOLUME[None])
    assert formats.header(folder).size == (4, H, W)


def test_a_folder_of_several_series_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    fill(folder)
    written(dicom(DEEP, SeriesInstanceUID="1.2.3.4.10", Modality="MR"), folder / "z")
    with pytest.raises(ImageError) as caught:
        formats.read(folder)
    assert caught.value.reason == (
        "it holds several DICOM series, give each a folder of its own: "
        "series 1 of 2, 4 slices, CT, with a9; series 2 of 2, 1 slice, MR, with z"
    )


def test_other_folders_are_folders(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not DICOM")
    for action in (formats.read, formats.header, formats.read_mask):
        with pytest.raises(ImageError) as caught:
            action(tmp_path)
        assert caught.value.reason == "it is a folder"


def test_a_broken_file_is_never_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    first, *_ = fill(folder)
    first.write_bytes(first.read_bytes()[:300])
    (folder / "picture.dcm").write_bytes(b"no DICOM at all")
    with pytest.raises(
        ImageError, match=r"2 of its 5 DICOM files cannot be read: a9 .*; picture.dcm "
    ) as caught:
        formats.read(folder)
    assert caught.value.path == folder


def test_a_single_picture_in_a_folder_is_one(tmp_path: Path) -> None:
    written(dicom(DEEP, Modality="DX"), tmp_path / "radiograph")
    np.testing.assert_array_equal(formats.read(tmp_path).pixels, DEEP[None])
