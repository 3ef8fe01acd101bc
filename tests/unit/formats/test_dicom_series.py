"""Slices become a volume by where they lie, and what is no regular stack is refused with the reason."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_making import GREY, RGB, H, W, dicom, slices, written
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import FileDataset

from delineate import formats
from delineate.errors import ImageError
from delineate.formats import Reading

DEPTH = 5
VOLUME = np.stack([GREY.astype(np.int16) * (index + 1) - 300 for index in range(DEPTH)])
TILTED = (math.cos(0.4), math.sin(0.4), 0.0), (-math.sin(0.4) * 0.8, math.cos(0.4) * 0.8, -0.6)


def shuffled(made: list[FileDataset], folder: Path) -> list[Path]:
    """The files, named and numbered in another order than they lie in."""
    folder.mkdir(exist_ok=True)
    order = list(range(len(made)))
    random.Random(3).shuffle(order)  # noqa: S311  a repeatable order is wanted
    for number, each in zip(order, made, strict=True):
        each.InstanceNumber = number + 1
    names = zip(order, made, strict=True)
    return sorted(written(each, folder / f"IM{number:04}") for number, each in names)


def test_slices_are_sorted_by_where_they_lie(tmp_path: Path) -> None:
    image = formats.read_series(shuffled(slices(VOLUME), tmp_path / "series"))
    np.testing.assert_array_equal(image.pixels, VOLUME[None])
    assert image.pixels.dtype == np.int16
    assert image.geometry.spacing_mm == (2.5, 0.8, 0.5)
    assert image.geometry.origin_mm == (-20, 30, 100)
    assert image.geometry.directions == ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    assert (image.modality, image.notes, image.shares) == ("CT", (), False)


def test_the_order_does_not_depend_on_that_of_the_files(tmp_path: Path) -> None:
    paths = shuffled(slices(VOLUME, right=TILTED[0], down=TILTED[1]), tmp_path / "series")
    one, other = formats.read_series(paths), formats.read_series(paths[::-1])
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert one.geometry == other.geometry


@given(
    st.tuples(*[st.floats(-1, 1)] * 6),
    st.tuples(*[st.floats(0.1, 8)] * 3),
    st.tuples(*[st.floats(-300, 300)] * 3),
)
def test_every_voxel_lies_where_its_slice_says(
    tmp_path_factory: pytest.TempPathFactory,
    axes: tuple[float, ...],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
) -> None:
    right, down = np.array(axes[:3]), np.array(axes[3:])
    if min(np.linalg.norm(right), np.linalg.norm(np.cross(right, down))) < 0.1:
        return
    right /= np.linalg.norm(right)
    down -= right * (right @ down)
    down /= np.linalg.norm(down)
    folder = tmp_path_factory.mktemp("series")
    made = slices(VOLUME[:3], spacing=spacing, origin=origin, right=right.tolist(), down=down.tolist())
    image = formats.read_series(shuffled(made, folder))
    np.testing.assert_array_equal(image.pixels, VOLUME[None, :3])
    affine = image.geometry.affine()
    for k, each in enumerate(made):
        for j, i in ((0, 0), (H - 1, 2)):
            expected = np.array(each.ImagePositionPatient) + down * j * spacing[1] + right * i * spacing[2]
            np.testing.assert_allclose((affine @ [k, j, i, 1])[:3], expected, atol=1e-3)


def test_each_slice_has_its_own_slope(tmp_path: Path) -> None:
    made = slices(np.abs(VOLUME))
    for index, each in enumerate(made):
        each.RescaleSlope, each.RescaleIntercept = 0.5 + index, -float(index)
    expected = np.stack([np.abs(plane) * (0.5 + k) - k for k, plane in enumerate(VOLUME)])
    image = formats.read_series(shuffled(made, tmp_path / "series"))
    np.testing.assert_array_equal(image.pixels[0], expected.astype(np.float32))
    assert image.pixels.dtype == np.float32


def test_padding_is_that_of_the_whole_volume(tmp_path: Path) -> None:
    padded = VOLUME.copy()
    padded[:, 0] = -2000
    image = formats.read_series(shuffled(slices(padded, PixelPaddingValue=-2000), tmp_path / "series"))
    assert (image.pixels[0, :, 0] == VOLUME[:, 1:].min()).all()
    np.testing.assert_array_equal(image.pixels[0, :, 1:], VOLUME[:, 1:])
    assert image.notes == (f"{DEPTH * W} pixels of padding were set to the smallest value that is none",)


def test_colours_are_channels(tmp_path: Path) -> None:
    volume = np.stack([RGB, RGB[::-1]])
    made = [
        dicom(
            plane,
            ImagePositionPatient=[0, 0, 3 * index],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[1, 1],
        )
        for index, plane in enumerate(volume)
    ]
    image = formats.read_series(shuffled(made, tmp_path / "series"))
    np.testing.assert_array_equal(image.pixels, np.moveaxis(volume, -1, 0))
    assert image.shares


@pytest.mark.parametrize(
    ("elements", "depth", "noted"),
    [
        ({"SliceThickness": 4}, 4.0, False),
        ({"SliceThickness": 4, "SpacingBetweenSlices": 5}, 5.0, False),
        ({}, 1.0, True),
    ],
)
def test_one_slice_is_as_deep_as_it_is_thick(
    elements: dict[str, float], depth: float, noted: bool, tmp_path: Path
) -> None:
    (made,) = slices(VOLUME[:1])
    made.update(elements)
    image = formats.read_series([written(made, tmp_path / "one.dcm")])
    assert image.pixels.shape == (1, 1, H, W)
    assert image.geometry.spacing_mm == (depth, 0.8, 0.5)
    assert bool(image.notes) == noted


def test_a_header_says_what_reading_gives(tmp_path: Path) -> None:
    shuffled(slices(VOLUME), tmp_path / "series")
    header = formats.header(tmp_path / "series")
    assert (header.size, header.mode, header.channels) == ((DEPTH, H, W), "16-bit signed grey", 1)


def test_a_series_may_be_a_mask(tmp_path: Path) -> None:
    labels = (VOLUME > 200).astype(np.uint8)
    paths = shuffled(slices(labels), tmp_path / "series")
    mask = formats.read_series_mask(paths)
    np.testing.assert_array_equal(mask.values, labels)
    assert mask.volume
    assert mask.geometry == formats.read_series(paths).geometry
    np.testing.assert_array_equal(formats.read_mask(tmp_path / "series").values, labels)


Change = Callable[[list[FileDataset]], None]


def missing(made: list[FileDataset]) -> None:
    del made[2]


def nearer(made: list[FileDataset]) -> None:
    made[-1].ImagePositionPatient = [-20, 30, 109.9]


def growing(made: list[FileDataset]) -> None:
    """Gaps that grow by a little each, and over many slices by a lot."""
    made += [slices(VOLUME[:1], origin=(-20, 30, 0))[0] for _ in range(195)]
    for index, each in enumerate(made):
        each.ImagePositionPatient = [-20, 30, index * 2.5 * (0.991 + 0.00009 * index / 2)]


def turned(made: list[FileDataset]) -> None:
    made[3].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def larger(made: list[FileDataset]) -> None:
    made[1].Rows, made[1].PixelData = H + 2, bytes((H + 2) * W * 2)


def finer(made: list[FileDataset]) -> None:
    made[1].PixelSpacing = [0.7, 0.5]


def coarser_names(made: list[FileDataset]) -> None:
    del made[1].ImagePositionPatient


def leaning(made: list[FileDataset]) -> None:
    for index, each in enumerate(made):
        each.ImagePositionPatient = [-20, 30 + index * 2.5 * math.tan(math.radians(12)), 100 + index * 2.5]


def shifted(made: list[FileDataset]) -> None:
    made[2].ImagePositionPatient = [-17, 30, 105]


def coloured(made: list[FileDataset]) -> None:
    made[2].SamplesPerPixel, made[2].PhotometricInterpretation, made[2].PlanarConfiguration = 3, "RGB", 0
    made[2].BitsAllocated = made[2].BitsStored = 8
    made[2].HighBit, made[2].PixelRepresentation, made[2].PixelData = 7, 0, bytes(H * W * 3)


def anothers(made: list[FileDataset]) -> None:
    made[2].PatientID = "P-002"


def stacked_frames(made: list[FileDataset]) -> None:
    made[2].NumberOfFrames, made[2].PixelData = 2, bytes(H * W * 4)


REFUSED: dict[str, tuple[Change, str]] = {
    "a gap": (
        missing,
        r"4 slices are not evenly spaced: 2.50 mm apart, but 5.00 mm between slices 2 and 3, ",
    ),
    "an uneven gap": (nearer, r"2.50 mm apart, but 2.40 mm between slices 4 and 5"),
    "growing gaps": (growing, r"counted along the normal from the lowest, lies 1.11 mm beside"),
    "another direction": (turned, r"turned against the other slices \(by 90.0° between the planes\)"),
    "another size": (larger, r"its size is 14×9, and that of the other slices 12×9"),
    "another spacing": (finer, r"its PixelSpacing differs"),
    "no place": (coarser_names, r"1 of 5 slices do not say where they lie"),
    "a lean": (leaning, r"lean by 12.0° \(a tilted gantry\?\)"),
    "a shift": (shifted, r"shifted sideways against one another, unevenly, by up to 3.00 mm"),
    "other colours": (coloured, r"it has other colours than the other slices \(3 channels, not 1\)"),
    "two patients": (anothers, r"of 2 patients"),
    "many frames": (stacked_frames, r"2 frames"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_the_reason(name: str, tmp_path: Path) -> None:
    change, reason = REFUSED[name]
    made = slices(VOLUME)
    change(made)
    with pytest.raises(ImageError, match=reason):
        formats.read_series(shuffled(made, tmp_path / "series"))


def test_names_the_file_that_is_to_blame(tmp_path: Path) -> None:
    made = slices(VOLUME)
    turned(made)
    paths = [written(each, tmp_path / f"{index}.dcm") for index, each in enumerate(made)]
    with pytest.raises(ImageError) as caught:
        formats.read_series(paths)
    assert caught.value.path == paths[3]


def test_a_slight_lean_is_said(tmp_path: Path) -> None:
    made = slices(VOLUME)
    for index, each in enumerate(made):
        each.ImagePositionPatient = [-20, 30 + index * 0.018, 100 + index * 2.5]
    image = formats.read_series(shuffled(made, tmp_path / "series"))
    assert image.notes == ("its slices lean by 0.41°, 0.07 mm over all of them, and were taken as straight",)
    assert image.geometry.directions == ((0, 0, 1), (0, 1, 0), (1, 0, 0))


def test_rounded_positions_are_even(tmp_path: Path) -> None:
    made = slices(VOLUME, spacing=(0.6667, 0.8, 0.5))
    for each in made:
        each.ImagePositionPatient = [round(float(value), 2) for value in each.ImagePositionPatient]
    image = formats.read_series(shuffled(made, tmp_path / "series"))
    assert image.geometry.spacing_mm is not None
    assert image.geometry.spacing_mm[0] == pytest.approx(0.6667, abs=2e-3)


def twice(**values: list[object]) -> list[FileDataset]:
    """Two slices at every place, with these values of elements by turns."""
    made = slices(VOLUME) + slices(-VOLUME)
    for index, each in enumerate(made):
        for keyword, choice in values.items():
            setattr(each, keyword, choice[index // DEPTH] if len(choice) == 2 else choice[index])
    return made


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            {"EchoTime": [10.5, 31.5]},
            r"2 slices at each of 5 places.*EchoTime parts them into 2 whole stacks",
        ),
        (
            {"AcquisitionNumber": [1, 2], "TemporalPositionIdentifier": [1, 2]},
            "AcquisitionNumber or TemporalPositionIdentifier parts them into 2 whole stacks",
        ),
        (
            {"TriggerTime": [float(7 * index + 1) for index in range(2 * DEPTH)]},
            r"2 slices at each of 5 places, such as moments or echoes \(they differ in TriggerTime\)",
        ),
        ({}, "nothing tells them apart. Are there copies"),
    ],
)
def test_slices_at_one_place_are_refused(
    values: dict[str, list[object]], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ImageError, match=reason):
        formats.read_series(shuffled(twice(**values), tmp_path / "series"))


def test_a_copy_is_named(tmp_path: Path) -> None:
    made = slices(VOLUME)
    paths = shuffled(made, tmp_path / "series")
    copy = written(made[0], tmp_path / "series" / "copy.dcm")
    with pytest.raises(ImageError, match="it is the same slice as IM"):
        formats.read_series([*paths, copy])


def test_too_large_a_volume_is_refused_before_its_pixels_are_read(tmp_path: Path) -> None:
    paths = shuffled(slices(VOLUME), tmp_path / "series")
    with pytest.raises(ImageError, match=f"the volume is too large: {DEPTH}×{H}×{W}"):
        formats.read_series(paths, Reading(maximum_megapixels=4e-4))


def test_damage_in_one_slice_names_it(tmp_path: Path) -> None:
    paths = shuffled(slices(VOLUME), tmp_path / "series")
    paths[1].write_bytes(paths[1].read_bytes()[:-40])
    with pytest.raises(ImageError, match="truncated") as caught:
        formats.read_series(paths)
    assert caught.value.path == paths[1]
