"""The stored values of a DICOM file's frames, decoded.

Each compressed frame claims a size for itself, which is held against the header's before memory is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import convert_color_space, get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, RLELossless

from delineate.errors import ImageError
from delineate.formats.dicom_file import DicomFile, pixel_element
from delineate.formats.dicom_kind import PixelKind
from delineate.formats.dicom_rle import unpacked
from delineate.formats.pixels import Array

OFFSET_TAGS = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
_RLE_WORST = 2  # times as long as what it packs: run-length coding never needs as much


def stored_frames(file: DicomFile, kind: PixelKind) -> Array:
    """The stored values, without unused bits, and colours as RGB.

    Args:
        file: Its header was read, its stream is at the pixels.
        kind: Its pixels.

    Returns:
        `(F, H, W)` integers or floats, or `(F, H, W, 3)` uint8 or uint16 for colours; perhaps read-only.

    Raises:
        ImageError: They are cut off, or not what the header says.
    """
    expected = _length(kind)
    element = pixel_element(file, expected)
    options = _options(kind, element.representation)
    if element.encapsulated != file.syntax.is_encapsulated:
        raise file.source.refuse("the file is damaged: its pixels are not stored as its transfer syntax says")
    if element.encapsulated:
        _check_frames(file, kind, element.value)
        values = _decoded(file, kind, element.value, options)
    else:
        frame = max(1, expected // kind.frames)
        if len(element.value) < expected:
            raise file.source.refuse(
                f"the file is truncated: {len(element.value)} bytes of pixels, and {expected} by its header"
            )
        if len(element.value) >= expected + frame + frame % 2:
            raise file.source.refuse(
                f"the file is damaged: {len(element.value)} bytes of pixels, and {expected} by its header"
            )
        values, found = get_decoder(file.syntax).as_array(element.value, view_only=True, **options)
        _check_rgb(file, kind, str(found["photometric_interpretation"]))
    shape = (kind.frames, kind.rows, kind.columns, *((3,) if kind.is_colour else ()))
    values = values.reshape(shape)
    return values if kind.is_float else _without_unused_bits(values, kind)


def _length(kind: PixelKind) -> int:
    """Bytes of all frames, uncompressed."""
    values = kind.frames * kind.rows * kind.columns * kind.samples
    if kind.photometric == "YBR_FULL_422":
        values = values // 3 * 2
    return math.ceil(values * kind.allocated / 8)


def _options(kind: PixelKind, representation: str | None) -> dict[str, object]:
    return {
        "rows": kind.rows,
        "columns": kind.columns,
        "number_of_frames": kind.frames,
        "samples_per_pixel": kind.samples,
        "photometric_interpretation": kind.photometric,
        "planar_configuration": kind.planar,
        "bits_allocated": kind.allocated,
        "bits_stored": kind.stored,
        "pixel_representation": int(kind.signed),
        "pixel_keyword": kind.keyword,
        "pixel_vr": representation or "OW",
        "allow_excess_frames": False,
        "correct_unused_bits": False,
    }


def _offsets(header: Dataset) -> tuple[bytes, bytes] | None:
    table, lengths = (header.get(tag) for tag in OFFSET_TAGS)
    return (table, lengths) if isinstance(table, bytes) and isinstance(lengths, bytes) else None


def _split(file: DicomFile, kind: PixelKind, value: bytes) -> Iterator[bytes]:
    """The compressed frames."""
    frames: Iterator[bytes] = generate_frames(
        value, number_of_frames=kind.frames, extended_offsets=_offsets(file.header)
    )
    return frames


def _check_frames(file: DicomFile, kind: PixelKind, value: bytes) -> None:
    """Refuse frames that would unpack to another size than the header's, before one is unpacked."""
    found = 0
    for frame in _split(file, kind, value):
        found += 1
        if file.syntax == RLELossless:
            if len(frame) > _RLE_WORST * (_length(kind) // kind.frames) + 1024:
                raise file.source.refuse(
                    "the file is damaged: a packed frame is longer than the unpacked one"
                )
            continue
        size = codestream_size(frame, file.syntax)
        if size is None:
            raise file.source.refuse("the file is damaged: a compressed frame has no header")
        if size != (kind.rows, kind.columns, kind.samples):
            raise file.source.refuse(
                f"the file is damaged: a frame of {kind.rows}×{kind.columns} with {kind.samples} values a "
                f"pixel unpacks to {size[0]}×{size[1]} with {size[2]}"
            )
    if found != kind.frames:
        raise file.source.refuse(
            f"the file is damaged: it holds {found} frames, and {kind.frames} by its header"
        )


def codestream_size(frame: bytes, syntax: UID) -> tuple[int, int, int] | None:
    """Rows, columns and values a pixel to which a JPEG, JPEG-LS or JPEG 2000 frame says that it unpacks."""
    if syntax in JPEG2000TransferSyntaxes or "JPEG 2000" in syntax.name:
        start = frame.find(b"\xff\x4f\xff\x51")
        if start < 0 or len(frame) < start + 42:
            return None
        x1, y1, x0, y0 = (int.from_bytes(frame[start + at : start + at + 4], "big") for at in (8, 12, 16, 20))
        return y1 - y0, x1 - x0, int.from_bytes(frame[start + 40 : start + 42], "big")
    for marker, at in _segments(frame):
        is_frame_header = marker in range(0xC0, 0xD0) and marker not in (0xC4, 0xC8, 0xCC)
        if is_frame_header or marker == 0xF7:
            return (
                int.from_bytes(frame[at + 3 : at + 5], "big"),
                int.from_bytes(frame[at + 5 : at + 7], "big"),
                int.from_bytes(frame[at + 7 : at + 8], "big"),
            )
    return None


def _segments(frame: bytes) -> Iterator[tuple[int, int]]:
    """Markers of a JPEG with the place of their length."""
    at = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in range(0xD0, 0xDA) or marker == 0x01:
            at += 2
        else:
            yield marker, at + 2
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")


def _decoded(file: DicomFile, kind: PixelKind, value: bytes, options: dict[str, object]) -> Array:
    """All frames of compressed pixels."""
    frame_shape = (kind.rows, kind.columns, *((3,) if kind.is_colour else ()))
    values = np.empty((kind.frames, *frame_shape), kind.dtype)
    offsets = _offsets(file.header)
    if offsets is not None:
        options = {**options, "extended_offsets": offsets}
    try:
        if file.syntax == RLELossless:
            for index, packed in enumerate(_split(file, kind, value)):
                values[index] = unpacked(packed, kind)
            ybr = kind.is_colour and kind.photometric != "RGB"
            return np.asarray(convert_color_space(values, "YBR_FULL", "RGB")) if ybr else values
        for index, (frame, found) in enumerate(get_decoder(file.syntax).iter_array(value, **options)):
            _check_rgb(file, kind, str(found["photometric_interpretation"]))
            values[index] = frame
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # whatever a decoder raises on damaged bytes; its text may say what it met
        raise file.source.refuse(
            f"the file is damaged: its {file.syntax.name} pixels cannot be decoded ({type(error).__name__})"
        ) from None
    return values


def _check_rgb(file: DicomFile, kind: PixelKind, photometric: str) -> None:
    if kind.is_colour and photometric != "RGB":
        raise file.source.refuse("its colours are not read. Convert it to RGB")


def _without_unused_bits(values: Array, kind: PixelKind) -> Array:
    """The stored bits alone, sign extended: the others may hold overlays, or anything."""
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    bits = values.dtype.itemsize * 8
    above, unused = bits - 1 - kind.high_bit, bits - kind.stored
    if kind.allocated == 1 or unused == 0:
        return values
    if not values.flags.writeable:
        values = values.copy()
    np.left_shift(values, above, out=values)
    np.right_shift(values, unused, out=values)
    return values
