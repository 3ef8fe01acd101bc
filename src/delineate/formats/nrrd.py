"""NRRD, attached (.nrrd) or with its pixels in a second file of the same folder (.nhdr).

| in the file | here |
|---|---|
| space LPS, RAS, LAS | geometry in LPS |
| another space, or a space without name | taken for LPS, as ITK does |
| spacings without a space | the spacing alone |
| an axis of vectors or colours, wherever it stands | channels |
| another axis that is not of space (list, time) | refused, or channels by `Reading.fourth_axis` |
| pixels raw or packed by gzip | read; in text or bzip2 refused |
| a segmentation by 3D Slicer | its segments' names; it may cover a part of its image |

Read here and not by ITK: its readers crash on some damaged headers, write to the terminal, and take memory
for any size that a header tells. What is read is compared with ITK's reading in the tests.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from delineate.formats.bounded import Bytes, Inflated, Plain
from delineate.formats.itk_writing import write_nrrd_mask, write_nrrd_probabilities
from delineate.formats.nrrd_header import NrrdText, nrrd_text
from delineate.formats.stored import Family, Header, Source, StoredMask
from delineate.formats.text_header import data_file, integers, millimetres, numbers
from delineate.formats.volumes import Layout, fourth_axis, geometry_of, spacing_of
from delineate.geometry import NOWHERE, Geometry, Stated
from delineate.image import Image

_MARK = b"NRRD000"
_MOST_AXES = 16
_MOST_SKIPPED_BYTES = 64 << 20
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": (
        *("longlong", "long long", "long long int", "signed long long", "signed long long int"),
        *("int64", "int64_t"),
    ),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_DTYPES = {name: dtype for dtype, names in _TYPES.items() for name in names}
_TO_LPS = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1, -1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1, -1, 1)),
}
_OF_SPACE = {"domain", "space", "none", "???"}
_COLOURS = {"rgb-color", "rgba-color", "3-color", "4-color"}
_CHANNELS = _COLOURS | {
    *("vector", "covariant-vector", "normal", "point", "scalar", "stub", "2-vector", "3-vector", "4-vector"),
    *("2-color", "3-normal", "3-gradient"),
}


def recognises(head: bytes) -> bool:
    """Whether a file that begins like this is NRRD."""
    return head.startswith(_MARK)


def header(source: Source) -> Header:
    """Size and kind, without the pixels."""
    with _open(source, nrrd_text(source)) as (layout, _, _):
        return layout.header()


def named_file(source: Source) -> Path | None:
    """The file of pixels, where they do not stand behind the header."""
    with _open(source, nrrd_text(source)) as (_, _, holder):
        return None if holder is source else holder.path


def read(source: Source) -> Image:
    """The volume as an `Image`."""
    with _open(source, nrrd_text(source)) as (layout, content, holder):
        return layout.image(content, holder)


def read_mask(source: Source) -> StoredMask:
    """The volume's numbers as they are stored."""
    text = nrrd_text(source)
    with _open(source, text) as (layout, content, holder):
        stored = layout.mask(content, holder)
    partial = any(key.startswith("Segmentation_ReferenceImageExtent") for key in text.keys)
    return replace(stored, names=_segment_names(text.keys), partial=partial)


def _segment_names(keys: dict[str, str]) -> dict[int, str]:
    """What 3D Slicer calls the values of a segmentation."""
    names: dict[int, str] = {}
    for key, name in keys.items():
        value = keys.get(key.removesuffix("_Name") + "_LabelValue", "")
        if re.fullmatch(r"Segment\d{1,5}_Name", key) and re.fullmatch(r"\d{1,9}", value) and name.strip():
            names[int(value)] = name.strip().encode(errors="replace").decode()
    return names


@contextlib.contextmanager
def _open(source: Source, text: NrrdText) -> Iterator[tuple[Layout, Bytes, Source]]:
    """What the header says, checked, the bytes from the first pixel on, and the file that holds them."""
    layout = _layout(text, source)
    layout.check(source)
    encoding = text.fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise source.refuse(f"its encoding ({encoding[:20] or 'none'}) is not read. Save it as raw or gzip")
    (skipped,) = integers(text.fields.get("byteskip", "0"), source, "byte skip")[:1]
    if text.fields.get("lineskip", "0") != "0" or not -1 <= skipped <= _MOST_SKIPPED_BYTES:
        raise source.refuse("its pixels stand behind other lines or bytes. Save it anew, without them")
    name = text.fields.get("datafile")
    with contextlib.nullcontext(source) if name is None else data_file(source, name) as holder:
        content: Bytes
        if encoding == "raw":
            content = plain = Plain(holder)
            if skipped < 0:
                plain.skip_to_last(layout.byte_count)
        else:
            content = Inflated(holder)
        content.skip(max(skipped, 0))
        yield layout, content, holder


