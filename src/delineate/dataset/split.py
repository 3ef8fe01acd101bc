"""Which cases to train on, to validate by and to keep for the test: repeatable, balanced, groups whole."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from delineate.choices import SPLIT_SEED
from delineate.dataset.case_files import CaseFiles, Split
from delineate.dataset.naming import counted, natural_key
from delineate.dataset.splits_file import Splits, read_splits, write_splits
from delineate.errors import DataError, UsageError

__all__ = ["Splits", "read_splits", "split", "write_splits"]
TRIES = 64  # random orders of the groups, of which the best balanced is taken


def split(
    cases: Sequence[CaseFiles],
    groups: Mapping[str, str],
    *,
    validation_fraction: float = 0.2,
    seed: int = SPLIT_SEED,
    labels_by_case: Mapping[str, Collection[str]] | None = None,
) -> Splits:
    """Divide cases into training, validation and test.

    What the data say of a case stands. Where they name no validation part, it is drawn from the training
    cases, whole groups at a time: of `TRIES` random orders the one that leaves the fewest labels on one side
    only, then is nearest the fraction, then has each label nearest its share. The result depends on the seed
    and on names alone, not on the order of the cases.

    Args:
        cases: All usable ones.
        groups: For each case what it must not be split from.
        validation_fraction: Of the cases not in the test part, between 0 and 1.
        seed: Another one gives another division.
        labels_by_case: The labels in each case's mask, to balance them.

    Returns:
        The parts, each in natural order; at least one case in training and in validation.

    Raises:
        UsageError: The fraction is not between 0 and 1.
        DataError: There are not two groups to divide, or nothing to train on.
    """
    if not 0 < validation_fraction < 1:
        raise UsageError(f"The validation fraction is {validation_fraction}, but must lie between 0 and 1.")
    stated = stated_parts(cases, groups)
    part: dict[str, Split] = {name: where or "train" for name, where in stated.items()}
    fitting = [name for name, where in part.items() if where == "train"]
    if not fitting:
        raise DataError("There is no case to train on. Mark some cases as train.")
    if "validation" in part.values():
        how = "as the data say"
    else:
        free = defaultdict(list)
        for name in fitting:
            free[groups[name]].append(name)
        if len(free) < 2:
            raise DataError(
                f"All {counted(len(fitting), 'case')} to train on belong to one group, so none can be held "
                "out for "
                "validation. Add cases of another patient, or name the parts in a CSV table with a column "
                "split."
            )
        for name in _drawn(free, validation_fraction, seed, labels_by_case or {}):
            part[name] = "validation"
        how = f"{validation_fraction:.0%} for validation, drawn by the seed {seed}, groups kept together"
        if "test" in part.values():
            how = f"test as the data say; of the rest {how}"
    return Splits(
        train=_named(part, "train"),
        validation=_named(part, "validation"),
        test=_named(part, "test"),
        seed=seed,
        how=how,
        groups={name: groups[name] for name in sorted(part, key=natural_key)},
    )


def _named(part: Mapping[str, Split], which: Split) -> tuple[str, ...]:
    return tuple(sorted((name for name, where in part.items() if where == which), key=natural_key))


def stated_parts(cases: Sequence[CaseFiles], groups: Mapping[str, str]) -> dict[str, Split | None]:
    """What the data say; an unmarked case follows its group where that lies in one part."""
    by_group: dict[str, set[Split]] = defaultdict(set)
    for case in cases:
        if case.split is not None:
            by_group[groups[case.name]].add(case.split)
    found: dict[str, Split | None] = {}
    for case in cases:
        siblings = by_group[groups[case.name]]
        found[case.name] = case.split or (next(iter(siblings)) if len(siblings) == 1 else None)
    return found


def _drawn(
    groups: Mapping[str, Sequence[str]],
    fraction: float,
    seed: int,
    labels_by_case: Mapping[str, Collection[str]],
) -> list[str]:
    """The names of the cases to validate with."""
    wanted = fraction * sum(len(names) for names in groups.values())
    keys = {group: min(names) for group, names in groups.items()}
    labels = {
        group: Counter(label for name in names for label in labels_by_case.get(name, ()))
        for group, names in groups.items()
    }
    total: Counter[str] = sum(labels.values(), Counter())

    def chosen(attempt: int) -> tuple[tuple[int, float, float], list[str]]:
        order = sorted(groups, key=lambda group: seeded_order(f"{seed} {attempt} {keys[group]}"))
        taken: list[str] = []
        size = 0
        for group in order:
            if len(taken) + 1 < len(groups) and abs(size + len(groups[group]) - wanted) < abs(size - wanted):
                taken.append(group)
                size += len(groups[group])
        if not taken:
            taken = [min(order, key=lambda group: len(groups[group]))]
            size = len(groups[taken[0]])
        have: Counter[str] = sum((labels[group] for group in taken), Counter())
        on_one_side = sum(have[label] == 0 or have[label] == total[label] for label in total)
        unbalance = sum(abs(have[label] / total[label] - fraction) for label in total)
        return (on_one_side, abs(size - wanted), unbalance), taken

    _, best = min((chosen(attempt) for attempt in range(TRIES)), key=lambda result: result[0])
    return [name for group in best for name in groups[group]]


def seeded_order(text: str) -> bytes:
    """A random order that is the same on every machine and with every version of Python."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
