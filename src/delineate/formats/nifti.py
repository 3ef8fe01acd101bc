"""NIfTI-1 and NIfTI-2 in one file, plain or packed by gzip; headers by nibabel.

| in the file | here |
|---|---|
| axes x, y, z; 2 axes | `(C, D, H, W)`; `(C, H, W)` |
| affine (RAS): the sform's where it has a code, else the qform's | geometry (LPS), lengths in mm |
| neither has a code | the spacing alone |
| both have a code and disagree | the sform's, with a note; masks carry both |
| scl_slope, scl_inter | applied, unless the slope is 0 or not a number |
| a fifth axis (vectors), RGB | channels |
| a fourth axis | refused, or channels by `Reading.fourth_axis` |
| complex, binary, quadruple precision; two files (.hdr and .img); Analyze | refused |

The pixels are unpacked here and not by nibabel, which would believe any size that a header tells and unpack
whatever a file holds.
"""

from __future__ import annotations

import contextlib
import logging
import math
from dataclasses import replace
from typing import Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from delineate.formats.bounded import Bytes, Inflated, Plain
from delineate.formats.nifti_writing import mask_suffix, write_mask, write_probabilities
from delineate.formats.stored import Family, Header, Source, StoredMask
from delineate.formats.volumes import Layout, fourth_axis, geometry_of, spacing_of
from delineate.geometry import Geometry, Stated, same_grid
from delineate.image import Image

_GZIP = b"\x1f\x8b"
_NIFTI1_BYTES, _NIFTI2_BYTES = 348, 540
_MOST_EXTENSION_BYTES = 64 << 20  # between header and pixels, where some programs keep notes of their own
_DTYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
    128: "u1",
    2304: "u1",
}
_COLOURS = {128: 3, 2304: 4}
_REFUSED = {1: "1-bit", 32: "complex", 1536: "of quadruple precision", 1792: "complex", 2048: "complex"}
_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown, metre, millimetre, micrometre
_TIMES = {8: "s", 16: "ms", 24: "µs"}
_VECTOR_AXIS = 5  # the fourth is time
_PLACE = (
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z"),
)
_DISAGREE = (
    "its qform and sform put it at different places: the sform's was taken. Some programs take the qform's; "
    "masks written for it carry both"
)
_UNMENDABLE = 40  # nibabel's level of faults that make a header useless
Order = Literal["little", "big"]
_ORDERS: tuple[Order, ...] = ("little", "big")

_QUIET = logging.getLogger("delineate.nifti")  # nibabel tells of what it mends in a header
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class _Fields(Protocol):
    """The part of nibabel's header that is used; the library ships no types."""

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        """A field."""

    def check_fix(self, logger: logging.Logger, error_level: int) -> None:
        """Mend harmless faults, raise on others."""

    def get_best_affine(self) -> npt.NDArray[np.float64]:
        """`(4, 4)` from `(i, j, k, 1)` to RAS."""

    def get_qform(self) -> npt.NDArray[np.float64]:
        """The qform's."""


def recognises(head: bytes) -> bool:
    """Whether a file that begins like this is NIfTI, its relative Analyze, or packed by gzip."""
    return head.startswith(_GZIP) or _order(head) is not None


def header(source: Source) -> Header:
    """Size and kind, without the pixels."""
    return _open(source)[0].header()


def read(source: Source) -> Image:
    """The volume as an `Image`."""
    layout, content = _open(source)
    return layout.image(content, source)


def read_mask(source: Source) -> StoredMask:
    """The volume's numbers as they are stored."""
    layout, content = _open(source)
    return layout.mask(content, source)


def _order(head: bytes | bytearray) -> tuple[int, Order] | None:
    """Size of the header and its byte order, None where it is none."""
    for order in _ORDERS:
        size = int.from_bytes(head[:4], order)
        if size in (_NIFTI1_BYTES, _NIFTI2_BYTES):
            return size, order
    return None


def _open(source: Source) -> tuple[Layout, Bytes]:
    """What the header says, checked, and the bytes from the first pixel on."""
    packed = source.stream.read(2) == _GZIP
    source.stream.seek(0)
    content: Bytes = Inflated(source) if packed else Plain(source)
    head = bytearray(_NIFTI2_BYTES)
    content.fill(memoryview(head)[:4])
    known = _order(head)
    if known is None:
        raise source.refuse("what gzip has packed in it is no NIfTI image")
    size, order = known
    content.fill(memoryview(head)[4:size])
    fields = _fields(bytes(head[:size]), order, source)
    layout = _layout(fields, order, source)
    layout.check(source)
    offset = float(fields["vox_offset"])
    if not size <= offset <= size + _MOST_EXTENSION_BYTES or offset % 1:
        raise source.refuse(f"the file is damaged: its pixels cannot begin at byte {offset:g}")
    content.skip(int(offset) - size)
    return layout, content


