"""Where the frames of one file lie: spacing, directions, enhanced and classic multi-frame, dose grids."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from dicom_making import GREY, H, W, dicom, enhanced, item, slices, written
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileDataset

from delineate import formats
from delineate.errors import ImageError
from delineate.geometry import Geometry
from delineate.image import Image

VOLUME = np.stack([GREY.astype(np.uint16) * (index + 1) for index in range(4)])
AXIAL = {"ImagePositionPatient": [1, 2, 3], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
PLACED = AXIAL | {"PixelSpacing": [0.8, 0.5]}
UP, DOWN, RIGHT = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)


def read(made: FileDataset, folder: Path) -> Image:
    return formats.read(written(made, folder / "made.dcm"))


def test_a_picture_has_two_directions(tmp_path: Path) -> None:
    cosine, sine = math.cos(0.3), math.sin(0.3)
    (made,) = slices(VOLUME[:1], right=(cosine, sine, 0), down=(0, 0, -1), origin=(5, 6, 7))
    geometry = read(made, tmp_path).geometry
    assert geometry.spacing_mm == (0.8, 0.5)
    assert geometry.origin_mm == (5, 6, 7)
    expected = np.array([[0, 0, -1], [cosine, sine, 0]])
    np.testing.assert_allclose(np.array(geometry.directions), expected, atol=1e-9)
    np.testing.assert_allclose(
        (geometry.affine() @ [2, 4, 1])[:3], [5 + 2 * cosine, 6 + 2 * sine, 7 - 1.6], atol=1e-9
    )


SPACINGS: dict[str, tuple[dict[str, object], tuple[float, float] | None, str]] = {
    "none": ({}, None, ""),
    "in the patient": ({"PixelSpacing": [0.8, 0.5]}, (0.8, 0.5), ""),
    "at the detector": (
        {"ImagerPixelSpacing": [0.2, 0.1], "Modality": "DX"},
        (0.2, 0.1),
        "its spacing (ImagerPixelSpacing) is that at the detector, not corrected for magnification",
    ),
    "both": (
        {
            "PixelSpacing": [0.8, 0.5],
            "ImagerPixelSpacing": [1.0, 0.6],
            "PixelSpacingCalibrationType": "GEOMETRY",
        },
        (0.8, 0.5),
        "",
    ),
    "the same twice": (
        {"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.2, 0.1], "Modality": "CR"},
        (0.2, 0.1),
        "its PixelSpacing is that at the detector",
    ),
    "of a projection": (
        {"PixelSpacing": [0.2, 0.1], "Modality": "CR"},
        (0.2, 0.1),
        "it is a projection whose PixelSpacing is not said to be calibrated",
    ),
    "of a film": (
        {"NominalScannedPixelSpacing": [0.3, 0.3]},
        (0.3, 0.3),
        "its spacing is that of the film it was scanned from",
    ),
    "negative": ({"PixelSpacing": [-1, 1]}, None, "its PixelSpacing is not valid and was not used"),
    "not two": ({"PixelSpacing": [1]}, None, "its PixelSpacing is not valid and was not used"),
}


@pytest.mark.parametrize("name", SPACINGS)
def test_spacings_are_told_apart(name: str, tmp_path: Path) -> None:
    elements, spacing, note = SPACINGS[name]
    image = read(dicom(GREY, **elements), tmp_path)
    assert image.geometry == Geometry(spacing)
    assert len(image.notes) == bool(note)
    assert not note or image.notes[0].startswith(note)


def test_enhanced_frames_are_sorted_with_their_own_rescale(tmp_path: Path) -> None:
    order = [2, 0, 3, 1]
    rescale = [(1.0, -100.0 * index) for index in order]
    positions = [[1, 2, 3 + 2.5 * index] for index in order]
    image = read(enhanced(VOLUME[order], positions, rescale=rescale), tmp_path)
    expected = np.stack([plane.astype(np.int16) - 100 * index for index, plane in enumerate(VOLUME)])
    np.testing.assert_array_equal(image.pixels, expected[None])
    assert image.geometry == Geometry((2.5, 0.8, 0.5), (1, 2, 3), (UP, DOWN, RIGHT))


def test_enhanced_frames_at_one_place_are_refused(tmp_path: Path) -> None:
    made = enhanced(VOLUME, [[0, 0, 0], [0, 0, 1]] * 2, TemporalPositionIndex=[1, 1, 2, 2])
    with pytest.raises(ImageError, match="TemporalPositionIndex parts them into 2 whole stacks"):
        read(made, tmp_path)


def test_enhanced_frames_with_a_gap_are_refused(tmp_path: Path) -> None:
    made = enhanced(VOLUME, [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 4]])
    with pytest.raises(ImageError, match=r"2\.00 mm between slices 3 and 4"):
        read(made, tmp_path)


def test_enhanced_frames_without_place_are_refused(tmp_path: Path) -> None:
    made = enhanced(VOLUME, [[0, 0, 0]] * 4)
    for frame in made.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    with pytest.raises(ImageError, match="4 of 4 slices do not say where they lie"):
        read(made, tmp_path)


def test_another_number_of_frames_than_described_is_refused(tmp_path: Path) -> None:
    made = enhanced(VOLUME, [[0, 0, index] for index in range(4)])
    del made.PerFrameFunctionalGroupsSequence[3]
    with pytest.raises(ImageError, match="describes 3 frames, and has 4"):
        read(made, tmp_path)


def test_one_enhanced_frame_is_a_picture_with_a_place(tmp_path: Path) -> None:
    image = read(enhanced(VOLUME[:1], [[4, 5, 6]]), tmp_path)
    assert image.pixels.shape == (1, H, W)
    assert image.geometry == Geometry((0.8, 0.5), (4, 5, 6), (DOWN, RIGHT))


def test_classic_frames_follow_one_another_along_the_normal(tmp_path: Path) -> None:
    image = read(dicom(VOLUME, SpacingBetweenSlices=2, **PLACED), tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME[None])
    assert image.geometry == Geometry((2, 0.8, 0.5), (1, 2, 3), (UP, DOWN, RIGHT))


def test_classic_frames_without_place_are_slices_in_their_order(tmp_path: Path) -> None:
    image = read(dicom(VOLUME), tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME[None])
    assert image.geometry == Geometry()
    assert image.notes == (
        "its 4 frames do not say where they lie: they were taken for slices in their order",
    )
    image = read(dicom(VOLUME, PixelSpacing=[0.8, 0.5], SpacingBetweenSlices=3), tmp_path)
    assert image.geometry == Geometry((3, 0.8, 0.5))


@pytest.mark.parametrize(
    ("offsets", "orientation", "reverse", "lowest"),
    [
        ([0, 2, 4, 6], [1, 0, 0, 0, 1, 0], False, 3),
        ([0, -2, -4, -6], [1, 0, 0, 0, 1, 0], True, -3),
        ([3, 5, 7, 9], [1, 0, 0, 0, 1, 0], False, 3),
        ([3, 5, 7, 9], [-1, 0, 0, 0, 1, 0], True, 9),
    ],
)
def test_dose_grids(
    offsets: list[float], orientation: list[float], reverse: bool, lowest: float, tmp_path: Path
) -> None:
    made = dicom(
        VOLUME,
        **{
            **PLACED,
            "ImageOrientationPatient": orientation,
            "GridFrameOffsetVector": offsets,
            "DoseGridScaling": 0.25,
            "Modality": "RTDOSE",
        },
    )
    image = read(made, tmp_path)
    np.testing.assert_array_equal(image.pixels[0], (VOLUME[::-1] if reverse else VOLUME) * np.float32(0.25))
    assert image.geometry.spacing_mm == (2, 0.8, 0.5)
    assert image.geometry.origin_mm == (1, 2, lowest)


def test_uneven_dose_grids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not evenly spaced"):
        read(dicom(VOLUME, GridFrameOffsetVector=[0, 2, 4, 7], **PLACED), tmp_path)


def test_nuclear_medicine_says_its_place_of_the_detector(tmp_path: Path) -> None:
    made = dicom(
        VOLUME, SOPClassUID="1.2.840.10008.5.1.4.1.1.20", PixelSpacing=[0.8, 0.5], SpacingBetweenSlices=-2
    )
    made.DetectorInformationSequence = [item(**AXIAL)]
    image = read(made, tmp_path)
    np.testing.assert_array_equal(image.pixels[0], VOLUME[::-1])
    assert image.geometry == Geometry((2, 0.8, 0.5), (1, 2, -3), (UP, DOWN, RIGHT))


def nuclear(vectors: dict[str, list[int]], **elements: object) -> FileDataset:
    """Four frames, told apart by vectors."""
    names = {word: tag_for_keyword(word) for word in vectors}
    made = dicom(
        VOLUME,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.20",
        PixelSpacing=[0.8, 0.5],
        FrameIncrementPointer=list(names.values()),
        **vectors,
        **elements,
    )
    made.DetectorInformationSequence = [item(**AXIAL)]
    return made


def test_nuclear_frames_lie_where_their_slice_vector_says(tmp_path: Path) -> None:
    """From the first frame on, which is the one whose place the file says."""
    vectors = {"EnergyWindowVector": [1, 1, 1, 1], "SliceVector": [2, 1, 4, 3]}
    made = nuclear(vectors, SpacingBetweenSlices=2, FrameTime=1000)
    image = read(made, tmp_path)
    np.testing.assert_array_equal(image.pixels[0], VOLUME[[1, 0, 3, 2]])
    assert image.geometry == Geometry((2, 0.8, 0.5), (1, 2, 1), (UP, DOWN, RIGHT))
    made.SpacingBetweenSlices = -2
    image = read(made, tmp_path)
    np.testing.assert_array_equal(image.pixels[0], VOLUME[[2, 3, 0, 1]])
    assert image.geometry == Geometry((2, 0.8, 0.5), (1, 2, -1), (UP, DOWN, RIGHT))
    del made.DetectorInformationSequence
    image = read(made, tmp_path)
    np.testing.assert_array_equal(image.pixels[0], VOLUME[[1, 0, 3, 2]])
    assert image.geometry == Geometry((2, 0.8, 0.5))


NO_VOLUMES: dict[str, tuple[dict[str, list[int]], str]] = {
    "two energies": (
        {"EnergyWindowVector": [1, 1, 2, 2], "SliceVector": [1, 2, 1, 2]},
        "its 4 frames differ in EnergyWindowVector, not in their slice alone, so that they are no one volume",
    ),
    "gated": (
        {"RRIntervalVector": [1, 1, 1, 1], "TimeSlotVector": [1, 1, 2, 2], "SliceVector": [1, 2, 1, 2]},
        "its 4 frames differ in TimeSlotVector, not in their slice alone",
    ),
    "projections": (
        {"DetectorVector": [1, 1, 2, 2], "AngularViewVector": [1, 2, 1, 2]},
        "its 4 frames differ in DetectorVector and AngularViewVector, not",
    ),
    "dynamic": ({"PhaseVector": [1, 1, 2, 2], "TimeSliceVector": [1, 2, 1, 2]}, "moments of a film"),
    "moments": ({"TimeSliceVector": [1, 2, 3, 4]}, "its 4 frames are moments of a film, not slices"),
    "phases": ({"PhaseVector": [1, 1, 2, 2]}, "moments of a film"),
    "a slice twice": ({"SliceVector": [1, 2, 2, 3]}, "its SliceVector does not count the slices"),
    "a slice missing": ({"SliceVector": [1, 2, 4, 5]}, "Is one missing"),
    "too few numbers": ({"SliceVector": [1, 2, 3]}, "its SliceVector has not one number for each frame"),
}


@pytest.mark.parametrize("name", NO_VOLUMES)
@pytest.mark.parametrize("between", [2, None])
def test_nuclear_frames_that_are_no_volume_are_refused(
    name: str, between: int | None, tmp_path: Path
) -> None:
    vectors, words = NO_VOLUMES[name]
    with pytest.raises(ImageError, match=words):
        read(nuclear(vectors, SpacingBetweenSlices=between), tmp_path)


def test_a_vector_that_is_not_pointed_to_says_nothing(tmp_path: Path) -> None:
    made = nuclear({"SliceVector": [1, 2, 3, 4]}, SpacingBetweenSlices=2, PhaseVector=[1, 1, 2, 2])
    np.testing.assert_array_equal(read(made, tmp_path).pixels[0], VOLUME)
