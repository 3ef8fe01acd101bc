"""DICOM segmentations of every kind, made by highdicom and by hand, and read."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from delineate.errors import ImageError
from delineate.formats.dicom_seg import header, read_mask, read_segments
from delineate.formats.stored import Reading, Source, StoredMask

Make = Callable[..., Path]
CtFiles = Callable[..., list[Path]]
OVERLAP = np.zeros((5, 7, 5, 2), dtype=np.uint8)
OVERLAP[1, 1:5, 1:4, 0] = 1
OVERLAP[1, 3:7, 2:5, 1] = 1
OVERLAP[4, 0, 0, 1] = 1


def opened(path: Path, reading: Reading | None = None) -> Source:
    return Source(io.BytesIO(path.read_bytes()), path, reading or Reading())


def mask_of(path: Path) -> StoredMask:
    return read_mask(opened(path))


@pytest.fixture
def made(tmp_path: Path, ct_files: CtFiles) -> Make:
    """Writes a segmentation of a CT series of five slices by highdicom alone."""

    def make(
        pixels: np.ndarray,
        kind: str = "BINARY",
        *,
        labels: tuple[str, ...] = ("liver", "tumour"),
        syntax: str = ExplicitVRLittleEndian,
        change: Callable[[Dataset], None] | None = None,
        **options: object,
    ) -> Path:
        images = [pydicom.dcmread(path) for path in ct_files(count=len(pixels), size=pixels.shape[1:3])]
        images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
        described = [
            SegmentDescription(number, label, codes.SCT.Tissue, codes.SCT.Liver, "MANUAL")
            for number, label in enumerate(labels, start=1)
        ]
        uids = [highdicom.UID() for _ in range(2)]
        segmentation = Segmentation(
            images, pixels, kind, described, uids[0], 9, uids[1], 1, "maker", "model", "1", "2",
            transfer_syntax_uid=syntax, content_creator_name="Doe^Jane", **options,
        )  # fmt: skip
        path = tmp_path / "made.dcm"
        segmentation.save_as(path)
        if change is not None:
            dataset = pydicom.dcmread(path)
            change(dataset)
            dataset.save_as(path)
        return path

    return make


def test_binary_segments_in_their_places(made: Make) -> None:
    values = np.random.default_rng(0).integers(0, 3, (5, 7, 5)).astype(np.uint8)
    values[2] = 0  # left out of the file
    mask = mask_of(made(values))
    assert np.array_equal(mask.values, values)
    assert mask.values.dtype == np.uint8
    assert mask.volume
    assert mask.partial
    assert mask.names == {1: "liver", 2: "tumour"}
    assert mask.geometry.spacing_mm == (2.5, 0.5, 0.75)
    assert mask.geometry.origin_mm == (10, -20, 30)
    assert mask.geometry.directions == ((0, 0, 1), (0, 1, 0), (1, 0, 0))


def test_slices_at_the_ends_that_are_left_out_are_not_made_up(made: Make) -> None:
    values = np.zeros((5, 7, 5), dtype=np.uint8)
    values[1, 2, 3] = values[4, 5, 1] = 1
    mask = mask_of(made(values))
    assert np.array_equal(mask.values, values[1:])
    assert mask.geometry.origin_mm == (10, -20, 32.5)


@pytest.mark.parametrize("fractions", ["PROBABILITY", "OCCUPANCY"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_fractions_of_one_half_or_more_belong(made: Make, fractions: str, syntax: str) -> None:
    pixels = np.zeros((5, 7, 5, 2))
    pixels[..., 0] = np.linspace(0, 1, 175).reshape(5, 7, 5)
    path = made(pixels, "FRACTIONAL", syntax=syntax, fractional_type=fractions, max_fractional_value=200)
    expected = np.round(pixels[..., 0] * 200) * 2 >= 200
    assert 80 < expected.sum() < 100
    assert header(opened(path)).mode == "fractional segments"
    first, second = read_segments(opened(path))
    found = np.zeros((5, 7, 5), dtype=bool)
    steps = first.geometry.origin_mm
    assert steps is not None
    found[round((steps[2] - 30) / 2.5) :] = first.voxels()
    assert np.array_equal(found, expected)
    assert not second.voxels().any()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_label_maps(made: Make, syntax: str) -> None:
    values = np.random.default_rng(1).integers(0, 3, (5, 7, 5)).astype(np.uint8)
    path = made(values, "LABELMAP", syntax=syntax)
    assert header(opened(path)).mode == "label map"
    assert np.array_equal(mask_of(path).values, values)
    assert mask_of(path).names == {1: "liver", 2: "tumour"}


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_compressed_by_jpeg_2000(made: Make, kind: str) -> None:
    values = np.random.default_rng(1).integers(0, 3, (5, 33, 35)).astype(np.uint8)
    assert np.array_equal(mask_of(made(values, kind, syntax=JPEG2000Lossless)).values, values)


def test_a_compressed_frame_of_another_size_is_refused_before_it_is_unpacked(made: Make) -> None:
    path = made(np.ones((5, 33, 35), dtype=np.uint8), "LABELMAP", syntax=JPEG2000Lossless)
    whole = bytearray(path.read_bytes())
    size = whole.find(b"\xff\x4f\xff\x51") + 8
    whole[size : size + 4] = (1 << 20).to_bytes(4, "big")
    path.write_bytes(bytes(whole))
    with pytest.raises(ImageError, match="unpacks to another size"):
        mask_of(path)


def test_overlapping_segments_are_refused_and_read_one_by_one(made: Make) -> None:
    path = made(OVERLAP)
    with pytest.raises(ImageError) as caught:
        mask_of(path)
    assert "1 (liver) and 2 (tumour) in 4 voxels" in str(caught.value)
    assert "delineate segments" in str(caught.value)
    first, second = read_segments(opened(path))
    assert first.size == second.size == (4, 7, 5)
    assert np.array_equal(first.voxels(), OVERLAP[1:, ..., 0])
    assert np.array_equal(second.voxels(), OVERLAP[1:, ..., 1])
    assert first.overlap(second) == 4
    assert (first.number, first.name) == (1, "liver")


def test_deflated_files(made: Make) -> None:
    values = np.random.default_rng(2).integers(0, 3, (5, 7, 5)).astype(np.uint8)
    path = made(values)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    assert np.array_equal(mask_of(path).values, values)


def test_segments_of_images_without_a_place_are_pictures(tmp_path: Path, ct_files: CtFiles) -> None:
    unplaced = ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient")

    def as_picture(image: Dataset) -> None:
        image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"  # computed radiography

    image = pydicom.dcmread(ct_files(count=1, without=unplaced, change=as_picture)[0])
    values = np.random.default_rng(3).integers(0, 3, (7, 5)).astype(np.uint8)
    described = [
        SegmentDescription(n, label, codes.SCT.Tissue, codes.SCT.Liver, "MANUAL")
        for n, label in ((1, "a"), (2, "b"))
    ]
    path = tmp_path / "made.dcm"
    Segmentation(
        [image], values, "BINARY", described, "1.2.3", 1, "1.2.4", 1, "maker", "model", "1", "2"
    ).save_as(path)
    mask = mask_of(path)
    assert np.array_equal(mask.values, values)
    assert not mask.volume
    assert not mask.partial
    assert mask.geometry.spacing_mm == (0.5, 0.75)
    assert header(opened(path)).size == (7, 5)


def test_names_are_made_fit_to_be_shown(made: Make) -> None:
    def rename(dataset: Dataset) -> None:
        for segment, label in zip(
            dataset.SegmentSequence, ["a\x1b[31m\n b", "a [31m b", "", "x" * 90, "x" * 90], strict=True
        ):
            segment.SegmentLabel = label

    path = made(np.ones((5, 7, 5), dtype=np.uint8), labels=tuple("abcde"), change=rename)
    names = mask_of(path).names
    assert names == {1: "a [31m b", 2: "a [31m b (2)", 3: "segment 3", 4: "x" * 64, 5: "x" * 60 + " (2)"}


def test_what_identifies_is_handed_on_and_stays_out_of_messages(made: Make) -> None:
    mask = mask_of(made(np.ones((5, 7, 5), dtype=np.uint8)))
    assert {"Müller^Jörg", "canary-17", "19500102"} <= mask.identifying
    assert "canary" not in repr(mask)


def drop_frame(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[-1]


def cut_pixels(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[:-2]


def misname_segment(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 9


def repeat_frame(dataset: Dataset) -> None:
    frames = dataset.PerFrameFunctionalGroupsSequence
    frames[1].PlanePositionSequence = frames[0].PlanePositionSequence


def forget_segments(dataset: Dataset) -> None:
    dataset.SegmentSequence = []


def describe_twice(dataset: Dataset) -> None:
    dataset.SegmentSequence[1].SegmentNumber = 1


def turn_frame(dataset: Dataset) -> None:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        plane = Dataset()
        plane.ImageOrientationPatient = [0, 1, 0, 0, 0, 1] if index else [1, 0, 0, 0, 1, 0]
        frame.PlaneOrientationSequence = [plane]
    del shared.PlaneOrientationSequence


def lose_places(dataset: Dataset) -> None:
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence


def widen(dataset: Dataset) -> None:
    dataset.Rows = dataset.Columns = 65535


def use_samples(dataset: Dataset) -> None:
    dataset.SamplesPerPixel = 3


def lose_pixels(dataset: Dataset) -> None:
    del dataset.PixelData


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop_frame, "claims 10 frames and describes 9"),
        (cut_pixels, "truncated"),
        (lose_pixels, "truncated"),
        (misname_segment, "pixels of segment 9"),
        (repeat_frame, "two frames of segment 1 at one place"),
        (lose_places, "two frames of segment 1 at one place"),
        (forget_segments, "no DICOM segmentation"),
        (describe_twice, "one twice"),
        (turn_frame, "differ in orientation"),
        (widen, "too large"),
        (use_samples, "3 samples"),
    ],
)
def test_what_cannot_be_understood_is_refused(
    made: Make, change: Callable[[Dataset], None], said: str
) -> None:
    values = np.ones((5, 7, 5), dtype=np.uint8)
    values[:, 0] = 2
    path = made(values, change=change)
    with pytest.raises(ImageError, match=said) as caught:
        mask_of(path)
    assert "canary" not in str(caught.value)
    assert "1.2.3" not in str(caught.value)


def test_other_dicom_and_other_files_are_refused(ct_files: CtFiles, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no DICOM segmentation"):
        mask_of(ct_files(count=1)[0])
    (tmp_path / "other").write_bytes(b"no DICOM at all" * 20)
    with pytest.raises(ImageError):
        mask_of(tmp_path / "other")


def test_sizes_are_capped_before_pixels_are_decoded(made: Make) -> None:
    path = made(np.ones((5, 7, 5), dtype=np.uint8))
    with pytest.raises(ImageError, match="5×7×5"):
        read_mask(opened(path, Reading(maximum_megapixels=1e-4)))
    with pytest.raises(ImageError, match="5×7×5"):
        header(opened(path, Reading(maximum_megapixels=1e-4)))


def test_far_planes_cannot_claim_a_huge_volume(made: Make) -> None:
    def scatter(dataset: Dataset) -> None:
        dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = "1e-6"
        frame = dataset.PerFrameFunctionalGroupsSequence[-1]
        frame.PlanePositionSequence[0].ImagePositionPatient = [10, -20, 1e6]

    values = np.zeros((5, 7, 5), dtype=np.uint8)
    values[[0, 4], 1, 1] = 1
    with pytest.raises(ImageError, match="too large"):
        mask_of(made(values, change=scatter, labels=("a",)))


def test_a_file_cut_anywhere_is_refused(made: Make, tmp_path: Path) -> None:
    whole = made(OVERLAP[..., :1], labels=("a",)).read_bytes()
    for length in range(0, len(whole), 61):
        cut = Source(io.BytesIO(whole[:length]), tmp_path / "cut.dcm")
        with pytest.raises(ImageError):
            read_mask(cut)


def test_flipped_bits_give_a_mask_or_an_image_error(made: Make, tmp_path: Path) -> None:
    whole = made(OVERLAP[..., :1], labels=("a",)).read_bytes()
    random = np.random.default_rng(5)
    read, told = 0, []
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.integers(132, len(whole), 3):
            damaged[place] ^= 1 << int(random.integers(8))
        try:
            read += read_mask(Source(io.BytesIO(bytes(damaged)), tmp_path / "damaged.dcm")).values.ndim >= 2
        except ImageError as error:
            told.append(str(error))
    assert read
    assert told
    assert not any("canary" in each for each in told)
