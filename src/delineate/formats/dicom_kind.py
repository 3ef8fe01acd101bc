"""What a DICOM header says of the pixels, checked before one is decoded: sizes, bits, colours, decoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.pixels import get_decoder

from delineate.extras import installing
from delineate.formats.dicom_file import DicomFile, number, refuse_without_image, text

_GREY = {"MONOCHROME1", "MONOCHROME2"}
_PALETTE = "PALETTE COLOR"
_COLOUR = {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
_NATIVE_COLOUR = {"RGB", "YBR_FULL", "YBR_FULL_422"}
_FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
_LOSSY = {
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.203",
}


@dataclass(frozen=True)
class PixelKind:
    """What a file's header says of its pixels.

    Attributes:
        rows: Height of a frame.
        columns: Width of a frame.
        frames: How many there are.
        samples: Values a pixel, 1 or 3.
        photometric: DICOM's photometric interpretation.
        planar: Whether colours lie one after another instead of pixel by pixel (1 or 0).
        allocated: Bits a value takes, 1 or a multiple of 8.
        stored: Bits of them that mean something.
        high_bit: The highest of these.
        signed: Whether they are two's complement.
        keyword: The element that holds them.
        lossy: Whether they were compressed with loss, now or before.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    keyword: str
    lossy: bool

    @property
    def is_float(self) -> bool:
        """Whether the values are floating point."""
        return self.keyword in _FLOAT_BITS

    @property
    def is_colour(self) -> bool:
        """Whether the values are colours themselves, not greys or indices."""
        return self.samples == 3

    @property
    def is_palette(self) -> bool:
        """Whether the values are indices of colours."""
        return self.photometric == _PALETTE

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the stored values."""
        letter = "f" if self.is_float else "i" if self.signed and self.allocated > 1 else "u"
        return np.dtype(f"{letter}{max(1, self.allocated // 8)}")

    @property
    def range(self) -> tuple[int, int]:
        """The lowest and the highest value that the stored bits can hold."""
        if self.signed:
            return -(1 << (self.stored - 1)), (1 << (self.stored - 1)) - 1
        return 0, (1 << self.stored) - 1

    @property
    def name(self) -> str:
        """What one pixel is, for people."""
        if self.is_float:
            return "float grey"
        if self.is_palette:
            return "palette"
        colour = "RGB" if self.is_colour else "signed grey" if self.signed else "grey"
        return colour if self.stored == 8 and not self.signed else f"{self.stored}-bit {colour}"


def pixel_kind(file: DicomFile) -> PixelKind:
    """What the header says of the pixels, checked.

    Raises:
        ImageError: There are none, they are of a kind that is not read, or the header contradicts itself.
    """
    refuse_without_image(file)
    header, keyword = file.header, file.pixel_keyword or ""
    allocated = _FLOAT_BITS.get(keyword) or _integer(file, "BitsAllocated")
    kind = PixelKind(
        rows=_integer(file, "Rows"),
        columns=_integer(file, "Columns"),
        frames=_integer(file, "NumberOfFrames", 1),
        samples=_integer(file, "SamplesPerPixel", 1),
        photometric=text(header, "PhotometricInterpretation").upper(),
        planar=_integer(file, "PlanarConfiguration", 0),
        allocated=allocated,
        stored=(stored := _integer(file, "BitsStored", allocated)),
        high_bit=_integer(file, "HighBit", stored - 1),
        signed=_integer(file, "PixelRepresentation", 0) == 1,
        keyword=keyword,
        lossy=file.syntax in _LOSSY or text(header, "LossyImageCompression") == "01",
    )
    if kind.frames < 1:
        raise file.source.refuse("the file is damaged: NumberOfFrames is less than 1")
    if kind.frames > 1:
        file.source.check_size(kind.frames, kind.rows, kind.columns)
    else:
        file.source.check_size(kind.rows, kind.columns)
    _check_bits(file, kind)
    _check_colours(file, kind)
    _check_decoder(file)
    return kind


def _integer(file: DicomFile, keyword: str, usual: int | None = None) -> int:
    value = file.header.get(keyword)
    found = None if value is None else number(file.header, keyword)
    if found is None and usual is not None and (value is None or value == ""):
        return usual
    if found is None or found != int(found):
        raise file.source.refuse(f"the file is damaged: its {keyword} is missing or not valid")
    return int(found)


def _check_bits(file: DicomFile, kind: PixelKind) -> None:
    sizes = (32, 64) if kind.is_float else (1, 8, 16, 32, 64)
    fits = kind.is_float or 1 <= kind.stored <= kind.high_bit + 1 <= kind.allocated
    if kind.allocated not in sizes or not fits or kind.planar not in (0, 1):
        raise file.source.refuse(
            f"the file is damaged: BitsAllocated {kind.allocated}, BitsStored {kind.stored} and "
            f"HighBit {kind.high_bit} do not go together"
        )


def _check_colours(file: DicomFile, kind: PixelKind) -> None:
    known = _COLOUR if file.syntax.is_encapsulated else _NATIVE_COLOUR
    if kind.samples == 3 and kind.photometric in known:
        if kind.stored in (8, 16) and kind.allocated == kind.stored and not (kind.signed or kind.is_float):
            return
        raise file.source.refuse(f"{kind.stored}-bit colours are not read. Convert it to 8-bit RGB")
    if kind.samples == 1 and kind.photometric in _GREY:
        return
    if kind.samples == 1 and kind.is_palette and not kind.is_float and kind.stored <= 16:
        return
    raise file.source.refuse(
        f"{kind.samples} values a pixel with a photometric interpretation that does not go with them, or "
        "that is not read. Convert it to MONOCHROME2 or RGB"
    )


def _check_decoder(file: DicomFile) -> None:
    """Refuse what no installed library can decode."""
    try:
        decoder = get_decoder(file.syntax)
    except NotImplementedError:
        raise file.source.refuse(
            f"its transfer syntax, {file.syntax.name}, is not read. Convert it to an uncompressed one, or a "
            "video to single pictures"
        ) from None
    if not decoder.is_available:
        raise file.source.refuse(
            f"its transfer syntax, {file.syntax.name}, needs a decoder that is not installed. "
            f"Install it with: {installing('dicom-compressed')}"
        )
