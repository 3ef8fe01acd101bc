"""One pass over each file: decoded whole, described in a few numbers, and let go."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from delineate.dataset.case_files import CaseFiles
from delineate.dataset.cases import load_image
from delineate.dataset.joining import Joining, MisplacedError, Set
from delineate.dataset.mask_shelf import MaskShelf
from delineate.dataset.pixel_digests import pixel_digest
from delineate.dataset.placing import on_grid
from delineate.errors import DataError, ImageError
from delineate.geometry import NOWHERE, USUAL_ORIENTATION, Geometry
from delineate.image import Image, oriented
from delineate.threads import at_most

THREADS = 2  # decoding releases the interpreter's lock; each thread holds one picture
THUMBNAIL_PX = 32
HASHED_PX = 64
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ImageFacts:
    """What the check keeps of an image.

    Attributes:
        size: `(H, W)` or `(D, H, W)`.
        channels: As read.
        files: Number of files it is made of.
        pixel_type: "uint8", "uint16", "int16" or "float32".
        equal_channels: Whether all channels are the same, as in grey pictures stored as RGB.
        minimum: A channel, in the file's units; one channel where all are equal.
        maximum: Likewise.
        mean: Likewise.
        standard_deviation: Likewise.
        brightness: Mean and standard deviation over all channels, in shares of the integer range, or the
            image's own units.
        digest: Equal for the same image, however it is stored.
        stored_digest: Of the pixels as they are stored; codes for names are made of it, so that they stay.
        perceptual_hash: 8 bytes that change little when the picture does.
        thumbnail: `THUMBNAIL_PX`² grey values.
        notes: What the reader did.
        shares: As the image's.
        geometry: As the image's.
        subject: As the image's.
        identifying: As the image's.
    """

    size: tuple[int, ...]
    channels: int
    files: int
    pixel_type: str
    equal_channels: bool
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]
    brightness: tuple[float, float]
    digest: str
    stored_digest: str
    perceptual_hash: bytes
    thumbnail: npt.NDArray[np.uint8]
    notes: tuple[str, ...]
    shares: bool = True
    geometry: Geometry = NOWHERE
    subject: str | None = None
    identifying: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def constant(self) -> bool:
        """Whether all pixels of each channel are the same."""
        return self.minimum == self.maximum

    @property
    def diagonal_mm(self) -> float | None:
        """From one corner of the image to the opposite one; None where no spacing is known."""
        spacing = self.geometry.spacing_mm
        if spacing is None:
            return None
        return math.hypot(*(side * step for side, step in zip(self.size, spacing, strict=True)))


@dataclass(frozen=True)
class Overlaps:
    """How the structures of a case lie over one another.

    Attributes:
        pixels: How many pixels are in each set of labels, and in no other; see `Joined`.
        drawn: As of `Joined`.
    """

    pixels: Mapping[Set, int]
    drawn: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class Inspected:
    """A case's files after decoding.

    Attributes:
        case: Its files.
        image: What is kept of the image; None where it cannot be read.
        mask_size: The mask's; None where there is none or it cannot be read.
        errors: What stood in the way.
        misfit: Why the mask does not lie on the image's grid; None where it does.
        mask_unplaced: The mask's file, a volume, that does not say where it lies in the patient, while the
            image does.
        mask_identifying: As the image's, of the mask.
        mask_names: What the mask's file calls its values; empty where it does not.
        mask_labelled: Whether the mask holds another value than 0.
        misfit_file: Of several files that make up the mask the one that does not lie there.
        overlaps: Of the structures, where the mask is joined of several files that could be read.
    """

    case: CaseFiles
    image: ImageFacts | None
    mask_size: tuple[int, ...] | None
    errors: tuple[ImageError, ...]
    misfit: str | None = None
    mask_identifying: frozenset[str] = frozenset()
    mask_unplaced: Path | None = None
    mask_names: Mapping[int, str] = field(default_factory=dict)
    mask_labelled: bool = False
    misfit_file: Path | None = None
    overlaps: Overlaps | None = None


def inspect_case(case: CaseFiles, shelf: MaskShelf) -> Inspected:
    """Decode a case's image and mask, whatever may be wrong with either."""
    item = _with_image(Inspected(case, None, None, ()), shelf)
    if case.structures:
        return _with_joined(item, shelf)
    return item if case.mask is None else _with_mask(item, case.mask, shelf)


def _with_image(item: Inspected, shelf: MaskShelf) -> Inspected:
    """What is kept of a case's image, whose pixels are let go."""
    case = item.case
    try:
        image = load_image(case.image, shelf.reading, stack=case.stack)
    except ImageError as error:
        return replace(item, errors=(error,))
    return replace(item, image=describe(image, 1 if case.stack else len(case.image)))


def _with_mask(item: Inspected, path: Path, shelf: MaskShelf) -> Inspected:
    """What a mask's file holds."""
    try:
        stored = shelf.read(path)
    except ImageError as error:
        return replace(item, errors=(*item.errors, error))
    item = replace(
        item,
        mask_size=stored.size,
        mask_identifying=stored.identifying,
        mask_names=stored.names,
        mask_labelled=bool(stored.values.any()),
    )
    if item.image is None:
        return item
    geometry = item.image.geometry
    placed = not stored.volume or geometry.directions is None or stored.geometry.directions is not None
    unplaced = None if placed else path
    try:
        on_grid(stored, item.image.size, geometry, resample=shelf.reading.resample_masks)
    except DataError as error:
        return replace(item, mask_unplaced=unplaced, misfit=str(error))
    return replace(item, mask_unplaced=unplaced)


