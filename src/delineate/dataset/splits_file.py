"""`splits.json`: which case is in which part, to be read by people and to be given back."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from delineate.dataset.naming import listed, printable
from delineate.errors import DataError
from delineate.files import write_text

PARTS = ("train", "validation", "test")
MAXIMUM_BYTES = 64 << 20


@dataclass(frozen=True)
class Splits:
    """The division of a data set, by names of cases.

    Attributes:
        train: What is learnt from.
        validation: What is chosen by.
        test: What is only scored.
        seed: By which it was drawn.
        how: How it came about, in words.
        groups: For each case what it was not split from.
        left_out: Cases of the data that are in no part; told after reading a file.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    seed: int
    how: str
    groups: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def write_splits(path: Path, splits: Splits) -> None:
    """Write `splits.json`, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for name, group in splits.groups.items():
        members[group].append(name)
    content = {
        "how": splits.how,
        "seed": splits.seed,
        **{part: list(getattr(splits, part)) for part in PARTS},
        "groups": {group: names for group, names in members.items() if len(names) > 1},
    }
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_splits(path: Path, groups: Mapping[str, str], *, held_out_elsewhere: bool = False) -> Splits:
    """Read `splits.json` for a data set.

    Args:
        path: The file.
        groups: For each case of the data what it must not be split from.
        held_out_elsewhere: Whether another data set is there to be scored, so that none of this need be.

    Returns:
        The division; `left_out` names the cases that the file does not.

    Raises:
        DataError: The file is damaged, names a case that is not in the data or one in two parts, divides a
            group, or leaves training, or what is to be held out, empty. All faults are named at once.
    """
    where = printable(path)
    content = _content(path)
    parts: dict[str, tuple[str, ...]] = {}
    for part in PARTS:
        names = content.get(part, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"{where}: {part!r} must be a list of case names.")
        parts[part] = tuple(names)
    faults = _faults(parts, groups, held_out_elsewhere=held_out_elsewhere)
    if faults:
        raise DataError(f"{where} does not fit the data. {' '.join(faults)}")
    seed, how = content.get("seed", 0), content.get("how", "")
    if not isinstance(seed, int) or isinstance(seed, bool) or not isinstance(how, str):
        raise DataError(f"{where}: 'seed' must be a whole number and 'how' a text.")
    named = {name for names in parts.values() for name in names}
    left_out = tuple(name for name in groups if name not in named)
    kept = {name: group for name, group in groups.items() if name in named}
    return Splits(
        parts["train"], parts["validation"], parts["test"], seed, how or "as the file says", kept, left_out
    )


def _content(path: Path) -> Mapping[str, object]:
    where = printable(path)
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise DataError(f"{where} is too large for a list of cases.")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where} is no valid JSON: {error}. Mend it, or leave it away for a new split."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f'{where} must be an object with the lists "train", "validation" and "test".')
    return content


def _faults(
    parts: Mapping[str, tuple[str, ...]], groups: Mapping[str, str], *, held_out_elsewhere: bool
) -> list[str]:
    faults = []
    count = Counter(name for names in parts.values() for name in names)
    unknown = [name for name in count if name not in groups]
    if unknown:
        faults.append(f"Not in the data: {listed(unknown)}. Correct or remove these names.")
    twice = [name for name, number in count.items() if number > 1]
    if twice:
        faults.append(f"Named more than once: {listed(twice)}. Keep each in one part.")
    across: dict[str, set[str]] = defaultdict(set)
    for part, names in parts.items():
        for name in names:
            if name in groups:
                across[groups[name]].add(part)
    divided = [group for group, where in across.items() if len(where) > 1]
    if divided and not twice:
        faults.append(f"Groups in more than one part: {listed(divided)}. Put all cases of a group into one.")
    empty = [part for part in PARTS[: 1 if held_out_elsewhere else 2] if not parts[part]]
    if empty:
        faults.append(f"No case for {' and '.join(empty)}. Name some.")
    return faults
