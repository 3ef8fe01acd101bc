"""Which names look as if they said who a patient is, and which do not."""

from __future__ import annotations

import hashlib
import uuid
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.dataset.identifying import IN_TEXT, fold, looks_identifying, names_any

TELLING = [
    # DICOM's way to part names
    "DOE^JANE", "doe^jane_001", "^JANE", "Müller^Anna^^Dr",
    # dates
    "20190304", "2019-03-04", "2019_03_04", "2019.03.04", "2019 03 04", "19811231.dcm", "scan20190304",
    "CT20190304b", "20190304_120000", "20190304T1200", "IMG_20190304_120000.jpg", "2019-3-4", "04-03-2019",
    "4.3.2019", "04_03_1987.png", "31.12.1999", "12/31/1999", "04Mar2019", "4-march-2019", "2019-Mar-04",
    "2019MAR04", "exam 1 Dec 2020",
    # numbers of records, citizens and insured
    "MRN1234567", "mrn_0012345", "MRN-12345", "Patient12345", "patient_id_4711", "PatientNo 12345",
    "pat-1234", "PID1234", "12345678", "1234567", "img_12345678.png", "00012345678", "P12345678",
    "H7654321_ct", "IMG20190304120000", "811218-9876", "811218+9876", "078-05-1120",
    # UIDs
    "1.2.840.113619.2.55.3", "CT.1.2.826.0.1.3680043.8.498.123.dcm",
]  # fmt: skip
HARMLESS = [
    "hippocampus_001", "image_7", "cju0qkwl35piu0993l0dewei2", "IM0001", "slice_000123", "JPCLN001",
    "train_300", "SCD0000101_0048", "case-1c8c3a0738", "patient_001", "patient001_frame01", "p1", "1",
    "1.dcm", "a.nii.gz", "BRATS_001_0000.nii.gz", "liver_131", "la_007", "img0001", "IM00000012",
    "frame 12 of 300", "T1w_1.5mm", "sub-01_ses-02_T1w", "0001-0002", "1.2.3", "v1.2.3.4", "2019",
    "2019_cohort", "scan_2019", "512x512x300", "21_training", "00013", "spleen_2", "volume-131",
    "ID_0a1b2c", "a1b2c3d4e5f60718", "20191399x", "masks", "images", "labelsTr", "dataset.json",
    "patch", "path_123456", "patina1234",
    # numbers like dates within digests and UUIDs
    "3f20190304ab7799c0de20190304ffee", "d41d8cd98f00b204e9800998ecf8427e",
    "0a7d30b252359a10fd298b638b90cb9ada3acced4e0c0e5a3692013f432ee4e9",
    "c0ffee00-2019-0304-1200-446655440000",
]  # fmt: skip


@pytest.mark.parametrize("name", TELLING)
def test_these_tell(name: str) -> None:
    assert looks_identifying(name)
    assert looks_identifying(f"{name}_mask.png")


@pytest.mark.parametrize("name", HARMLESS)
def test_these_do_not(name: str) -> None:
    assert not looks_identifying(name)
    assert not looks_identifying(f"{name}_mask.png")


@given(st.binary(max_size=20))
def test_no_digest_tells(content: bytes) -> None:
    for size in (16, 20, 32):
        digest = hashlib.blake2b(content, digest_size=size).hexdigest()
        assert not looks_identifying(f"{digest}.png")
    assert not looks_identifying(str(uuid.UUID(hashlib.blake2b(content, digest_size=16).hexdigest())))


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)))
def test_every_date_tells_in_every_writing(day: date) -> None:
    for form in ("%Y%m%d", "%Y-%m-%d", "%Y_%m_%d", "%d.%m.%Y", "%m-%d-%Y", "%d%b%Y", "%Y %B %d", "%d%m%Y"):
        assert looks_identifying(f"a_{day:{form}}_b")


@pytest.mark.parametrize(
    ("name", "words", "tells"),
    [
        ("doe_1.dcm", {"Doe^Jane", "Doe", "Jane"}, True),
        ("janedoe_1.dcm", {"Doe", "Jane"}, True),  # long words within others
        ("doer_1.dcm", {"Doe"}, False),  # short words where they stand alone
        ("DOE-1.dcm", {"doe"}, True),
        ("scan_kim_2", {"Kim"}, True),
        ("scan_kimono_2", {"Kim"}, False),
        ("li_2", {"Li"}, False),  # two letters stand in too many names
        ("mueller", {"MÜLLER"}, False),
        ("muller_7", {"MÜLLER"}, True),
        ("MÜLLER_7", {"müller"}, True),
        ("mu\u0308ller_7", {"M\u00dcLLER"}, True),  # in the other form of Unicode
        ("strasse_7", {"Straße"}, True),
        ("0012345_7", {"12345"}, True),
        ("12345_7", {"0012345"}, True),
        ("123_7", {"0123"}, True),
        ("1123_7", {"123"}, False),
        ("7", {"7"}, False),
        ("image_7", {"", " "}, False),
        ("image_7", set(), False),
    ],
)
def test_words_of_the_files_own_header(name: str, words: set[str], tells: bool) -> None:
    assert looks_identifying(name, words) == tells


def test_words_of_other_files_count_where_they_stand_alone() -> None:
    words = {fold(word) for word in ("Doe", "JANE", "0012345", "7")}
    assert names_any("doe_1.png", words)
    assert names_any("ct-Jane.png", words)
    assert names_any("12345.png", words)
    assert not names_any("janet_7.png", words)
    assert not names_any("", words)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DOE^JANE: the file is empty", ["DOE^JANE"]),
        ("3 × .png in Müller^Anna^^Dr/ and 2 more", ["Müller^Anna^^Dr"]),
        ("scan_2019-03-04.png, b_04.03.2019.png", ["2019-03-04", "04.03.2019"]),
        ("of 1.2.840.113619.2.55.3 of MRN1234567", ["1.2.840.113619.2.55.3", "MRN1234567"]),
        # what our own messages hold
        ("--group-regex '^(.*)\\d$' makes blocks, '^([^_]+)' takes the first", []),
        ("0.75 × 1.25 × 2048 px, values 0 to 16777215, 10^6 and 2^31, 1.25 2048", []),
        ("12345678 pixels of 100000000, at most 600 million", []),
        ("on 2 3 2000, 2048 12 31, 20 12 2048 and 3.5.2 of version 10.2.2048.1", []),
    ],
)
def test_what_looks_so_in_a_sentence(text: str, found: list[str]) -> None:
    assert [match[0] for match in IN_TEXT.finditer(text)] == found
