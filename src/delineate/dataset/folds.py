"""Folds of a cross-validation: every case held out once, repeatable, balanced, no group divided."""

from __future__ import annotations

import json
import operator
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from delineate.choices import SPLIT_SEED
from delineate.dataset.case_files import CaseFiles
from delineate.dataset.naming import counted, listed, natural_key, printable
from delineate.dataset.split import TRIES, seeded_order, stated_parts
from delineate.dataset.splits_file import Splits, members_of, read_content
from delineate.errors import DataError, UsageError
from delineate.files import write_text

USUAL_FOLDS = 5


@dataclass(frozen=True)
class Folds:
    """The division of a data set for a cross-validation, by names of cases.

    Attributes:
        held_out: The cases of each fold, in natural order.
        test: What is in no fold and only scored, by the final model.
        seed: By which they were drawn.
        how: How they came about, in words.
        groups: For each case what it was not split from.
        left_out: Cases of the data that are in no fold and not scored.
    """

    held_out: tuple[tuple[str, ...], ...]
    test: tuple[str, ...]
    seed: int
    how: str
    groups: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.held_out)

    @property
    def cases(self) -> tuple[str, ...]:
        """All that are in a fold, in natural order."""
        return tuple(sorted((name for names in self.held_out for name in names), key=natural_key))

    @property
    def fold_of(self) -> dict[str, int]:
        """For each case the number of the fold that holds it out, from 1."""
        return {name: number for number, names in enumerate(self.held_out, start=1) for name in names}

    def splits(self, number: int) -> Splits:
        """The division for the net of one fold.

        Args:
            number: Of the fold, from 1.
        """
        held_out = self.held_out[number - 1]
        held = set(held_out)
        return Splits(
            train=tuple(name for name in self.cases if name not in held),
            validation=held_out,
            test=(),
            seed=self.seed,
            how=f"fold {number} of {len(self)}: {self.how}",
            groups={name: self.groups[name] for name in self.cases},
        )

    def whole(self) -> Splits:
        """The division for the final model: all cases of the folds to learn from."""
        return Splits(self.cases, (), self.test, self.seed, self.how, self.groups)


def checked_number(number: int) -> int:
    """The number of folds, if there can be so many.

    Raises:
        UsageError: There cannot.
    """
    try:
        whole = 0 if isinstance(number, bool) else operator.index(number)
    except TypeError:
        whole = 0
    if whole < 2:
        raise UsageError(
            f"There cannot be {number!r} folds: give 2 or more, such as --folds {USUAL_FOLDS}, or omit "
            "--folds to hold out one part."
        )
    return whole


def draw_folds(
    cases: Sequence[CaseFiles],
    groups: Mapping[str, str],
    number: int,
    *,
    seed: int = SPLIT_SEED,
    labels_by_case: Mapping[str, Collection[str]] | None = None,
    test_elsewhere: bool = False,
) -> Folds:
    """Divide cases into folds of nearly equal size, whole groups at a time.

    Of `TRIES` divisions the one is taken whose labels are in the most folds, then whose sizes are most alike,
    then whose labels are spread most evenly. The result depends on the seed and on names alone, not on the
    order of the cases.

    Args:
        cases: All usable ones. Those that the data mark as test are in no fold.
        groups: For each case what it must not be split from.
        number: Of folds, 2 or more.
        seed: Another one gives another division.
        labels_by_case: The labels in each case's mask, to balance them.
        test_elsewhere: Whether another data set is scored at the end, so that the cases marked as test are
            left aside.

    Returns:
        The folds; each case that is not test in exactly one.

    Raises:
        UsageError: There cannot be so many folds.
        DataError: There are fewer groups than folds.
    """
    checked_number(number)
    stated = stated_parts(cases, groups)
    test = tuple(sorted((name for name, part in stated.items() if part == "test"), key=natural_key))
    marked = sum(part == "validation" for part in stated.values())
    members = defaultdict(list)
    for name, part in stated.items():
        if part != "test":
            members[groups[name]].append(name)
    if len(members) < number:
        raise DataError(_too_few(sum(map(len, members.values())), len(members), number))
    held_out = _drawn(members, number, seed, labels_by_case or {})
    how = f"{number} folds, drawn by the seed {seed}, groups kept together"
    if marked:
        how += f", {counted(marked, 'case')} that the data mark as validation among them"
    if test and not test_elsewhere:
        how += "; test as the data say"
    return Folds(
        tuple(tuple(sorted(names, key=natural_key)) for names in held_out),
        () if test_elsewhere else test,
        seed,
        how,
        {name: groups[name] for name in sorted(stated, key=natural_key)},
        test if test_elsewhere else (),
    )


