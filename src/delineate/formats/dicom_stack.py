"""From where slices lie to a volume: their order along the normal, or the reason why they are none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from delineate.formats.dicom_planes import Plane, vector_of
from delineate.geometry import Geometry

_SAME_DIRECTION = 1e-3  # of a unit vector
_SAME_SPACING = 1e-3  # relative
_GAP_SHARE, _GAP_MM = 0.01, 0.01  # a gap may differ from the median by the greater of the two
_ROUNDING = 1e-6
_OFF_GRID = 0.1  # of a gap: how far a slice may lie from its place in an even stack
_DRIFT_PX = 0.1  # sideways, over the whole stack, that is taken for none
_TILT_DEGREES = 0.5
_LISTED = 3


class NoVolume(ValueError):  # noqa: N818  it is an answer, told on as an ImageError
    """Why slices are no volume.

    Args:
        reason: In words that stand after a colon.
        culprit: Index of the one slice that is to blame; None where it is all of them.
    """

    def __init__(self, reason: str, culprit: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.culprit = culprit


@dataclass(frozen=True)
class Stack:
    """Slices in order.

    Attributes:
        order: Indices of the slices, along the normal (the cross product of row and column direction).
        geometry: Of the volume `(D, H, W)`.
        notes: What is to be said of it.
    """

    order: tuple[int, ...]
    geometry: Geometry
    notes: tuple[str, ...] = ()


def stacked(planes: Sequence[Plane]) -> Stack:
    """Put slices in order.

    Args:
        planes: Where they lie, in any order.

    Raises:
        NoVolume: They differ in size, spacing or direction, lie at one place, leave a gap, or lean.
    """
    _check_alike(planes)
    first = planes[0]
    if first.spacing_mm is None:
        raise NoVolume("its slices do not say how far apart their pixels are (PixelSpacing)")
    positions = np.array([plane.position for plane in planes])
    normal = first.normal / np.linalg.norm(first.normal)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    notes: tuple[str, ...] = ()
    if len(planes) == 1:
        gap = first.depth_mm or 1.0
        if first.depth_mm is None:
            notes = ("its one slice does not say how thick it is: 1 mm was taken",)
    else:
        _check_places(planes, along[order], order)
        gap = float((along[order[-1]] - along[order[0]]) / (len(planes) - 1))
        _check_gaps(along[order])
        notes = _check_straight(positions[order], normal, min(first.spacing_mm))
    start = positions[order[0]]
    geometry = Geometry(
        (gap, *first.spacing_mm),
        vector_of(start),
        (vector_of(normal), first.down or (), first.right or ()),  # type: ignore[arg-type]  # they have a place
    )
    return Stack(tuple(int(index) for index in order), geometry, notes)


def is_stack(planes: Sequence[Plane]) -> bool:
    """Whether slices of one direction lie at two places or more."""
    placed = [plane for plane in planes if plane.has_place]
    if len(placed) < 2 or any(not _parallel(placed[0], plane) for plane in placed):
        return False
    along = np.array([plane.position for plane in placed]) @ placed[0].normal
    return float(np.ptp(along)) > _GAP_MM


def along_normal(planes: Sequence[Plane]) -> list[float] | None:
    """How far along the first one's normal slices lie; None where one does not say it."""
    if not all(plane.has_place for plane in planes):
        return None
    return [float(np.dot(np.array(plane.position), planes[0].normal)) for plane in planes]


def _check_alike(planes: Sequence[Plane]) -> None:
    lost = sum(not plane.has_place for plane in planes)
    if lost:
        raise NoVolume(
            f"{lost} of {len(planes)} slices do not say where they lie (ImagePositionPatient and "
            "ImageOrientationPatient), so that their order is not known"
        )
    usual = _majority(planes, lambda plane: plane.size)
    for index, plane in enumerate(planes):
        if plane.size != usual.size:
            sizes = ["×".join(map(str, each.size)) for each in (plane, usual)]
            raise NoVolume(f"its size is {sizes[0]}, and that of the other slices {sizes[1]}", index)
    usual = _majority(planes, lambda plane: (plane.right, plane.down))
    for index, plane in enumerate(planes):
        if not _parallel(usual, plane):
            angle = _degrees(float(np.dot(usual.normal, plane.normal)))
            raise NoVolume(
                f"it is turned against the other slices (by {angle:.1f}° between the planes). A localizer? "
                "Take it out, or give the slices of one direction",
                index,
            )
    usual = _majority(planes, lambda plane: plane.spacing_mm)
    for index, plane in enumerate(planes):
        if (plane.spacing_mm is None) != (usual.spacing_mm is None) or not np.allclose(
            plane.spacing_mm or (0, 0), usual.spacing_mm or (0, 0), rtol=_SAME_SPACING, atol=0
        ):
            raise NoVolume("its PixelSpacing differs from that of the other slices", index)


def _majority(planes: Sequence[Plane], key: Callable[[Plane], Hashable]) -> Plane:
    most = Counter(map(key, planes)).most_common(1)[0][0]
    return next(plane for plane in planes if key(plane) == most)


