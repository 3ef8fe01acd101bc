"""Small DICOM files to be damaged, made by pydicom: see `fuzz_samples.py`."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

Array = npt.NDArray[np.generic]
Fields = tuple[tuple[int, str], ...]
_DEFLATED = b"1.2.840.10008.1.2.1.99\0"
_SIZES = {  # tags of sizes, counts and kinds of pixels
    *((0x0028, element) for element in (0x0002, 0x0006, 0x0010, 0x0011, 0x0100, 0x0101, 0x0102, 0x0103)),
    *((0x0028, element) for element in (0x1101, 0x1102, 0x1103, 0x0120)),
    *((0x0062, element) for element in (0x0004, 0x000B)),
}


def dataset(storage: str, pixels: Array, **elements: object) -> Dataset:
    """A data set with the pixels `(H, W)`, `(F, H, W)` or `(H, W, 3)`."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = storage, "1.2.3.4"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    made.PatientName, made.PatientID, made.Modality = "Doe^Jane", "P-001", "CT"
    colours = pixels.shape[-1] == 3
    made.Rows, made.Columns = pixels.shape[-3:-1] if colours else pixels.shape[-2:]
    made.SamplesPerPixel = 3 if colours else 1
    made.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
    if colours:
        made.PlanarConfiguration = 0
    elif pixels.ndim == 3:
        made.NumberOfFrames = pixels.shape[0]
    made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def saved(made: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made["PixelData"].VR = "OB" if made.BitsAllocated <= 8 else "OW"
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def packed(made: Dataset, syntax: str, frames: list[bytes]) -> bytes:
    """The data set with compressed frames."""
    made.PixelData = encapsulate(frames)
    made["PixelData"].is_undefined_length = True
    made["PixelData"].VR = "OB"
    return saved(made, syntax)


def item(**elements: object) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def slice_of(pixels: Array, **elements: object) -> Dataset:
    place: dict[str, object] = {
        "ImagePositionPatient": [1, 2, 3],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.75, 0.5],
    }
    return dataset(CTImageStorage, pixels, **(place | elements))


def _shared(depth_mm: float) -> Dataset:
    return item(
        PixelMeasuresSequence=[item(PixelSpacing=[0.75, 0.5], SliceThickness=depth_mm)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
    )


def enhanced(volume: Array) -> bytes:
    """A multi-frame with a place for each of its frames."""
    frames = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 2 * index])],
            PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=-1000, RescaleType="HU")],
        )
        for index in range(len(volume))
    ]
    groups = {"SharedFunctionalGroupsSequence": [_shared(2)], "PerFrameFunctionalGroupsSequence": frames}
    return saved(dataset(EnhancedCTImageStorage, volume, **groups))


def segmentation(masks: npt.NDArray[np.bool_], fractional: bool = False) -> bytes:
    """A DICOM SEG of masks `(S, D, H, W)` that do not overlap, a frame a segment and slice."""
    segments, depth = masks.shape[:2]
    code = item(CodeValue="10200004", CodingSchemeDesignator="SCT", CodeMeaning="Liver")
    described = [
        item(
            SegmentNumber=number,
            SegmentLabel=f"structure {number}",
            SegmentAlgorithmType="MANUAL",
            SegmentedPropertyCategoryCodeSequence=[code],
            SegmentedPropertyTypeCodeSequence=[code],
        )
        for number in range(1, segments + 1)
    ]
    frames = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 2 * index])],
            SegmentIdentificationSequence=[item(ReferencedSegmentNumber=number)],
        )
        for number in range(1, segments + 1)
        for index in range(depth)
    ]
    pixels = masks.reshape(-1, *masks.shape[2:]).astype(np.uint8) * np.uint8(255 if fractional else 1)
    made = dataset(
        SegmentationStorage,
        pixels,
        Modality="SEG",
        SegmentationType="FRACTIONAL" if fractional else "BINARY",
        SegmentSequence=described,
        SharedFunctionalGroupsSequence=[_shared(2)],
        PerFrameFunctionalGroupsSequence=frames,
    )
    if fractional:
        made.SegmentationFractionalType, made.MaximumFractionalValue = "PROBABILITY", 255
    else:
        made.BitsAllocated, made.BitsStored, made.HighBit = 1, 1, 0
        bits = np.packbits(pixels.ravel(), bitorder="little").tobytes()
        made.PixelData = bits + b"\0" * (len(bits) % 2)
    return saved(made)


