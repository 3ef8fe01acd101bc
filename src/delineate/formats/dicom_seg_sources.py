"""The image files that a DICOM segmentation is of, and a mask put in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from delineate.errors import DataError, ImageError
from delineate.formats.dicom_file import number, numbers, open_file, text
from delineate.formats.dicom_planes import Groups
from delineate.formats.dicom_seg_planes import PlaneMeasures, Stack, measures_of, stack
from delineate.formats.dicom_series import opened
from delineate.formats.stored import USUAL, Source
from delineate.geometry import Geometry, fit, same_grid
from delineate.image import Mask

ALIKE = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns", "SOPClassUID")
NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")


@dataclass(frozen=True)
class Frames:
    """Headers of the image files, and where their frames lie.

    Attributes:
        headers: One of each file, without pixels; of several files in the order of their planes.
        measures: Of all frames; None where the files do not say.
        stack: Where the frames lie, in the order of `headers` or of the frames of the one file; None where
            the files do not say, and there is then one frame.
    """

    headers: tuple[Dataset, ...]
    measures: PlaneMeasures | None
    stack: Stack | None

    @property
    def size(self) -> tuple[int, int, int]:
        """How many frames, of how many rows and columns."""
        count = 1 if self.stack is None else len(self.stack.slices)
        return count, int(self.headers[0].Rows), int(self.headers[0].Columns)


def read_frames(paths: Sequence[Path]) -> Frames:
    """Read the headers of one multi-frame file, or of single-frame files in any order.

    Raises:
        DataError: Files cannot be read, are of different series or sizes, lack a place, leave out slices or
            have one twice.
    """
    if not paths:
        raise ValueError("a segmentation is of one file or more")
    headers = _headers(paths)
    first = headers[0]
    differing = [word for word in ALIKE if len({text(header, word) for header in headers}) > 1]
    if differing:
        raise _refused(paths, f"the files differ in {', '.join(differing)}, so that they are no one series")
    if len(headers) > 1 and any(_frame_count(header) > 1 for header in headers):
        raise _refused(paths, "several multi-frame files at once are none that one segmentation can be of")
    count = max(len(headers), _frame_count(first))
    if not text(first, "FrameOfReferenceUID") or not _places(headers):
        if count > 1:
            raise _refused(
                paths,
                "its slices have no Image Position (Patient) or Frame of Reference UID, without which no "
                "DICOM segmentation can say where they lie",
            )
        return Frames((first,), None, None)
    return _stacked(paths, headers, count)


def in_frame_order(mask: Mask, frames: Frames, paths: Sequence[Path]) -> npt.NDArray[np.uint8]:
    """The mask's values `(F, H, W)`, one plane for each frame, matched by place.

    Raises:
        DataError: The mask does not lie on the files' grid.
    """
    values, geometry = mask.values, mask.geometry
    count, *size = frames.size
    if count == 1 and values.ndim == 3 and values.shape[0] == 1:
        values, geometry = values[0], _without_depth(geometry)
    if count == 1 and values.ndim == 2:
        own = _without_depth(frames.stack.geometry) if frames.stack is not None else Geometry()
        if values.shape != tuple(size) or not same_grid(geometry, own, values.shape):
            raise _refused(
                paths, f"the mask of {values.shape} pixels does not lie on its grid of {tuple(size)}"
            )
        return values[None]
    grid = frames.stack
    found = None if grid is None else fit(geometry, values.shape, grid.geometry)
    if grid is None or found is None or any(found.start) or found.turn.size(values.shape) != frames.size:
        raise _refused(
            paths,
            f"the mask of {_shape(values.shape)} voxels does not lie on the grid of its "
            f"{_shape(frames.size)} voxels",
        )
    turned: npt.NDArray[np.uint8] = found.turn.apply(values).astype(np.uint8, copy=False)
    return turned[list(grid.slices)]


def _headers(paths: Sequence[Path]) -> list[Dataset]:
    """The header of each file, or all that cannot be read at once."""
    headers, problems = [], []
    for path in paths:
        try:
            headers.append(opened(path, USUAL, _header))
        except ImageError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise DataError("\n".join(map(str, problems)))
    return headers


def _header(source: Source) -> Dataset:
    header = open_file(source).header
    if any(not text(header, word) for word in NEEDED):
        raise source.refuse("it lacks what every DICOM image says of itself (UIDs, rows, columns)")
    return header


def _frame_count(header: Dataset) -> int:
    return int(number(header, "NumberOfFrames") or 1)


def _stacked(paths: Sequence[Path], headers: list[Dataset], count: int) -> Frames:
    """The frames in the order of their planes, if they are on a grid without gaps."""
    groups = _places(headers)
    positions = [numbers(position, "ImagePositionPatient", 3) for position, _, _ in groups]
    measures = [measures_of(plane, pixels) for _, plane, pixels in groups]
    common = measures[0]
    if len(groups) != count or common is None or None in positions or None in measures:
        raise _refused(paths, "frames lack Image Position, Image Orientation (Patient) or Pixel Spacing")
    if not all(common.fits(other) for other in measures if other is not None):
        raise _refused(paths, "frames differ in orientation or pixel spacing")
    try:
        placed = stack(np.array(positions), common)
    except ValueError as error:
        raise _refused(paths, str(error)) from error
    if sorted(placed.slices) != list(range(count)) or placed.depth != count:
        raise _refused(paths, "slices are missing between others, or one place has several")
    if len(headers) == 1:
        return Frames(tuple(headers), common, placed)
    order = np.argsort(placed.slices)
    in_order = Stack(placed.geometry, placed.depth, tuple(range(count)))
    return Frames(tuple(headers[index] for index in order), common, in_order)


def _places(headers: list[Dataset]) -> list[tuple[Dataset, Dataset, Dataset]]:
    """Of each frame what holds its position, its orientation and its pixel spacing; empty where they lack."""
    if len(headers) > 1 or "ImagePositionPatient" in headers[0]:
        return [(header, header, header) for header in headers if "ImagePositionPatient" in header]
    groups = Groups.of(headers[0])
    found = []
    for frame in range(len(groups.own)):
        position, plane, pixels = (
            groups.item(frame, word)
            for word in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        )
        if position is None or plane is None or pixels is None:
            return []
        found.append((position, plane, pixels))
    return found


def _without_depth(geometry: Geometry) -> Geometry:
    """Of one plane: the geometry without the axis along its normal."""
    if geometry.axes != 3:
        return geometry
    return Geometry(
        geometry.spacing_mm and geometry.spacing_mm[1:],
        geometry.origin_mm,
        geometry.directions and geometry.directions[1:],
    )


def _shape(size: Sequence[int]) -> str:
    return "×".join(map(str, size))


def _refused(paths: Sequence[Path], reason: str) -> ImageError:
    return ImageError(paths[0] if len(paths) == 1 else paths[0].parent, reason)
