"""One mask out of several files, each of one structure or object: file by file, on the image's grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from delineate import formats
from delineate.dataset.case_files import Structure
from delineate.dataset.mask_edges import areas_between
from delineate.dataset.mask_survey import form_and_levels, pack
from delineate.dataset.placing import on_grid
from delineate.errors import DataError, ImageError, MaskError
from delineate.formats import Reading, StoredMask
from delineate.geometry import Geometry

ReadMask = Callable[[Path, Reading], StoredMask]
Set = tuple[int, ...]
_LEAST_SOFT, _LEAST_VALUES = 32, 5  # of edges that are smoothed or compressed, as where one file is the mask
_FULL = (255, 65535)
_MOST_SETS = 1 << 16


class MisplacedError(DataError):
    """A structure's file does not lie on its image's grid.

    Args:
        path: The file.
        reason: Why, in words that stand after a colon.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


@dataclass(frozen=True)
class Joined:
    """All structures of one case, before it is decided which lies over which.

    Attributes:
        stored: On the image's grid; its values say which of `sets` each pixel is in.
        sets: The values of the labels that are drawn there, rising; the first is empty.
        pixels: How many pixels are in each.
        drawn: For each label how many pixels each of its files that are not empty draws.
        unplaced: A file, a volume, that does not say where it lies in the patient, while the image does.
    """

    stored: StoredMask
    sets: tuple[Set, ...]
    pixels: tuple[int, ...]
    drawn: Mapping[int, tuple[int, ...]]
    unplaced: Path | None = None


class Joining:
    """A mask to which files are added, of which only one is in memory at a time.

    Args:
        size: The image's.
        geometry: The image's.
        reading: How the files are to be read.
        read: Reads a file.
    """

    def __init__(
        self, size: tuple[int, ...], geometry: Geometry, reading: Reading, read: ReadMask = formats.read_mask
    ) -> None:
        self._size, self._geometry, self._reading, self._read = size, geometry, reading, read
        self._ids = np.zeros(size, np.uint16)
        self._sets: list[Set] = [()]
        self._pixels = [self._ids.size]
        self._drawn: dict[int, list[int]] = defaultdict(list)
        self._identifying: frozenset[str] = frozenset()
        self._unplaced: Path | None = None

    def add(self, value: int, path: Path) -> None:
        """Add what a file draws.

        Args:
            value: Of its label.
            path: The file.

        Raises:
            ImageError: It cannot be read, or holds more than two values.
            MisplacedError: It does not lie on the image's grid.
        """
        stored = self._read(path, self._reading)
        self._identifying |= stored.identifying
        drawn = replace(stored, values=drawn_in(stored, path), palette=None)
        placed = self._geometry.directions is not None
        if drawn.volume and placed and drawn.geometry.directions is None:
            self._unplaced = self._unplaced or path
        try:
            drawn = on_grid(drawn, self._size, self._geometry, resample=self._reading.resample_masks)
        except DataError as error:
            raise MisplacedError(path, str(error)) from error
        there = drawn.values != 0
        number = int(np.count_nonzero(there))
        if number:
            self._drawn[value].append(number)
            self._ids[there] = self._with(value, self._ids[there], path)

    def _with(self, value: int, ids: npt.NDArray[np.uint16], path: Path) -> npt.NDArray[np.uint16]:
        """The numbers of the sets that pixels of some are in once a label is added."""
        table = np.arange(len(self._sets))
        met = np.bincount(ids)
        for old in np.flatnonzero(met).tolist():
            wider = tuple(sorted({*self._sets[old], value}))
            if wider not in self._sets:
                self._sets.append(wider)
                self._pixels.append(0)
            table[old] = new = self._sets.index(wider)
            self._pixels[old] -= int(met[old])
            self._pixels[new] += int(met[old])
        if len(self._sets) > _MOST_SETS:
            raise ImageError(path, "structures overlap it in too many ways. Are these masks?")
        return table.astype(np.uint16)[ids]

    def joined(self) -> Joined:
        """What all files that were added draw."""
        stored = StoredMask(
            self._ids,
            volume=len(self._size) == 3,
            geometry=self._geometry,
            identifying=self._identifying,
        )
        drawn = {value: tuple(numbers) for value, numbers in self._drawn.items()}
        return Joined(stored, tuple(self._sets), tuple(self._pixels), drawn, self._unplaced)


def join(
    structures: Sequence[Structure],
    size: tuple[int, ...],
    geometry: Geometry,
    reading: Reading,
    read: ReadMask = formats.read_mask,
) -> Joined:
    """All structures of a case; see `Joining`.

    Raises:
        ImageError: A file cannot be read, or holds more than two values.
        MisplacedError: A file does not lie on the image's grid.
    """
    joining = Joining(size, geometry, reading, read)
    for structure in structures:
        for path in structure.files:
            joining.add(structure.value, path)
    return joining.joined()


def painted(stored: StoredMask, sets: Sequence[Set], order: Sequence[int]) -> StoredMask:
    """The mask with a value a label.

    Args:
        stored: As of `Joined`.
        sets: Likewise.
        order: The labels' values; of those that overlap the last in it is seen.
    """
    rank = {value: at for at, value in enumerate(order)}
    seen = np.array([max(each, key=rank.__getitem__, default=0) for each in sets], np.uint8)
    return replace(stored, values=seen[stored.values])


def drawn_in(stored: StoredMask, path: Path) -> npt.NDArray[np.uint8]:
    """Where a file that draws one structure does so: 1, else 0, in the mask's size.

    Raises:
        ImageError: It holds more than background and one value, but for smoothed or compressed edges.
    """
    try:
        form, levels = form_and_levels(stored, path)
    except MaskError as error:
        raise ImageError(path, str(error).removeprefix(f"{path}: ")) from error
    if stored.palette is not None:
        colours = pack(stored.palette)[levels]
        levels = colours if colours.any() else levels  # a palette may be all black
    highest = int(levels.max())
    inside = levels != 0
    faint = stored.lossy and 0 < highest < _LEAST_SOFT
    if not faint and (highest == 0 or bool((inside == (levels == highest)).all())):
        return np.asarray(inside, np.uint8)
    full = next((full for full in _FULL if full * 7 / 8 <= highest <= full), None)
    few = not stored.lossy and len(np.unique(levels)) < _LEAST_VALUES
    held = stored.values if form == "fractions" else levels
    if full is None or few or form == "colours" or areas_between(levels, highest, lossy=stored.lossy):
        raise ImageError(
            path,
            "it is one of several masks of an image, of which each should hold background (0) and one other "
            f"value, but it holds {_listed(held)}. Save it with two values, or keep one mask an image that "
            "holds all labels",
        )
    return np.asarray(levels > full // 2, np.uint8)


def _listed(values: npt.NDArray[np.generic]) -> str:
    found = np.unique(values).tolist()
    return f"{', '.join(f'{value:g}' for value in found[:5])}{', …' if len(found) > 5 else ''}"
