"""The same voxels at the same places in the patient as SimpleITK's reader finds, and as other files say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from dicom_making import DEEP, GREY, enhanced, slices, written

from delineate import formats
from delineate.geometry import Geometry
from delineate.image import Image

VOLUME = np.stack([DEEP + 100 * index for index in range(6)]).astype(np.int16)
C, S = math.cos(0.5), math.sin(0.5)
DIRECTIONS = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "feet first": ((-1, 0, 0), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "oblique": ((C, S, 0), (-S * 0.8, C * 0.8, -0.6)),
}


def agree(image: Image, other: SimpleITK.Image) -> None:
    """Every voxel of one has the other's value at the other's place."""
    array = SimpleITK.GetArrayFromImage(other)
    assert image.pixels.shape[1:] == array.shape[-image.pixels.ndim + 1 :]
    affine = image.geometry.affine()
    corners = [tuple(np.random.default_rng(index).integers(0, array.shape)) for index in range(20)]
    for index in [(0,) * array.ndim, *corners]:
        place = (affine @ [*index, 1])[:3]
        found = other.TransformPhysicalPointToContinuousIndex([float(each) for each in place])
        k_j_i = tuple(round(each) for each in found[::-1])
        np.testing.assert_allclose(found[::-1], k_j_i, atol=1e-2)
        assert image.pixels[(0, *index)] == array[k_j_i]


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_series_agrees(name: str, tmp_path: Path) -> None:
    right, down = DIRECTIONS[name]
    made = slices(VOLUME, right=right, down=down, RescaleSlope=2, RescaleIntercept=-1000)
    paths = [written(each, tmp_path / f"{7 * index % 11}.dcm") for index, each in enumerate(made)]
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image, other = formats.read_series(paths), reader.Execute()
    agree(image, other)
    np.testing.assert_array_equal(image.pixels[0], SimpleITK.GetArrayFromImage(other))
    assert image.geometry.spacing_mm == pytest.approx(other.GetSpacing()[::-1])
    assert image.geometry.origin_mm == pytest.approx(other.GetOrigin())


def test_an_enhanced_file_agrees(tmp_path: Path) -> None:
    positions = [[-20, 30, 100 + 3 * index] for index in range(6)]
    made = enhanced(VOLUME, positions, rescale=[(2, -1000)] * 6)
    made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 3
    path = written(made, tmp_path / "enhanced.dcm")
    agree(formats.read(path), SimpleITK.ReadImage(str(path)))


@pytest.mark.data
def test_real_slices_agree(data_root: Path) -> None:
    for path in sorted((data_root / "sunnybrook" / "images").glob("*.dcm"))[::4]:
        other = SimpleITK.ReadImage(str(path))
        image = formats.read(path)
        np.testing.assert_array_equal(image.pixels, SimpleITK.GetArrayFromImage(other))
        geometry = image.geometry
        assert geometry.spacing_mm == pytest.approx(other.GetSpacing()[1::-1])
        for index in ((0, 0), (255, 0), (3, 200)):
            place = other.TransformIndexToPhysicalPoint([index[1], index[0], 0])
            np.testing.assert_allclose((geometry.affine() @ [*index, 1])[:3], place, atol=1e-3)


@pytest.mark.data
def test_real_series_agree(data_root: Path) -> None:
    root = data_root / "formats" / "dcmqi_ct_dicom_seg"
    for folder in ("images", "mr_24x38x3/image", "mr_23x38x3/image"):
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(root / folder)))
        image, other = formats.read(root / folder), reader.Execute()
        array = SimpleITK.GetArrayFromImage(other)
        kept = array > -2000  # SimpleITK leaves padding as it is
        np.testing.assert_array_equal(image.pixels[0][kept], array[kept])
        assert image.geometry.origin_mm == pytest.approx(other.GetOrigin())
        np.testing.assert_allclose(
            np.array(image.geometry.directions)[::-1].T.ravel(), other.GetDirection(), atol=1e-6
        )
        assert image.geometry.spacing_mm == pytest.approx(other.GetSpacing()[::-1])


@pytest.mark.data
def test_many_frames_say_what_many_files_say(data_root: Path) -> None:
    root = data_root / "formats" / "dcmqi_ct_dicom_seg"
    for name in ("mr_24x38x3", "mr_23x38x3"):
        one, many = formats.read(root / name / "multiframe" / "mf.dcm"), formats.read(root / name / "image")
        np.testing.assert_array_equal(one.pixels, many.pixels)
        assert one.geometry == many.geometry


def test_a_picture_agrees(tmp_path: Path) -> None:
    (made,) = slices(GREY[None], right=DIRECTIONS["oblique"][0], down=DIRECTIONS["oblique"][1])
    path = written(made, tmp_path / "a.dcm")
    other = SimpleITK.ReadImage(str(path))
    geometry: Geometry = formats.read(path).geometry
    for index in ((0, 0), (7, 3)):
        place = other.TransformIndexToPhysicalPoint([index[1], index[0], 0])
        np.testing.assert_allclose((geometry.affine() @ [*index, 1])[:3], place, atol=1e-5)
