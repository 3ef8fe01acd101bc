"""What a model found in an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.image import Image, Mask

Progress = Callable[[int, int], object]
"""Told the steps done and their number."""
FAILURES = (DataError, MemoryError, RuntimeError, ValueError)
"""What one image may end with that is no reason to leave the others; a full disk is not among them."""


@dataclass(frozen=True)
class Found:
    """What a model found in an image, on its own grid.

    Attributes:
        mask: The labels.
        probabilities: `(n, …)` of the labels in [0, 1]; of a volume only where they were asked for.
    """

    mask: Mask
    probabilities: npt.NDArray[np.floating] | None


def one_by_one(find: Callable[[Image], Found], pictures: Iterable[Image]) -> Iterator[Found | Exception]:
    """What is found in each picture, or why nothing can be.

    Args:
        find: Finds it, or raises one of `FAILURES`.
        pictures: Taken only as they are needed.
    """
    for picture in pictures:
        try:
            found: Found | Exception = find(picture)
        except FAILURES as error:
            found = error.with_traceback(None)  # whose frames hold all the memory that was taken
        yield found


def label_probabilities(found: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The labels' part of the probabilities of all classes: all but the background's.

    Args:
        found: `(K, …)`: of one label K = 1, the foreground's; else the background's and each label's.

    Returns:
        `(n, …)`, a view.
    """
    return found if found.shape[0] == 1 else found[1:]
