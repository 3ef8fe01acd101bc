"""The frames of a DICOM segmentation: whose they are, where they lie and their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from delineate.extras import installing
from delineate.formats.dicom_file import (
    DicomFile,
    guarded,
    items,
    numbers,
    open_file,
    pixel_element,
    text,
)
from delineate.formats.dicom_frames import codestream_size
from delineate.formats.dicom_planes import Groups
from delineate.formats.dicom_seg_planes import Stack, measures_of, stack
from delineate.formats.stored import Source
from delineate.geometry import NOWHERE, Geometry

Kind = Literal["BINARY", "FRACTIONAL", "LABELMAP"]
BITS: dict[str, tuple[int, ...]] = {"BINARY": (1, 8), "FRACTIONAL": (8,), "LABELMAP": (8, 16)}
VOXELS_A_BYTE = 8  # as planes are kept: so many of them take the room of one


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        segment: Its segment's number; None in a label map, whose pixels say it.
        slice: Index on the first axis of the grid.
    """

    segment: int | None
    slice: int


@dataclass(frozen=True)
class Frames:
    """All frames of a file, not yet decoded.

    Attributes:
        file: Its header is read.
        kind: What pixels mean.
        frames: In the order of the file.
        size: `(D, H, W)` of the grid they are on.
        geometry: The grid's; of two axes or nowhere where the file says no place, and `D` is then 1.
    """

    file: DicomFile
    kind: Kind
    frames: tuple[Frame, ...]
    size: tuple[int, int, int]
    geometry: Geometry

    @property
    def placed(self) -> bool:
        """Whether the file says where its frames lie."""
        return self.geometry.origin_mm is not None

    def planes(self) -> Iterator[tuple[int, int, npt.NDArray[np.bool_]]]:
        """Segment number, slice index and `(H, W)` pixels of every plane of a segment, one after another.

        Raises:
            ImageError: The pixels are damaged or fewer than the header says.
        """
        with guarded(self.file.source):
            greatest = self._greatest_fraction() if self.kind == "FRACTIONAL" else 1
            for frame, values in zip(self.frames, self._pixels(), strict=True):
                if frame.segment is None:
                    for number in np.unique(values[values > 0]):
                        yield int(number), frame.slice, values == number
                else:
                    yield frame.segment, frame.slice, values.astype(np.uint16) * 2 >= greatest

    def _greatest_fraction(self) -> int:
        greatest = int(self.file.header.MaximumFractionalValue)
        if not 1 <= greatest <= 255:
            raise self.file.source.refuse("the file is damaged: its greatest fraction makes no sense")
        return greatest

    def _pixels(self) -> Iterator[npt.NDArray[np.unsignedinteger]]:
        """The stored values `(H, W)` of one frame after another, which are as many as the header says."""
        file, source = self.file, self.file.source
        if file.pixel_keyword != "PixelData":
            raise source.refuse("the file is truncated: its pixels are missing")
        if file.syntax == ExplicitVRBigEndian:
            raise source.refuse(
                "its transfer syntax is big endian, long retired. Convert it to little endian"
            )
        bits, samples = int(file.header.BitsAllocated), int(file.header.get("SamplesPerPixel", 1))
        if bits not in BITS[self.kind] or samples != 1:
            raise source.refuse(
                f"the file is damaged: none of its kind has pixels of {bits} bits and {samples} samples"
            )
        source.check_size(len(self.frames) // VOXELS_A_BYTE + 1, *self.size[1:])
        needed = (len(self.frames) * self.size[1] * self.size[2] * bits + 7) // 8
        element = pixel_element(file, needed)
        if element.encapsulated:
            yield from self._decompressed(element.value)
            return
        if len(element.value) < needed:
            raise source.refuse(
                f"the file is truncated: its {len(self.frames)} frames need {needed} bytes, "
                f"and it has {len(element.value)}"
            )
        for index in range(len(self.frames)):
            yield native_frame(element.value, index, bits, (self.size[1], self.size[2]))

    def _decompressed(self, value: bytes) -> Iterator[npt.NDArray[np.unsignedinteger]]:
        file, source = self.file, self.file.source
        if not get_decoder(file.syntax).is_available:
            raise source.refuse(
                f"its pixels are compressed ({file.syntax.name}). "
                f"To read them: {installing('dicom-compressed')}"
            )
        self._check_compressed(value)
        dataset = Dataset(file.header)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = file.syntax
        dataset.PixelData = value
        dataset["PixelData"].is_undefined_length = True
        # pylibjpeg's run-length decoder panics on damaged data, past every `except`
        plugin = "pydicom" if file.syntax == RLELossless else ""
        for frame in iter_pixels(dataset, raw=True, decoding_plugin=plugin):
            yield frame.reshape(self.size[1:])

    def _check_compressed(self, value: bytes) -> None:
        """Refuse frames that would unpack to another size than the header's, before one is unpacked."""
        expected = (*self.size[1:], 1)
        for frame in generate_frames(value, number_of_frames=len(self.frames)):
            if self.file.syntax != RLELossless and codestream_size(frame, self.file.syntax) != expected:
                raise self.file.source.refuse(
                    "the file is damaged: a compressed frame unpacks to another size than its header says"
                )


def native_frame(
    value: bytes, index: int, bits: int, size: tuple[int, int]
) -> npt.NDArray[np.unsignedinteger]:
    """A frame that is not compressed. One of single bits may begin within a byte, the lowest bit first.

    Args:
        value: The bytes of all frames.
        index: Which frame.
        bits: Of a pixel: 1, 8 or 16.
        size: `(H, W)`.
    """
    count = size[0] * size[1]
    if bits > 1:
        dtype = np.dtype(f"<u{bits // 8}")
        return np.frombuffer(value, dtype, count, index * count * dtype.itemsize).reshape(size)
    start, skipped = divmod(index * count, 8)
    packed = np.frombuffer(value, np.uint8, (skipped + count + 7) // 8, start)
    return np.unpackbits(packed, count=skipped + count, bitorder="little")[skipped:].reshape(size)


def open_frames(given: Source | DicomFile) -> Frames:
    """Read everything but the pixels.

    Args:
        given: The file, or one whose header was read.

    Raises:
        ImageError: The file is no DICOM segmentation, damaged, too large, or has no one grid.
    """
    source = given.source if isinstance(given, DicomFile) else given
    with guarded(source):
        if isinstance(given, DicomFile):
            file = given
        else:
            source.stream.seek(0)
            file = open_file(source)
        header = file.header
        kind = text(header, "SegmentationType")
        if kind not in BITS or not items(header, "SegmentSequence"):
            raise source.refuse(
                "it is no DICOM segmentation of a kind that is read (binary, fractional, label map)"
            )
        rows, columns, count = int(header.Rows), int(header.Columns), int(header.get("NumberOfFrames", 1))
        return _frames(file, cast(Kind, kind), (count, rows, columns), Groups.of(header))


def _frames(file: DicomFile, kind: Kind, stored: tuple[int, int, int], groups: Groups) -> Frames:
    """The frames of a file from its functional groups; `stored` is how many they are, of which size."""
    source = file.source
    count, rows, columns = stored
    source.check_size(rows, columns)
    described = len(groups.own) or 1  # a single frame may have none of its own
    if count != described:
        raise source.refuse(f"the file is damaged: it claims {count} frames and describes {described}")
    if any(groups.item(frame, "PlanePositionSlideSequence") is not None for frame in range(count)):
        raise source.refuse("it belongs to a microscopy slide in tiles, and such are not read")
    owners = [None if kind == "LABELMAP" else _segment(source, groups, frame) for frame in range(count)]
    placed = _stack(source, groups, count)
    if isinstance(placed, Stack):
        depth, slices, geometry = placed.depth, placed.slices, placed.geometry
    else:
        depth, slices, geometry = 1, (0,) * count, placed
    source.check_size(depth, rows, columns)
    frames = tuple(Frame(owner, place) for owner, place in zip(owners, slices, strict=True))
    return Frames(file, kind, frames, (depth, rows, columns), geometry)


def _segment(source: Source, groups: Groups, frame: int) -> int:
    macro = groups.item(frame, "SegmentIdentificationSequence")
    if macro is None:
        raise source.refuse("the file is damaged: it does not say which segment a frame belongs to")
    return int(macro.ReferencedSegmentNumber)


def _stack(source: Source, groups: Groups, count: int) -> Stack | Geometry:
    """Where the frames lie, or the grid of one plane where the file does not say."""
    measures = [
        measures_of(
            groups.item(frame, "PlaneOrientationSequence"), groups.item(frame, "PixelMeasuresSequence")
        )
        for frame in range(count)
    ]
    places = [groups.item(frame, "PlanePositionSequence") for frame in range(count)]
    positions = [None if place is None else numbers(place, "ImagePositionPatient", 3) for place in places]
    if measures[0] is None or None in measures or None in positions:
        shared = groups.item(0, "PixelMeasuresSequence")
        spacing = numbers(shared, "PixelSpacing", 2) if shared is not None else None
        return Geometry(spacing) if spacing else NOWHERE
    if not all(measures[0].fits(other) for other in measures if other is not None):
        raise source.refuse(
            "its frames differ in orientation or pixel spacing, so that they lie on no one grid"
        )
    try:
        return stack(np.array(positions), measures[0])
    except ValueError as error:
        raise source.refuse(str(error)) from error
