"""`splits.json`: which case is in which part, to be read by people and to be given back."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from delineate.dataset.grouping import Groups, by_part, merge_groups
from delineate.dataset.naming import NAMES_SHOWN, listed, printable
from delineate.errors import DataError
from delineate.files import write_text

PARTS = ("train", "validation", "test")
MAXIMUM_BYTES = 64 << 20
CASES_SHOWN = 6  # of a group


@dataclass(frozen=True)
class Splits:
    """The division of a data set, by names of cases.

    Attributes:
        train: What is learnt from.
        validation: What is looked at while training, and scored where there is no test part.
        test: What is only scored.
        seed: By which it was drawn.
        how: How it came about, in words.
        groups: For each case what it was not split from.
        left_out: Cases of the data that are in no part; told after reading a file.
        warnings: What the user should know of a file that was read.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    seed: int
    how: str
    groups: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def write_splits(path: Path, splits: Splits) -> None:
    """Write `splits.json`, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    content = {
        "how": splits.how,
        "seed": splits.seed,
        **{part: list(getattr(splits, part)) for part in PARTS},
        "groups": members_of(splits.groups),
    }
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def members_of(groups: Mapping[str, str]) -> dict[str, list[str]]:
    """The cases of each group that has more than one."""
    members: dict[str, list[str]] = defaultdict(list)
    for name, group in groups.items():
        members[group].append(name)
    return {group: names for group, names in members.items() if len(names) > 1}


def read_splits(
    path: Path, groups: Mapping[str, str], *, near: Groups = (), held_out_elsewhere: bool = False
) -> Splits:
    """Read `splits.json` for a data set.

    Args:
        path: The file.
        groups: For each case of the data what it must not be split from: stated groups and exact duplicates.
        near: Names of cases that show nearly the same picture. A file may divide them, with a warning.
        held_out_elsewhere: Whether another data set is there to be scored, so that none of this need be.

    Returns:
        The division; `left_out` names the cases that the file does not. Its groups hold the near duplicates
        that the file leaves together, too.

    Raises:
        DataError: The file is damaged, names a case that is not in the data or one in two parts, divides a
            group, or leaves training, or what is to be held out, empty. All faults are named at once.
    """
    where = printable(path)
    content = read_content(path)
    if "folds" in content:
        raise DataError(
            f"{where} is that of a cross-validation. Give the splits.json of one of its folds, such as "
            "folds/1/splits.json, or --folds with the same --split-seed for the same folds."
        )
    parts: dict[str, tuple[str, ...]] = {}
    for part in PARTS:
        names = content.get(part, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"{where}: {part!r} must be a list of case names.")
        parts[part] = tuple(names)
    part_of = {name: part for part, names in parts.items() for name in names}
    faults = _faults(parts, groups, held_out_elsewhere=held_out_elsewhere)
    if faults:
        raise DataError(f"{where} does not fit the data. {' '.join(faults)}")
    seed, how = content.get("seed", 0), content.get("how", "")
    if not isinstance(seed, int) or isinstance(seed, bool) or not isinstance(how, str):
        raise DataError(f"{where}: 'seed' must be a whole number and 'how' a text.")
    divided = tuple(names for names in near if _across(names, part_of))
    kept: Mapping[str, str | None] = {name: group for name, group in groups.items() if name in part_of}
    return Splits(
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        seed=seed,
        how=how or "as the file says",
        groups=merge_groups(kept, tuple(names for names in near if names not in divided)),
        left_out=tuple(name for name in groups if name not in part_of),
        warnings=_near_warnings(divided, part_of),
    )


def _across(names: Iterable[str], part_of: Mapping[str, str]) -> bool:
    """Whether cases stand in more than one part."""
    return len({part_of[name] for name in names if name in part_of}) > 1


def _with_parts(names: Sequence[str], part_of: Mapping[str, str]) -> str:
    return listed(by_part(names, part_of), CASES_SHOWN)


def _near_warnings(divided: Groups, part_of: Mapping[str, str]) -> tuple[str, ...]:
    if not divided:
        return ()
    groups = "; ".join(_with_parts(names, part_of) for names in divided[:NAMES_SHOWN])
    more = f"; and {len(divided) - NAMES_SHOWN} more groups" if len(divided) > NAMES_SHOWN else ""
    return (
        "The split puts nearly identical images into different parts, which inflates the score: "
        f"{groups}{more}. Move each group into one part, or keep one image of it.",
    )


def read_content(path: Path) -> Mapping[str, object]:
    """What the file holds, not yet compared with the data.

    Raises:
        DataError: It cannot be read or is no JSON object.
    """
    where = printable(path)
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise DataError(f"{where} is too large for a list of cases.")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no valid JSON: {error}. Mend it, or omit it for a new split.") from error
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
    part_of = {name: part for part, names in parts.items() for name in names}
    members: dict[str, list[str]] = defaultdict(list)
    for name in part_of:
        if name in groups:
            members[groups[name]].append(name)
    divided = [_with_parts(names, part_of) for names in members.values() if _across(names, part_of)]
    if divided and not twice:
        faults.append(
            "Cases that belong together (one group, or identical images) in more than one part: "
            f"{'; '.join(divided[:NAMES_SHOWN])}"
            f"{f'; and {len(divided) - NAMES_SHOWN} more groups' if len(divided) > NAMES_SHOWN else ''}. "
            "Put them into one."
        )
    empty = [part for part in PARTS[: 1 if held_out_elsewhere else 2] if not parts[part]]
    if empty:
        faults.append(f"No case for {' and '.join(empty)}. Name some.")
    return faults