def _too_few(cases: int, groups: int, number: int) -> str:
    what = (
        f"{counted(cases, 'case')} to train on {'form' if cases > 1 else 'forms'} {counted(groups, 'group')}"
    )
    do = f"Give --folds {groups} or fewer, or add" if groups >= 2 else "Add"
    return (
        f"{what}, which cannot fill {number} folds, since no group (a patient, or copies of one image) is "
        f"divided. {do} cases of other patients."
    )


def _drawn(
    groups: Mapping[str, Sequence[str]],
    number: int,
    seed: int,
    labels_by_case: Mapping[str, Collection[str]],
) -> list[list[str]]:
    """The names of the cases of each fold."""
    keys = {group: min(names) for group, names in groups.items()}
    labels = {
        group: Counter(label for name in names for label in labels_by_case.get(name, ()))
        for group, names in groups.items()
    }
    total: Counter[str] = sum(labels.values(), Counter())
    rarest = {group: min((total[label] for label in labels[group]), default=0) for group in groups}

    def divided(attempt: int) -> tuple[tuple[int, int, float], list[list[str]]]:
        order = sorted(groups, key=lambda group: seeded_order(f"folds {seed} {attempt} {keys[group]}"))
        order.sort(
            key=lambda group: (-len(groups[group]), rarest[group])
        )  # large ones, then rare labels first
        folds: list[list[str]] = [[] for _ in range(number)]
        have: list[Counter[str]] = [Counter() for _ in range(number)]
        for group in order:
            at = min(
                range(number),
                key=lambda fold: (
                    len(folds[fold]),
                    sum(have[fold][label] / total[label] for label in labels[group]),
                    fold,
                ),
            )
            folds[at] += groups[group]
            have[at] += labels[group]
        without = sum(have[fold][label] == 0 for fold in range(number) for label in total)
        sizes = [len(names) for names in folds]
        unbalance = sum(
            abs(have[fold][label] / total[label] - 1 / number) for fold in range(number) for label in total
        )
        return (without, max(sizes) - min(sizes), unbalance), folds

    _, best = min((divided(attempt) for attempt in range(TRIES)), key=lambda result: result[0])
    return best


def write_folds(path: Path, folds: Folds) -> None:
    """Write the `splits.json` of a cross-validation, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    content = {
        "how": folds.how,
        "seed": folds.seed,
        "folds": [list(names) for names in folds.held_out],
        "test": list(folds.test),
        "groups": members_of(folds.groups),
    }
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_folds(path: Path, groups: Mapping[str, str]) -> Folds:
    """Read the `splits.json` of a cross-validation that goes on.

    Args:
        path: The file.
        groups: For each case of the data what it must not be split from.

    Raises:
        DataError: The file is damaged, holds no folds, or does not fit the data.
    """
    where = printable(path)
    content = read_content(path)
    stored, seed, how = content.get("folds"), content.get("seed", 0), content.get("how", "")
    folds = [_names(names) for names in stored] if isinstance(stored, list) else []
    test = _names(content.get("test", []))
    if len(folds) < 2 or test is None or None in folds:
        raise DataError(f"{where} holds no folds: 'folds' must be two or more lists of case names.")
    held_out = tuple(names for names in folds if names is not None)
    if type(seed) is not int or not isinstance(how, str):
        raise DataError(f"{where}: 'seed' must be a whole number and 'how' a text.")
    count = Counter(name for names in (*held_out, test) for name in names)
    faults = []
    if unknown := [name for name in count if name not in groups]:
        faults.append(f"Not in the data: {listed(unknown)}.")
    if twice := [name for name, number in count.items() if number > 1]:
        faults.append(f"Named more than once: {listed(twice)}.")
    of_group: dict[str, set[int]] = defaultdict(set)
    for at, names in enumerate(held_out):
        for name in names:
            of_group[groups.get(name, name)].add(at)
    if divided := [group for group, found in of_group.items() if len(found) > 1 and not twice]:
        faults.append(f"Groups in more than one fold: {listed(divided)}.")
    if not all(held_out):
        faults.append("A fold is empty.")
    if faults:
        raise DataError(f"{where} does not fit the data. {' '.join(faults)} Train anew in another folder.")
    return Folds(
        held_out,
        test,
        seed,
        how,
        {name: group for name, group in groups.items() if name in count},
        tuple(name for name in groups if name not in count),
    )


def _names(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return None
    return tuple(value)
