"""PPM, PGM and PBM, binary and in ASCII, whichever of .ppm, .pgm, .pbm and .pnm they are called.

| in the file | image | mask |
|---|---|---|
| values up to 255, or to 65535 | uint8, uint16 | as they are |
| values up to another number | stretched to 255 or 65535, and said | as they are |
| values of colours above 255 | uint16 | refused |
| PBM, where 1 is black | black 0, white 255 | black 0, white 255 |

Read here and not by Pillow, which cuts 16-bit colours to 8 bits and stretches the values of masks.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from delineate.formats.bounded import Plain
from delineate.formats.pixels import Array, image_pixels, mask_values
from delineate.formats.stored import Family, Header, Source, StoredMask
from delineate.image import Image

_KINDS = {
    b"P1": ("PBM", True),
    b"P2": ("PGM", True),
    b"P3": ("PPM", True),
    b"P4": ("PBM", False),
    b"P5": ("PGM", False),
    b"P6": ("PPM", False),
}
_BLANKS, _DIGITS = b" \t\n\v\f\r", b"0123456789"
_MOST_HEADER = 1 << 16  # bytes, comments among them
_MOST_DIGITS = 10
_MOST_BEHIND = 4  # blanks behind the values
_HIGHEST_BYTE, _HIGHEST = 255, 65535
_PIECE = 1 << 20


@dataclass(frozen=True)
class _Stored:
    """A picture whose values were not read yet; the stream stands at the first.

    Attributes:
        file_format: "PBM", "PGM" or "PPM".
        ascii: Whether values are written out as numbers.
        size: `(H, W)`.
        highest: Value that there may be: full white.
    """

    file_format: str
    ascii: bool
    size: tuple[int, int]
    highest: int

    @property
    def one_bit(self) -> bool:
        """Whether a pixel is black or white."""
        return self.file_format == "PBM"

    @property
    def shape(self) -> tuple[int, ...]:
        """`(H, W)`, or `(H, W, 3)` of colours."""
        return (*self.size, 3) if self.file_format == "PPM" else self.size

    @property
    def deep(self) -> bool:
        """Whether a value takes two bytes."""
        return self.highest > _HIGHEST_BYTE


def recognises(head: bytes) -> bool:
    """Whether a file that begins like this is one of ours."""
    return head[:2] in _KINDS and len(head) > 2 and head[2] in _BLANKS + b"#"


def header(source: Source) -> Header:
    """Size and kind, without the values."""
    stored = _open(source)
    channels = 3 if len(stored.shape) == 3 else 1
    colours = "RGB" if channels == 3 else "grey"
    mode = "1-bit" if stored.one_bit else f"16-bit {colours}" if stored.deep else colours
    return Header(stored.size, mode, stored.file_format, channels)


def read(source: Source) -> Image:
    """The picture as an `Image`."""
    stored = _open(source)
    values = _values(stored, source)
    notes: tuple[str, ...] = ()
    full = _HIGHEST if stored.deep else _HIGHEST_BYTE
    if not stored.one_bit and stored.highest != full:
        steps = np.arange(stored.highest + 1, dtype=np.int64)
        stretched = (steps * full + stored.highest // 2) // stored.highest
        values = stretched.astype(values.dtype)[values]
        notes = (f"its values, 0 to {stored.highest}, were stretched to 0 to {full}",)
    pixels, converted = image_pixels(values[None] if values.ndim == 2 else values.transpose(2, 0, 1), source)
    return Image(np.ascontiguousarray(pixels), notes=notes + converted)


def read_mask(source: Source) -> StoredMask:
    """The picture's values as they are stored."""
    stored = _open(source)
    if stored.deep and stored.file_format == "PPM":
        raise source.refuse("masks with 16-bit colours are not read. Save it as an 8-bit PNG")
    return StoredMask(np.ascontiguousarray(mask_values(_values(stored, source), source)))


def _open(source: Source) -> _Stored:
    """What the header says, checked, its size against the bytes that there are."""
    file_format, in_ascii = _KINDS[source.stream.read(2)]
    numbers = _header_numbers(source)
    width, height = next(numbers), next(numbers)
    source.check_size(height, width)
    highest = 1 if file_format == "PBM" else next(numbers)
    if not 1 <= highest <= _HIGHEST:
        raise source.refuse(
            f"the file is damaged: its highest value would be {highest}, not one of 1 to {_HIGHEST}"
        )
    stored = _Stored(file_format, in_ascii, (height, width), highest)
    _check_length(stored, source)
    return stored


def _header_numbers(source: Source) -> Iterator[int]:
    """The numbers of a header; as one is given, the stream stands behind the blank that ends it."""
    word, left = b"", _MOST_HEADER
    while left > 0:
        byte = source.stream.read(1)
        left -= 1
        if byte == b"#":
            comment = source.stream.readline(left + 1)
            left -= len(comment)
            byte = comment[-1:]
        if not byte:
            raise source.refuse("the file is truncated: its header is not whole")
        if byte in _DIGITS and len(word) < _MOST_DIGITS:
            word += byte
        elif byte not in _BLANKS:
            raise source.refuse("the file is damaged: its header does not say width, height and highest")
        elif word:
            yield int(word)
            word = b""
    raise source.refuse("the file is damaged: its header does not end")