def _fields(head: bytes, order: Order, source: Source) -> _Fields:
    """The header as nibabel knows it, its harmless faults mended."""
    first = len(head) == _NIFTI1_BYTES
    mark = head[344:348] if first else head[4:8]
    if mark[:3] in (b"ni1", b"ni2"):
        raise source.refuse(
            "it is the header of an image in two files (.hdr and .img), which are easily parted or mixed up. "
            "Convert it to one .nii.gz"
        )
    if first and not mark.strip(b"\0"):
        raise source.refuse(
            "it is an Analyze image, which does not tell left from right. Convert it to .nii.gz"
        )
    if mark[:3] != (b"n+1" if first else b"n+2"):
        raise source.refuse("the file is damaged: its header lacks the mark of NIfTI")
    import nibabel  # noqa: PLC0415  heavy

    kind = nibabel.Nifti1Header if first else nibabel.Nifti2Header
    fields = cast(_Fields, kind(head, endianness="<" if order == "little" else ">", check=False))
    code = int(fields["datatype"])
    if code not in _DTYPES:
        name = _REFUSED.get(code, f"of the unknown kind {code}")
        raise source.refuse(f"pixels that are {name} are not read. Save it as 16-bit or floating point")
    fields.check_fix(_QUIET, _UNMENDABLE)
    return fields


def _layout(fields: _Fields, order: Order, source: Source) -> Layout:
    axes = int(fields["dim"][0])
    counts = [int(count) for count in fields["dim"][1 : axes + 1]]
    if not 2 <= axes <= 7 or min(counts) < 1:
        raise source.refuse(f"its {axes} axes form no picture or volume ({'×'.join(map(str, counts))})")
    code = int(fields["datatype"])
    shape = tuple(counts[:3][::-1])
    channel_axis: int | None = None
    channels = _channels(fields, counts, source)
    if code in _COLOURS:
        if channels > 1:
            raise source.refuse(f"it holds {channels} volumes of colours. Save each as a file of its own")
        shape, channel_axis = (*shape, _COLOURS[code]), len(shape)
    elif channels > 1:
        shape, channel_axis = (channels, *shape), 0
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or not math.isfinite(slope) or code in _COLOURS:
        slope, intercept = 1.0, 0.0
    if not math.isfinite(intercept):
        raise source.refuse("the file is damaged: what is to be added to its pixels (scl_inter) is no number")
    geometry = _geometry(fields, counts[:3][::-1], source)
    disagree = geometry.stated is not None and geometry.stated.qform is not None
    return Layout(
        "NIfTI",
        shape,
        np.dtype(_DTYPES[code]).newbyteorder("<" if order == "little" else ">"),
        channel_axis,
        geometry,
        code in _COLOURS,
        slope,
        intercept,
        (_DISAGREE,) if disagree else (),
    )


def _channels(fields: _Fields, counts: list[int], source: Source) -> int:
    """How many numbers the axes behind the spatial ones give a pixel, if they may be taken for channels."""
    behind = {axis: count for axis, count in enumerate(counts[3:], start=4) if count > 1}
    if not behind:
        return 1
    if len(behind) > 1 or max(behind) > _VECTOR_AXIS:
        raise source.refuse(
            f"it has {len(counts)} axes ({'×'.join(map(str, counts))}). Save volumes with three, one a file"
        )
    ((axis, count),) = behind.items()
    if axis != _VECTOR_AXIS:
        fourth_axis(source, f"{count} volumes along a fourth axis{_step(fields)}")
    return count


def _step(fields: _Fields) -> str:
    """What the fourth axis is, if it is time."""
    unit = _TIMES.get(int(fields["xyzt_units"]) & 0x38)
    step = float(fields["pixdim"][4])
    if unit is None:
        return ""
    return f" (time, {step:g} {unit} apart)" if 0 < step < math.inf else " (time)"


def _geometry(fields: _Fields, size: list[int], source: Source) -> Geometry:
    """Where an array of `size`, `(H, W)` or `(D, H, W)`, lies, and how the header says so."""
    units = int(fields["xyzt_units"]) & 0x07
    if units not in _MM:
        raise source.refuse(f"the file is damaged: its unit of length ({units}) is unknown")
    place: dict[str, npt.NDArray[np.generic]] = {name: fields[name].copy() for name in _PLACE}
    place["pixdim"] = np.array([*fields["pixdim"][:4], 1, 1, 1, 1])
    place["xyzt_units"] = np.array(units)
    axes, by_sform, by_qform = len(size), int(fields["sform_code"]) > 0, int(fields["qform_code"]) > 0
    if not by_sform and not by_qform:
        spacing = (float(step) * _MM[units] for step in fields["pixdim"][axes:0:-1])
        return replace(spacing_of(tuple(spacing), source), stated=Stated(_MM[units], place))
    geometry = geometry_of(_to_lps(fields.get_best_affine() * _MM[units], axes), source)
    qform = None
    if by_sform and by_qform:
        with contextlib.suppress(ValueError):  # a qform that puts no pixel anywhere is taken by nobody
            qform = Geometry.from_affine(_to_lps(fields.get_qform() * _MM[units], axes))
    if qform is not None and same_grid(geometry, qform, tuple(size)):
        qform = None
    return replace(geometry, stated=Stated(_MM[units], place, qform))


def _to_lps(affine: npt.NDArray[np.float64], axes: int) -> npt.NDArray[np.float64]:
    """`(3, axes + 1)` from our order of the axes to LPS, of `(4, 4)` from the file's to RAS."""
    return (affine[:3] * [[-1], [-1], [1]])[:, [*reversed(range(axes)), 3]] + 0.0  # and no minus zeros


FAMILY = Family(
    suffixes=frozenset({".nii", ".nii.gz"}),
    formats=("NIfTI",),
    recognises=recognises,
    header=header,
    read=read,
    read_mask=read_mask,
    mask_suffix=mask_suffix,
    write_mask=write_mask,
    write_probabilities=write_probabilities,
)
