"""Which files are DICOM, by their first bytes: without pydicom, which takes long to import."""

from __future__ import annotations

import stat
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.formats.stored import HEAD_BYTES, Family, Header, Source, StoredMask

if TYPE_CHECKING:
    from delineate.image import Image

SUFFIXES = frozenset({".dcm", ".dicom", ".ima", ".seg"})
DIRECTORY_NAME = "dicomdir"
PREFIX_AT = 128
_FIRST_VALUE = 256  # bytes: the first element of a file without preamble is short


def recognises(head: bytes) -> bool:
    """Whether a file that begins like this is DICOM: "DICM" after a preamble, or a first element."""
    if head[PREFIX_AT : PREFIX_AT + 4] == b"DICM":
        return True
    if head[:8] == b"\x02\x00\x00\x00UL\x04\x00":  # the group length of a header without preamble
        return True
    if head[:2] != b"\x08\x00" or len(head) < 8 or head[2:4] not in _FIRST_ELEMENTS:
        return False
    if head[4:6] in (b"UL", b"CS", b"UI", b"DA", b"TM"):
        return int.from_bytes(head[6:8], "little") <= _FIRST_VALUE
    length = int.from_bytes(head[4:8], "little")
    return 0 < length <= _FIRST_VALUE and length % 2 == 0


_FIRST_ELEMENTS = {bytes([number, 0]) for number in (0x00, 0x01, 0x05, 0x08, 0x12, 0x13, 0x14, 0x16, 0x18)}


def is_unnamed_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its first bytes, whatever it is called; a DICOMDIR is not."""
    if path.name.lower() == DIRECTORY_NAME:
        return False
    try:
        status = path.stat()
    except (OSError, ValueError):
        return False
    if not stat.S_ISREG(status.st_mode):
        return False
    return _begins_as_dicom(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1 << 16)
def _begins_as_dicom(path: Path, _size: int, _changed_ns: int) -> bool:
    try:
        with path.open("rb") as stream:
            return recognises(stream.read(HEAD_BYTES))
    except OSError:
        return False


def _header(source: Source) -> Header:
    from delineate.formats import dicom  # noqa: PLC0415  imports pydicom

    return dicom.header(source)


def _read(source: Source) -> Image:
    from delineate.formats import dicom  # noqa: PLC0415  likewise

    return dicom.read(source)


def _read_mask(source: Source) -> StoredMask:
    from delineate.formats import dicom  # noqa: PLC0415  likewise

    return dicom.read_mask(source)


FAMILY = Family(
    suffixes=SUFFIXES,
    formats=("DICOM",),
    recognises=recognises,
    header=_header,
    read=_read,
    read_mask=_read_mask,
)