def as_jpeg(pixels: npt.NDArray[np.uint8], file_format: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(
        stream, format=file_format, **({"no_jp2": True} if file_format != "JPEG" else {})
    )
    return stream.getvalue()


def as_rle(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A frame of one byte a pixel in runs of up to 128 bytes as they are."""
    content = pixels.tobytes()
    parts = [content[at : at + 128] for at in range(0, len(content), 128)]
    runs = b"".join(bytes([len(part) - 1]) + part for part in parts)
    return struct.pack("<16I", 1, 64, *[0] * 14) + runs + b"\0" * (len(runs) % 2)


def deflated(content: bytes) -> bytes:
    """A file in explicit VR little endian, in which all behind its meta information is packed."""
    if len(content) < 144:
        return content
    (length,) = struct.unpack_from("<I", content, 140)
    end = 144 + length
    plain = str(ExplicitVRLittleEndian).encode() + b"\0"
    # the packed syntax's UID is longer, and so is the meta information
    meta = content[144:end].replace(
        b"UI" + struct.pack("<H", len(plain)) + plain,
        b"UI" + struct.pack("<H", len(_DEFLATED) + 1) + _DEFLATED + b"\0",
    )
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(content[end:]) + packer.flush()
    return content[:140] + struct.pack("<I", len(meta)) + meta + body + b"\0" * (len(body) % 2)


def fields_of(content: bytes) -> Fields:
    """The values of sizes, and the lengths of all elements, as far as the bytes let them be seen."""
    found: list[tuple[int, str]] = []
    for at in range(132, len(content) - 10, 2):
        group, element = struct.unpack_from("<HH", content, at)
        if (group, element) in _SIZES and content[at + 4 : at + 6] == b"US":
            found += [(at + 8, "<H"), (at + 6, "<H")]
        elif content[at + 4 : at + 6] in (b"OB", b"OW", b"SQ") and content[at + 6 : at + 8] == b"\0\0":
            found.append((at + 8, "<I"))
        elif (group, element) in ((0xFFFE, 0xE000), (0xFFFE, 0xE0DD)):
            found.append((at + 4, "<I"))
    return tuple(found)


def files(grey: npt.NDArray[np.uint8], volume: npt.NDArray[np.uint8]) -> dict[str, bytes]:
    """A file of every kind, of a picture `(H, W)` and a volume `(D, H, W)`."""
    rgb = np.stack([grey, 255 - grey, grey // 2], axis=-1)
    signed = grey.astype(np.int16) - 100
    return {
        "dicom": saved(slice_of(signed, RescaleSlope=2, RescaleIntercept=-1000)),
        "dicom-implicit": saved(slice_of(signed), ImplicitVRLittleEndian),
        "dicom-big-endian": saved(slice_of(grey), ExplicitVRBigEndian),
        "dicom-rgb": saved(dataset(SecondaryCaptureImageStorage, rgb)),
        "dicom-frames": saved(dataset(SecondaryCaptureImageStorage, volume)),
        "dicom-enhanced": enhanced(volume.astype(np.uint16)),
        "dicom-jpeg": packed(slice_of(grey), JPEGBaseline8Bit, [as_jpeg(grey)]),
        "dicom-jpeg-2000": packed(slice_of(grey), JPEG2000Lossless, [as_jpeg(grey, "JPEG2000")]),
        "dicom-rle": packed(slice_of(grey), RLELossless, [as_rle(grey)]),
        "dicom-seg": segmentation(np.stack([volume < 60, volume > 190])),
        "dicom-seg-fractional": segmentation(np.stack([volume < 60, volume > 190]), fractional=True),
    }
