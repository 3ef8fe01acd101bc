"""DICOM files opened without trust: the header first, the pixels when they are wanted, and no value told.

pydicom reads a file that is cut off as if it ended there, warns and logs with the values it met, and unpacks
what is deflated to whatever size it has. Here a cut is an error, values stay out of every message, and no
more is unpacked than the header says there is.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from delineate.errors import ImageError
from delineate.formats.dicom_head import PREFIX_AT
from delineate.formats.measured import Measured
from delineate.formats.quiet import without_warnings
from delineate.formats.stored import NoImageError, Source

# What these log may hold a patient's data: it must not reach the terminal.
for _name in ("pydicom", "pylibjpeg", "openjpeg", "libjpeg"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False

_DIRECTORY = "1.2.840.10008.1.3.10"
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_PIXELS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
_HEADER_INFLATED = 32 << 20  # bytes of a deflated file that may come before its pixels
_SLACK = 1 << 20  # bytes of a deflated file that may come behind its pixels


@dataclass(frozen=True)
class DicomFile:
    """An open file whose header is known.

    Attributes:
        source: Where it comes from.
        header: Every element before the pixels.
        syntax: How the file is encoded.
        pixel_keyword: "PixelData", "FloatPixelData" or "DoubleFloatPixelData"; None where there is none.
        stream: The elements, decompressed as far as the header goes, at the pixels.
        start: Where in the file's own bytes the elements begin.
    """

    source: Source
    header: Dataset
    syntax: UID
    pixel_keyword: str | None
    stream: IO[bytes]
    start: int

    @property
    def sop_class(self) -> str:
        """What kind of object it is, as a UID; empty where it does not say."""
        return text(self.header, "SOPClassUID")


@dataclass(frozen=True)
class PixelElement:
    """The stored pixels.

    Attributes:
        value: The bytes: all frames after one another, or encapsulated.
        representation: The element's value representation, "OB" or "OW"; None where implicit.
        encapsulated: Whether they lie in fragments.
    """

    value: bytes
    representation: str | None
    encapsulated: bool


@contextlib.contextmanager
def guarded(source: Source) -> Iterator[None]:
    """Let nothing out of pydicom but an `ImageError` without values: no warning, no other exception."""
    with without_warnings():
        try:
            yield
        except (ImageError, MemoryError):
            raise
        except BaseException as error:  # a library may raise anything on damaged bytes, values included
            panic = type(error).__name__ == "PanicException"  # of a plugin in Rust, which is no Exception
            if not (panic or isinstance(error, Exception)):
                raise
            raise source.refuse(
                f"the file is damaged: it cannot be read as DICOM ({type(error).__name__})"
            ) from None


def open_file(source: Source, tags: tuple[str, ...] | None = None) -> DicomFile:
    """Read the header of a file.

    Args:
        source: The file, at its beginning.
        tags: Keywords of the only elements that are wanted; None for all.

    Returns:
        The header, and the stream at the pixels.

    Raises:
        ImageError: It is a directory of files (DICOMDIR), or of an unknown transfer syntax.
    """
    stream = cast("IO[bytes]", Measured(source.stream))
    prefixed = stream.read(PREFIX_AT + 4)[PREFIX_AT:] == b"DICM"
    stream.seek(PREFIX_AT + 4 if prefixed else 0)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
    syntax = UID(text(meta, "TransferSyntaxUID")) or _guessed_syntax(stream)
    if syntax not in AllTransferSyntaxes:
        raise source.refuse(
            "its transfer syntax is none of the standard's. Convert it, for example with gdcmconv"
        )
    start = stream.tell()
    if syntax == DeflatedExplicitVRLittleEndian:
        stream = _inflated(source, start, _HEADER_INFLATED)
    reached: list[str] = []

    def at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
        if tag in _PIXELS:
            reached.append(_PIXELS[tag])
        return tag in _PIXELS

    header = _elements(stream, syntax, at_pixels, tags)
    if _DIRECTORY in (text(meta, "MediaStorageSOPClassUID"), text(header, "SOPClassUID")):
        raise source.refuse(
            "it is a DICOMDIR, a list of other files. Give the folder of the files themselves"
        )
    return DicomFile(source, header, syntax, reached[0] if reached else None, stream, start)


def pixel_element(file: DicomFile, length: int) -> PixelElement:
    """The stored pixels of a file whose header was read.

    Args:
        file: The file; its stream is at the pixels.
        length: How many bytes they have by the header, where they are not compressed.

    Raises:
        ImageError: They are cut off.
    """
    stream = file.stream
    if file.syntax == DeflatedExplicitVRLittleEndian:
        position = stream.tell()
        stream = _inflated(file.source, file.start, position + length + _SLACK)
        stream.seek(position)
    last = max(_PIXELS)
    read = _elements(stream, file.syntax, lambda tag, _vr, _length: tag > last, None)
    element = read.get_item(next((tag for tag, word in _PIXELS.items() if word == file.pixel_keyword), last))
    value = None if element is None else element.value
    undefined = element is not None and element.length == 0xFFFFFFFF
    if not isinstance(value, bytes) or (not undefined and len(value) < element.length):
        raise file.source.refuse("the file is truncated: its pixels are cut off")
    return PixelElement(value, element.VR, undefined)


def text(dataset: Dataset, keyword: str) -> str:
    """A value as text, several joined by a backslash; empty where it is missing."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    if isinstance(value, MultiValue):
        return "\\".join(str(each).strip() for each in value)
    return str(value).strip()


