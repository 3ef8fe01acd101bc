"""What labels mean in the terms of SNOMED CT, as DICOM segmentations must say of their segments.

Only terms of DICOM's own context groups are used, by their names in pydicom's dictionary, so that a number
and its meaning never disagree. A label without one gets a code of our own, which says that there is none.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

PRIVATE_SCHEME = "99DELINEATE"
LONGEST_MEANING = 64

ANATOMY = {
    "adrenal gland": "AdrenalGland",
    "amygdala": "Amygdala",
    "aorta": "Aorta",
    "bladder": "Bladder",
    "bone": "Bone",
    "brain": "Brain",
    "brain stem": "BrainStem",
    "brainstem": "BrainStem",
    "breast": "Breast",
    "bronchus": "Bronchus",
    "caudate nucleus": "CaudateNucleus",
    "cerebellum": "Cerebellum",
    "clavicle": "Clavicle",
    "colon": "Colon",
    "duodenum": "Duodenum",
    "esophagus": "Esophagus",
    "eye": "Eye",
    "eyeball": "Eyeball",
    "femur": "Femur",
    "gallbladder": "Gallbladder",
    "gall bladder": "Gallbladder",
    "globus pallidus": "GlobusPallidus",
    "heart": "Heart",
    "hip": "Hip",
    "hippocampus": "Hippocampus",
    "humerus": "Humerus",
    "inferior vena cava": "InferiorVenaCava",
    "kidney": "Kidney",
    "larynx": "Larynx",
    "left atrium": "LeftAtrium",
    "left ventricle": "LeftVentricle",
    "left ventricle myocardium": "LeftVentricleMyocardium",
    "liver": "Liver",
    "lung": "Lung",
    "mandible": "Mandible",
    "oesophagus": "Esophagus",
    "optic chiasm": "OpticChiasm",
    "optic nerve": "OpticNerve",
    "ovary": "Ovary",
    "pancreas": "Pancreas",
    "parotid gland": "ParotidGland",
    "pericardium": "Pericardium",
    "peripheral zone of the prostate": "PeripheralZoneOfTheProstate",
    "portal vein": "PortalVein",
    "prostate": "Prostate",
    "pulmonary artery": "PulmonaryArtery",
    "putamen": "Putamen",
    "rectum": "Rectum",
    "retina": "Retina",
    "rib": "Rib",
    "right atrium": "RightAtrium",
    "right ventricle": "RightVentricle",
    "sacrum": "Sacrum",
    "scapula": "Scapula",
    "seminal vesicle": "SeminalVesicle",
    "skull": "Skull",
    "small intestine": "SmallIntestine",
    "spinal cord": "SpinalCord",
    "spine": "Spine",
    "spleen": "Spleen",
    "stomach": "Stomach",
    "submandibular gland": "SubmandibularGland",
    "superior vena cava": "SuperiorVenaCava",
    "testis": "Testis",
    "thalamus": "Thalamus",
    "thymus": "Thymus",
    "thyroid": "Thyroid",
    "thyroid gland": "Thyroid",
    "tongue": "Tongue",
    "tooth": "Tooth",
    "trachea": "Trachea",
    "ureter": "Ureter",
    "urinary bladder": "Bladder",
    "uterus": "Uterus",
    "vertebra": "Vertebra",
}
TISSUE = {
    "artery": "Artery",
    "blood": "Blood",
    "blood vessel": "BloodVessel",
    "cartilage": "Cartilage",
    "cell": "Cell",
    "cerebrospinal fluid": "CerebrospinalFluid",
    "csf": "CerebrospinalFluid",
    "fat": "AdiposeTissue",
    "gray matter": "GrayMatter",
    "grey matter": "GrayMatter",
    "lymph node": "LymphNode",
    "muscle": "MuscleTissue",
    "nuclei": "Nucleus",
    "nucleus": "Nucleus",
    "skin": "Skin",
    "tissue": "Tissue",
    "vein": "Vein",
    "vessel": "BloodVessel",
    "vessels": "BloodVessel",
    "white matter": "WhiteMatter",
}
FINDING = {
    "abscess": "Abscess",
    "colon polyp": "PolypOfColon",
    "cyst": "Cyst",
    "edema": "Edema",
    "haemorrhage": "Hemorrhage",
    "hematoma": "Hematoma",
    "hemorrhage": "Hemorrhage",
    "lesion": "Lesion",
    "mass": "Mass",
    "metastasis": "Metastasis",
    "necrosis": "Necrosis",
    "neoplasm": "Neoplasm",
    "nodule": "Nodule",
    "oedema": "Edema",
    "pleural effusion": "PleuralEffusion",
    "pneumothorax": "Pneumothorax",
    "tumor": "Neoplasm",
    "tumour": "Neoplasm",
    "ulcer": "Ulcer",
}
PAIRED = frozenset(
    {"adrenal gland", "amygdala", "breast", "bronchus", "caudate nucleus", "clavicle", "eye", "eyeball"}
    | {"femur", "globus pallidus", "hip", "hippocampus", "humerus", "kidney", "lung", "optic nerve", "ovary"}
    | {"parotid gland", "putamen", "scapula", "submandibular gland", "testis", "thalamus", "ureter"}
)


@dataclass(frozen=True)
class Terms:
    """What a segment is.

    Attributes:
        category: The kind of thing: anatomy, tissue, finding.
        type: The thing.
        side: Left or right, where the label says so.
    """

    category: Code
    type: Code
    side: Code | None = None


def terms_of(label: str) -> Terms:
    """The terms for a label, by its name in English.

    Args:
        label: Such as "liver", "Left kidney" or "kidney_left".

    Returns:
        SNOMED CT's terms; for a name that is not known the category "Tissue" and a code of our own scheme,
        made from the name, with the name as its meaning.
    """
    words = re.split(r"[\s_\-.,()]+", label.strip().lower())
    name = " ".join(word for word in words if word)
    known = _known(name)
    if known is not None:
        return known
    for side in ("left", "right"):
        rest = " ".join(word for word in name.split() if word != side)
        paired = _known(rest) if rest in PAIRED and name.split().count(side) == 1 else None
        if paired is not None:
            return Terms(paired.category, paired.type, getattr(codes.SCT, side.capitalize()))
    value = hashlib.sha256(name.encode()).hexdigest()[:12].upper()
    return Terms(codes.SCT.Tissue, Code(value, PRIVATE_SCHEME, label[:LONGEST_MEANING]))


def _known(name: str) -> Terms | None:
    for category, table in (
        (codes.SCT.AnatomicalStructure, ANATOMY),
        (codes.SCT.Tissue, TISSUE),
        (codes.SCT.MorphologicallyAbnormalStructure, FINDING),
    ):
        if name in table:
            return Terms(category, getattr(codes.SCT, table[name]))
    return None
