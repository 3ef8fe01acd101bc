"""Several DICOM files as one volume.

Slices are put in order by where they lie, never by name or number. What is no regular stack is refused with
the reason: slices at one place, gaps, other directions, a lean.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from delineate.errors import ImageError
from delineate.formats import dicom
from delineate.formats.dicom_file import guarded, open_file, text
from delineate.formats.dicom_frames import OFFSET_TAGS, stored_frames
from delineate.formats.dicom_head import recognises
from delineate.formats.dicom_kind import PixelKind
from delineate.formats.dicom_pixels import Rule, grey_pixels, in_units
from delineate.formats.dicom_planes import Plane
from delineate.formats.dicom_stack import NoVolume, Stack, stacked
from delineate.formats.dicom_subject import identifying_of, subject_of
from delineate.formats.dicom_tables import palette_of
from delineate.formats.pixels import Array, mask_values, through_palette
from delineate.formats.stored import HEAD_BYTES, USUAL, Header, Reading, Source, StoredMask
from delineate.image import Image

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _Slice:
    """What the header of one file says."""

    path: Path
    kind: PixelKind
    frames: int
    rule: Rule
    palette: npt.NDArray[np.uint8] | None
    plane: Plane
    notes: tuple[str, ...]
    modality: str | None
    subject: str | None
    instance: str
    identifying: frozenset[str]

    @property
    def channels(self) -> int:
        """How many its image has."""
        if self.palette is not None:
            return 1 if (self.palette == self.palette[:, :1]).all() else 3
        return self.kind.samples


@dataclass(frozen=True)
class _Stacked:
    """Slices in order, with the volume they form."""

    slices: tuple[_Slice, ...]
    stack: Stack
    source: Source

    @property
    def identifying(self) -> frozenset[str]:
        return frozenset().union(*(each.identifying for each in self.slices))


def read_series(paths: Sequence[Path], reading: Reading = USUAL) -> Image:
    """Read single-frame files as one volume.

    A single file that is a volume by itself, or does not say where it lies, is read as it is.

    Args:
        paths: The files, in any order.
        reading: How; larger volumes than it allows are refused before their pixels are decoded.

    Returns:
        `(C, D, H, W)`, its slices in order along their normal, which is the cross product of the directions
        in which column and row index rise.

    Raises:
        ImageError: A file cannot be read, or the slices form no regular volume.
    """
    found = _stacked(paths, reading)
    if isinstance(found, Path):
        return opened(found, reading, dicom.read)
    slices = found.slices
    stored = _stored(found, reading)
    notes = tuple(dict.fromkeys(note for each in slices for note in each.notes))
    if slices[0].kind.is_colour:
        pixels: Array = np.ascontiguousarray(np.moveaxis(stored, -1, 0))
    elif slices[0].palette is not None:
        pixels = np.stack([through_palette(*pair) for pair in zip(stored, _palettes(slices), strict=True)], 1)
    else:
        volume, more = grey_pixels(stored, [each.rule for each in slices], found.source)
        pixels, notes = volume[None], (*notes, *more)
    return Image(
        pixels,
        found.stack.geometry,
        (*notes, *found.stack.notes),
        shares=slices[0].kind.is_colour or slices[0].kind.is_palette,
        modality=slices[0].modality,
        subject=slices[0].subject,
        identifying=found.identifying,
    )


def read_series_mask(paths: Sequence[Path], reading: Reading = USUAL) -> StoredMask:
    """Read single-frame files as one mask, likewise.

    Raises:
        ImageError: A file cannot be read, the slices form no regular volume, or their values are no mask's.
    """
    found = _stacked(paths, reading)
    if isinstance(found, Path):
        return opened(found, reading, dicom.read_mask)
    first = found.slices[0]
    for each in found.slices:
        dicom.refuse_inverted_mask(Source(found.source.stream, each.path, reading), each.kind)
    palettes = _palettes(found.slices)
    if first.kind.is_colour or any(not np.array_equal(palette, palettes[0]) for palette in palettes):
        raise found.source.refuse(
            "a volume of colours is no mask that is read. Save it with one number a pixel"
        )
    stored = _stored(found, reading)
    values = stored if palettes else in_units(stored, [each.rule for each in found.slices])
    return StoredMask(
        mask_values(values, found.source),
        palettes[0] if palettes else None,
        any(each.kind.lossy for each in found.slices),
        volume=True,
        geometry=found.stack.geometry,
        identifying=found.identifying,
    )


def series_header(paths: Sequence[Path], reading: Reading = USUAL) -> Header:
    """What `read_series` would give, without decoding the pixels.

    Raises:
        ImageError: A file cannot be read, or the slices form no regular volume.
    """
    found = _stacked(paths, reading)
    if isinstance(found, Path):
        return opened(found, reading, dicom.header)
    kind = found.slices[0].kind
    return Header((len(found.slices), kind.rows, kind.columns), kind.name, "DICOM", found.slices[0].channels)


def opened(path: Path, reading: Reading, action: Callable[[Source], _Result]) -> _Result:
    """What `action` makes of a DICOM file, whatever its name.

    Raises:
        ImageError: It is missing, no DICOM file, or `action` refuses it.
    """
    try:
        if not path.is_file():
            raise ImageError(path, "it is no ordinary file" if path.exists() else "there is no such file")
        stream = path.open("rb")
    except (OSError, ValueError) as error:
        raise ImageError(path, f"it cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    with stream:
        source = Source(stream, path, reading)
        if not recognises(stream.read(HEAD_BYTES)):
            raise source.refuse("its content is no DICOM, whatever its name says")
        stream.seek(0)
        with guarded(source):
            return action(source)


def _stacked(paths: Sequence[Path], reading: Reading) -> _Stacked | Path:
    """Slices in order; the path of a single file that is to be read by itself."""
    if not paths:
        raise ValueError("a series has at least one file")
    slices = [opened(path, reading, _slice) for path in paths]
    if len(slices) == 1 and (slices[0].frames > 1 or not slices[0].plane.has_place):
        return slices[0].path
    whole = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    whole = paths[0].parent if whole == paths[0].absolute().parent else whole
    _check_one_kind(slices, whole)
    try:
        stack = stacked([each.plane for each in slices])
    except NoVolume as error:
        where = whole if error.culprit is None else slices[error.culprit].path
        raise ImageError(where, error.reason) from None
    in_order = tuple(slices[index] for index in stack.order)
    source = Source(None, whole, reading)  # type: ignore[arg-type]  # a folder: nothing is read from it
    source.check_size(len(slices), *slices[0].plane.size)
    return _Stacked(in_order, stack, source)


def _slice(source: Source) -> _Slice:
    file = open_file(source)
    layout = dicom.layout_of(file)
    return _Slice(
        source.path,
        layout.kind,
        layout.kind.frames,
        layout.rules[0],
        palette_of(file.header, layout.kind, source) if layout.kind.is_palette else None,
        layout.planes[0],
        layout.notes,
        text(file.header, "Modality") or None,
        subject_of(file.header),
        text(file.header, "SOPInstanceUID"),
        identifying_of(file.header),
    )


def _check_one_kind(slices: Sequence[_Slice], whole: Path) -> None:
    """Refuse what cannot be one volume whatever the places."""
    several = next((each for each in slices if each.frames > 1), None)
    if several is not None:
        raise ImageError(several.path, f"it holds {several.frames} frames, a volume by itself. Read it alone")
    people = len({each.subject for each in slices})
    if people > 1:
        raise ImageError(whole, f"its slices are of {people} patients. Give each one's a folder of its own")
    channels = Counter((each.channels, each.kind.is_palette) for each in slices).most_common(1)[0][0]
    for each in slices:
        if (each.channels, each.kind.is_palette) != channels:
            raise ImageError(
                each.path,
                f"it has other colours than the other slices ({each.channels} channels, not {channels[0]})",
            )
    seen: dict[str, Path] = {}
    for each in slices:
        other = seen.setdefault(each.instance or str(each.path), each.path)
        if other != each.path:
            raise ImageError(each.path, f"it is the same slice as {other.name}. Take one of the two out")


def _stored(found: _Stacked, reading: Reading) -> Array:
    """The stored values of all slices, `(D, H, W)` or `(D, H, W, 3)`."""
    kind = found.slices[0].kind
    shape = (len(found.slices), kind.rows, kind.columns, *((3,) if kind.is_colour else ()))
    stored = np.empty(shape, np.result_type(*(each.kind.dtype for each in found.slices)))
    for each, place in zip(found.slices, stored, strict=True):
        place[...] = opened(each.path, reading, partial(_frames, each.kind))[0]
    return stored


def _frames(kind: PixelKind, source: Source) -> Array:
    return stored_frames(open_file(source, OFFSET_TAGS), kind)


def _palettes(slices: Sequence[_Slice]) -> list[npt.NDArray[np.uint8]]:
    return [each.palette for each in slices if each.palette is not None]
