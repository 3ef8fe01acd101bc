"""DICOM segmentations of real images: those of others as their makers see them, ours as others see them."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset

from delineate.errors import ImageError
from delineate.formats.dicom_seg import header, read_mask, read_segments
from delineate.formats.dicom_seg_sources import read_frames
from delineate.formats.dicom_seg_writing import Algorithm, write_segmentation
from delineate.formats.stored import Source
from delineate.geometry import Geometry, fit
from delineate.image import LabelSet, Mask

pytestmark = pytest.mark.data
MODEL = Algorithm("net", "1", "ab" * 32)
SOURCES = {
    "ct": ("formats/dcmqi_ct_dicom_seg/images/*.dcm", 3),
    "mr 23": ("formats/dcmqi_ct_dicom_seg/mr_23x38x3/image/*.dcm", 3),
    "mr 24": ("formats/dcmqi_ct_dicom_seg/mr_24x38x3/image/*.dcm", 3),
    "multi-frame 23": ("formats/dcmqi_ct_dicom_seg/mr_23x38x3/multiframe/mf.dcm", 3),
    "multi-frame 24": ("formats/dcmqi_ct_dicom_seg/mr_24x38x3/multiframe/mf.dcm", 3),
    "one oblique slice": ("sunnybrook/images/SCD0000101_0048.dcm", 1),
    "one slice": ("formats/dcmqi_ct_dicom_seg/images/02.dcm", 1),
}


@pytest.fixture(params=SOURCES)
def sources(request: pytest.FixtureRequest, data_root: Path) -> list[Path]:
    """Image files, of which single ones are in no order."""
    pattern, count = SOURCES[request.param]
    found = sorted(data_root.glob(pattern))
    if not found:
        pytest.skip(f"{pattern} is not among the real data")
    assert len(found) in (count, 1)
    return found[1:] + found[:1]


def unpacked(path: Path) -> dict[tuple[int, tuple[float, ...]], npt.NDArray[np.uint8]]:
    """Frames by segment and position, bit by bit: the first pixel is the lowest bit (PS3.5, 8.1.1)."""
    dataset = pydicom.dcmread(path)
    rows, columns = dataset.Rows, dataset.Columns
    bits = [byte >> place & 1 for byte in dataset.PixelData for place in range(8)]
    frames = {}
    for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        groups = [frame, dataset.SharedFunctionalGroupsSequence[0]]
        segment = first_of(groups, "SegmentIdentificationSequence").ReferencedSegmentNumber
        position = first_of(groups, "PlanePositionSequence").ImagePositionPatient
        pixels = bits[index * rows * columns : (index + 1) * rows * columns]
        frames[segment, tuple(map(float, position))] = np.array(pixels, dtype=np.uint8).reshape(rows, columns)
    return frames


def first_of(groups: list[Dataset], keyword: str) -> Dataset:
    return next(group[keyword].value[0] for group in groups if keyword in group)


def made(sources: list[Path], labels: int, seed: int = 0) -> tuple[Mask, Geometry]:
    """A mask with noise of so many labels on the images' grid."""
    frames = read_frames(sources)
    assert frames.stack is not None
    noise = np.random.default_rng(seed)
    values = noise.integers(1, labels + 1, frames.size) * (noise.random(frames.size) < 0.2)
    names = LabelSet.of(*("liver", "left kidney", "something else")[:labels])
    return Mask(values.astype(np.uint8), names, frames.stack.geometry), frames.stack.geometry


def test_ours_comes_back_as_it_was(sources: list[Path], tmp_path: Path) -> None:
    mask, grid = made(sources, 3)
    out = tmp_path / "out.dcm"
    write_segmentation(out, mask, sources, MODEL)
    with out.open("rb") as stream:
        assert header(Source(stream, out)).size == mask.values.shape
        stored = read_mask(Source(stream, out))
    found = fit(stored.geometry, stored.values.shape, grid)
    assert found is not None
    assert found.turn.is_identity
    assert not any(found.start)
    assert np.array_equal(stored.values, mask.values)
    assert stored.names == {1: "liver", 2: "left kidney", 3: "something else"}


def test_highdicom_sees_ours_in_its_place(sources: list[Path], tmp_path: Path) -> None:
    mask, grid = made(sources, 3)
    out = tmp_path / "out.dcm"
    write_segmentation(out, mask, sources, MODEL)
    volume = highdicom.seg.segread(out).get_volume(combine_segments=True)
    found = fit(Geometry.from_affine(volume.affine), volume.spatial_shape, grid)
    assert found is not None
    assert np.array_equal(found.turn.apply(volume.array), mask.values)


def test_bits_of_ours_are_in_order(sources: list[Path], tmp_path: Path) -> None:
    mask, grid = made(sources, 2)
    out = tmp_path / "out.dcm"
    write_segmentation(out, mask, sources, MODEL)
    frames = unpacked(out)
    affine = grid.affine()
    for label in mask.labels:
        for index, plane in enumerate(mask.values):
            place = affine[:3] @ (index, 0, 0, 1)
            own = [
                frame
                for (segment, position), frame in frames.items()
                if segment == label.value and np.allclose(position, place, atol=1e-3)
            ]
            assert len(own) == 1
            assert np.array_equal(own[0], plane == label.value)