def _check_length(stored: _Stored, source: Source) -> None:
    """Refuse a file that cannot hold its values, before memory is taken for them, or holds more."""
    begin = source.stream.tell()
    length = source.stream.seek(0, io.SEEK_END) - begin
    source.stream.seek(begin)
    count = math.prod(stored.shape)
    if stored.ascii:
        least = count if stored.one_bit else 2 * count  # a digit each, and a blank behind it
        if length < least:
            missing = least - length
            raise source.refuse(f"the file is truncated: at least {missing} bytes are missing at its end")
        return
    needed = _byte_count(stored)
    source.stream.seek(begin + needed)
    if recognises(source.stream.read(3)):
        raise source.refuse("it holds several pictures. Save the one that is meant")
    source.stream.seek(begin + needed)
    behind = source.stream.read(_MOST_BEHIND)
    source.stream.seek(begin - 1)
    if source.stream.read(2) == b"\r\n":  # one blank ends the header; the second may be a value, too
        begin += length == needed + 1
    elif len(behind) == length - needed and not behind.strip(_BLANKS):
        needed = length  # a line break, as editors and transfers as text add it
    source.stream.seek(begin)
    Plain(source).check_holds(needed)


def _byte_count(stored: _Stored) -> int:
    """Of the values of a binary file; the rows of a PBM begin at a byte each."""
    height, width = stored.size
    return height * -(-width // 8) if stored.one_bit else math.prod(stored.shape) * (1 + stored.deep)


def _values(stored: _Stored, source: Source) -> Array:
    """`(H, W)` or `(H, W, 3)` uint8 or uint16 as they are stored; of a PBM booleans, true for white."""
    values = _ascii_values(stored, source) if stored.ascii else _binary_values(stored, source)
    return values == 0 if stored.one_bit else values


def _binary_values(stored: _Stored, source: Source) -> Array:
    memory = bytearray(_byte_count(stored))
    Plain(source).fill(memoryview(memory))
    content = np.frombuffer(memory, np.uint8)
    if stored.one_bit:
        height, width = stored.size
        return np.unpackbits(content.reshape(height, -1), axis=1, count=width)
    values = content.view(">u2" if stored.deep else np.uint8).reshape(stored.shape)
    _check_highest(values, stored, source)
    return values


def _ascii_values(stored: _Stored, source: Source) -> Array:
    values = np.empty(math.prod(stored.shape), np.uint16 if stored.deep else np.uint8)
    done = 0
    for piece in _bits(source) if stored.one_bit else _numbers(source):
        if len(piece) > len(values) - done:
            raise source.refuse("the file is damaged: it holds more values than its header tells of")
        _check_highest(piece, stored, source)
        values[done : done + len(piece)] = piece
        done += len(piece)
    if done < len(values):
        raise source.refuse(f"the file is truncated: {len(values) - done} values are missing at its end")
    return values.reshape(stored.shape)


def _bits(source: Source) -> Iterator[Array]:
    """The values of a PBM in ASCII, with or without blanks between them."""
    while piece := source.stream.read(_PIECE):
        digits = piece.translate(None, _BLANKS)
        _refuse_other(digits.translate(None, _DIGITS), source)
        yield np.frombuffer(digits, np.uint8) - np.uint8(ord("0"))


def _numbers(source: Source) -> Iterator[Array]:
    """The values of others in ASCII; a last one without a blank behind it may be a part of a longer one."""
    begun = b""
    while piece := source.stream.read(_PIECE):
        text = begun + piece
        whole = text.rstrip(_DIGITS)
        begun = text[len(whole) :]
        _refuse_other(whole.translate(None, _DIGITS + _BLANKS), source)
        if len(begun) > _MOST_DIGITS:
            raise source.refuse("the file is damaged: a number in it does not end")
        yield np.fromiter(map(int, whole.split()), np.int64)
    if begun:
        raise source.refuse(
            "the file is truncated: its last number may be cut off, for nothing stands behind it. If it is "
            "whole, add a line break at its end"
        )


def _refuse_other(characters: bytes, source: Source) -> None:
    """Refuse what stands between numbers and is neither digit nor blank."""
    if characters:
        raise source.refuse(f"the file is damaged: {chr(characters[0])!a} stands among its numbers")


def _check_highest(values: Array, stored: _Stored, source: Source) -> None:
    """Refuse values above the highest that the header tells of."""
    highest = int(values.max(initial=0))
    if highest > stored.highest:
        raise source.refuse(
            f"the file is damaged: it holds the value {highest}, and says the highest is {stored.highest}"
        )


FAMILY = Family(
    suffixes=frozenset({".ppm", ".pgm", ".pbm", ".pnm"}),
    formats=("PPM", "PGM", "PBM"),
    recognises=recognises,
    header=header,
    read=read,
    read_mask=read_mask,
)
