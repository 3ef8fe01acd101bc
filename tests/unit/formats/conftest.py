"""DICOM image files made for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

Directions = tuple[float, float, float, float, float, float]
CtFiles = Callable[..., list[Path]]
AXIAL: Directions = (1, 0, 0, 0, 1, 0)


def ct_slice(index: int, size: tuple[int, int], spacing_mm: float, directions: Directions) -> Dataset:
    """A slice of a small CT series, `index` steps along the normal from (10, -20, 30)."""
    slice_ = Dataset()
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = CTImageStorage
    slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = f"1.2.3.4.{index + 1}"
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    slice_.FrameOfReferenceUID, slice_.PositionReferenceIndicator = "1.2.3.3", ""
    slice_.SpecificCharacterSet = "ISO_IR 100"
    slice_.PatientName, slice_.PatientID = "Müller^Jörg", "canary-17"
    slice_.PatientBirthDate, slice_.PatientSex = "19500102", "M"
    slice_.StudyDate, slice_.StudyTime, slice_.ContentDate, slice_.ContentTime = (
        "20200304",
        "050607",
        "20200305",
        "101112",
    )
    slice_.AccessionNumber, slice_.StudyID, slice_.Modality = "A1", "S1", "CT"
    slice_.SeriesNumber, slice_.InstanceNumber = 3, index + 1
    normal = np.cross(directions[:3], directions[3:])
    position = np.array([10.0, -20.0, 30.0]) + index * spacing_mm * normal
    slice_.ImagePositionPatient = [f"{each:.6f}" for each in position]
    slice_.ImageOrientationPatient = [f"{each:.9f}" for each in directions]
    slice_.PixelSpacing, slice_.SliceThickness = [0.5, 0.75], spacing_mm
    slice_.Rows, slice_.Columns = size
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 0
    slice_.PixelData = bytes(2 * size[0] * size[1])
    return slice_


@pytest.fixture
def ct_files(tmp_path: Path) -> CtFiles:
    """Writes the slices of a CT series and returns their paths, in an order that is not theirs in space."""

    def write(
        count: int = 5,
        size: tuple[int, int] = (7, 5),
        spacing_mm: float = 2.5,
        directions: Directions = AXIAL,
        without: Sequence[str] = (),
        change: Callable[[Dataset], None] | None = None,
    ) -> list[Path]:
        paths = []
        for index in range(count):
            slice_ = ct_slice(index, size, spacing_mm, directions)
            for keyword in without:
                delattr(slice_, keyword)
            if change is not None:
                change(slice_)
            paths.append(tmp_path / f"{(3 * index + 2) % 7}-{index}.dcm")
            slice_.save_as(paths[-1], enforce_file_format=True)
        return sorted(paths)

    return write
