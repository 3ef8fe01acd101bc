"""Names: in the order people expect, safe to write to any disk, and safe to print."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

MAXIMUM_NAME_BYTES = 160  # leaves room for "_probabilities.tif" and the like below every system's 255
NAMES_SHOWN = 12
SEPARATOR = r"[\s_.\-]"  # what divides the words of a name
SEPARATORS = re.compile(f"{SEPARATOR}+")
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_DIGITS = re.compile(r"\d+")
_LETTERS = re.compile(r"[^\W\d_]+")
_OPPOSITES = (  # words of which one thing has at most one
    {"left", "right"},
    {"od", "os"},  # the right and the left eye
    {"pre", "post"},
    {"before", "after"},
    {"upper", "lower"},
    {"axial", "coronal", "sagittal"},
    {"ed", "es"},
    {"diastole", "systole"},
)


def natural_key(text: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sort key that puts `x2` before `x10`, whatever the case, and differs for different texts."""
    parts = re.split(r"([0-9]+)", unicodedata.normalize("NFC", text).casefold())
    return tuple(_part(part) for part in parts if part), text


def _part(part: str) -> tuple[int, int, str]:
    """Digits by value, of any length; other text by its letters, behind them."""
    digits = part.lstrip("0") if part.isascii() and part.isdigit() else None
    return (1, 0, part) if digits is None else (0, len(digits), digits)


def path_key(path: Path) -> tuple[tuple[tuple[tuple[int, int, str], ...], str], ...]:
    """Sort key of a path: folder by folder, each in natural order."""
    return tuple(natural_key(part) for part in path.parts)


def folded(text: str) -> str:
    """`text` without its Unicode form and case, so that names some disk would take for the same are equal."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def number_differently(one: str, other: str) -> bool:
    """Whether both texts hold numbers, and not the same ones."""
    numbers, others = _DIGITS.findall(one), _DIGITS.findall(other)
    return bool(numbers and others) and numbers != others


def letters_of(text: str) -> list[str]:
    """The words of a text, folded, without numbers and what divides them."""
    return _LETTERS.findall(folded(text))


def say_opposites(one: str, other: str) -> bool:
    """Whether texts hold opposite words, as `left` and `right`."""
    words, others = set(letters_of(one)), set(letters_of(other))
    return any(words & group and others & group and words & group != others & group for group in _OPPOSITES)


def printable(name: Path | str) -> str:
    """`name` for a message: line breaks, control characters and broken encodings shown as escapes."""
    shown = "".join(
        c if c == " " or c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in str(name)
    )
    return shown if shown == shown.strip() and shown else repr(shown)


def listed(names: Iterable[Path | str], limit: int = NAMES_SHOWN) -> str:
    """`a, b, c and 9 more` for a message."""
    left = iter(names)
    shown = ", ".join(printable(name) for name in islice(left, limit))
    rest = sum(1 for _ in left)
    return f"{shown} and {rest} more" if rest else shown


def counted(number: int, what: str, several: str | None = None) -> str:
    """`1 image`, `3 images`."""
    return f"{number} {what if number == 1 else several or what + 's'}"


def safe_name(text: str) -> str:
    """`text` as a file name without suffix that every common disk takes and that stays inside its folder."""
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).rstrip(" .")
    if not name or name.startswith((".", " ")) or _RESERVED.fullmatch(name):
        name = f"_{name.lstrip(' .')}"
    encoded = name.encode()
    if len(encoded) > MAXIMUM_NAME_BYTES:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
        name = encoded[: MAXIMUM_NAME_BYTES - 9].decode(errors="ignore") + f"_{digest}"
    return name


def unique_names(alternatives: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """One safe name an item, no two of them alike even on a disk that ignores case.

    Args:
        alternatives: For each item its possible names, shortest first; the first that no other item has is
            taken, for all items that share a shorter one.

    Returns:
        The names, in the order of the items.
    """
    level = [0] * len(alternatives)
    while True:
        names = [safe_name(options[i]) for options, i in zip(alternatives, level, strict=True)]
        count = Counter(folded(name) for name in names)
        longer = [
            count[folded(name)] > 1 and i + 1 < len(options)
            for name, options, i in zip(names, alternatives, level, strict=True)
        ]
        if not any(longer):
            return _numbered(names)
        level = [i + more for i, more in zip(level, longer, strict=True)]


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    """`names` with `_2`, `_3` … where one is still taken."""
    taken: set[str] = set()
    given = []
    spoken_for = {folded(name) for name in names}
    for name in names:
        candidate, number = name, 1
        while folded(candidate) in taken or (number > 1 and folded(candidate) in spoken_for):
            number += 1
            candidate = f"{name}_{number}"
        taken.add(folded(candidate))
        given.append(candidate)
    return tuple(given)
