"""MetaImage, in one file (.mha) or with its pixels in a second file of the same folder (.mhd).

| in the file | here |
|---|---|
| TransformMatrix, Offset | geometry in LPS; AnatomicalOrientation says nothing, as in ITK |
| neither | the spacing alone |
| several numbers an element | channels |
| a fourth axis | refused, or channels by `Reading.fourth_axis` |
| pixels raw or packed by zlib | read; in text refused |
| several files of pixels | refused |

Read here and not by ITK, whose reader crashes on some damaged headers (see `nrrd`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from delineate.formats.bounded import ZLIB_OR_GZIP, Bytes, Inflated, Plain
from delineate.formats.itk_writing import write_meta_mask, write_meta_probabilities
from delineate.formats.stored import Family, Header, Source, StoredMask
from delineate.formats.text_header import data_file, integers, lines, millimetres, numbers
from delineate.formats.volumes import Layout, fourth_axis, geometry_of, spacing_of
from delineate.geometry import NOWHERE, Geometry, Stated
from delineate.image import Image

_MOST_HEADER_BYTES = 64 << 20
_FIRST_LINE = re.compile(rb"\s*[A-Za-z]\w*[ \t]*=")
_DTYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # as MetaIO has it, whatever the machine
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_SYNONYMS = {
    "Position": "Offset",
    "Origin": "Offset",
    "Rotation": "TransformMatrix",
    "Orientation": "TransformMatrix",
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
}
_ONCE = {
    *(
        "ObjectType",
        "NDims",
        "DimSize",
        "ElementType",
        "ElementNumberOfChannels",
        "ElementSpacing",
        "ElementSize",
    ),
    *("Offset", "TransformMatrix", "BinaryData", "BinaryDataByteOrderMSB", "CompressedData", "HeaderSize"),
    *("DistanceUnits", "ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset"),
}
Fields = dict[str, str]


def recognises(head: bytes) -> bool:
    """Whether a file that begins like this is MetaImage."""
    return (
        _FIRST_LINE.match(head) is not None and re.search(rb"^\s*NDims\s*=", head, re.MULTILINE) is not None
    )


def header(source: Source) -> Header:
    """Size and kind, without the pixels."""
    with _open(source) as (layout, _, _):
        return layout.header()


def named_file(source: Source) -> Path | None:
    """The file of pixels, where they do not stand behind the header."""
    with _open(source) as (_, _, holder):
        return None if holder is source else holder.path


def read(source: Source) -> Image:
    """The volume as an `Image`."""
    with _open(source) as (layout, content, holder):
        return layout.image(content, holder)


def read_mask(source: Source) -> StoredMask:
    """The volume's numbers as they are stored."""
    with _open(source) as (layout, content, holder):
        return layout.mask(content, holder)


def _fields(source: Source) -> Fields:
    """The header's fields, the last of which names the file of pixels."""
    fields: Fields = {}
    for line in lines(source):
        name, mark, value = (part.strip() for part in line.partition("="))
        if not mark:
            if line.strip():
                raise source.refuse(f"the file is damaged: its header has a line {line[:60]!r}")
            continue
        name = _SYNONYMS.get(name, name)
        if name in _ONCE and name in fields:
            raise source.refuse(f"the file is damaged: its header has {name} twice")
        fields[name] = value
        if name == "ElementDataFile":
            return fields
    raise source.refuse("the file is truncated: its header does not end")


@contextlib.contextmanager
def _open(source: Source) -> Iterator[tuple[Layout, Bytes, Source]]:
    """What the header says, checked, the bytes from the first pixel on, and the file that holds them."""
    fields = _fields(source)
    layout = _layout(fields, source)
    layout.check(source)
    if not _flag(fields, "BinaryData", source):
        raise source.refuse("its pixels are written as text. Save it with BinaryData = True")
    packed = _flag(fields, "CompressedData", source)
    skipped = integers(fields.get("HeaderSize", "0"), source, "HeaderSize")[0]
    name = fields["ElementDataFile"]
    local = name.upper() == "LOCAL"
    if not -1 <= skipped <= _MOST_HEADER_BYTES or (skipped and (packed or local)):
        raise source.refuse("the file is damaged: its pixels cannot begin where HeaderSize tells")
    with contextlib.nullcontext(source) if local else data_file(source, name) as holder:
        if packed:
            yield layout, Inflated(holder, ZLIB_OR_GZIP), holder
            return
        content = Plain(holder)
        if skipped < 0:
            content.skip_to_last(layout.byte_count)
        content.skip(max(skipped, 0))
        yield layout, content, holder


