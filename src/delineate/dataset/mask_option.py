"""The --labels option: what the user says the values of the masks mean.

Entries apart by commas, each `what=name`:

| what | is |
|---|---|
| `3` | that value (of a palette: that index) |
| `64-191` | the values from 64 to 191 |
| `>127` | all above |
| `#ff0000` | that colour |

Several entries of one name are one label; the name `background` is no label. Labels are numbered in the order
in which they are written. What is not named is background.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass

from delineate.errors import UsageError
from delineate.image import BACKGROUND, LabelSet

OPEN_END = 2**62
_ENTRY = re.compile(
    r"(?P<colour>\#[0-9a-f]{6}) | (?P<first>\d{1,10})(-(?P<last>\d{1,10}))? | >(?P<above>\d{1,10}(\.\d+)?)",
    re.VERBOSE | re.IGNORECASE,
)
EXAMPLES = '"1=left lung,2=right lung", ">127=polyp", "#ff0000=tumour" or "64-191=cell,192-255=nucleus"'


@dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes:
        text: As the user wrote it, before the "=".
        first: The lowest value, or the colour as 0xRRGGBB.
        last: The highest.
        label: 1…n, or 0 for background.
        above: The number behind ">", which may be a fraction.
    """

    text: str
    first: int
    last: int
    label: int
    above: float | None = None


@dataclass(frozen=True)
class LabelOption:
    """The option, read.

    Attributes:
        labels: The labels in the order in which they are written.
        entries: By rising value; they do not overlap.
        colours: Whether the entries are colours.
    """

    labels: LabelSet
    entries: tuple[Entry, ...]
    colours: bool

    @property
    def exact(self) -> bool:
        """Whether every entry is a single value."""
        return all(entry.first == entry.last for entry in self.entries)


def parse_labels(text: str) -> LabelOption:
    """Read the --labels option.

    Args:
        text: As described above.

    Returns:
        What it says.

    Raises:
        UsageError: It cannot be read, overlaps itself, or names nothing but background.
    """
    names: list[str] = []
    entries: list[Entry] = []
    for part in text.split(","):
        what, equals, name = (piece.strip() for piece in part.partition("="))
        found = _ENTRY.fullmatch(what)
        if not equals or not name or found is None:
            raise UsageError(
                f'--labels "{text}": "{part.strip()}" is no entry. Write for example {EXAMPLES}.'
            )
        if name.lower() != "background" and name not in names:
            names.append(name)
        label = BACKGROUND if name.lower() == "background" else names.index(name) + 1
        entries.append(_entry(found, label))
    entries.sort(key=lambda entry: entry.first)
    for one, other in itertools.pairwise(entries):
        if other.first <= one.last:
            raise UsageError(f'--labels "{text}": "{one.text}" and "{other.text}" overlap.')
    kinds = {entry.text.startswith("#") for entry in entries}
    if len(kinds) > 1:
        raise UsageError(f'--labels "{text}" mixes colours and numbers. Write one or the other.')
    if any(entry.last < entry.first for entry in entries):
        raise UsageError(f'--labels "{text}": a range goes from the lower to the higher value.')
    try:
        labels = LabelSet.of(*names)
    except ValueError as error:
        raise UsageError(f'--labels "{text}": {error}.') from error
    return LabelOption(labels, tuple(entries), kinds == {True})


def _entry(found: re.Match[str], label: int) -> Entry:
    text = found.group()
    if found["colour"]:
        value = int(text[1:], 16)
        return Entry(text.lower(), value, value, label)
    if found["above"]:
        above = float(found["above"])
        return Entry(text, math.floor(above) + 1, OPEN_END, label, above)
    return Entry(text, int(found["first"]), int(found["last"] or found["first"]), label)