def numbers(dataset: Dataset, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
    """Finite numbers.

    Args:
        dataset: Where they stand.
        keyword: Their element.
        count: How many there must be.

    Returns:
        None where they are missing, not as many, or no numbers.
    """
    try:
        value = dataset.get(keyword)
        if value is None or isinstance(value, str):
            return None
        found = tuple(float(each) for each in (value if isinstance(value, MultiValue | list) else (value,)))
    except (ValueError, TypeError, OverflowError):
        return None
    if not found or (count is not None and len(found) != count) or not all(map(math.isfinite, found)):
        return None
    return found


def number(dataset: Dataset, keyword: str) -> float | None:
    """One finite number, None where there is none."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def items(dataset: Dataset | None, keyword: str) -> tuple[Dataset, ...]:
    """The items of a sequence, none where it is missing."""
    value = None if dataset is None else dataset.get(keyword)
    return tuple(value) if value else ()


def refuse_without_image(file: DicomFile) -> None:
    """Refuse objects that hold no image, or one of a kind that is not read.

    Raises:
        NoImageError: It is an object of another kind.
        ImageError: Its pixels are missing, or it is a whole slide.
    """
    if file.sop_class == _WHOLE_SLIDE:
        raise file.source.refuse(
            "it is a whole-slide image in tiles. Export the region that is meant as TIFF"
        )
    if file.pixel_keyword is not None:
        return
    kind = UID(file.sop_class)
    if kind in UID_dictionary and "Image" not in kind.name:
        raise NoImageError(
            file.source.path, f"it holds no image: it is a DICOM object of the kind {kind.name}"
        )
    raise file.source.refuse("the file is truncated: its pixels are missing")


def _elements(stream: IO[bytes], syntax: UID, stop_when: object, tags: tuple[str, ...] | None) -> Dataset:
    return read_dataset(
        stream,
        syntax == ImplicitVRLittleEndian,
        syntax != ExplicitVRBigEndian,
        stop_when=stop_when,
        specific_tags=None if tags is None else [Tag(tag) for tag in tags],
    )


def _guessed_syntax(stream: IO[bytes]) -> UID:
    """Explicit or implicit, by the first element of a file that does not say."""
    position = stream.tell()
    representation = stream.read(6)[4:]
    stream.seek(position)
    return ExplicitVRLittleEndian if representation.isalpha() else ImplicitVRLittleEndian


def _inflated(source: Source, start: int, limit: int) -> IO[bytes]:
    """At most `limit` bytes of what is deflated from `start` on; refused where its end is missing."""
    source.stream.seek(start)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    whole = io.BytesIO()
    while whole.tell() < limit and not inflater.eof:
        block = inflater.unconsumed_tail or source.stream.read(1 << 16)
        if not block:
            raise source.refuse("the file is truncated: the end of its deflated elements is missing")
        whole.write(inflater.decompress(block, limit - whole.tell()))
    whole.seek(0)
    return whole
