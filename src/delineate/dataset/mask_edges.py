"""What lies between the values of a mask: areas, which are labels, or outlines, which are blurred edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

AREA_SHARE = 0.05  # of a label's pixels, at least, lie inside areas; of an edge's, fewer
_STRAY_PIXELS = 8


def areas_between(levels: npt.NDArray[np.integer], highest: int, *, lossy: bool) -> bool:
    """Whether pixels between 0 and the highest value make up areas and not just outlines."""
    margin = highest / (20 if lossy else 8)  # lossy: a label may lie near an extreme and have no exact value
    middle = (levels > margin) & (levels < highest - margin)
    inside = (
        middle[..., 1:-1, 1:-1]
        & middle[..., 2:, 1:-1]
        & middle[..., :-2, 1:-1]
        & middle[..., 1:-1, 2:]
        & middle[..., 1:-1, :-2]
    )
    return int(inside.sum()) > AREA_SHARE * int(middle.sum()) + _STRAY_PIXELS
