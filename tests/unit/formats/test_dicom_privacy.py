"""What a DICOM file says of its patient: told apart, looked for, and never told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_making import GREY, as_bytes, dicom, enhanced, item, slices, written
from pydicom.dataset import FileDataset

from delineate import formats
from delineate.errors import ImageError

IDENTITIES: list[dict[str, object]] = [
    {},
    {"PatientID": "P-002"},
    {"IssuerOfPatientID": "elsewhere"},
    {"PatientID": None},
    {"PatientID": None, "PatientName": "Doe^John"},
    {"PatientID": "", "PatientName": ""},
    {"PatientID": None, "PatientName": None, "StudyInstanceUID": "1.2.3.99"},
    {"PatientID": None, "PatientName": None, "StudyInstanceUID": None},
]


def test_patients_are_told_apart(tmp_path: Path) -> None:
    subjects = [
        formats.read(written(dicom(GREY, **elements), tmp_path / f"{index}.dcm")).subject
        for index, elements in enumerate(IDENTITIES)
    ]
    assert None not in subjects
    assert len(set(subjects)) == len(subjects)
    again = dicom(np.rot90(GREY), PatientName="Doe^J.", StudyInstanceUID="1.2.3.77", SeriesInstanceUID="1.2")
    assert formats.read(written(again, tmp_path / "again.dcm")).subject == subjects[0]
    nobody = dicom(GREY, PatientID=None, PatientName=None, StudyInstanceUID=None, SeriesInstanceUID=None)
    assert formats.read(written(nobody, tmp_path / "nobody.dcm")).subject is None


def test_a_subject_means_nothing_elsewhere(tmp_path: Path) -> None:
    path = written(dicom(GREY), tmp_path / "a.dcm")
    asked = (
        "import sys; from pathlib import Path; from delineate import formats; "
        "print(formats.read(Path(sys.argv[1])).subject)"
    )
    other = subprocess.run(
        [sys.executable, "-c", asked, path], capture_output=True, text=True, check=True
    ).stdout
    assert len(other.strip()) == 32
    assert other.strip() != formats.read(path).subject


def revealing() -> FileDataset:
    made = dicom(
        GREY,
        PatientName="Müstermann^Erika Maria=Ideographic",
        PatientID="ID-4711/08",
        PatientBirthDate="19640812",
        OtherPatientIDs=["alias77", "alias88"],
        AccessionNumber="ACC0815",
        StudyDate="20240131",
        StudyDescription="follow-up of trauma",
        PatientAddress="Lindenweg 7",
        PatientTelephoneNumbers="0049301234",
        InstitutionName="St. Somewhere",
        StationName="CTSTATION5",
        FrameOfReferenceUID="1.2.3.4.77",
        SpecificCharacterSet="ISO_IR 192",
    )
    made.ReferencedPatientSequence = [item(ReferencedSOPInstanceUID="1.2.3.4.88")]
    made.RequestAttributesSequence = [item(ScheduledProcedureStepDescription="hidden deep")]
    return made


def test_what_identifies_is_known(tmp_path: Path) -> None:
    found = formats.read(written(revealing(), tmp_path / "a.dcm")).identifying
    assert {
        "Müstermann^Erika Maria=Ideographic", "Müstermann", "Erika", "Maria", "Ideographic", "ID-4711/08",
        "4711", "19640812", "1964-08-12", "alias77", "alias88", "ACC0815", "20240131", "2024-01-31",
        "follow-up of trauma", "trauma", "Lindenweg", "0049301234", "St. Somewhere", "Somewhere",
        "CTSTATION5", "1.2.3.4.77", "1.2.3.4.88", "1.2.3.4.1", "hidden deep", "hidden",
    } <= found  # fmt: skip
    assert not {"ID", "08", "of", "St", "7", "", "CT"} & found
    assert not any(value.startswith("1.2.840.10008.") for value in found)
    assert formats.read_mask(tmp_path / "a.dcm").identifying == found


def test_it_is_not_shown(tmp_path: Path) -> None:
    image = formats.read(written(revealing(), tmp_path / "a.dcm"))
    series, _ = formats.find_series([tmp_path / "a.dcm"])
    for shown in (repr(image), repr(series), str(formats.header(tmp_path / "a.dcm"))):
        assert not any(value in shown for value in image.identifying if len(value) > 4)


def test_a_series_knows_that_of_every_slice(tmp_path: Path) -> None:
    made = slices(np.stack([GREY, GREY]))
    made[1].StationName = "only here"
    paths = [written(each, tmp_path / f"{index}") for index, each in enumerate(made)]
    found = formats.read_series(paths).identifying
    assert {"only here", *(each.SOPInstanceUID for each in made)} <= found


CANARY = "CANARY"


def spoilt() -> list[FileDataset]:
    """Files that are refused, whose every text is a canary."""
    films = revealing()
    films.NumberOfFrames, films.FrameTime, films.PixelData = 3, 40, bytes(GREY.size * 3 + GREY.size % 2)
    syntax = revealing()
    syntax.file_meta.TransferSyntaxUID = "1.2.3.CANARY"
    report = revealing()
    del report.PixelData
    rows = revealing()
    del rows.Rows
    rows.add_new("Rows", "LO", CANARY)
    slope = revealing()
    slope.add_new("RescaleSlope", "LO", CANARY)
    frames = enhanced(np.stack([GREY] * 2), [[0, 0, 0]] * 2, FrameComments=[CANARY, CANARY + "2"])
    photometric = revealing()
    photometric.PhotometricInterpretation = CANARY
    kind = revealing()
    del kind.PixelData
    kind.SOPClassUID = "1.2.CANARY"
    return [films, syntax, report, rows, slope, frames, photometric, kind]


@pytest.mark.parametrize("index", range(len(spoilt())))
def test_no_value_is_told_in_an_error(index: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = spoilt()[index]
    for keyword in (
        "PatientName",
        "PatientID",
        "StudyDescription",
        "InstitutionName",
        "ImageType",
        "Manufacturer",
    ):
        setattr(made, keyword, CANARY)
    path = tmp_path / "a.dcm"
    path.write_bytes(as_bytes(made))
    for action in (formats.read, formats.header, formats.read_mask):
        with pytest.raises(ImageError) as caught:
            action(path)
        assert CANARY not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert capfd.readouterr() == ("", "")
