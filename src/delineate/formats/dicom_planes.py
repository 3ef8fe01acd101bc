"""Where each frame of a DICOM file lies: classic, enhanced multi-frame, dose grids and nuclear medicine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from delineate.formats.dicom_file import DicomFile, items, number, numbers, text
from delineate.formats.dicom_kind import PixelKind
from delineate.formats.dicom_nuclear import NUCLEAR, nuclear_frames
from delineate.geometry import Geometry, Vector

_RIGHT_ANGLE = 1e-2  # by which cosines may miss unit length or a right angle and still be meant
_PROJECTIONS = {"CR", "DX", "MG", "PX", "IO", "XA", "RF", "RG"}
_FILM = ("FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate")
# What may tell slices at one place apart, in the order in which it is asked.
_MARKS = (
    "AcquisitionNumber",
    "EchoTime",
    "EchoNumbers",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "DiffusionBValue",
    "ImageType",
    "InversionTime",
    "FlipAngle",
    "ConvolutionKernel",
    "AcquisitionTime",
)
_FRAME_MARKS = (
    ("TemporalPositionIndex", "FrameContentSequence"),
    ("FrameAcquisitionNumber", "FrameContentSequence"),
    ("StackID", "FrameContentSequence"),
    ("EffectiveEchoTime", "MREchoSequence"),
    ("DiffusionBValue", "MRDiffusionSequence"),
    ("NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence"),
    ("FrameType", "MRImageFrameTypeSequence"),
    ("FrameAcquisitionDateTime", "FrameContentSequence"),
)
PLACE_TAGS = ("ImagePositionPatient", "ImageOrientationPatient")


@dataclass(frozen=True)
class Groups:
    """The functional groups of an enhanced multi-frame.

    Attributes:
        own: Of each frame; none of other files.
        shared: Of all frames together; None where there are none.
    """

    own: tuple[Dataset, ...]
    shared: Dataset | None

    @classmethod
    def of(cls, header: Dataset) -> Groups:
        """The groups of a file."""
        shared = items(header, "SharedFunctionalGroupsSequence")
        return cls(items(header, "PerFrameFunctionalGroupsSequence"), shared[0] if shared else None)

    def item(self, frame: int, name: str) -> Dataset | None:
        """The item of a group: the frame's own, else the shared one, else None."""
        for holder in (*self.own[frame : frame + 1], self.shared):
            found = items(holder, name)
            if found:
                return found[0]
        return None


@dataclass(frozen=True)
class Plane:
    """Where one frame lies.

    Attributes:
        size: `(H, W)`.
        spacing_mm: `(H, W)`; None where the file does not say.
        position: The centre of its first pixel, in patient coordinates; None where the file does not say.
        down: Where the row index rises; None where the file does not say.
        right: Where the column index rises; None where the file does not say.
        depth_mm: From slice to slice, or the thickness of one; None where the file does not say.
        marks: What may tell frames at one place apart: element and value. Values are never shown.
    """

    size: tuple[int, int]
    spacing_mm: tuple[float, float] | None = None
    position: Vector | None = None
    down: Vector | None = None
    right: Vector | None = None
    depth_mm: float | None = None
    marks: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """Of a frame that has a place: where slices follow one another."""
        return np.cross(np.array(self.right), np.array(self.down))

    @property
    def has_place(self) -> bool:
        """Whether the file says where it lies."""
        return self.position is not None and self.down is not None and self.right is not None

    def geometry(self) -> Geometry:
        """Of the frame by itself, as a picture."""
        if self.position is None or self.down is None or self.right is None or self.spacing_mm is None:
            return Geometry(self.spacing_mm)
        return Geometry(self.spacing_mm, self.position, (self.down, self.right))


@dataclass(frozen=True)
class Planes:
    """Where the frames of a file lie.

    Attributes:
        planes: One for each frame.
        notes: What is to be said of them.
        film: Whether the frames are moments, not slices.
        order: Of frames that do not say where they lie, but in which order; None for that of the file.
    """

    planes: tuple[Plane, ...]
    notes: tuple[str, ...]
    film: bool = False
    order: tuple[int, ...] | None = None


def planes_of(file: DicomFile, kind: PixelKind) -> Planes:
    """Where the frames of a file lie, as far as it says."""
    header = file.header
    size = (kind.rows, kind.columns)
    groups = Groups.of(header)
    if groups.own and len(groups.own) == kind.frames:
        enhanced = _enhanced(groups, size)
        if kind.frames > 1 or enhanced[0].has_place or enhanced[0].spacing_mm:
            return Planes(enhanced, ())
    elif groups.own:
        raise file.source.refuse(
            f"the file is damaged: it describes {len(groups.own)} frames, and has {kind.frames}"
        )
    spacing, notes = _spacing(header)
    down, right, more = _directions(header)
    position = _vector(header, "ImagePositionPatient")
    if file.sop_class == NUCLEAR and position is None and items(header, "DetectorInformationSequence"):
        detector = items(header, "DetectorInformationSequence")[0]
        position = _vector(detector, "ImagePositionPatient")
        down, right, more = _directions(detector)
    between = number(header, "SpacingBetweenSlices")
    plane = Plane(
        size,
        spacing,
        position if down else None,
        down if position else None,
        right if position else None,
        _depth(header),
        {word: value for word in _MARKS if (value := text(header, word))},
    )
    if kind.frames == 1:
        return Planes((plane,), (*notes, *more))
    nuclear = nuclear_frames(file, kind.frames)
    order, steps, film = None, None, nuclear.film
    if nuclear.slices is not None:  # then they are no film, and lie so many steps from the first frame
        order = tuple(sorted(range(kind.frames), key=nuclear.slices.__getitem__))
        steps = tuple(between * (each - nuclear.slices[0]) for each in nuclear.slices) if between else None
    elif not film:
        steps, film = _steps(header, plane, kind.frames), any(word in header for word in _FILM)
    if steps is None or not plane.has_place:
        return Planes((_without_place(plane, between),) * kind.frames, (*notes, *more), film, order)
    normal = plane.normal
    moved = tuple(
        Plane(size, spacing, _moved(position, normal, step), down, right, plane.depth_mm) for step in steps
    )
    return Planes(moved, (*notes, *more))


