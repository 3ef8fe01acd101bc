"""Masks written as DICOM segmentations of small made-up series."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom._standard_utils import check_required_attributes, get_iod_module_map
from pydicom.dataset import Dataset

from delineate.errors import DataError, ImageError, OutputError
from delineate.formats.dicom_seg import read_mask
from delineate.formats.dicom_seg_writing import RESEARCH, Algorithm, write_segmentation
from delineate.formats.stored import Source, StoredMask
from delineate.geometry import Geometry, Turn, fit
from delineate.image import LabelSet, Mask

CtFiles = Callable[..., list[Path]]
MODEL = Algorithm("spleen net", "3.1", "0123456789abcdef" * 4)
LABELS = LabelSet.of("Left kidney", "spleen", "class 7")
GRID = Geometry((2.5, 0.5, 0.75), (10, -20, 30), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
UNPLACED = ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient")


def some_mask(size: tuple[int, ...] = (5, 7, 5), geometry: Geometry = GRID) -> Mask:
    values = np.random.default_rng(7).integers(0, 4, size).astype(np.uint8)
    return Mask(values, LABELS, geometry)


def read_back(path: Path) -> StoredMask:
    return read_mask(Source(io.BytesIO(path.read_bytes()), path))


def on_grid(stored: StoredMask, geometry: Geometry, size: tuple[int, ...]) -> np.ndarray:
    """The stored values on the whole grid, the rest being background."""
    found = fit(stored.geometry, stored.values.shape, geometry)
    assert found is not None
    values = np.zeros(size, dtype=np.uint8)
    part = found.turn.apply(stored.values)
    values[tuple(slice(at, at + n) for at, n in zip(found.start, part.shape, strict=True))] = part
    return values


def test_a_volume_comes_back_in_its_place(ct_files: CtFiles, tmp_path: Path) -> None:
    mask, out = some_mask(), tmp_path / "out.dcm"
    write_segmentation(out, mask, ct_files(), MODEL)
    stored = read_back(out)
    assert np.array_equal(on_grid(stored, mask.geometry, (5, 7, 5)), mask.values)
    assert stored.names == {1: "Left kidney", 2: "spleen", 3: "class 7"}


@pytest.mark.parametrize("filled", [[0], [4], [1, 3], [0, 4]])
def test_left_out_slices_keep_their_places(ct_files: CtFiles, tmp_path: Path, filled: list[int]) -> None:
    whole, out = some_mask(), tmp_path / "out.dcm"
    values = np.zeros_like(whole.values)
    values[filled] = whole.values[filled]
    write_segmentation(out, replace(whole, values=values), ct_files(), MODEL)
    stored = read_back(out)
    assert stored.values.shape[0] == filled[-1] - filled[0] + 1
    assert np.array_equal(on_grid(stored, GRID, (5, 7, 5)), values)


def test_oblique_slices(ct_files: CtFiles, tmp_path: Path) -> None:
    right, down = OBLIQUE[:3], OBLIQUE[3:]
    normal = np.cross(right, down)
    grid = Geometry((1.1, 0.5, 0.75), (10, -20, 30), (tuple(normal), down, right))
    mask, out = some_mask(geometry=grid), tmp_path / "out.dcm"
    write_segmentation(out, mask, ct_files(spacing_mm=1.1, directions=OBLIQUE), MODEL)
    assert np.array_equal(on_grid(read_back(out), grid, (5, 7, 5)), mask.values)


@pytest.mark.parametrize(
    "turn", [Turn((0, 1, 2), (True, False, False)), Turn((2, 0, 1), (False, True, True))]
)
def test_slices_are_matched_by_place_not_by_order(ct_files: CtFiles, tmp_path: Path, turn: Turn) -> None:
    mask, out = some_mask(), tmp_path / "out.dcm"
    turned = Mask(turn.apply(mask.values).astype(np.uint8), LABELS, turn.geometry(GRID, (5, 7, 5)))
    write_segmentation(out, turned, ct_files(), MODEL)
    assert np.array_equal(on_grid(read_back(out), GRID, (5, 7, 5)), mask.values)


def test_an_empty_mask_has_an_empty_frame_a_segment(ct_files: CtFiles, tmp_path: Path) -> None:
    out = tmp_path / "out.dcm"
    write_segmentation(out, Mask(np.zeros((5, 7, 5), dtype=np.uint8), LABELS, GRID), ct_files(), MODEL)
    assert pydicom.dcmread(out).NumberOfFrames == 3
    stored = read_back(out)
    assert stored.values.shape == (1, 7, 5)
    assert not stored.values.any()
    assert len(stored.names) == 3


@pytest.mark.parametrize("size", [(7, 5), (1, 7, 5)])
def test_one_slice(ct_files: CtFiles, tmp_path: Path, size: tuple[int, ...]) -> None:
    geometry = replace(
        GRID,
        spacing_mm=(GRID.spacing_mm or ())[-len(size) :],
        directions=(GRID.directions or ())[-len(size) :],
    )
    mask, out = some_mask(size, geometry), tmp_path / "out.dcm"
    write_segmentation(out, mask, ct_files(count=1), MODEL)
    stored = read_back(out)
    assert np.array_equal(stored.values, mask.values.reshape(1, 7, 5))
    assert stored.geometry == GRID


def test_a_picture_without_place(ct_files: CtFiles, tmp_path: Path) -> None:
    def as_picture(image: Dataset) -> None:
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"

    mask, out = some_mask((7, 5), Geometry()), tmp_path / "out.dcm"
    write_segmentation(out, mask, ct_files(count=1, without=UNPLACED, change=as_picture), MODEL)
    stored = read_back(out)
    assert np.array_equal(stored.values, mask.values)
    assert stored.geometry == Geometry((0.5, 0.75))


def test_what_dicom_demands_is_there(ct_files: CtFiles, tmp_path: Path) -> None:
    out = tmp_path / "out.dcm"
    write_segmentation(out, some_mask(), ct_files(), MODEL)
    written = pydicom.dcmread(out)
    modules = get_iod_module_map()["segmentation"]
    for module in (each["key"] for each in modules if each["usage"] == "M"):
        if module != "segmentation-multi-frame-functional-groups":  # its frames are looked at below
            check_required_attributes(written, module=module)
    for frame in written.PerFrameFunctionalGroupsSequence:
        derivation = frame.DerivationImageSequence[0]
        source = derivation.SourceImageSequence[0]
        index = int(source.ReferencedSOPInstanceUID.rsplit(".")[-1]) - 1
        assert frame.PlanePositionSequence[0].ImagePositionPatient[2] == pytest.approx(30 + 2.5 * index)
        assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert derivation.DerivationCodeSequence[0].CodeValue == "113076"
    referenced = written.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == "1.2.3.2"
    assert len(referenced.ReferencedInstanceSequence) == 5


def test_patient_and_study_are_the_images(ct_files: CtFiles, tmp_path: Path) -> None:
    out = tmp_path / "out.dcm"
    paths = ct_files()
    write_segmentation(out, some_mask(), paths, MODEL)
    written, image = pydicom.dcmread(out), pydicom.dcmread(paths[0])
    for word in ("PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"):
        assert written[word].value == image[word].value
    assert str(written.PatientName) == "Müller^Jörg"
    assert written.StudyInstanceUID == "1.2.3.1"
    assert written.FrameOfReferenceUID == "1.2.3.3"
    assert written.SeriesInstanceUID != image.SeriesInstanceUID
    assert written.Modality == "SEG"


def test_the_model_and_its_purpose_are_said(ct_files: CtFiles, tmp_path: Path) -> None:
    out = tmp_path / "out.dcm"
    write_segmentation(out, some_mask(), ct_files(), MODEL)
    written = pydicom.dcmread(out)
    assert written.Manufacturer == "Delineate"
    assert "RESEARCH USE ONLY" in written.ContentDescription
    for segment in written.SegmentSequence:
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentDescription == RESEARCH
        said = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (said.AlgorithmName, said.AlgorithmVersion) == ("spleen net", "3.1")
        assert said.AlgorithmParameters == f"sha256={MODEL.digest}"
        assert said.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"
    kinds = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in written.SegmentSequence]
    assert [kind.CodeMeaning for kind in kinds] == ["Kidney", "Spleen", "class 7"]
    assert [kind.CodingSchemeDesignator for kind in kinds] == ["SCT", "SCT", "99DELINEATE"]
    assert kinds[0].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"


def test_same_input_same_file_and_other_input_other_uid(ct_files: CtFiles, tmp_path: Path) -> None:
    paths = ct_files()
    uids: list[str] = []
    contents: list[bytes] = []
    mask = some_mask()
    changed = mask.values.copy()
    changed[2, 3, 3] = (changed[2, 3, 3] + 1) % 4
    for given, algorithm in (
        (mask, MODEL),
        (mask, MODEL),
        (replace(mask, values=changed), MODEL),
        (mask, replace(MODEL, digest="f" * 64)),
        (replace(mask, labels=LabelSet.of("a", "b", "c")), MODEL),
    ):
        out = tmp_path / "out.dcm"
        write_segmentation(out, given, paths if uids else paths[::-1], algorithm)
        contents.append(out.read_bytes())
        uids.append(pydicom.dcmread(out).SOPInstanceUID)
    assert contents[0] == contents[1]
    assert len(set(uids)) == 4
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({}, ("20200305", "101112")),
        ({"ContentDate": ""}, ("20200304", "050607")),
        ({"ContentDate": "20120000", "StudyDate": "20209999"}, ("19000101", "000000")),
    ],
)
def test_dates_are_the_images(
    ct_files: CtFiles, tmp_path: Path, dates: dict[str, str], expected: tuple[str, str]
) -> None:
    def change(image: Dataset) -> None:
        for word, value in dates.items():
            setattr(image, word, value)

    out = tmp_path / "out.dcm"
    write_segmentation(out, some_mask(), ct_files(change=change), MODEL)
    written = pydicom.dcmread(out)
    assert (written.ContentDate, written.ContentTime) == expected
    assert "InstanceCreationDate" not in written
    if "StudyDate" in dates:
        assert written.StudyDate == dates["StudyDate"]


@pytest.mark.parametrize(
    "without",
    [
        ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
        ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "SpecificCharacterSet"),
        ("SliceThickness", "PositionReferenceIndicator", "InstanceNumber", "SeriesNumber"),
    ],
)
def test_what_images_may_lack_is_not_needed(
    ct_files: CtFiles, tmp_path: Path, without: tuple[str, ...]
) -> None:
    mask, out = some_mask(), tmp_path / "out.dcm"
    write_segmentation(out, mask, ct_files(without=without), MODEL)
    assert np.array_equal(on_grid(read_back(out), GRID, (5, 7, 5)), mask.values)


def test_label_names_of_any_kind(ct_files: CtFiles, tmp_path: Path) -> None:
    out = tmp_path / "out.dcm"
    labels = LabelSet.of("Leber ‒ größer", "a\\b\nc", "Ω" * 90)
    write_segmentation(out, replace(some_mask(), labels=labels), ct_files(), MODEL)
    assert read_back(out).names == {1: "Leber ‒ größer", 2: "a/b c", 3: "Ω" * 64}
    described = pydicom.dcmread(out).SegmentSequence
    codes = [each.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator for each in described]
    assert codes == ["99DELINEATE"] * 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"without": UNPLACED}, "Frame of Reference"),
        ({"without": ("FrameOfReferenceUID",)}, "Frame of Reference"),
        ({"without": ("PixelSpacing",)}, "Pixel Spacing"),
        ({"count": 4}, "does not lie on the grid"),
        ({"spacing_mm": 2.0}, "does not lie on the grid"),
        ({"size": (5, 7)}, "does not lie on the grid"),
    ],
)
def test_images_that_a_segmentation_cannot_be_of(
    ct_files: CtFiles, tmp_path: Path, options: dict[str, object], said: str
) -> None:
    out = tmp_path / "out.dcm"
    with pytest.raises(ImageError, match=said) as caught:
        write_segmentation(out, some_mask(), ct_files(**options), MODEL)
    assert str(tmp_path) not in caught.value.reason
    assert "canary" not in str(caught.value)
    assert not out.exists()


def test_series_with_gaps_repeats_or_strangers(ct_files: CtFiles, tmp_path: Path) -> None:
    paths, out = ct_files(), tmp_path / "out.dcm"
    by_place = sorted(paths, key=lambda path: path.stem[-1])
    with pytest.raises(DataError, match="missing between"):
        write_segmentation(out, some_mask(), [by_place[0], *by_place[2:]], MODEL)
    with pytest.raises(DataError, match="one place has several"):
        write_segmentation(out, some_mask(), [*paths, paths[0]], MODEL)
    stranger = pydicom.dcmread(paths[1])
    stranger.SeriesInstanceUID = "1.2.99"
    stranger.save_as(paths[1])
    with pytest.raises(DataError, match="differ in SeriesInstanceUID"):
        write_segmentation(out, some_mask(), paths, MODEL)


def test_files_that_cannot_be_read_or_written(ct_files: CtFiles, tmp_path: Path) -> None:
    paths = ct_files()
    with pytest.raises(ImageError):
        write_segmentation(tmp_path / "out.dcm", some_mask(), [*paths, tmp_path / "none.dcm"], MODEL)
    (tmp_path / "text").write_text("no DICOM " * 40)
    with pytest.raises(DataError) as caught:
        write_segmentation(
            tmp_path / "out.dcm", some_mask(), [*paths, tmp_path / "text", tmp_path / "none.dcm"], MODEL
        )
    assert "text:" in str(caught.value)
    assert "none.dcm:" in str(caught.value)
    with pytest.raises(OutputError):
        write_segmentation(tmp_path / "missing" / "out.dcm", some_mask(), paths, MODEL)
    with pytest.raises(ValueError, match="value 3"):
        write_segmentation(
            tmp_path / "out.dcm", replace(some_mask(), labels=LabelSet.of("one")), paths, MODEL
        )