def test_simple_itk_sees_ours_in_its_place(sources: list[Path], tmp_path: Path) -> None:
    mask, grid = made(sources, 1)
    if mask.values[0].size % 8:
        pytest.skip("ITK misreads frames that begin within a byte, those of dcmqi too")
    out = tmp_path / "out.dcm"
    write_segmentation(out, mask, sources, MODEL)
    image = SimpleITK.ReadImage(str(out))
    directions = np.array(image.GetDirection()).reshape(3, 3)[:, ::-1]
    affine = np.c_[directions * image.GetSpacing()[::-1], image.GetOrigin()]
    array = np.asarray(SimpleITK.GetArrayFromImage(image))
    found = fit(Geometry.from_affine(affine), array.shape, grid)
    assert found is not None
    assert not any(found.start)
    assert np.array_equal(found.turn.apply(array != 0), mask.values > 0)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("masks/liver.dcm", "masks/liver_seg.nrrd"),
        ("mr_23x38x3/seg/label.seg", "mr_23x38x3/nrrd/label.nrrd"),
        ("mr_24x38x3/seg/label.seg", "mr_24x38x3/nrrd/label.nrrd"),
    ],
)
def test_dcmqi_segmentation_is_its_nrrd(data_root: Path, name: str, reference: str) -> None:
    folder = data_root / "formats" / "dcmqi_ct_dicom_seg"
    with (folder / name).open("rb") as stream:
        mask = read_mask(Source(stream, folder / name))
    expected = SimpleITK.ReadImage(str(folder / reference))
    array = np.asarray(SimpleITK.GetArrayFromImage(expected))
    assert mask.names == {1: "Liver"}
    assert np.count_nonzero(array) > 300
    labelled = np.argwhere(mask.values)
    assert len(labelled) == np.count_nonzero(array)
    places = np.c_[labelled, np.ones(len(labelled))] @ mask.geometry.affine()[:3].T
    for place in places[:: max(1, len(places) // 500)]:
        index = expected.TransformPhysicalPointToIndex(place.tolist())
        assert array[index[::-1]] != 0
    assert np.array_equal(mask.values != 0, array != 0)


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("masks/liver.dcm", "images"),
        ("mr_23x38x3/seg/label.seg", "mr_23x38x3/image"),
        ("mr_24x38x3/seg/label.seg", "mr_24x38x3/multiframe"),
    ],
)
def test_dcmqi_segmentation_lies_on_its_images_and_ours_of_it_is_alike(
    data_root: Path, tmp_path: Path, name: str, images: str
) -> None:
    folder = data_root / "formats" / "dcmqi_ct_dicom_seg"
    sources = sorted((folder / images).iterdir())
    grid = read_frames(sources).stack
    assert grid is not None
    with (folder / name).open("rb") as stream:
        theirs = read_mask(Source(stream, folder / name))
    found = fit(theirs.geometry, theirs.values.shape, grid.geometry)
    assert found is not None
    assert found.start == (0, 0, 0)
    mask = Mask(theirs.values.astype(np.uint8), LabelSet.of("liver"), theirs.geometry)
    write_segmentation(tmp_path / "out.dcm", mask, sources, MODEL)
    assert {key: frame.tobytes() for key, frame in rounded(folder / name).items()} == {
        key: frame.tobytes() for key, frame in rounded(tmp_path / "out.dcm").items()
    }


def rounded(path: Path) -> dict[tuple[int, tuple[float, ...]], npt.NDArray[np.uint8]]:
    return {
        (segment, tuple(round(each, 2) for each in position)): frame
        for (segment, position), frame in unpacked(path).items()
        if frame.any()
    }


def test_overlapping_segments_are_refused_and_read_one_by_one(data_root: Path) -> None:
    path = data_root / "formats" / "dcmqi_ct_dicom_seg" / "masks" / "partial_overlaps.dcm"
    frames = unpacked(path)
    heights = sorted({position[2] for _, position in frames})
    voxels = {number: np.zeros((len(heights), 512, 512), dtype=bool) for number in range(1, 6)}
    for (number, position), frame in frames.items():
        voxels[number][heights.index(position[2])] = frame > 0
    with path.open("rb") as stream:
        source = Source(stream, path)
        segments = read_segments(source)
        with pytest.raises(ImageError) as caught:
            read_mask(source)
    assert [each.name for each in segments] == ["GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE"]
    for segment in segments:
        assert np.array_equal(segment.voxels(), voxels[segment.number])
    shared = np.count_nonzero(voxels[1] & voxels[2])
    assert shared > 1000
    assert f"1 (GREEN) and 2 (ORANGE) in {shared} voxels" in str(caught.value)
    assert "4 (LIGHT_BLUE)" not in str(caught.value)
    assert "delineate segments" in str(caught.value)
