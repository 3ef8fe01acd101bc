"""Masks on their image's grid: turned and moved by whole pixels as their places say, never by guess."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.formats import StoredMask
from delineate.geometry import Fit, Geometry, fit, same_grid

Values = npt.NDArray[np.generic]


def on_grid(stored: StoredMask, size: tuple[int, ...], geometry: Geometry, *, resample: bool) -> StoredMask:
    """A mask brought onto its image's grid.

    Args:
        stored: As it was read.
        size: The image's.
        geometry: The image's.
        resample: Whether pixels may be taken from the nearest place where the grids do not coincide.

    A mask that does not lie where a NIfTI image's sform says, but where its qform does, was drawn by a
    program that takes that one (ITK-SNAP, 3D Slicer), and belongs to the image as it stands there.

    Returns:
        The mask with values of the image's size.

    Raises:
        DataError: The grids differ in more than the order and sense of axes, and may not be resampled. The
            message stands after the mask's name.
    """
    stored = _of_one_slice(stored, size, geometry)
    if len(stored.size) != len(size):
        raise DataError(f"it is {size_in_words(stored.size)}, but the image is {size_in_words(size)}")
    own = stored.geometry
    if own.directions is None or geometry.directions is None or stored.coloured:
        if stored.size != size:
            raise DataError(f"it is {size_in_words(stored.size)}, but the image is {size_in_words(size)}")
        if not same_grid(own, geometry, size):
            raise DataError(
                f"its pixels lie {_spacing(own)} mm apart, but those of the image {_spacing(geometry)} mm"
            )
        return replace(stored, geometry=geometry)
    if stored.size == size and same_grid(own, geometry, size):
        return replace(stored, geometry=geometry)
    found = fit(own, stored.size, geometry)
    qform = geometry.stated.qform if geometry.stated is not None else None
    if qform is not None and (found is None or not _allowed(found, stored, size)):
        drawn = fit(own, stored.size, qform)
        if drawn is not None and _allowed(drawn, stored, size):
            found = drawn
    if found is not None and _allowed(found, stored, size):
        if len(size) == 3 and not _meets(found, stored, size):
            raise DataError("it covers another part of the patient than the image, and nothing of it")
        return replace(stored, values=_pasted(stored.values, found, size), geometry=geometry)
    if not _in_one_plane(own, size, geometry):
        raise DataError("it lies in another plane than the image")
    if resample:
        values = _resampled(stored, size, geometry)
        if stored.values.any() and not values.any():
            raise DataError("nothing of what it labels lies in the image")
        return replace(stored, values=values, geometry=geometry)
    raise DataError(
        f"{_difference(stored, size, geometry, found)}. --resample-masks brings it onto the image's grid"
    )


def size_in_words(size: tuple[int, ...]) -> str:
    """A size as people say it, width first: "640 × 480 px", "512 × 512 × 300 voxels"."""
    return f"{' × '.join(str(side) for side in reversed(size))} {'px' if len(size) == 2 else 'voxels'}"


def _of_one_slice(stored: StoredMask, size: tuple[int, ...], image: Geometry) -> StoredMask:
    """The slice of a volume that a picture's mask is: the only one, or the one at the picture's place."""
    if not stored.volume or len(size) != 2:
        return stored
    own, slices = stored.geometry, stored.values.shape[0]
    at = 0
    if own.origin_mm is not None and image.origin_mm is not None:
        index = np.linalg.pinv(own.affine()[:3, :-1]) @ np.subtract(image.origin_mm, own.origin_mm)
        at = round(float(index[0]))
    elif slices != 1:
        return stored
    inside = 0 <= at < slices
    if not inside and not stored.partial:
        return stored
    plane = own
    if own.spacing_mm is not None:
        start = own.moved((at, 0, 0)).origin_mm
        plane = Geometry(own.spacing_mm[1:], start, own.directions and own.directions[1:])
    values = stored.values[at] if inside else np.zeros_like(stored.values[0])
    return replace(stored, values=values, geometry=plane, volume=False)


def _allowed(found: Fit, stored: StoredMask, size: tuple[int, ...]) -> bool:
    """Whether the mask then covers the image, or may cover a part of it."""
    whole = found.turn.size(stored.size) == size and not any(found.start)
    return whole or stored.partial


def _meets(found: Fit, stored: StoredMask, size: tuple[int, ...]) -> bool:
    """Whether mask and image have a voxel in common."""
    turned = found.turn.size(stored.size)
    return all(
        start < side and start + length > 0
        for start, length, side in zip(found.start, turned, size, strict=True)
    )


def _pasted(values: Values, found: Fit, size: tuple[int, ...]) -> Values:
    """The values turned and set where they belong; what lies outside the image is left away."""
    turned = found.turn.apply(values)
    if turned.shape == size and not any(found.start):
        return np.ascontiguousarray(turned)
    whole = np.zeros(size, values.dtype)
    there, here = [], []
    for start, length, side in zip(found.start, turned.shape, size, strict=True):
        first, last = max(0, start), min(side, start + length)
        there.append(slice(first, max(first, last)))
        here.append(slice(first - start, max(first, last) - start))
    whole[tuple(there)] = turned[tuple(here)]
    return whole


def _in_one_plane(own: Geometry, size: tuple[int, ...], geometry: Geometry) -> bool:
    """Whether a picture at `geometry` lies, to half a pixel, in the plane of `own`; for volumes, yes."""
    if len(size) != 2 or own.directions is None or own.spacing_mm is None:
        return True
    down, across = np.array(own.directions)
    normal = np.cross(down, across)
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, n - 1) for n in size))])
    away = (corners @ geometry.affine()[:3].T - own.affine()[:3, -1]) @ (normal / np.linalg.norm(normal))
    return bool(np.abs(away).max() <= max(own.spacing_mm) / 2)


def _resampled(stored: StoredMask, size: tuple[int, ...], geometry: Geometry) -> Values:
    """At each pixel of the image's grid the value of the nearest pixel of the mask; 0 outside it."""
    from scipy import ndimage  # noqa: PLC0415  heavy, and seldom needed

    to_index = np.linalg.pinv(stored.geometry.affine()[:3, :-1])
    like = geometry.affine()[:3]
    matrix = to_index @ like[:, :-1]
    offset = to_index @ (like[:, -1] - stored.geometry.affine()[:3, -1])
    values: Values = ndimage.affine_transform(
        stored.values, matrix, offset, output_shape=size, order=0, mode="grid-constant", cval=0
    )
    return values


def _difference(stored: StoredMask, size: tuple[int, ...], geometry: Geometry, found: Fit | None) -> str:
    """In what the grids differ."""
    own = stored.geometry
    if own.spacing_mm is not None and geometry.spacing_mm is not None:
        theirs = sorted(own.spacing_mm), sorted(geometry.spacing_mm)
        if not np.allclose(*theirs, rtol=1e-3):
            return (
                f"its pixels lie {_spacing(own)} mm apart, but those of the image {_spacing(geometry)} mm, "
                "so that they do not coincide"
            )
    if sorted(stored.size) != sorted(size):
        own_size, wanted = size_in_words(stored.size), size_in_words(size)
        return f"it is {own_size}, but the image is {wanted}, and covers another part"
    if found is not None:
        return "it covers another part of the patient than the image"
    return "it lies elsewhere in the patient, or is tilted against the image, so that pixels do not coincide"


def _spacing(geometry: Geometry) -> str:
    return " × ".join(f"{each:.4g}" for each in reversed(geometry.spacing_mm or ()))
