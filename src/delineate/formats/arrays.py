"""NumPy's .npy and .npz, the latter with one array: numbers alone, for nothing in them says what they are.

| axes | image | mask |
|---|---|---|
| 2 | `(H, W)` | `(H, W)` |
| 3, uint8, the last being 3 or 4 and both others longer | `(H, W)` RGB, and alpha | `(H, W)` colours |
| 3 else | `(D, H, W)` | `(D, H, W)` |
| 4, where a fourth axis is meant as channels | `(D, H, W)` with the channels last | refused |

Booleans become 0 and 255; uint8 and uint16 are shares of their range, as in pictures; other types stand for
themselves. The header is read here, and its size compared with the file's, before anything is unpacked.
Objects (pickles) are never read.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from delineate.files import write_with
from delineate.formats.pixels import ALPHA_NOTE, Array, image_pixels, mask_values, without_alpha
from delineate.formats.stored import MAXIMUM_CHANNELS, Family, Header, Probabilities, Source, StoredMask
from delineate.formats.writable import check_mask, check_probabilities
from delineate.geometry import Geometry
from delineate.image import Image, Mask

_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_NAME_AT = 30  # in the header of a zip member
_MAXIMUM_HEADER = 10_000
_LENGTH = {(1, 0): "<H", (2, 0): "<I"}  # how the length of the header is stored, by version
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOST_PACKED = 1100  # how much deflate can shorten, and some
_BLOCK = 1 << 20
_PICTURE, _VOLUME, _WITH_CHANNELS = 2, 3, 4


@dataclass(frozen=True)
class _Stored:
    """An array whose numbers were not read yet.

    Attributes:
        stream: At the first number.
        shape: Of 1 to 4 axes, all longer than 0.
        dtype: Of its numbers.
        fortran: Whether the first axis runs fastest.
    """

    stream: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran: bool

    @property
    def coloured(self) -> bool:
        """Whether the last of three axes is colours."""
        shape = self.shape
        return len(shape) == 3 and self.dtype == np.uint8 and shape[2] in (3, 4) and min(shape[:2]) > shape[2]

    @property
    def size(self) -> tuple[int, ...]:
        """`(H, W)` or `(D, H, W)`."""
        return self.shape[:-1] if self.coloured or len(self.shape) == _WITH_CHANNELS else self.shape

    @property
    def bytes(self) -> int:
        """Of all numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    def load(self, source: Source) -> Array:
        """The numbers in their shape."""
        content = np.empty(self.bytes, np.uint8)
        done = 0
        while done < self.bytes:
            block = self.stream.read(min(_BLOCK, self.bytes - done))
            if not block:
                raise source.refuse("the file is truncated: numbers are missing at its end")
            content[done : done + len(block)] = np.frombuffer(block, np.uint8)
            done += len(block)
        if self.stream.read(1):  # which also makes zipfile compare the checksum
            raise source.refuse("it holds more than its one array. Save each array as a file of its own")
        numbers: Array = content.view(self.dtype)
        return numbers.reshape(self.shape[::-1]).T if self.fortran else numbers.reshape(self.shape)


def recognises(head: bytes) -> bool:
    """Whether a file begins like an .npy, or like a zip whose first member is one."""
    if head.startswith(_NPY):
        return True
    if not head.startswith(_ZIP) or len(head) < _NAME_AT:
        return False
    (length,) = struct.unpack_from("<H", head, 26)
    return head[_NAME_AT : _NAME_AT + length].endswith(b".npy")


def header(source: Source) -> Header:
    """Size and kind, without reading the numbers."""
    with _open(source) as stored:
        channels = 1
        if stored.coloured:
            mode, channels = ("RGB" if stored.shape[2] == 3 else "RGB with alpha"), 3
        else:
            bits = 1 if stored.dtype.kind == "b" else stored.dtype.itemsize * 8
            mode = "float grey" if stored.dtype.kind == "f" else "grey" if bits == 8 else f"{bits}-bit grey"
            mode = "1-bit" if bits == 1 else mode
        if len(stored.shape) == _WITH_CHANNELS:
            channels = stored.shape[-1]
            mode = mode.replace("grey", f"{channels} channels")
        return Header(stored.size, mode, "NumPy", channels)


def read(source: Source) -> Image:
    """The array as an `Image`."""
    with _open(source) as stored:
        array = stored.load(source)
        channels = np.moveaxis(array, -1, 0) if len(stored.size) < array.ndim else array[None]
        notes: tuple[str, ...] = ()
        if stored.coloured and len(channels) == 4:
            channels, notes = without_alpha(channels, source), (ALPHA_NOTE,)
        shares = stored.dtype.kind == "b" or (stored.dtype.kind == "u" and stored.dtype.itemsize <= 2)
        pixels, converted = image_pixels(channels, source, shares=shares)
        return Image(np.ascontiguousarray(pixels), notes=notes + converted, shares=shares)


def read_mask(source: Source) -> StoredMask:
    """The array as it is stored."""
    with _open(source) as stored:
        if len(stored.shape) == _WITH_CHANNELS:
            raise source.refuse("a mask with four axes has no clear meaning. Save it as (D, H, W)")
        values = mask_values(stored.load(source), source)
        if stored.coloured and values.shape[2] == 4:
            values = np.moveaxis(without_alpha(np.moveaxis(values, -1, 0), source), 0, -1)
        volume = len(stored.size) == _VOLUME
        return StoredMask(np.ascontiguousarray(values), volume=volume)