def _with_joined(item: Inspected, shelf: MaskShelf) -> Inspected:
    """What the files hold that a mask is joined of; nothing is joined where the image's grid is not known."""
    if item.image is None:
        return item
    joining = Joining(item.image.size, item.image.geometry, shelf.reading)
    errors, misplaced = list(item.errors), None
    for structure in item.case.structures:
        for path in structure.files:
            try:
                joining.add(structure.value, path)
            except ImageError as error:
                errors.append(error)
            except MisplacedError as error:
                misplaced = misplaced or error
    joined = joining.joined()
    item = replace(item, errors=tuple(errors), mask_identifying=joined.stored.identifying)
    if misplaced is not None:
        return replace(item, misfit=misplaced.reason, misfit_file=misplaced.path)
    if errors:
        return item
    shelf.put(item.case, joined)
    return replace(
        item,
        mask_size=joined.stored.size,
        mask_unplaced=joined.unplaced,
        mask_labelled=len(joined.sets) > 1,
        overlaps=Overlaps(dict(zip(joined.sets, joined.pixels, strict=True)), joined.drawn),
    )


def in_threads(
    function: Callable[[_Item], _Result], items: Sequence[_Item], progress: Callable[[int, int], object]
) -> Iterator[_Result]:
    """`function` of each item in order, `THREADS` at a time at most, with no more than a few waiting.

    Warnings are off meanwhile. Readers turn off those of their libraries, which may tell what stands in a
    file, but that is undone for all threads when the first is done.
    """
    threads = at_most(THREADS)
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")
        rest = iter(items)
        waiting = [pool.submit(function, item) for item in islice(rest, 4 * threads)]
        done = 0
        while waiting:
            result = waiting.pop(0).result()
            waiting += [pool.submit(function, item) for item in islice(rest, 1)]
            done += 1
            progress(done, len(items))
            yield result


def describe(image: Image, files: int = 1) -> ImageFacts:
    """The facts of an image.

    Args:
        image: `(C, H, W)` or `(C, D, H, W)`.
        files: Number of files it is made of.
    """
    pixels = image.pixels
    equal = bool(pixels.shape[0] == 1 or all((channel == pixels[0]).all() for channel in pixels[1:]))
    distinct = pixels[:1] if equal else pixels
    flat = distinct.reshape(distinct.shape[0], -1)
    means = flat.mean(1, dtype=np.float64)
    deviations = flat.std(1, dtype=np.float64)
    full = 1 if image.in_own_units else np.iinfo(str(pixels.dtype)).max
    alone = replace(image, pixels=distinct)
    shown = oriented(alone, USUAL_ORIENTATION).pixels
    thumbnail, perceptual = _thumbnail(shown if shown.ndim == 3 else _middle(shown))
    stored = hashlib.blake2b(f"{distinct.shape} {distinct.dtype}".encode(), digest_size=16)
    stored.update(np.ascontiguousarray(distinct).data)
    return ImageFacts(
        size=image.size,
        channels=image.channels,
        files=files,
        pixel_type=str(pixels.dtype),
        equal_channels=equal,
        minimum=tuple(float(value) for value in flat.min(1)),
        maximum=tuple(float(value) for value in flat.max(1)),
        mean=tuple(float(value) for value in means),
        standard_deviation=tuple(float(value) for value in deviations),
        brightness=(float(means.mean() / full), float(deviations.mean() / full)),
        digest=pixel_digest(alone),
        stored_digest=stored.hexdigest(),
        perceptual_hash=perceptual,
        thumbnail=thumbnail,
        notes=image.notes,
        shares=image.shares,
        geometry=image.geometry,
        subject=image.subject,
        identifying=image.identifying,
    )


def _middle(volume: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The middle slice of `(C, D, H, W)`."""
    return volume[:, volume.shape[1] // 2]


def _thumbnail(pixels: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.uint8], bytes]:
    """A small grey copy stretched to 0–255, and the perceptual hash."""
    grey = pixels[0].astype(np.float32) if len(pixels) == 1 else pixels.mean(0, dtype=np.float32)
    picture = Picture.fromarray(grey).resize((HASHED_PX, HASHED_PX), Picture.Resampling.BOX)
    small = np.asarray(picture)
    low, high = float(small.min()), float(small.max())
    stretched = (small - low) * (255 / (high - low)) if high > low else np.zeros_like(small)
    hashed = Picture.fromarray(stretched.round().astype(np.uint8))
    bits: bytes = np.packbits(imagehash.phash(hashed).hash).tobytes()
    step = HASHED_PX // THUMBNAIL_PX
    thumbnail = stretched.reshape(THUMBNAIL_PX, step, THUMBNAIL_PX, step).mean((1, 3))
    return thumbnail.round().astype(np.uint8), bits
