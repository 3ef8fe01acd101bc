"""The look-up tables of a DICOM file: from stored values to modality units, and from indices to colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from delineate.formats.dicom_file import numbers
from delineate.formats.dicom_kind import PixelKind
from delineate.formats.stored import Source


@dataclass(frozen=True)
class LookUp:
    """A modality LUT.

    Attributes:
        first: The stored value of the first entry; lower ones take the first entry, higher ones the last.
        entries: `(n,)` uint8 or uint16.
        bits: What the entries can hold.
    """

    first: int
    entries: npt.NDArray[np.generic]
    bits: int


def lookup_of(item: Dataset, kind: PixelKind, source: Source) -> LookUp:
    """A modality LUT.

    Args:
        item: Of the modality LUT sequence.
        kind: The pixels that are looked up.
        source: Where they come from.

    Raises:
        ImageError: It is damaged.
    """
    return LookUp(*_table(item, "LUTDescriptor", "LUTData", kind, source))


def palette_of(header: Dataset, kind: PixelKind, source: Source) -> npt.NDArray[np.uint8]:
    """The colours of the indices 0, 1, …, `(K, 3)`.

    Raises:
        ImageError: The palette is missing, damaged or written in segments.
    """
    columns = []
    highest = kind.range[1]
    for colour in ("Red", "Green", "Blue"):
        keyword = f"{colour}PaletteColorLookupTable"
        if f"Segmented{keyword}Data" in header:
            raise source.refuse("its palette is written in segments, which is not read. Convert it to RGB")
        first, entries, bits = _table(header, f"{keyword}Descriptor", f"{keyword}Data", kind, source)
        bytes_ = entries.astype(np.uint16)
        if bits == 16 and bytes_.max() > 255:
            bytes_ >>= 8
        places = np.clip(np.arange(highest + 1) - first, 0, len(entries) - 1)
        columns.append(bytes_.astype(np.uint8)[places])
    return np.stack(columns, axis=-1)


def _table(
    holder: Dataset, descriptor: str, data: str, kind: PixelKind, source: Source
) -> tuple[int, npt.NDArray[np.generic], int]:
    """First stored value, entries and bits of a look-up table."""
    found = numbers(holder, descriptor, 3)
    value = holder.get(data)
    if found is None or value is None:
        raise source.refuse(f"the file is damaged: its {descriptor} or {data} is missing or not valid")
    length, first, bits = (int(each) for each in found)
    length = length % (1 << 16) or 1 << 16
    first = first - (1 << 16) if kind.signed and first >= 1 << 15 else first
    if isinstance(value, bytes):
        narrow = bits <= 8 and len(value) < 2 * length
        entries: npt.NDArray[np.generic] = np.frombuffer(value, np.uint8 if narrow else "<u2")
    else:
        entries = np.asarray(value, dtype=np.int64).reshape(-1).astype(np.uint16)
        if bits <= 8 and len(entries) < length:  # two to a word
            entries = entries.view(np.uint8)
    if not 8 <= bits <= 16 or len(entries) < length:
        raise source.refuse(f"the file is damaged: its {data} has {len(entries)} entries of {length}")
    return first, entries[:length], bits
