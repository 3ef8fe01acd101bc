"""The process that reads damaged files: it may crash, hang or be refused memory without harm.

It is told a damage a line (`sample kind number`) and answers a line each; see `fuzz_harness.py`.
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from fuzz_mutations import mutate
from fuzz_samples import SAMPLES, Sample

from delineate.errors import ImageError
from delineate.formats import Header, Reading, StoredMask
from delineate.image import Image

MORE_BYTES = 1 << 30
MAXIMUM_MEGAPIXELS = 16


Pixels = npt.NDArray[np.generic]
_Result = TypeVar("_Result")


class Failure(Exception):  # noqa: N818  the word that is reported
    """What must not be."""


class Readers(Protocol):
    """What is tested: the formats, or in tests of the harness itself something worse."""

    def header(self, path: Path, reading: Reading) -> Header: ...
    def read(self, path: Path, reading: Reading) -> Image: ...
    def read_mask(self, path: Path, reading: Reading) -> StoredMask: ...


def main() -> None:
    # what C libraries print is not to mix with the answers
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    readers: Readers = importlib.import_module(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="fuzz.") as folder:
        whole = {name: _whole(readers, sample, Path(folder)) for name, sample in SAMPLES.items()}
        _limit_memory()
        answers.write("ready\n")
        for line in sys.stdin:
            answer = judge(readers, line, Path(folder), whole[line.split()[0]])
            answers.write(" ".join(answer.split())[:2000] + "\n")


def judge(readers: Readers, damage: str, folder: Path, whole: Pixels | None) -> str:
    """What became of a damaged file, beginning with "image", "refused" or "FAILED"."""
    name, kind, number = damage.split()
    sample, seed = SAMPLES[name], int(number, 16)
    path = _write(sample, mutate(sample, kind, seed), folder)
    reading = Reading(MAXIMUM_MEGAPIXELS, "channels" if seed % 2 else "refuse")
    try:
        header = _read(lambda: readers.header(path, reading), path, "header")
        image = _read(lambda: readers.read(path, reading), path, "read")
        mask = _read(lambda: readers.read_mask(path, reading), path, "read_mask")
        if image is not None:
            _check_image(image, header)
        pixels = _pixels(sample, image, mask)
        if pixels is None:
            return "refused"
        if (sample.checked or kind == "cut") and (whole is None or not np.array_equal(pixels, whole)):
            raise Failure("the image is wrong, and should have been seen to be")
    except Failure as failure:
        return f"FAILED: {failure}"
    except MemoryError:
        return "FAILED: it took more than a gigabyte of memory"
    return "image"


def _read(reader: Callable[[], _Result], path: Path, name: str) -> _Result | None:
    """What a reader gives, or None where it refuses the file as it should."""
    try:
        return reader()
    except ImageError as error:
        if error.path != path or len(error.reason) < 10 or str(path.parent) in error.reason:
            raise Failure(f"{name} gives no path and reason: {error}") from error
        if "not enough memory" in error.reason:
            raise MemoryError from error
    except MemoryError:
        raise
    except BaseException as error:  # whatever it is, it should have been an ImageError
        raise Failure(f"{name} raised {type(error).__name__}: {error}") from error
    return None


def _check_image(image: Image, header: Header | None) -> None:
    if header is None:
        raise Failure("an image was read whose header was refused")
    if (header.size, header.channels) != (image.size, image.channels):
        raise Failure(f"the header says {header.size} {header.channels}, the image is {image.pixels.shape}")
    if image.pixels.dtype.kind == "f" and not np.isfinite(image.pixels).all():
        raise Failure("the image has pixels that are no numbers")


def _pixels(sample: Sample, image: Image | None, mask: StoredMask | None) -> Pixels | None:
    """Of the image or, where it is none, of the mask."""
    if sample.mask_only:
        return None if mask is None else mask.values
    return None if image is None else image.pixels


def _whole(readers: Readers, sample: Sample, folder: Path) -> Pixels | None:
    """The pixels of the sample without damage; all readers are called, so that no library is loaded later."""
    path = _write(sample, sample.seal(sample.content), folder)
    _read(lambda: readers.header(path, Reading()), path, "header")
    image = _read(lambda: readers.read(path, Reading()), path, "read")
    return _pixels(sample, image, _read(lambda: readers.read_mask(path, Reading()), path, "read_mask"))


def _write(sample: Sample, content: bytes, folder: Path) -> Path:
    for name, other in sample.beside.items():
        (folder / name).write_bytes(other)
    path = folder / f"damaged{sample.suffix}"
    path.write_bytes(content)
    return path


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
