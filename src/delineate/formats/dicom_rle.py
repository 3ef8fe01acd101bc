"""DICOM's run-length coding: a frame in segments, one for each byte of each value, the highest byte first.

pydicom's own decoder takes a minute for a large series, and the quick plugin panics on damaged segments.
"""

from __future__ import annotations

import numpy as np
from imagecodecs import packbits_decode

from delineate.formats.dicom_kind import PixelKind
from delineate.formats.pixels import Array

_HEADER = 64  # bytes: the number of segments, and where each begins
_MOST_SEGMENTS = 15


def unpacked(frame: bytes, kind: PixelKind) -> Array:
    """A run-length coded frame.

    Args:
        frame: Its bytes.
        kind: What it is to be.

    Returns:
        `(H, W)`, or `(H, W, 3)` of colours.

    Raises:
        ValueError: It has other segments, or fewer values.
    """
    pixels, each = kind.rows * kind.columns, kind.allocated // 8
    count = int.from_bytes(frame[:4], "little")
    if len(frame) < _HEADER or count > _MOST_SEGMENTS or count != kind.samples * each or each == 0:
        raise ValueError(f"{count} segments")
    starts = [int(start) for start in np.frombuffer(frame, "<u4", count, 4)]
    planes = [
        _segment(frame[start:end], pixels)
        for start, end in zip(starts, [*starts[1:], len(frame)], strict=True)
    ]
    values = np.stack(planes, axis=-1).reshape(pixels, kind.samples, each)
    shape = (kind.rows, kind.columns, *((3,) if kind.is_colour else ()))
    return values.view(kind.dtype.newbyteorder(">")).reshape(shape)


def _segment(packed: bytes, pixels: int) -> Array:
    """The bytes of a segment, which may have a zero behind it to make its length even."""
    try:
        whole = packbits_decode(packed)
    except Exception:  # imagecodecs has no public name for what it raises
        whole = packbits_decode(packed[:-1])
    return np.frombuffer(whole, np.uint8, pixels)