def _layout(text: NrrdText, source: Source) -> Layout:
    fields = text.fields
    missing = [name for name in ("type", "dimension", "sizes", "encoding") if name not in fields]
    if missing:
        raise source.refuse(f"the file is damaged: its header does not say {' and '.join(missing)}")
    sizes = integers(fields["sizes"], source, "sizes")
    if [len(sizes)] != integers(fields["dimension"], source, "dimension") or len(sizes) > _MOST_AXES:
        raise source.refuse(f"the file is damaged: sizes of {len(sizes)} axes, not of {fields['dimension']}")
    if min(sizes) < 1:
        raise source.refuse(f"it has no pixels ({'×'.join(map(str, sizes))})")
    space, kinds = _axes_of_space(text, len(sizes), source)
    others = [axis for axis in range(len(sizes)) if axis not in space and sizes[axis] > 1]
    if len(space) not in (2, 3) or len(others) > 1:
        raise source.refuse(
            f"its axes ({'×'.join(map(str, sizes))}) are no volume with channels. Save volumes one a file"
        )
    for axis in others:
        if kinds[axis] not in _CHANNELS:
            what = f" ({kinds[axis]})" if kinds[axis] not in _OF_SPACE else ""
            fourth_axis(source, f"{sizes[axis]} volumes along a fourth axis{what}")
    order = sorted([*space, *others], reverse=True)
    return Layout(
        "NRRD",
        tuple(sizes[axis] for axis in order),
        _dtype(fields, source),
        order.index(others[0]) if others else None,
        _geometry(text, len(sizes), space, source),
        bool(others) and kinds[others[0]] in _COLOURS,
    )


def _dtype(fields: dict[str, str], source: Source) -> np.dtype[np.generic]:
    name = " ".join(fields["type"].lower().split())
    if name not in _DTYPES:
        raise source.refuse(f"pixels of type {name[:30]!r} are not read. Save it as short or float")
    dtype = np.dtype(_DTYPES[name])
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower())
    if order is None and dtype.itemsize > 1:
        raise source.refuse("the file is damaged: it does not say its byte order (endian)")
    return dtype.newbyteorder(">" if order == ">" else "<")


def _axes_of_space(text: NrrdText, count: int, source: Source) -> tuple[list[int], list[str]]:
    """Which axes are of space, at most three, and the kinds of all."""
    kinds = [kind.lower() for kind in text.words("kinds", count, source) or ["???"] * count]
    vectors = _vectors(text, count, source)
    if vectors is not None:
        return [axis for axis, vector in enumerate(vectors) if vector is not None], kinds
    return [axis for axis, kind in enumerate(kinds) if kind in _OF_SPACE][:3], kinds


def _vectors(text: NrrdText, count: int, source: Source) -> list[list[float] | None] | None:
    """Each axis's step in space; None for one that is not of space, or where the file says none at all."""
    if "spacedirections" not in text.fields:
        return None
    words = re.findall(r"none|\([^()]*\)", text.fields["spacedirections"])
    if len(words) != count or "".join(words).replace(" ", "") != text.fields["spacedirections"].replace(
        " ", ""
    ):
        raise source.refuse(f"the file is damaged: not {count} space directions")
    return [None if word == "none" else numbers(word[1:-1], source, "space directions") for word in words]


def _geometry(text: NrrdText, count: int, space: list[int], source: Source) -> Geometry:
    vectors = _vectors(text, count, source)
    if vectors is None:
        spacings = text.words("spacings", count, source)
        units = text.words("units", count, source) or [""] * count
        if spacings is None or any(spacings[axis].lower() == "nan" for axis in space):
            return NOWHERE
        factors = [millimetres(units[axis], source) for axis in space]
        steps = [
            numbers(spacings[axis], source, "spacings", 1)[0] * factor
            for axis, factor in zip(space, factors, strict=True)
        ]
        return replace(spacing_of(tuple(steps[::-1]), source), stated=_stated(factors))
    steps_in_space = [vector for vector in vectors if vector is not None]
    axes = len(steps_in_space[0])
    if any(len(vector) != axes for vector in steps_in_space) or not len(space) <= axes <= 3:
        raise source.refuse(
            "its space directions are not those of 2 or 3 axes in one space of 2 or 3 dimensions"
        )
    origin = text.fields.get("spaceorigin", "")
    columns = np.zeros((3, len(space) + 1))
    columns[:axes, :-1] = np.array(steps_in_space[::-1]).T
    if origin:
        columns[:axes, -1] = numbers(origin.strip("() "), source, "space origin", axes)
    to_lps = _TO_LPS.get(text.fields.get("space", "").lower(), (1, 1, 1))
    factors = [_unit(text, axis, axes, source) for axis in range(axes)]
    columns[:axes] *= np.array(factors)[:, None]
    geometry = geometry_of(columns * np.array(to_lps)[:, None] + 0.0, source)
    return replace(geometry if origin else Geometry(geometry.spacing_mm), stated=_stated(factors))


def _stated(factors: list[float]) -> Stated | None:
    """The one unit of all axes, given in millimetres; None where they have several."""
    return Stated(factors[0]) if len(set(factors)) == 1 else None


def _unit(text: NrrdText, axis: int, axes: int, source: Source) -> float:
    units = text.words("spaceunits", axes, source)
    return 1.0 if units is None else millimetres(units[axis], source)


FAMILY = Family(
    suffixes=frozenset({".nrrd", ".nhdr"}),
    formats=("NRRD",),
    recognises=recognises,
    header=header,
    read=read,
    read_mask=read_mask,
    data_file=named_file,
    mask_suffix=lambda _name: ".nrrd",
    write_mask=write_nrrd_mask,
    write_probabilities=write_nrrd_probabilities,
)