def _layout(fields: Fields, source: Source) -> Layout:
    missing = [name for name in ("NDims", "DimSize", "ElementType") if name not in fields]
    if missing:
        raise source.refuse(f"the file is damaged: its header does not say {' and '.join(missing)}")
    if fields.get("ObjectType", "Image").lower() != "image":
        raise source.refuse(f"it holds no image but {fields['ObjectType'][:30]!r}")
    sizes = integers(fields["DimSize"], source, "DimSize")
    if [len(sizes)] != integers(fields["NDims"], source, "NDims"):
        raise source.refuse(
            f"the file is damaged: DimSize tells {len(sizes)} axes, NDims {fields['NDims'][:9]}"
        )
    if not 2 <= len(sizes) <= 4 or min(sizes) < 1:
        raise source.refuse(f"its {len(sizes)} axes form no picture or volume ({'×'.join(map(str, sizes))})")
    (channels,) = integers(fields.get("ElementNumberOfChannels", "1"), source, "ElementNumberOfChannels")[:1]
    times = sizes[3] if len(sizes) == 4 else 1
    if channels < 1 or (channels > 1 and times > 1):
        raise source.refuse(
            f"it has {times} volumes of {channels} channels. Save each volume as a file of its own"
        )
    if times > 1:
        fourth_axis(source, f"{times} volumes along a fourth axis")
    for name, usual in (("ElementToIntensityFunctionSlope", 1), ("ElementToIntensityFunctionOffset", 0)):
        if name in fields and numbers(fields[name], source, name, 1) != [usual]:
            raise source.refuse(
                f"its numbers are to be converted ({name}), which programs do or leave. Save them converted"
            )
    shape, channel_axis = tuple(sizes[:3][::-1]), None
    if channels > 1:
        shape, channel_axis = (*shape, channels), len(shape)
    elif times > 1:
        shape, channel_axis = (times, *shape), 0
    return Layout(
        "MetaImage", shape, _dtype(fields, source), channel_axis, _geometry(fields, len(sizes), source)
    )


def _dtype(fields: Fields, source: Source) -> np.dtype[np.generic]:
    name = fields["ElementType"].removesuffix("_ARRAY")
    if name not in _DTYPES:
        raise source.refuse(f"pixels of type {name[:30]!r} are not read. Save it as MET_SHORT or MET_FLOAT")
    big = "BinaryDataByteOrderMSB" in fields and _flag(fields, "BinaryDataByteOrderMSB", source)
    return np.dtype(_DTYPES[name]).newbyteorder(">" if big else "<")


def _flag(fields: Fields, name: str, source: Source) -> bool:
    """A field that is true or false; false where it is missing."""
    value = fields.get(name, "False").lower()
    if value not in ("true", "false", "1", "0"):
        raise source.refuse(f"the file is damaged: {name} is {value[:30]!r}, neither true nor false")
    return value in ("true", "1")


def _geometry(fields: Fields, axes: int, source: Source) -> Geometry:
    spacing = fields.get("ElementSpacing", fields.get("ElementSize"))
    matrix, origin = fields.get("TransformMatrix"), fields.get("Offset")
    unit = millimetres(fields.get("DistanceUnits", ""), source)
    stated = Stated(unit)
    steps = np.ones(axes) if spacing is None else np.array(numbers(spacing, source, "ElementSpacing", axes))
    steps = steps[:3] * unit
    if matrix is None and origin is None:
        if spacing is None:
            return NOWHERE
        return replace(spacing_of(tuple(float(step) for step in steps[::-1]), source), stated=stated)
    # what is missing of the two is nothing and straight, as ITK takes it
    vectors = np.eye(axes)
    if matrix is not None:
        vectors = np.array(numbers(matrix, source, "TransformMatrix", axes * axes)).reshape(axes, axes)
    place = np.zeros(axes) if origin is None else np.array(numbers(origin, source, "Offset", axes))
    if axes == 4 and (vectors[3, :3].any() or vectors[:3, 3].any()):
        raise source.refuse("its geometry is impossible: its fourth axis is mixed with those of space")
    if not (steps > 0).all():
        raise source.refuse(f"its geometry is impossible: spacings must be positive: {spacing}")
    space = min(axes, 3)
    columns = np.zeros((3, space + 1))
    columns[:space, :-1] = (vectors[:space, :space] * steps[:, None])[::-1].T
    columns[:space, -1] = place[:space] * unit
    return replace(geometry_of(columns, source), stated=stated)


FAMILY = Family(
    suffixes=frozenset({".mha", ".mhd"}),
    formats=("MetaImage",),
    recognises=recognises,
    header=header,
    read=read,
    read_mask=read_mask,
    data_file=named_file,
    mask_suffix=lambda _name: ".mha",
    write_mask=write_meta_mask,
    write_probabilities=write_meta_probabilities,
)
