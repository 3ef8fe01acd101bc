"""DICOM segmentations, read: one mask with the segments' numbers, or every segment by itself."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from delineate.errors import ImageError
from delineate.formats.dicom_file import DicomFile, guarded, items, text
from delineate.formats.dicom_seg_frames import VOXELS_A_BYTE, Frames, open_frames
from delineate.formats.dicom_subject import identifying_of
from delineate.formats.stored import Header, Source, StoredMask
from delineate.geometry import Geometry

SOP_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""Segmentation Storage and Label Map Segmentation Storage."""
LONGEST_NAME = 64
PAIRS_LISTED = 5
BACKGROUND_SEGMENT = 0  # described by some label maps


@dataclass(frozen=True)
class Segment:
    """One structure that a DICOM segmentation delineates.

    Attributes:
        number: In the file, 1 or more.
        name: What the file calls it, fit to be shown: no control characters, 64 at most, none twice.
        size: `(D, H, W)` of the grid that all segments of the file are on, or `(H, W)` where it has no place.
        geometry: The grid's.
    """

    number: int
    name: str
    size: tuple[int, ...]
    geometry: Geometry
    _planes: Mapping[int, npt.NDArray[np.uint8]] = field(default_factory=dict, repr=False)

    @property
    def slices(self) -> frozenset[int]:
        """The slices of the grid for which the file has a plane of this segment."""
        return frozenset(self._planes)

    def voxels(self) -> npt.NDArray[np.bool_]:
        """Which voxels belong to it, of `size`."""
        voxels = np.zeros(self.size, dtype=bool)
        for index in self._planes:
            voxels.reshape(-1, *self.size[-2:])[index] = self.plane(index)
        return voxels

    def plane(self, index: int) -> npt.NDArray[np.bool_]:
        """Which pixels `(H, W)` of one slice that the file has belong to it."""
        height, width = self.size[-2:]
        return np.unpackbits(self._planes[index], count=height * width).reshape(height, width).astype(bool)

    def overlap(self, other: Segment) -> int:
        """How many voxels belong to both."""
        shared = self.slices & other.slices
        return sum(
            int(np.unpackbits(self._planes[index] & other._planes[index]).sum(dtype=np.int64))
            for index in shared
        )


def header(given: Source | DicomFile) -> Header:
    """What the file says of itself, without decoding its pixels.

    Args:
        given: The file, or one whose header was read.

    Raises:
        ImageError: It is no segmentation that can be read.
    """
    frames = open_frames(given)
    mode = {"BINARY": "segments", "FRACTIONAL": "fractional segments", "LABELMAP": "label map"}[frames.kind]
    return Header(frames.size if frames.placed else frames.size[1:], mode, "DICOM SEG", 1)


def read_segments(source: Source) -> tuple[Segment, ...]:
    """Read every segment by itself, such as overlap among them.

    Of a fractional segmentation, a voxel belongs to a segment where its probability or occupancy is at least
    one half. Frames that the file leaves out are background.

    Returns:
        In the order of their numbers, empty ones among them.

    Raises:
        ImageError: The file is damaged, too large, or its frames are on no one grid.
    """
    return _segments(open_frames(source))


def read_mask(given: Source | DicomFile) -> StoredMask:
    """Read the segments as one mask, whose values are their numbers.

    Args:
        given: The file, or one whose header was read.

    Returns:
        `(D, H, W)` uint8 or uint16, on the smallest grid that holds the file's frames, slices along their
        normal; `(H, W)` where the file does not say where its one plane lies.

    Raises:
        ImageError: Segments overlap, or the file is damaged, too large, or its frames are on no one grid.
    """
    frames = open_frames(given)
    source = frames.file.source
    segments = _segments(frames)
    values = np.zeros(frames.size, dtype=np.uint8 if segments[-1].number <= 255 else np.uint16)
    overlapping: set[int] = set()
    for segment in segments:
        for index in segment.slices:
            here = segment.plane(index)
            taken = values[index][here]
            if taken.any():
                overlapping |= {segment.number, *np.unique(taken[taken > 0]).tolist()}
            values[index][here] = segment.number
    if overlapping:
        raise _overlap_refused(source, [each for each in segments if each.number in overlapping])
    with guarded(source):
        identifying = identifying_of(frames.file.header)
    return StoredMask(
        values if frames.placed else values[0],
        volume=frames.placed,
        geometry=frames.geometry,
        partial=frames.placed,
        names={segment.number: segment.name for segment in segments},
        identifying=identifying,
    )


def _segments(frames: Frames) -> tuple[Segment, ...]:
    """The segments that the file describes, with the planes of each."""
    source = frames.file.source
    with guarded(source):
        listed = items(frames.file.header, "SegmentSequence")
        described = [(int(item.SegmentNumber), item) for item in listed]
        described = sorted(
            (each for each in described if each[0] != BACKGROUND_SEGMENT), key=lambda each: each[0]
        )
        numbers = [number for number, _ in described]
        names = _names({number: text(item, "SegmentLabel") for number, item in described})
    if not numbers or len(set(numbers)) != len(numbers) or numbers[0] < 0:
        raise source.refuse("the file is damaged: it describes no segment, or one twice")
    planes: dict[int, dict[int, npt.NDArray[np.uint8]]] = {number: {} for number in numbers}
    for count, (number, index, plane) in enumerate(frames.planes()):
        source.check_size(count // VOXELS_A_BYTE + 1, *frames.size[1:])  # a label map may hold many a frame
        if number not in planes:
            raise source.refuse(
                f"the file is damaged: it has pixels of segment {number}, but does not describe it"
            )
        if index in planes[number]:
            raise source.refuse(
                f"it has two frames of segment {number} at one place, or frames without a place: "
                f"a sequence in time or the like, and such are not read"
            )
        planes[number][index] = np.packbits(plane)
    size = frames.size if frames.placed else frames.size[1:]
    return tuple(Segment(number, names[number], size, frames.geometry, planes[number]) for number in numbers)


def _overlap_refused(source: Source, segments: Sequence[Segment]) -> ImageError:
    """The error that says which of these segments overlap, the worst pairs first."""
    pairs = [(one.overlap(other), one, other) for one, other in itertools.combinations(segments, 2)]
    pairs = sorted((pair for pair in pairs if pair[0]), key=lambda pair: -pair[0])
    listed = [
        f"{one.number} ({one.name}) and {other.number} ({other.name}) in {voxels} voxels"
        for voxels, one, other in pairs[:PAIRS_LISTED]
    ]
    if len(pairs) > PAIRS_LISTED:
        listed.append(f"{len(pairs) - PAIRS_LISTED} more pairs")
    return source.refuse(
        f"segments overlap, and a mask has one label a voxel: {'; '.join(listed)}. "
        f"`delineate segments FILE --out FOLDER` writes one mask a segment"
    )


def _names(labels: Mapping[int, str]) -> dict[int, str]:
    """Names fit to be shown and none twice, whatever the file calls its segments."""
    names: dict[int, str] = {}
    for number, label in labels.items():
        name = wanted = plain(label) or f"segment {number}"
        for again in itertools.count(2):
            if name not in names.values():
                break
            ending = f" ({again})"
            name = wanted[: LONGEST_NAME - len(ending)] + ending
        names[number] = name
    return names


def plain(text: str) -> str:
    """Text without control and other invisible characters, on one line, at most 64 characters long."""
    visible = "".join(each if unicodedata.category(each)[0] != "C" else " " for each in text)
    return " ".join(visible.split())[:LONGEST_NAME].rstrip()
