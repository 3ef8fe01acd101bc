"""Cases decoded once, at their working size, in memory or, where they are too many, in files of the run."""

from __future__ import annotations

import mmap
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from delineate.errors import DataError
from delineate.files import output_error
from delineate.fingerprint import slices_to_learn
from delineate.image import BACKGROUND, IGNORED, Image, Mask, oriented_mask
from delineate.inference.fitting import prepared
from delineate.inference.preprocess import (
    Intensities,
    pad_to,
    resize_mask,
    slices,
    to_working,
)
from delineate.plan import Plan

MEMORY_BYTES = 1 << 30
FIRST_SPILL_BYTES = 256 << 20
MOST_SPILL_BYTES = 4 << 30  # each further file is twice as long, up to this
ALIGNED_BYTES = 64
MOST_PLACES = 8192  # a label and case


@dataclass(frozen=True)
class CachedCase:
    """One case at its working size.

    Attributes:
        name: Of the case.
        pixels: `(C, h, w)` or `(C, d, h, w)`, uint8 for 8-bit images, else float32 in units.
        mask: `(h, w)` or `(d, h, w)` uint8, `IGNORED` where filled up.
        gain: `(C,)` float32: `pixels · gain + offset` is what the net takes.
        offset: `(C,)` float32.
        places: For each label in the mask the flat positions of its pixels, or of some, evenly spread; empty
            where no patches are cut.
        labels: Values of the labels in the mask, ascending.
    """

    name: str
    pixels: Tensor
    mask: Tensor
    gain: Tensor
    offset: Tensor
    places: tuple[Tensor, ...] = ()
    labels: tuple[int, ...] = ()

    def normalized(self) -> Tensor:
        """The pixels as float32 as the net takes them."""
        return Intensities(self.gain, self.offset).apply(self.pixels.float())


class Store:
    """Keeps tensors: in memory up to a limit, then in files that vanish with the process.

    Args:
        folder: Where those files may be made.
        memory_bytes: The limit.
    """

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        self._folder = folder
        self._left_bytes = memory_bytes
        self._spill: _Spill | None = None

    def keep(self, tensor: Tensor) -> Tensor:
        """The same values, wherever they now lie.

        Raises:
            OutputError: A file cannot be written.
        """
        self._left_bytes -= tensor.nbytes
        if self._left_bytes >= 0:
            return tensor
        values = tensor.numpy()
        try:
            if self._spill is None or not self._spill.holds(values.nbytes):
                length = FIRST_SPILL_BYTES if self._spill is None else 2 * self._spill.length
                self._spill = _Spill(self._folder, max(values.nbytes, min(length, MOST_SPILL_BYTES)))
            return torch.from_numpy(self._spill.add(values))
        except OSError as error:
            raise output_error(self._folder, error) from error


class _Spill:
    """One nameless file of many arrays, mapped once: an open file an array would soon be too many.

    The file has its length from the start, but takes room on the disk only as it is written.
    """

    def __init__(self, folder: Path, length: int) -> None:
        self.length = length
        self._used = 0
        self._stream = tempfile.TemporaryFile(dir=folder, prefix=".cache.", buffering=0)  # noqa: SIM115  open until full
        weakref.finalize(self, self._stream.close)
        self._stream.truncate(length)
        self._mapped = mmap.mmap(self._stream.fileno(), length)

    def holds(self, more_bytes: int) -> bool:
        """Whether so many bytes still fit in."""
        return self._used + more_bytes <= self.length

    def add(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The same values, in the file."""
        self._stream.seek(self._used)
        left = values.data.cast("B")
        while left:  # a write says why it fails; storing into the mapping would end the process
            left = left[self._stream.write(left) :]
        kept = np.ndarray(values.shape, values.dtype, self._mapped, self._used)
        self._used += -(-values.nbytes // ALIGNED_BYTES) * ALIGNED_BYTES
        return kept


def build_cache(cases: Iterable[tuple[str, Image, Mask]], plan: Plan, store: Store) -> list[CachedCase]:
    """Bring cases to their working size.

    Args:
        cases: Name, image and mask of each, one in memory at a time.
        plan: Says which size; for a net of two axes volumes become slices, each a case.
        store: Where the results are kept.

    Returns:
        The cached cases in the given order; in mode "whole" all of `plan.preprocessing.size`.

    Raises:
        DataError: A case does not fit the plan; it is named.
    """
    cached: list[CachedCase] = []
    for name, image, mask in cases:
        turned, values = prepared(image, plan), oriented_mask(mask, plan.preprocessing.orientation).values
        try:
            if len(image.size) == 3 and plan.network.axes == 2:
                cut, intensities = slices(turned, plan)
                for at in slices_to_learn(values).tolist():
                    case = _cached(f"{name}, slice {at + 1}", cut[at], values[at], plan, store, intensities)
                    cached.append(case)
            else:
                cached.append(_cached(name, turned, values, plan, store))
        except DataError as error:
            raise DataError(f"Case {name} does not fit the plan: {error}.") from error
    return cached


def _cached(  # noqa: PLR0917  one case and what it is to become
    name: str,
    image: Image,
    mask: npt.NDArray[np.uint8],
    plan: Plan,
    store: Store,
    intensities: Intensities | None = None,
) -> CachedCase:
    """One picture, slice or volume at its working size."""
    working = to_working(image, plan, intensities)
    size = tuple(working.pixels.shape[1:])
    labels = resize_mask(torch.from_numpy(np.ascontiguousarray(mask)), size, len(plan.data.labels))
    pixels, gain = working.pixels, working.intensities.gain
    if image.pixels.dtype == np.uint8 and image.shares:
        pixels, gain = (pixels * 255).round_().to(torch.uint8), gain / 255
    if plan.preprocessing.mode == "whole":
        pixels, labels = pad_to(pixels, labels, plan.preprocessing.size)
    found = labels_of(labels)
    return CachedCase(
        name,
        store.keep(pixels.contiguous()),
        store.keep(labels.contiguous()),
        gain,
        working.intensities.offset,
        tuple(map(store.keep, places_of(labels, found))) if plan.preprocessing.mode == "patch" else (),
        found,
    )


def labels_of(mask: Tensor) -> tuple[int, ...]:
    """Values of the labels in a mask, ascending."""
    return tuple(value for value in torch.unique(mask).tolist() if value not in (BACKGROUND, IGNORED))


def places_of(mask: Tensor, labels: Sequence[int] | None = None) -> tuple[Tensor, ...]:
    """For each label where its pixels are.

    Args:
        mask: `(h, w)` or `(d, h, w)` uint8.
        labels: Values of those that occur; None to have them looked up.

    Returns:
        Flat positions as int32, of each in that order: all of its pixels, or `MOST_PLACES` of them, evenly
        spread.
    """
    found = []
    flat = mask.flatten()
    for value in labels_of(mask) if labels is None else labels:
        places = torch.nonzero(flat == value)[:, 0]
        if len(places) > MOST_PLACES:
            places = places[(torch.arange(MOST_PLACES) * len(places)) // MOST_PLACES]
        found.append(places.int())
    return tuple(found)
