"""Labels in the terms of SNOMED CT."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from delineate.formats.dicom_seg_codes import ANATOMY, FINDING, PAIRED, PRIVATE_SCHEME, TISSUE, terms_of


@pytest.mark.parametrize("label", [*ANATOMY, *TISSUE, *FINDING])
def test_every_term_of_the_tables_is_in_the_dictionary(label: str) -> None:
    terms = terms_of(label)
    assert terms.type.scheme_designator == "SCT"
    assert terms.type.value.isdigit()


@pytest.mark.parametrize(
    ("label", "value", "meaning", "category", "side"),
    [  # values by PS3.16, CID 4 and others
        ("liver", "10200004", "Liver", "91723000", None),
        ("Spleen", "78961009", "Spleen", "91723000", None),
        ("Left kidney", "64033007", "Kidney", "91723000", "7771000"),
        ("kidney_right", "64033007", "Kidney", "91723000", "24028007"),
        ("right-lung", "39607008", "Lung", "91723000", "24028007"),
        ("left ventricle", "87878005", "Left ventricle", "91723000", None),
        ("heart", "80891009", "Heart", "91723000", None),
        ("hippocampus", "5366008", "Hippocampus", "91723000", None),
        ("prostate", "41216001", "Prostate", "91723000", None),
        ("tumour", "108369006", "Neoplasm", "49755003", None),
        ("lesion", "52988006", "Lesion", "49755003", None),
        ("vessel", "59820001", "Blood Vessel", "85756007", None),
    ],
)
def test_terms_of_usual_labels(label: str, value: str, meaning: str, category: str, side: str | None) -> None:
    terms = terms_of(label)
    assert (terms.type.value, terms.type.meaning) == (value, meaning)
    assert terms.category.value == category
    assert (terms.side and terms.side.value) == side


@pytest.mark.parametrize(
    "label", ["anterior", "left", "left liver", "left right kidney", "class 7", "Ω" * 80]
)
def test_a_label_without_term_gets_a_code_of_our_own(label: str) -> None:
    terms = terms_of(label)
    assert terms.category == codes.SCT.Tissue
    assert terms.type.scheme_designator == PRIVATE_SCHEME
    assert terms.type.meaning == label[:64]
    assert len(terms.type.value) <= 16
    assert terms == terms_of(label)


def test_codes_of_our_own_differ_by_name_alone() -> None:
    assert terms_of("Class 7").type.value == terms_of("class_7").type.value
    assert terms_of("class 7").type.value != terms_of("class 8").type.value


def test_paired_organs_are_known() -> None:
    assert set(ANATOMY) >= PAIRED
