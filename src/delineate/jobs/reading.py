"""Reading an image that is to be predicted: how large it is, then its digests and its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from delineate import formats
from delineate.dataset.cases import load_image
from delineate.dataset.inputs import GivenImage
from delineate.files import sha256
from delineate.formats import USUAL, Reading
from delineate.image import Image
from delineate.inference.found import FAILURES
from delineate.inference.memory import refuse_by_size
from delineate.jobs.large_route import Large, large_picture
from delineate.plan import Plan

SAMPLE_BYTES = 4  # of one as a float, or of its copies while a picture is decoded
UNPACKED = 4  # times its files a series may take, of which no header says the whole


@dataclass(frozen=True)
class Sized:
    """How large an image is.

    Attributes:
        held_bytes: About how much memory it takes, with its mask and what else is made of it.
        size: `(H, W)` or `(D, H, W)`, where a header says it.
        axes: 2 or 3.
        channels: Of a pixel.
        error: Why its header cannot be read.
    """

    held_bytes: int
    size: tuple[int, ...] | None = None
    axes: int = 2
    channels: int = 1
    error: Exception | None = None


@dataclass(frozen=True)
class Loaded:
    """An image with its files' digests.

    Attributes:
        digests: SHA-256 of its files, then of those that hold the pixels of headers alone; empty where one
            could not be read.
        image: The image; one too large to be held, open; or why there is none.
    """

    digests: tuple[str, ...]
    image: Image | Large | Exception


def reading_for(plan: Plan, asked: Reading | None) -> Reading:
    """How images for a model are read: as asked, but a fourth axis for channels where its training's was."""
    asked = asked or USUAL
    return replace(asked, fourth_axis="channels") if plan.data.fourth_axis == "channels" else asked


def size_of(given: GivenImage, reading: Reading, labels: int) -> Sized:
    """How large an image is, from its headers.

    Args:
        given: Its files.
        reading: How they are read.
        labels: Whose probabilities are kept.
    """
    try:
        if given.stack:
            return Sized(UNPACKED * sum(path.stat().st_size for path in given.files), axes=3)
        header = formats.header(given.files[0], reading)
    except (*FAILURES, OSError) as error:  # reading it will say more
        return Sized(0, error=error if isinstance(error, FAILURES) else None)
    a_pixel = SAMPLE_BYTES * (header.channels * len(given.files) + labels) + 1
    channels = header.channels * len(given.files)
    return Sized(a_pixel * math.prod(header.size), header.size, len(header.size), channels)


def read(
    given: GivenImage,
    sized: Sized,
    plan: Plan,
    reading: Reading,
    memory_bytes: int | None,
    *,
    begun: bool = False,
) -> Loaded:
    """The image, or why there is none.

    Args:
        given: Its files.
        sized: As `size_of` found it.
        plan: Of the model.
        reading: How they are read.
        memory_bytes: That a volume may take in all; None for what is free.
        begun: Whether it was begun, or done, as one that is not held.
    """
    digests: tuple[str, ...] = ()
    try:
        named = [] if given.stack else [formats.data_file_of(path, reading) for path in given.files]
        files = (*given.files, *filter(None, named))
        digests = tuple(sha256(path) for path in files if not path.is_dir())
        if not given.stack and (
            large := large_picture(given.files, sized, plan, reading, memory_bytes, begun=begun)
        ):
            return Loaded(digests, large)
        if sized.error is not None:
            raise sized.error
        if sized.size is not None and sized.axes == 3:
            refuse_by_size(sized.size, memory_bytes)
        return Loaded(digests, load_image(given.files, reading, stack=given.stack))
    except FAILURES as error:
        return Loaded(digests, error)


def told_files(given: GivenImage) -> tuple[Path, ...]:
    """The files of an image as they are told; of a series its folder."""
    return (given.files[0].parent,) if given.stack else given.files