def place_of(header: Dataset) -> Plane:
    """Where a classic single frame lies, of a header that may hold no more than that."""
    down, right, _ = _directions(header)
    position = _vector(header, "ImagePositionPatient")
    size = (int(number(header, "Rows") or 0), int(number(header, "Columns") or 0))
    return Plane(
        size,
        position=position if down else None,
        down=down if position else None,
        right=right if position else None,
    )


def _enhanced(groups: Groups, size: tuple[int, int]) -> tuple[Plane, ...]:
    planes = []
    for frame in range(len(groups.own)):
        measures = groups.item(frame, "PixelMeasuresSequence") or Dataset()
        down, right, _ = _directions(groups.item(frame, "PlaneOrientationSequence") or Dataset())
        place = groups.item(frame, "PlanePositionSequence") or Dataset()
        position = _vector(place, "ImagePositionPatient")
        marks = {word: text(groups.item(frame, group) or Dataset(), word) for word, group in _FRAME_MARKS}
        planes.append(
            Plane(
                size,
                _pair(measures, "PixelSpacing"),
                position if down else None,
                down if position else None,
                right if position else None,
                _depth(measures),
                {word: value for word, value in marks.items() if value},
            )
        )
    return tuple(planes)


def _depth(holder: Dataset) -> float | None:
    """From slice to slice, else the thickness of one."""
    between, thickness = number(holder, "SpacingBetweenSlices"), number(holder, "SliceThickness")
    return abs(between) if between else thickness if thickness and thickness > 0 else None


def _spacing(header: Dataset) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Of rows, of columns; and what is to be said of it."""
    spacing, imager = _pair(header, "PixelSpacing"), _pair(header, "ImagerPixelSpacing")
    projection = text(header, "Modality") in _PROJECTIONS
    at_detector = (
        "is that at the detector, not corrected for magnification: lengths in the patient are shorter"
    )
    if spacing is None:
        notes = ("its PixelSpacing is not valid and was not used",) if "PixelSpacing" in header else ()
        if imager is not None:
            return imager, (*notes, f"its spacing (ImagerPixelSpacing) {at_detector}")
        scanned = _pair(header, "NominalScannedPixelSpacing")
        if scanned is not None:
            return scanned, (
                *notes,
                "its spacing is that of the film it was scanned from, not of the patient",
            )
        return None, notes
    if projection and not text(header, "PixelSpacingCalibrationType"):
        if spacing == imager:
            return spacing, (f"its PixelSpacing {at_detector}",)
        if imager is None:
            return spacing, (
                "it is a projection whose PixelSpacing is not said to be calibrated: it may be that at the "
                "detector, not corrected for magnification",
            )
    return spacing, ()


def _directions(header: Dataset) -> tuple[Vector | None, Vector | None, tuple[str, ...]]:
    """Where the row index and the column index rise; and what is to be said of it."""
    cosines = numbers(header, "ImageOrientationPatient", 6)
    if cosines is None:
        return None, None, ()
    right, down = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.linalg.norm(right), np.linalg.norm(down)
    if any(abs(length - 1) > _RIGHT_ANGLE for length in lengths) or abs(right @ down) > _RIGHT_ANGLE:
        return None, None, ("its ImageOrientationPatient is not valid and was not used",)
    return vector_of(down / lengths[1]), vector_of(right / lengths[0]), ()


def _steps(header: Dataset, plane: Plane, frames: int) -> tuple[float, ...] | None:
    """How far along the normal each frame of a classic multi-frame lies from the first."""
    if plane.position is None:
        return None
    offsets = numbers(header, "GridFrameOffsetVector", frames)
    if offsets is not None:
        # these are heights in the patient where the first is that of the first frame, else distances from it
        heights = offsets[0] != 0 and abs(offsets[0] - plane.position[2]) < 0.1
        sense = -1.0 if heights and plane.normal[2] < 0 else 1.0
        return tuple(sense * (offset - offsets[0]) for offset in offsets)
    between = number(header, "SpacingBetweenSlices")
    if between and not any(word in header for word in _FILM):
        return tuple(between * frame for frame in range(frames))
    return None


def _without_place(plane: Plane, between: float | None) -> Plane:
    return Plane(plane.size, plane.spacing_mm, depth_mm=abs(between) if between else None)


def _pair(header: Dataset, keyword: str) -> tuple[float, float] | None:
    found = numbers(header, keyword, 2)
    return (found[0], found[1]) if found and min(found) > 0 else None


def _vector(header: Dataset, keyword: str) -> Vector | None:
    found = numbers(header, keyword, 3)
    return (found[0], found[1], found[2]) if found else None


def _moved(position: Vector | None, normal: npt.NDArray[np.float64], step: float) -> Vector:
    return vector_of(np.array(position) + step * normal)


def vector_of(values: npt.NDArray[np.float64]) -> Vector:
    """Three numbers of an array as a `Vector`."""
    x, y, z = (float(each) for each in values)
    return x, y, z
