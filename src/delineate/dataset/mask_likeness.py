"""Whether a file looks like a picture of something, and not like a mask: by how its values lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from delineate import formats
from delineate.errors import ImageError

_FEW = 64  # values, of which a mask may have so many in any case
_COMMON = 16
_COMMON_SHARE = 0.8  # of pixels that the most common values have, at least, in a mask altered by JPEG
_MOSTLY = 0.8  # of the pixels that the two most common values have, at least, in a mask with smooth edges
_ALIKE = 0.5  # of the pixels off the ground have the value of their neighbour, at least, in a mask


def like_a_picture(path: Path) -> bool:
    """Whether a file has the many mixed values of a photograph or scan.

    Masks have few values, or, as numbered nuclei, areas of one value. A file that cannot be read may be one.
    """
    try:
        stored = formats.read_mask(path)
    except ImageError:
        return False
    values = stored.values[..., 0] if stored.coloured else stored.values
    if stored.volume:
        values = values[len(values) // 2]
    levels, pixels = np.unique(values, return_counts=True)
    if len(levels) <= _FEW:
        return False
    ordered = np.sort(pixels)
    if ordered[-2:].sum() >= _MOSTLY * values.size:
        return False
    if stored.lossy:
        return bool(ordered[-_COMMON:].sum() < _COMMON_SHARE * values.size)
    ground = levels[pixels.argmax()]
    off = values[..., 1:] != ground
    alike = values[..., 1:] == values[..., :-1]
    return bool((alike & off).sum() < _ALIKE * off.sum())
