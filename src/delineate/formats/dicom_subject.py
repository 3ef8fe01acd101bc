"""Of whom a DICOM file is: a digest to tell patients apart, and what must never be shown."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from delineate.formats.dicom_file import text

_KEY = secrets.token_bytes(32)  # of this process: a digest can neither be looked up nor compared outside it
SUBJECT_TAGS = ("PatientID", "IssuerOfPatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID")
_REGISTERED = "1.2.840.10008."  # UIDs of the standard itself say nothing of a patient
_SHORTEST_PART = 3
_SEPARATORS = re.compile(r"[\s^=\\,;:/_.()\[\]\-]+")
_NAMES_AND_DATES = {"PN", "DA", "DT"}
# Of PS3.15, annex E (basic profile), what a person could be found by.
_IDENTIFYING = frozenset(
    {
        "AccessionNumber", "AcquisitionComments", "AdditionalPatientHistory", "AdmissionID", "Allergies",
        "CountryOfResidence", "CurrentPatientLocation", "DeviceSerialNumber", "DeviceUID", "EthnicGroup",
        "FillerOrderNumberImagingServiceRequest", "FrameComments", "ImageComments", "InstitutionAddress",
        "InstitutionName", "InstitutionalDepartmentName", "InsurancePlanIdentification", "IssuerOfPatientID",
        "MedicalRecordLocator", "MilitaryRank", "Occupation",
        "OtherPatientIDs", "PatientAddress", "PatientComments", "PatientID", "PatientInstitutionResidence",
        "PatientReligiousPreference", "PatientState", "PatientTelecomInformation", "PatientTelephoneNumbers",
        "PerformedLocation", "PerformedProcedureStepDescription", "PerformedProcedureStepID",
        "PerformedStationAETitle", "PerformedStationName", "PersonAddress", "PersonTelecomInformation",
        "PersonTelephoneNumbers", "PlacerOrderNumberImagingServiceRequest", "ProtocolName",
        "ReasonForStudy", "ReferringPhysicianAddress", "ReferringPhysicianTelephoneNumbers",
        "RegionOfResidence", "RequestedProcedureDescription",
        "RequestedProcedureID", "RequestingService", "ResponsibleOrganization",
        "ScheduledProcedureStepDescription", "ScheduledProcedureStepID", "SeriesDescription",
        "StationName", "StudyComments", "StudyDescription", "StudyID", "ServiceEpisodeID",
        "TextString", "ContentDescription", "DerivationDescription", "ClinicalTrialSubjectID",
        "ClinicalTrialSubjectReadingID", "ClinicalTrialSiteID", "ClinicalTrialSiteName",
        "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName",
        "PatientMotherBirthName", "PatientBirthName", "DetectorID", "GantryID", "PlateID", "CassetteID",
        "GeneratorID", "StudyIDIssuer", "VisitComments", "InterpretationText", "ResultsComments",
    }
)  # fmt: skip


def subject_of(header: Dataset) -> str | None:
    """A digest of the patient, or of the study or series where the file names no patient.

    It means nothing outside this process.
    """
    patient = text(header, "PatientID")
    if patient:
        return _digest("id", patient, text(header, "IssuerOfPatientID"))
    for keyword in SUBJECT_TAGS[2:]:
        value = text(header, keyword)
        if value:
            return _digest(keyword, value)
    return None


def identifying_of(header: Dataset) -> frozenset[str]:
    """Every value of a file that could tell whose it is, and the parts of those that are no dates or UIDs."""
    found: set[str] = set()
    for representation, value in _values(header):
        if not value:
            continue
        found.add(value)
        if representation in ("DA", "DT") and len(value) >= 8 and value[:8].isdigit():
            found |= {value[:8], f"{value[:4]}-{value[4:6]}-{value[6:8]}"}
        elif representation != "UI":
            found.update(part for part in _SEPARATORS.split(value) if len(part) >= _SHORTEST_PART)
    return frozenset(found)


def _values(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Value representation and value of the identifying elements, those in sequences among them."""
    for tag in dataset.keys():  # noqa: SIM118  iterating a data set decodes every element
        raw = dataset.get_item(tag)
        keyword = keyword_for_tag(tag)
        representation = raw.VR or dataset[tag].VR
        if representation == "SQ":
            for item in dataset[tag].value or ():
                yield from _values(item)
        elif keyword in _IDENTIFYING or representation in _NAMES_AND_DATES or representation == "UI":
            value = dataset[tag].value
            for each in value if isinstance(value, MultiValue | list) else (value,):
                said = "" if each is None else str(each).strip()
                if not (representation == "UI" and said.startswith(_REGISTERED)):
                    yield representation, said


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), key=_KEY, digest_size=16).hexdigest()
