"""Cases decoded once, at their working size, in memory or, where they are too many, in a file of the run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from delineate.errors import DataError
from delineate.files import output_error
from delineate.image import Image, Mask
from delineate.inference.preprocess import pad_to, resize_mask, to_working
from delineate.plan import Plan

MEMORY_BYTES = 1 << 30


@dataclass(frozen=True)
class CachedCase:
    """One case at its working size.

    Attributes:
        name: Of the case.
        pixels: `(C, h, w)` uint8 for 8-bit images, else float32 in units.
        mask: `(h, w)` uint8, `IGNORED` where filled up.
        gain: `(C,)` float32: `pixels · gain + offset` is what the net takes.
        offset: `(C,)` float32.
    """

    name: str
    pixels: Tensor
    mask: Tensor
    gain: Tensor
    offset: Tensor

    def normalized(self) -> Tensor:
        """`(C, h, w)` float32 as the net takes them."""
        return self.pixels.float() * self.gain[:, None, None] + self.offset[:, None, None]


class Store:
    """Keeps tensors: in memory up to a limit, then in a file that vanishes with the process.

    Args:
        folder: Where that file may be made.
        memory_bytes: The limit.
    """

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        self._folder = folder
        self._left_bytes = memory_bytes

    def keep(self, tensor: Tensor) -> Tensor:
        """The same values, wherever they now lie.

        Raises:
            OutputError: The file cannot be written.
        """
        self._left_bytes -= tensor.nbytes
        if self._left_bytes >= 0:
            return tensor
        values = tensor.numpy()
        try:
            with tempfile.TemporaryFile(dir=self._folder, prefix=".cache.") as stream:
                stream.write(values.data)  # unlike tofile, says why it fails
                stream.flush()
                mapped = np.memmap(stream, dtype=values.dtype, mode="r+", shape=values.shape)
        except OSError as error:
            raise output_error(self._folder, error) from error
        return torch.from_numpy(mapped)


def build_cache(
    cases: Iterable[tuple[str, Image, Mask]],
    plan: Plan,
    store: Store,
    progress: Callable[[int], None] = lambda _: None,
) -> list[CachedCase]:
    """Bring cases to their working size.

    Args:
        cases: Name, image and mask of each, one in memory at a time.
        plan: Says which size.
        store: Where the results are kept.
        progress: Told the number of cases done.

    Returns:
        The cached cases in the given order; in mode "whole" all of `plan.preprocessing.size`.

    Raises:
        DataError: A case does not fit the plan; it is named.
    """
    cached = []
    for name, image, mask in cases:
        try:
            working = to_working(image, plan)
        except DataError as error:
            raise DataError(f"Case {name} does not fit the plan: {error}.") from error
        size = (working.pixels.shape[1], working.pixels.shape[2])
        labels = resize_mask(torch.from_numpy(mask.values), size, len(plan.data.labels))
        pixels, gain = working.pixels, working.gain
        if image.pixels.dtype == np.uint8:
            pixels, gain = (pixels * 255).round_().to(torch.uint8), gain / 255
        if plan.preprocessing.mode == "whole":
            pixels, labels = pad_to(pixels, labels, plan.preprocessing.size)
        cached.append(
            CachedCase(
                name,
                store.keep(pixels.contiguous()),
                store.keep(labels.contiguous()),
                gain,
                working.offset,
            )
        )
        progress(len(cached))
    return cached
