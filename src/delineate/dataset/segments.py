"""What segmentations call their values, and one numbering by these names where files differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from delineate.dataset.naming import counted, folded, listed
from delineate.errors import MaskError
from delineate.formats import StoredMask

_DIVIDERS = re.compile(r"[\s_-]+")
Numbering = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Segments:
    """What the files themselves call their values, as 3D Slicer's and DICOM segmentations do.

    Attributes:
        names: By value, in the common numbering; None where not all files say it.
        numbering: Folded name and value of each segment, where files number differently; else empty.
        clash: Two files that number differently, in words.
        several_names: What to say where files call a value differently, but have no name under two values:
            one thing spelled in two ways, or two things, which only the user knows. Else empty.
        notes: What the user should know.
    """

    names: Mapping[int, str] | None = None
    numbering: Numbering = ()
    clash: str = ""
    several_names: str = ""
    notes: tuple[str, ...] = ()


def segments_of(masks: Mapping[Path, Mapping[int, str]]) -> Segments:
    """What the masks of a set call their values.

    Args:
        masks: The names in each mask, but for those that are empty: these say nothing.

    Raises:
        MaskError: Files number differently, and what a value means cannot be told by names in all of them.
    """
    named = {path: names for path, names in masks.items() if names}
    nameless = [path for path, names in masks.items() if not names]
    if not named:
        return Segments()
    clash = _clash(named)
    if clash is None:
        if nameless:
            note = (
                f"the names of the segments are not used, since {counted(len(nameless), 'mask')} without "
                f"such names: {listed(path.name for path in nameless)}"
            )
            return Segments(notes=(note,))
        said: dict[int, str] = {}
        for _, value, name in _all(named):
            said.setdefault(value, name)
        return Segments(said)
    if not _renumbers(named):
        return Segments(several_names=_several_names(clash, named))
    if nameless:
        raise MaskError(
            f"The segmentations number their segments differently: {clash}. By name they could be brought to "
            f"one numbering, but {counted(len(nameless), 'mask')} without names: "
            f"{listed(path.name for path in nameless)}. Save them as segmentations that name their segments, "
            "or take them out."
        )
    numbering, names = _common(named)
    table = ", ".join(f"{value} {name}" for value, name in sorted(names.items()))
    note = (
        f"the files number their segments differently ({clash}): by their names they were brought to one "
        f"numbering, {table}"
    )
    return Segments(names, numbering, clash, notes=(note,))


def renumbered(stored: StoredMask, numbering: Numbering, path: Path) -> StoredMask:
    """A mask in the common numbering, by what it calls its values.

    Raises:
        MaskError: It holds a value without a name, or with one that the numbering does not know.
    """
    known = dict(numbering)
    values = np.zeros(stored.values.shape, np.uint16)
    for value in np.unique(stored.values[stored.values != 0]).tolist():
        name = stored.names.get(int(value))
        number = known.get(_folded(name)) if name is not None else None
        if number is None:
            what = "has no name" if name is None else f"is {name}, which no other names"
            raise MaskError(
                f"{path}: its segment {value:g} {what}, and the files number their segments differently. "
                "Name it as in the others."
            )
        values[stored.values == value] = number
    return replace(stored, values=values)


def _all(named: Mapping[Path, Mapping[int, str]]) -> Iterator[tuple[Path, int, str]]:
    for path, names in named.items():
        for value, name in names.items():
            yield path, value, name


def _clash(named: Mapping[Path, Mapping[int, str]]) -> str | None:
    """Where two files number differently, in words; None where they number alike."""
    by_value: dict[int, tuple[Path, str]] = {}
    by_name: dict[str, tuple[Path, int]] = {}
    for path, value, name in _all(named):
        before, other = by_value.setdefault(value, (path, name))
        if _folded(other) != _folded(name):
            return f"{value} is {other} in {before.name} and {name} in {path.name}"
        before, number = by_name.setdefault(_folded(name), (path, value))
        if number != value and before != path:
            return f"{name} is {number} in {before.name} and {value} in {path.name}"
    return None


def _several_names(clash: str, named: Mapping[Path, Mapping[int, str]]) -> str:
    first: dict[int, str] = {}
    for _, value, name in _all(named):
        first.setdefault(value, name.replace(",", " "))
    option = ",".join(f"{value}={name}" for value, name in sorted(first.items()))
    return (
        f"The segmentations call one value differently: {clash}. If that is the same, spelled in two ways, "
        f'say what the values mean by --labels "{option}". If not, give each thing one name and one value in '
        "all files."
    )


def _renumbers(named: Mapping[Path, Mapping[int, str]]) -> bool:
    """Whether two files have a name under different values, so that they number differently beyond doubt."""
    by_name: dict[str, set[int]] = {}
    for own in named.values():
        values: dict[str, set[int]] = {}
        for value, name in own.items():
            values.setdefault(_folded(name), set()).add(value)
        if any(by_name.setdefault(name, found) != found for name, found in values.items()):
            return True
    return False


def _common(named: Mapping[Path, Mapping[int, str]]) -> tuple[Numbering, Mapping[int, str]]:
    """A number a name: that of the first file which has it, or the next that is free."""
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    for path, own in named.items():
        if len({_folded(name) for name in own.values()}) < len(own):
            raise MaskError(f"{path.name} has several segments of one name. Give each a name of its own.")
        for value, name in own.items():
            if _folded(name) not in numbers:
                free = value if value not in names else next(n for n in range(1, 2**16) if n not in names)
                numbers[_folded(name)], names[free] = free, name
    return tuple(numbers.items()), names


def _folded(name: str) -> str:
    """`name` for comparison: its words without case, and what divides them."""
    return " ".join(_DIVIDERS.split(folded(name).strip(" _-")))
