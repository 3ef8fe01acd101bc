"""Data as a hospital has them, made in code: DICOM series full of what tells of a patient, and volumes."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

TAGS = (
    "PatientName", "PatientID", "IssuerOfPatientID", "OtherPatientIDs", "OtherPatientNames",
    "PatientBirthName", "PatientMotherBirthName", "PatientAddress", "PatientTelephoneNumbers",
    "CountryOfResidence", "RegionOfResidence", "Occupation", "EthnicGroup", "PatientComments",
    "PatientReligiousPreference", "MilitaryRank", "BranchOfService", "MedicalRecordLocator", "MedicalAlerts",
    "Allergies", "AdditionalPatientHistory", "SmokingStatus", "PatientState", "SpecialNeeds",
    "AccessionNumber", "StudyID", "StudyDescription", "SeriesDescription", "ProtocolName",
    "ReferringPhysicianName", "ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers",
    "ConsultingPhysicianName", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "OperatorsName",
    "PerformingPhysicianName", "RequestingPhysician", "RequestingService", "RequestedProcedureDescription",
    "RequestedProcedureID", "ScheduledProcedureStepDescription", "PerformedProcedureStepDescription",
    "PerformedProcedureStepID", "AdmittingDiagnosesDescription", "AdmissionID", "InstitutionName",
    "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber",
    "ImageComments", "AcquisitionComments", "InterpretationText", "ResponsiblePerson",
    "ResponsibleOrganization", "CurrentPatientLocation", "PatientInstitutionResidence",
    "DerivationDescription", "ContrastBolusAgent", "BodyPartExamined",
)  # fmt: skip
"""Tags whose values are names, numbers or free text; the dates are set apart."""
CODES = frozenset({"SmokingStatus", "BodyPartExamined"})  # of at most sixteen capitals
DATES = ("PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
SIZE = (14, 40, 48)  # slices, rows, columns
SPACING_MM = (2.0, 1.0, 1.0)


def canary(patient: int, tag: str) -> str:
    """A value that occurs nowhere by chance."""
    short = f"ZQ{patient}{TAGS.index(tag):02}K"
    return short if tag in CODES or tag == "AccessionNumber" else f"{short}anary"


def date_canary(patient: int, tag: str) -> str:
    """A date that occurs nowhere by chance."""
    return f"19{17 + DATES.index(tag)}0{patient + 1}2{patient}"


def volume(seed: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """A noisy ball in the dark with its mask, `SIZE`."""
    random = np.random.default_rng(seed)
    centre = np.array(SIZE) / 2 + random.uniform(-3, 3, 3)
    places = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), axis=-1)
    distance = np.linalg.norm((places - centre) * SPACING_MM, axis=-1)
    mask = distance < 9
    values = 200 + 400 * mask + random.normal(0, 40, SIZE)
    return values.clip(0, 2000).astype(np.int16), mask.astype(np.uint8)


def write_series(folder: Path, values: npt.NDArray[np.int16], patient: int, *, stem: str = "IM") -> None:
    """One file a slice, shuffled by name, from the feet to the head."""
    folder.mkdir(parents=True)
    study, series, frame = (generate_uid() for _ in range(3))
    order = np.random.default_rng(patient).permutation(len(values))
    for index, pixels in enumerate(values):
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID = MRImageStorage, generate_uid()
        header.StudyInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = study, series, frame
        header.Modality = "MR"
        for tag in TAGS:
            setattr(header, tag, canary(patient, tag))
        for tag in DATES:
            setattr(header, tag, date_canary(patient, tag))
        header.StudyTime = header.SeriesTime = header.ContentTime = "120000"
        header.SeriesNumber, header.InstanceNumber = 1, int(order[index]) + 1
        header.PatientSex, header.PatientAge, header.Laterality = "O", "040Y", ""
        header.Manufacturer, header.PositionReferenceIndicator = "", ""
        header.ImageType = ["ORIGINAL", "PRIMARY"]
        header.ImagePositionPatient = [-20.0, -30.0, SPACING_MM[0] * index - 50.0]
        header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        header.PixelSpacing = list(SPACING_MM[1:])
        header.SliceThickness = SPACING_MM[0]
        header.Rows, header.Columns = pixels.shape
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated = header.BitsStored = 16
        header.HighBit, header.PixelRepresentation = 15, 1
        header.PixelData = pixels.astype("<i2").tobytes()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.save_as(folder / f"{stem}{order[index]:04}.dcm", enforce_file_format=True)


def affine_ras() -> npt.NDArray[np.float64]:
    """Of `(x, y, z)` indices of the same grid, in NIfTI's coordinates."""
    affine = np.diag([-SPACING_MM[2], -SPACING_MM[1], SPACING_MM[0], 1.0])
    affine[:3, 3] = (20.0, 30.0, -50.0)
    return affine


def write_nifti(path: Path, values: npt.NDArray[np.generic]) -> None:
    """A volume `SIZE` on the grid of the series, its axes turned as many programs store them (RAS)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.asarray(values).T, affine_ras())
    nibabel.save(nibabel.as_closest_canonical(image), path)
