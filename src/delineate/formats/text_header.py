"""What headers in text have in common: NRRD's and MetaImage's lines, numbers and the files they name."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from delineate.errors import ImageError
from delineate.formats.lengths import in_mm
from delineate.formats.stored import Source

_MOST_BYTES = 4 << 20
_SHOWN = 60
_INTEGER = re.compile(r"[-+]?\d{1,15}")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,4})?")


def lines(source: Source) -> Iterator[str]:
    """The lines of a header, without their ends, until the caller has enough or the file ends.

    Raises:
        ImageError: They are more than any header has.
    """
    left = _MOST_BYTES
    while line := source.stream.readline(left):
        left -= len(line)
        if left <= 0:
            raise source.refuse("the file is damaged: its header does not end")
        yield line.decode("utf-8", "surrogateescape").rstrip("\r\n")


def integers(text: str, source: Source, what: str) -> list[int]:
    """The whole numbers of a field, separated by blanks.

    Raises:
        ImageError: One is none.
    """
    words = text.split()
    if not words or not all(_INTEGER.fullmatch(word) for word in words):
        raise source.refuse(f"the file is damaged: {what} is {_shown(text)}")
    return [int(word) for word in words]


def numbers(text: str, source: Source, what: str, count: int | None = None) -> list[float]:
    """The numbers of a field, separated by blanks or commas.

    Args:
        text: The field.
        source: The file.
        what: The field's name.
        count: How many there must be, if that is known.

    Raises:
        ImageError: One is none, or they are not as many.
    """
    words = text.replace(",", " ").split()
    if not words or not all(_NUMBER.fullmatch(word) for word in words) or count not in (None, len(words)):
        raise source.refuse(f"the file is damaged: {what} is {_shown(text)}")
    return [float(word) for word in words]


def millimetres(unit: str, source: Source) -> float:
    """How many millimetres a unit of length is; one where none is named.

    Raises:
        ImageError: It is unknown.
    """
    factor = 1.0 if unit.strip(" ?") == "" else in_mm(1.0, unit)
    if factor is None:
        raise source.refuse(f"its unit of length {_shown(unit)} is unknown. Save it in mm")
    return factor


@contextlib.contextmanager
def data_file(source: Source, name: str) -> Iterator[Source]:
    """Open the file of pixels that a header names, if it lies beside the header.

    Args:
        source: The header's file.
        name: As it stands there.

    Yields:
        The file of pixels; what is refused of it names the header's file, and this one in the reason.

    Raises:
        ImageError: It is missing, no ordinary file, or lies elsewhere.
    """
    if name.upper().startswith("LIST") or "%" in name:
        raise source.refuse("its pixels are spread over several files. Save it as one file")
    plain = name.removeprefix("./")
    if not plain or plain in (".", "..") or set(plain) & set("/\\:\0"):
        raise source.refuse(
            f"its pixels are said to be in {_shown(name)}, but are looked for in its own folder only. "
            "Put both files there and name the second one without a folder"
        )
    path = source.path.parent / plain
    folders = {source.path.parent.resolve(), source.path.resolve().parent}
    if not path.is_file():
        raise source.refuse(f"its pixels are in {_shown(name)}, and there is no such file beside it")
    if path.resolve().parent not in folders:
        raise source.refuse(f"its pixels are in {_shown(name)}, which is a link to another folder")
    try:
        with path.open("rb") as stream:
            yield Source(stream, path, source.reading)
    except ImageError as error:
        if error.path != path:
            raise
        raise source.refuse(f"in {_shown(name)}, {error.reason}") from error


def _shown(text: str) -> str:
    """A field for people: short, and on one line."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
