"""What a model found in an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from delineate.image import Mask


@dataclass(frozen=True)
class Found:
    """What a model found in an image, on its own grid.

    Attributes:
        mask: The labels.
        probabilities: `(n, …)` of the labels in [0, 1]; of a volume only where they were asked for.
    """

    mask: Mask
    probabilities: npt.NDArray[np.floating] | None


def label_probabilities(found: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The labels' part of the probabilities of all classes: all but the background's.

    Args:
        found: `(K, …)`: of one label K = 1, the foreground's; else the background's and each label's.

    Returns:
        `(n, …)`, a view.
    """
    return found if found.shape[0] == 1 else found[1:]
