"""DICOM files made in code, for every test of their reading."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

Array = npt.NDArray[np.generic]
CT_IMAGE = UID("1.2.840.10008.5.1.4.1.1.2")
ENHANCED_CT = UID("1.2.840.10008.5.1.4.1.1.2.1")
H, W = 12, 9
# A ramp down, a ramp across and a block: no symmetry, so that a turned or mirrored reading is seen.
ROWS, COLUMNS = np.mgrid[:H, :W]
GREY = (ROWS * 11 + COLUMNS * 5).astype(np.uint8)
GREY[2:5, 4:8] = 250
DEEP = GREY.astype(np.uint16) * 16 + 7
RGB = np.stack([GREY, GREY[:, ::-1], 255 - GREY], axis=-1)
_bits = {1: 8, 2: 16, 4: 32, 8: 64}
_serial = itertools.count(1)


def dicom(pixels: Array, syntax: UID = ExplicitVRLittleEndian, **elements: object) -> FileDataset:
    """A data set with these pixels: `(H, W)` or `(F, H, W)` greys, `(H, W, 3)` or `(F, H, W, 3)` colours.

    Args:
        pixels: Integers, signed or not, or floats.
        syntax: Native; compress it afterwards where it shall not be.
        elements: By keyword, over those that follow from the pixels; None leaves one out.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = CT_IMAGE
    meta.MediaStorageSOPInstanceUID = generate_uid()
    made = FileDataset(
        "made",
        {},
        file_meta=meta,
        preamble=bytes(128),
        is_implicit_VR=syntax.is_implicit_VR,
        is_little_endian=syntax.is_little_endian,
    )
    coloured = pixels.shape[-1] == 3 and pixels.ndim > 2
    rows, columns = pixels.shape[-3:-1] if coloured else pixels.shape[-2:]
    frames = pixels.shape[0] if pixels.ndim == (4 if coloured else 3) else None
    bits = _bits[pixels.dtype.itemsize]
    values: dict[str, object] = {
        "SOPClassUID": CT_IMAGE,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2.3.4.1",
        "SeriesInstanceUID": "1.2.3.4.2",
        "PatientID": "P-001",
        "PatientName": "Doe^Jane",
        "Modality": "CT",
        "InstanceNumber": next(_serial),
        "Rows": rows,
        "Columns": columns,
        "SamplesPerPixel": 3 if coloured else 1,
        "PhotometricInterpretation": "RGB" if coloured else "MONOCHROME2",
        "PlanarConfiguration": 0 if coloured else None,
        "NumberOfFrames": frames,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }
    if pixels.dtype.kind == "f":
        keyword = "FloatPixelData" if bits == 32 else "DoubleFloatPixelData"
        values |= {
            "BitsStored": None,
            "HighBit": None,
            "PixelRepresentation": None,
            keyword: pixels.tobytes(),
        }
    else:
        raw = pixels.astype(pixels.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
        made.add_new("PixelData", "OB" if bits == 8 else "OW", raw + b"\0" * (len(raw) % 2))
    for keyword, value in (values | elements).items():
        if value is not None:
            setattr(made, keyword, value)
        elif keyword in made:
            delattr(made, keyword)
    return made


def encapsulated(made: FileDataset, syntax: UID, frames: Sequence[bytes], **elements: object) -> FileDataset:
    """The data set with these compressed frames in place of its pixels."""
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate(list(frames))
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def written(made: FileDataset, path: Path) -> Path:
    """`path`, where the data set now lies."""
    path.write_bytes(as_bytes(made))
    return path


def as_bytes(made: FileDataset) -> bytes:
    """The data set as a file."""
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def slices(
    volume: Array,
    *,
    spacing: tuple[float, float, float] = (2.5, 0.8, 0.5),
    origin: Sequence[float] = (-20.0, 30.0, 100.0),
    right: Sequence[float] = (1.0, 0.0, 0.0),
    down: Sequence[float] = (0.0, 1.0, 0.0),
    **elements: object,
) -> list[FileDataset]:
    """One data set for each slice of a volume `(D, H, W)`: the first at `origin`, others along the normal."""
    step = np.cross(right, down) * spacing[0]
    return [
        dicom(
            plane,
            ImagePositionPatient=[float(each) for each in np.round(np.array(origin) + index * step, 6)],
            ImageOrientationPatient=[float(each) for each in (*right, *down)],
            PixelSpacing=list(spacing[1:]),
            **elements,
        )
        for index, plane in enumerate(volume)
    ]


def item(**elements: object) -> Dataset:
    """A data set that stands in a sequence."""
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def enhanced(
    volume: Array,
    positions: Sequence[Sequence[float]],
    *,
    rescale: Sequence[tuple[float, float]] | None = None,
    **frame_content: Sequence[object],
) -> FileDataset:
    """An enhanced multi-frame whose frames lie at these positions, each with its own slope and intercept.

    `frame_content` gives elements of the frame content, one value a frame.
    """
    made = dicom(volume, SOPClassUID=ENHANCED_CT)
    made.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[item(PixelSpacing=[0.8, 0.5], SliceThickness=3.0)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])],
        )
    ]
    frames = []
    for index, position in enumerate(positions):
        content = item(**{keyword: values[index] for keyword, values in frame_content.items()})
        frame = item(
            PlanePositionSequence=[item(ImagePositionPatient=list(position))], FrameContentSequence=[content]
        )
        if rescale is not None:
            slope, intercept = rescale[index]
            frame.PixelValueTransformationSequence = [
                item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="HU")
            ]
        frames.append(frame)
    made.PerFrameFunctionalGroupsSequence = frames
    return made
