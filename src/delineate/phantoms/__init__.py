"""Synthetic images whose truth is known exactly, for trying, teaching and testing without a patient.

Radiological convention holds for `organs`: the patient's right is on the left of the picture.
"""

from delineate.phantoms.catalogue import CONTRAST_RANGE, KINDS, NOISE_RANGE, SIZE_RANGE, generate
from delineate.phantoms.folder import write
from delineate.phantoms.kind import Phantom, PhantomKind

__all__ = [
    "CONTRAST_RANGE",
    "KINDS",
    "NOISE_RANGE",
    "SIZE_RANGE",
    "Phantom",
    "PhantomKind",
    "generate",
    "write",
]
