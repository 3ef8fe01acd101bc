"""What tells the frames of a nuclear medicine image apart: its vectors, one number a frame each.

| vector named by FrameIncrementPointer, with several values | frames |
|---|---|
| SliceVector | slices, in its order |
| TimeSliceVector, PhaseVector | moments of a film |
| another: energy windows, time slots, detectors, angles | refused |
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from delineate.formats.dicom_file import DicomFile, numbers, text

NUCLEAR = "1.2.840.10008.5.1.4.1.1.20"
_SLICES = "SliceVector"
_MOMENTS = ("TimeSliceVector", "PhaseVector")
_OTHERS = (
    *("EnergyWindowVector", "DetectorVector", "RotationVector", "RRIntervalVector", "TimeSlotVector"),
    "AngularViewVector",
)


@dataclass(frozen=True)
class NuclearFrames:
    """What the frames of a file are.

    Attributes:
        slices: The number of each frame's slice, each once; None where the file does not say.
        film: Whether they are moments.
    """

    slices: tuple[float, ...] | None = None
    film: bool = False


def nuclear_frames(file: DicomFile, frames: int) -> NuclearFrames:
    """What the frames of a file of several are, if it is one of nuclear medicine.

    Raises:
        ImageError: They are no one volume, or a vector has not one number for each.
    """
    if file.sop_class != NUCLEAR:
        return NuclearFrames()
    pointers = text(file.header, "FrameIncrementPointer").split("\\")
    several: dict[str, tuple[float, ...]] = {}
    for word in (_SLICES, *_MOMENTS, *_OTHERS):
        if str(Tag(tag_for_keyword(word))) not in pointers:
            continue
        values = numbers(file.header, word, frames)
        if values is None:
            raise file.source.refuse(f"the file is damaged: its {word} has not one number for each frame")
        if len(set(values)) > 1:
            several[word] = values
    if others := [word for word in _OTHERS if word in several]:
        raise file.source.refuse(
            f"its {frames} frames differ in {' and '.join(others)}, not in their slice alone, so that they "
            "are no one volume. Save each volume as a file of its own"
        )
    if any(word in several for word in _MOMENTS):
        return NuclearFrames(film=True)
    slices = several.get(_SLICES)
    if slices is not None and any(after - before != 1 for before, after in pairwise(sorted(slices))):
        raise file.source.refuse(
            f"its SliceVector does not count the slices of its {frames} frames, each once. Is one missing?"
        )
    return NuclearFrames(slices)