@contextlib.contextmanager
def _open(source: Source) -> Iterator[_Stored]:
    """The one array of a file, its header checked."""
    if source.stream.read(len(_NPY)) == _NPY:
        length = source.stream.seek(0, io.SEEK_END)
        source.stream.seek(0)
        yield _checked(source.stream, length, source)
        return
    with zipfile.ZipFile(source.stream) as archive:
        members = archive.infolist()
        if len(members) != 1:
            names = ", ".join(repr(member.filename[:40]) for member in members[:10])
            raise source.refuse(
                f"it holds {len(members)} arrays ({names}{', …' * (len(members) > 10)}). "
                "Save the one that is meant as .npy"
            )
        (member,) = members
        if member.flag_bits & 1:
            raise source.refuse("it is encrypted. Save it without a password")
        if member.compress_type not in _PACKED:
            raise source.refuse("its compression is not read. Save it with numpy.savez_compressed")
        if member.file_size > _MOST_PACKED * max(member.compress_size, 1):
            raise source.refuse("the file is damaged: its array cannot be as long as it says")
        with archive.open(member) as stream:
            yield _checked(stream, member.file_size, source)


def _checked(stream: IO[bytes], length: int, source: Source) -> _Stored:
    """The array that a stream of `length` bytes holds."""
    version = npy.read_magic(stream)
    if version not in _LENGTH:
        raise source.refuse("its numbers are of a compound type. Save one plain array")
    head = stream.read(struct.calcsize(_LENGTH[version]))
    (header_length,) = struct.unpack(_LENGTH[version], head)
    if header_length > _MAXIMUM_HEADER:
        raise source.refuse(f"the file is damaged: its header would have {header_length} bytes")
    whole = io.BytesIO(head + stream.read(header_length))
    parse = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = parse(whole, max_header_size=_MAXIMUM_HEADER)
    if dtype.hasobject:
        raise source.refuse("it holds Python objects (a pickle), which are never read. Save plain numbers")
    if dtype.kind not in "biuf":
        raise source.refuse(f"numbers of type {str(dtype)[:40]} are not read. Save plain numbers")
    stored = _Stored(stream, tuple(int(size) for size in shape), dtype, fortran)
    _check_shape(stored, source)
    found = length - len(npy.MAGIC_PREFIX) - 2 - len(head) - header_length
    if found < stored.bytes:
        raise source.refuse(
            f"the file is truncated: {stored.bytes} bytes of numbers are said, {found} are there"
        )
    if found > stored.bytes:
        raise source.refuse("it holds more than its one array. Save each array as a file of its own")
    return stored


def _check_shape(stored: _Stored, source: Source) -> None:
    """Refuse shapes that are no image's."""
    shape = "×".join(map(str, stored.shape))
    axes = len(stored.shape)
    if not _PICTURE <= axes <= _WITH_CHANNELS:
        raise source.refuse(f"its shape is ({shape}). Save it as (H, W), (H, W, 3) or (D, H, W)")
    if axes == _WITH_CHANNELS:
        if source.reading.fourth_axis != "channels":
            raise source.refuse(
                f"it has four axes ({shape}). Save each volume as a file of its own, "
                "or say that the fourth axis is meant as channels"
            )
        if not 1 <= stored.shape[-1] <= MAXIMUM_CHANNELS:
            raise source.refuse(
                f"its last of four axes ({shape}) would be channels; at most {MAXIMUM_CHANNELS} are read"
            )
    source.check_size(*stored.size)


def write_mask(path: Path, mask: Mask) -> None:
    """Write a mask as uint8 .npy, whole or not at all.

    Args:
        path: Where to; its suffix should be ".npy".
        mask: `(H, W)` or `(D, H, W)`; its values are the labels'.

    Raises:
        ValueError: It is neither, not uint8, or holds values that are no labels.
        OutputError: The place cannot be written.
    """
    check_mask(mask)
    _write(path, mask.values)


def write_probabilities(path: Path, probabilities: Probabilities, geometry: Geometry) -> None:
    """Write probabilities as float32 .npy, whole or not at all.

    Args:
        path: Where to; its suffix should be ".npy".
        probabilities: `(L, H, W)` or `(L, D, H, W)`, 0 to 1, in the order of the labels.
        geometry: Not kept, for an .npy holds numbers alone.

    Raises:
        ValueError: The shape is another, or a value is no probability.
        OutputError: The place cannot be written.
    """
    check_probabilities(probabilities, geometry)
    _write(path, probabilities.astype(np.float32))


def _write(path: Path, array: Array) -> None:
    content = np.ascontiguousarray(array)
    write_with(path, lambda stream: npy.write_array(stream, content, version=(1, 0), allow_pickle=False))


FAMILY = Family(
    suffixes=frozenset({".npy", ".npz"}),
    formats=("NumPy",),
    recognises=recognises,
    header=header,
    read=read,
    read_mask=read_mask,
    mask_suffix=lambda _name: ".npy",
    write_mask=write_mask,
    write_probabilities=write_probabilities,
)
