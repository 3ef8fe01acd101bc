"""How much there is to compute for an image."""

from __future__ import annotations

import math

from delineate.inference.fitting import working_size
from delineate.inference.mirroring import mirrored_axes
from delineate.inference.windows import window_starts
from delineate.plan import Plan


def windows_in(plan: Plan, size: tuple[int, ...]) -> int:
    """About how many windows a net computes for an image, mirrored ones included.

    Args:
        plan: The net's.
        size: `(H, W)` or `(D, H, W)` of the image; its spacing is taken for the plan's.
    """
    slices = size[0] if len(size) == 3 and plan.network.axes == 2 else 1
    seen = size[-plan.network.axes :]
    windows = 1
    if plan.preprocessing.mode == "patch":
        working = working_size(seen, plan.preprocessing)
        windows = math.prod(
            len(window_starts(length, side, plan.prediction.overlap))
            for length, side in zip(working, plan.window, strict=True)
        )
    return slices * windows * (1 << len(mirrored_axes(plan)))