def _parallel(one: Plane, other: Plane) -> bool:
    return bool(
        np.abs(np.subtract(one.right or 0, other.right or 0)).max() <= _SAME_DIRECTION
        and np.abs(np.subtract(one.down or 0, other.down or 0)).max() <= _SAME_DIRECTION
    )


def _check_places(
    planes: Sequence[Plane], along: npt.NDArray[np.float64], order: npt.NDArray[np.intp]
) -> None:
    """Refuse slices that lie at one place, and say what tells them apart."""
    gaps = np.diff(along)
    if (gaps > _GAP_MM).all():
        return
    place = np.concatenate([[0], np.cumsum(gaps > _GAP_MM)])
    counts = Counter(place.tolist())
    most, fewest = max(counts.values()), min(counts.values())
    each = f"{most}" if most == fewest else f"{fewest} to {most}"
    reason = f"there are {each} slices at each of {len(counts)} places, such as moments or echoes"
    in_order = [planes[index] for index in order]
    words = dict.fromkeys(word for plane in in_order for word in plane.marks)
    parting = [word for word in words if _parts(in_order, place.tolist(), word, len(counts))]
    differing = [word for word in words if _differs(in_order, place.tolist(), word)]
    if parting:
        groups = len({plane.marks.get(parting[0]) for plane in in_order})
        reason += (
            f". {' or '.join(parting[:_LISTED])} parts them into {groups} whole stacks: "
            "put each into a folder of its own"
        )
    elif differing:
        reason += (
            f" (they differ in {', '.join(differing[:_LISTED])}). Put one stack into a folder of its own"
        )
    else:
        reason += ", and nothing tells them apart. Are there copies? Put one stack into a folder of its own"
    raise NoVolume(reason)


def _parts(planes: Sequence[Plane], places: Sequence[int], word: str, count: int) -> bool:
    """Whether the values of an element part slices into stacks with one slice at every place."""
    stacks: dict[str | None, list[int]] = {}
    for plane, place in zip(planes, places, strict=True):
        stacks.setdefault(plane.marks.get(word), []).append(place)
    return len(stacks) > 1 and all(len(each) == count == len(set(each)) for each in stacks.values())


def _differs(planes: Sequence[Plane], places: Sequence[int], word: str) -> bool:
    """Whether no two slices at one place have the same value of an element."""
    pairs = [(place, plane.marks.get(word)) for plane, place in zip(planes, places, strict=True)]
    return len(set(pairs)) == len(pairs)


def _check_gaps(along: npt.NDArray[np.float64]) -> None:
    gaps = np.diff(along)
    median = float(np.median(gaps))
    wrong = np.flatnonzero(np.abs(gaps - median) > max(_GAP_SHARE * median, _GAP_MM) + _ROUNDING)
    if len(wrong):
        listed = ", ".join(
            f"{gaps[index]:.2f} mm between slices {index + 1} and {index + 2}" for index in wrong[:_LISTED]
        )
        more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise NoVolume(
            f"its {len(along)} slices are not evenly spaced: {median:.2f} mm apart, but {listed}{more}, "
            "counted along the normal from the lowest. Is a slice missing?"
        )
    even = np.linspace(along[0], along[-1], len(along))
    worst = int(np.argmax(np.abs(along - even)))
    if abs(along[worst] - even[worst]) > _OFF_GRID * median:
        raise NoVolume(
            f"its {len(along)} slices are not evenly spaced: slice {worst + 1}, counted along the normal "
            f"from the lowest, lies {abs(along[worst] - even[worst]):.2f} mm beside its place among them"
        )


def _check_straight(
    positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], pixel_mm: float
) -> tuple[str, ...]:
    """Refuse slices that do not lie straight behind one another."""
    moved = positions - positions[0]
    along = moved @ normal
    sideways = moved - np.outer(along, normal)
    worst = float(np.linalg.norm(sideways, axis=1).max())
    if worst <= _DRIFT_PX * pixel_mm:
        return ()
    line = np.outer(along / along[-1], sideways[-1])
    if float(np.linalg.norm(sideways - line, axis=1).max()) > _DRIFT_PX * pixel_mm:
        raise NoVolume(
            f"its slices are shifted sideways against one another, unevenly, by up to {worst:.2f} mm: they "
            "form no regular grid"
        )
    angle = math.degrees(math.atan2(float(np.linalg.norm(sideways[-1])), float(along[-1])))
    if angle >= _TILT_DEGREES:
        raise NoVolume(
            f"its slices lean by {angle:.1f}° (a tilted gantry?): they do not lie straight behind one "
            "another, so that a volume would have to be resampled. Correct the tilt first, for example with "
            "dcm2niix"
        )
    return (f"its slices lean by {angle:.2f}°, {worst:.2f} mm over all of them, and were taken as straight",)


def _degrees(cosine: float) -> float:
    return math.degrees(math.acos(min(1.0, abs(cosine))))
