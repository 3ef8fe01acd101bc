"""Where labels lie in their images, and whether mirroring the images would change that."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

GRID = {2: 32, 3: 16}  # sides of the grid that an image of so many axes is looked at on
MOST_CASES = 128
ERRORS = 2.0  # standard errors that the likeness is allowed to be higher than found
FEWEST_CASES = 3  # of which an error can be told


@dataclass
class LabelPlaces:
    """Where labels lie in cases that are spread over all of them.

    Attributes:
        labels: Number of labels.
        every: One case in so many is looked at; twice as many whenever that comes to too many.
        grids: By the position of the case, `(labels, n, n)` or `(labels, n, n, n)` of what lies there.
    """

    labels: int
    every: int = 1
    grids: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def add(self, position: int, mask: npt.NDArray[np.uint8]) -> None:
        """Look at a case, if it is its turn.

        Args:
            position: Of the case, from 0.
            mask: `(H, W)` or `(D, H, W)`.
        """
        if position % self.every:
            return
        count = GRID[mask.ndim]
        places = (np.arange(count) * side // count + side // (2 * count) for side in mask.shape)
        values = np.arange(1, self.labels + 1, dtype=np.uint8).reshape(-1, *[1] * mask.ndim)
        self.grids[position] = np.equal(mask[np.ix_(*places)], values)
        if len(self.grids) > MOST_CASES:
            self.every *= 2
            self.grids = {at: each for at, each in self.grids.items() if at % self.every == 0}

    def likeness(self, axis: int) -> float:
        """How like places are to those of other cases mirrored, as a share of how like they are unmirrored.

        Few cases say little: what is given is the highest that they bear out, two standard errors (by leaving
        out one case after another) above what is found, but no more than 1 by that.

        Args:
            axis: Of the images, that is mirrored: -1 left to right.

        Returns:
            1 where mirroring changes nothing, near 0 where each side has labels of its own; also 1 where no
            two cases have a label at the same place.
        """
        cases = np.stack(list(self.grids.values()))
        plain, mirrored = self._overlaps(cases, axis)
        if len(cases) == 1:
            both = float(plain.sum()), float(mirrored.sum())
            return both[1] / both[0] if both[0] else 1.0
        np.fill_diagonal(plain, 0)
        np.fill_diagonal(mirrored, 0)
        together, apart = float(plain.sum()), float(mirrored.sum())
        if together <= 0:
            return 1.0
        found = apart / together
        if found >= 1 or len(cases) < FEWEST_CASES:
            return found
        return min(1.0, found + ERRORS * _standard_error(plain, mirrored))

    @staticmethod
    def _overlaps(
        cases: npt.NDArray[np.bool_], axis: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Of each pair of cases the overlap, and that of the one with the other mirrored; labels alike."""
        count, labels = cases.shape[:2]
        plain, mirrored = np.zeros((count, count)), np.zeros((count, count))
        for label in range(labels):
            each = cases[:, label].astype(np.float32)
            total = float((each.sum(0) ** 2).sum())
            if total:
                flat, flipped = each.reshape(count, -1), np.flip(each, axis).reshape(count, -1)
                plain += flat @ flat.T / total
                mirrored += flat @ flipped.T / total
        return plain, mirrored


def _standard_error(plain: npt.NDArray[np.float64], mirrored: npt.NDArray[np.float64]) -> float:
    """Of the ratio of two sums over pairs of cases, by the jackknife; infinite where one case decides.

    Source:
        Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapter 11.
    """
    count = len(plain)
    together = plain.sum() - 2 * plain.sum(1)  # both of a case's row and column left out
    apart = mirrored.sum() - 2 * mirrored.sum(1)
    if (together <= 1e-9 * plain.sum()).any():
        return float("inf")
    ratios = apart / together
    return float(np.sqrt((count - 1) / count * ((ratios - ratios.mean()) ** 2).sum()))
