"""DICOM, read by pydicom: pictures, multi-frame volumes, and segmentations handed on to `dicom_seg`.

Grey pixels are in modality units (Hounsfield units of a CT), never windowed. A file of many frames is a
volume where the frames say where they lie, or are at least no moments of a film. `dicom_pixels` has the
table of what becomes of each kind of pixel, `dicom_series` makes volumes of several files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delineate.formats import dicom_seg
from delineate.formats.dicom_file import DicomFile, guarded, items, open_file, text
from delineate.formats.dicom_frames import stored_frames
from delineate.formats.dicom_kind import PixelKind, pixel_kind
from delineate.formats.dicom_pixels import Rule, grey_pixels, in_units, rule_of
from delineate.formats.dicom_planes import Groups, Plane, Planes, planes_of
from delineate.formats.dicom_stack import NoVolume, Stack, stacked
from delineate.formats.dicom_subject import identifying_of, subject_of
from delineate.formats.dicom_tables import palette_of
from delineate.formats.pixels import Array, mask_values, through_palette
from delineate.formats.stored import Header, Source, StoredMask
from delineate.geometry import Geometry
from delineate.image import Image

_PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"


@dataclass(frozen=True)
class Layout:
    """What the frames of a file are, and where they lie.

    Attributes:
        kind: Its pixels.
        rules: What makes pixels of them, one for each frame.
        planes: Where each frame lies.
        stack: Their order, of several frames; None of one.
        notes: What is to be said.
    """

    kind: PixelKind
    rules: tuple[Rule, ...]
    planes: tuple[Plane, ...]
    stack: Stack | None
    notes: tuple[str, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """`(H, W)`, or `(D, H, W)` of several frames."""
        size = (self.kind.rows, self.kind.columns)
        return size if self.stack is None else (self.kind.frames, *size)

    @property
    def geometry(self) -> Geometry:
        """Of the picture or volume."""
        return self.planes[0].geometry() if self.stack is None else self.stack.geometry


def header(source: Source) -> Header:
    """Size and kind, without decoding the pixels."""
    with guarded(source):
        file = open_file(source)
        if file.sop_class in dicom_seg.SOP_CLASSES:
            return dicom_seg.header(file)
        layout = layout_of(file)
        return Header(layout.size, layout.kind.name, "DICOM", channels_of(file, layout.kind))


def read(source: Source) -> Image:
    """The picture or volume as an `Image`."""
    with guarded(source):
        file = open_file(source)
        layout = layout_of(file)
        pixels, notes = _pixels(file, layout)
        return Image(
            pixels,
            layout.geometry,
            (*layout.notes, *notes),
            shares=layout.kind.is_colour or layout.kind.is_palette,
            modality=text(file.header, "Modality") or None,
            subject=subject_of(file.header),
            identifying=identifying_of(file.header),
        )


def read_mask(source: Source) -> StoredMask:
    """The values of a mask as they are stored, those of grey pixels in modality units, and padding kept."""
    with guarded(source):
        file = open_file(source)
        if file.sop_class in dicom_seg.SOP_CLASSES:
            return dicom_seg.read_mask(file)
        layout = layout_of(file)
        refuse_inverted_mask(source, layout.kind)
        stored = ordered_frames(file, layout)
        volume = layout.stack is not None
        palette = None
        if layout.kind.is_colour:
            if volume:
                raise source.refuse(
                    "a volume of colours is no mask that is read. Save it with one number a pixel"
                )
            values: Array = np.ascontiguousarray(stored[0])
        else:
            palette = palette_of(file.header, layout.kind, source) if layout.kind.is_palette else None
            units = stored if palette is not None else in_units(stored, layout.rules)
            values = mask_values(units, source) if volume else mask_values(units, source)[0]
        return StoredMask(
            values,
            palette,
            layout.kind.lossy,
            volume,
            layout.geometry,
            identifying=identifying_of(file.header),
        )


def layout_of(file: DicomFile) -> Layout:
    """What the frames of a file are, and where they lie.

    Raises:
        ImageError: They are no picture and no volume that is read.
    """
    if file.sop_class in dicom_seg.SOP_CLASSES:
        raise file.source.refuse("it is a segmentation, no image. Give it as the mask of its image")
    kind = pixel_kind(file)
    where = planes_of(file, kind)
    rules = _rules(file, kind)
    notes = where.notes
    if file.sop_class == _PARAMETRIC_MAP or items(file.header, "RealWorldValueMappingSequence"):
        notes = (*notes, "its real world values were not applied: pixels are as they are stored")
    if kind.frames == 1:
        return Layout(kind, rules, where.planes, None, notes)
    if where.film:
        raise file.source.refuse(
            f"its {kind.frames} frames are moments of a film, not slices of a volume. Save those that are "
            "meant as single pictures, for example with dcmj2pnm --all-frames"
        )
    if not any(plane.has_place for plane in where.planes) and not Groups.of(file.header).own:
        stack = _without_places(where)
        unknown = (
            f"its {kind.frames} frames do not say where they lie: they were taken for slices in their order"
        )
        return Layout(kind, rules, where.planes, stack, (*notes, unknown))
    try:
        stack = stacked(where.planes)
    except NoVolume as error:
        frame = "" if error.culprit is None else f"frame {error.culprit + 1}: "
        raise file.source.refuse(f"it is no regular volume: {frame}{error.reason}") from None
    return Layout(kind, rules, where.planes, stack, (*notes, *stack.notes))


def ordered_frames(file: DicomFile, layout: Layout) -> Array:
    """The stored values of a file, `(F, H, W)` or `(F, H, W, 3)`, its frames in the order of the volume."""
    stored = stored_frames(file, layout.kind)
    if layout.stack is None or layout.stack.order == tuple(range(layout.kind.frames)):
        return stored
    return stored[list(layout.stack.order)]


def channels_of(file: DicomFile, kind: PixelKind) -> int:
    """How many channels its image has."""
    if kind.is_palette:
        palette = palette_of(file.header, kind, file.source)
        return 1 if (palette == palette[:, :1]).all() else 3
    return kind.samples


def refuse_inverted_mask(source: Source, kind: PixelKind) -> None:
    """Refuse a mask whose low values are bright.

    Raises:
        ImageError: They are.
    """
    if kind.photometric == "MONOCHROME1":
        raise source.refuse(
            "it is MONOCHROME1, where low values are bright, which programs show differently. Save the "
            "mask as MONOCHROME2"
        )


def _pixels(file: DicomFile, layout: Layout) -> tuple[Array, tuple[str, ...]]:
    """`(C, H, W)` or `(C, D, H, W)`."""
    stored = ordered_frames(file, layout)
    flat = layout.stack is None
    if layout.kind.is_colour:
        return np.ascontiguousarray(np.moveaxis(stored[0] if flat else stored, -1, 0)), ()
    if layout.kind.is_palette:
        palette = palette_of(file.header, layout.kind, file.source)
        return through_palette(stored[0] if flat else stored, palette), ()
    order = (0,) if layout.stack is None else layout.stack.order
    pixels, notes = grey_pixels(stored, [layout.rules[index] for index in order], file.source)
    return pixels if flat else pixels[None], notes


def _rules(file: DicomFile, kind: PixelKind) -> tuple[Rule, ...]:
    groups = Groups.of(file.header)
    own = [groups.item(frame, "PixelValueTransformationSequence") for frame in range(kind.frames)]
    if not any(own):
        return (rule_of(file.header, None, kind, file.source),) * kind.frames
    return tuple(rule_of(file.header, group, kind, file.source) for group in own)


def _without_places(where: Planes) -> Stack:
    first = where.planes[0]
    known = first.spacing_mm is not None and first.depth_mm is not None
    spacing = (first.depth_mm or 1.0, *(first.spacing_mm or ())) if known else None
    return Stack(where.order or tuple(range(len(where.planes))), Geometry(spacing))
