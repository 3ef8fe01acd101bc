"""Which pictures are predicted window by window from the disk, and why."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from delineate.errors import ImageError
from delineate.formats import CompressionError, Reading, TooLargeError
from delineate.formats.regions import CONVERT, Regions, can_be_read, is_slide, open_regions
from delineate.formats.stored import MAXIMUM_MEGAPIXELS
from delineate.inference.memory import PROGRAM_BYTES, reachable_bytes
from delineate.plan import Plan

SHARE_OF_FREE = 0.5  # of the free memory, that a picture which is held may take


@dataclass(frozen=True)
class Large:
    """A picture that is predicted from the disk.

    Attributes:
        regions: It, open.
        why: What speaks against holding it, as a clause after "predicted window by window from the disk".
    """

    regions: Regions
    why: str


class Sized(Protocol):
    """What the header of a file says, see `jobs.reading.Sized`."""

    @property
    def size(self) -> tuple[int, ...] | None: ...  # noqa: D102

    @property
    def axes(self) -> int: ...  # noqa: D102

    @property
    def channels(self) -> int: ...  # noqa: D102

    @property
    def error(self) -> Exception | None: ...  # noqa: D102


def large_picture(
    files: Sequence[Path],
    sized: Sized,
    plan: Plan,
    reading: Reading,
    memory_bytes: int | None,
    *,
    begun: bool = False,
) -> Large | None:
    """A picture that is not to be held in memory, open.

    Args:
        files: Of the picture.
        sized: What its header says.
        plan: Of the model.
        reading: How files are read; larger pictures than it allows are not held.
        memory_bytes: That may be used in all; None for half of what is free.
        begun: Whether it was begun, or done, as one that is not held, whatever memory there is now.

    Returns:
        None where the usual way is right, also of files that it shall refuse.

    Raises:
        ImageError: It is too large to be held and can be read in no other way, or is damaged.
    """
    path = files[0]
    if is_slide(path) and plan.data.axes == 3:
        raise ImageError(path, "it is read as a picture, but the model segments volumes")
    if plan.data.axes != 2 or len(files) != 1 or sized.axes != 2:
        return None
    if is_slide(path):
        return _unlike_others(open_regions(path, reading))
    if isinstance(sized.error, TooLargeError) and sized.error.axes == 2:
        if not can_be_read(path):
            raise ImageError(path, f"{_whole(sized.error.reason)}. {CONVERT}") from sized.error
        megapixels = reading.maximum_megapixels or MAXIMUM_MEGAPIXELS
        return Large(open_regions(path, reading), f"as it has more than {megapixels:g} million pixels")
    if sized.size is None:  # also of a volume that is too large
        return _of_parts_only(path, sized, reading)
    return _of_much_memory(path, sized, plan, reading, memory_bytes, begun=begun)


def _of_parts_only(path: Path, sized: Sized, reading: Reading) -> Large | None:
    """A picture of several levels, or in a compression that is decoded in parts only."""
    if not can_be_read(path):
        return None
    with contextlib.suppress(ImageError):  # the usual way says what is wrong
        regions = open_regions(path, reading)
        if len(regions.levels) > 1 or isinstance(sized.error, CompressionError):
            return _unlike_others(regions)
        regions.close()
    return None


def _of_much_memory(
    path: Path, sized: Sized, plan: Plan, reading: Reading, memory_bytes: int | None, *, begun: bool
) -> Large | None:
    """A picture that would take more memory than it should, or did so when it was begun."""
    if begun and can_be_read(path):
        return Large(open_regions(path, reading), "as it was begun so")
    needed = held_bytes(plan, sized.size or (0, 0), sized.channels)
    free = reachable_bytes()
    allowed = memory_bytes or (free and int(free * SHARE_OF_FREE))
    if allowed is None or needed <= allowed:
        return None
    limit = "--memory allows" if memory_bytes else "half of the free memory, which is"
    why = f"as it would take about {needed / 1e9:.1f} GB at once, more than {limit} {allowed / 1e9:.1f} GB"
    if can_be_read(path):
        return Large(open_regions(path, reading), why)
    if memory_bytes or (free is not None and needed > free):
        raise ImageError(path, f"it is too large for the memory, {why.removeprefix('as ')}. {CONVERT}")
    return None


def held_bytes(plan: Plan, size: tuple[int, ...], channels: int) -> int:
    """About how much memory a picture takes that is predicted as a whole."""
    pixels = math.prod(size)
    scaled = plan.preprocessing.scale if plan.preprocessing.mode == "patch" else 0
    own = 6 * max(channels, plan.data.channels) + 8 * plan.network.output_channels
    working = 8 * plan.data.channels + 8 * plan.network.output_channels
    return PROGRAM_BYTES + int(pixels * (own + working * scaled**2))


def _unlike_others(regions: Regions) -> Large:
    if len(regions.levels) > 1:
        return Large(regions, f"as it holds {len(regions.levels)} resolutions, of which the finest is taken")
    return Large(regions, f"as {regions.file_format} of this kind is read")


def _whole(reason: str) -> str:
    """The reason of a picture that is too large, without the advice to read it all the same."""
    said = reason.partition(". If that is meant")[0]
    return f"{said}, for its format is decoded as a whole"
