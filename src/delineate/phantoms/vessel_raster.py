"""Vessels on the pixel grid: how far each pixel lies inside the nearest one, and what that vessel is like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from delineate.phantoms.shapes import Field
from delineate.phantoms.vessel_tree import Segments

SKIRT_PX = 1.5
CHUNK = 2_000_000


@dataclass(frozen=True)
class VesselMap:
    """Where vessels are, per pixel, each `(H, W)`.

    Attributes:
        level_px: Depth inside the deepest-reaching vessel, positive inside; −SKIRT_PX where none is near.
        radius_px: Half the calibre of that vessel there; 1 where none is near.
        artery: Whether that vessel is an artery.
    """

    level_px: Field
    radius_px: Field
    artery: npt.NDArray[np.bool_]


def rasterise(segments: Segments, size: tuple[int, int]) -> VesselMap:
    """Draw tapering pieces with round ends; a pixel takes the vessel it lies deepest in.

    Args:
        segments: Lengths in pixels; a pixel's centre lies at its index.
        size: `(H, W)`.

    Returns:
        The map.
    """
    level = np.full(size[0] * size[1], -SKIRT_PX, np.float32)
    radius, artery = np.ones_like(level), np.zeros(level.shape, np.bool_)
    middle = (segments.start + segments.end) / 2
    length = np.hypot(*(segments.end - segments.start).T)
    thickest = np.maximum(segments.start_radius, segments.end_radius)
    reach = np.ceil(length / 2 + thickest + SKIRT_PX).astype(int)
    for half in np.unique(reach):
        members = np.flatnonzero(reach == half)
        offsets = np.indices((2 * half + 1, 2 * half + 1)).reshape(2, -1).T - half
        for first in range(0, len(members), max(CHUNK // len(offsets), 1)):
            some = members[first : first + max(CHUNK // len(offsets), 1)]
            pixels = np.rint(middle[some]).astype(int)[:, None] + offsets
            depth, calibre = _depth(segments, some, pixels)
            inside = ((pixels >= 0) & (pixels < size)).all(axis=-1) & (depth > -SKIRT_PX)
            place = (pixels[..., 0] * size[1] + pixels[..., 1])[inside]
            depth, calibre = depth[inside], calibre[inside]
            owner = np.broadcast_to(some[:, None], inside.shape)[inside]
            np.maximum.at(level, place, depth)
            deepest = depth == level[place]
            radius[place[deepest]] = calibre[deepest]
            artery[place[deepest]] = segments.artery[owner[deepest]]
    return VesselMap(level.reshape(size), radius.reshape(size), artery.reshape(size))


def _depth(
    segments: Segments, some: npt.NDArray[np.intp], pixels: npt.NDArray[np.int_]
) -> tuple[Field, Field]:
    """Depth of `(n, p, 2)` pixels inside their n segments, and the segments' radius beside them."""
    start, along = segments.start[some, None], (segments.end - segments.start)[some, None]
    from_start = pixels - start
    share = (from_start * along).sum(axis=-1) / np.maximum((along**2).sum(axis=-1), 1e-9)
    share = np.clip(share, 0, 1)
    distance = np.hypot(*np.moveaxis(from_start - share[..., None] * along, -1, 0))
    first, last = segments.start_radius[some, None], segments.end_radius[some, None]
    radius = first + share * (last - first)
    return (radius - distance).astype(np.float32), radius.astype(np.float32)
