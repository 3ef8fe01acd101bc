"""What belongs together, put together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from delineate.dataset.naming import natural_key

Groups = tuple[tuple[str, ...], ...]
_Item = TypeVar("_Item", bound=Hashable)


def joined(links: Iterable[Iterable[_Item]]) -> list[set[_Item]]:
    """The sets that arise when all that is linked, directly or by others, is put together (union-find)."""
    parent: dict[_Item, _Item] = {}

    def root(item: _Item) -> _Item:
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for link in links:
        first, *others = link
        for other in (first, *others):
            parent[root(other)] = root(first)
    sets: dict[_Item, set[_Item]] = defaultdict(set)
    for item in list(parent):
        sets[root(item)].add(item)
    return list(sets.values())


def by_part(names: Iterable[str], part_of: Mapping[str, str]) -> tuple[str, ...]:
    """Cases as `name (part)`, one of each part first, so that the first few tell what is divided."""
    met: Counter[str] = Counter()
    ranked = []
    for name in names:
        if part := part_of.get(name):
            ranked.append((met[part], f"{name} ({part})"))
            met[part] += 1
    return tuple(text for _, text in sorted(ranked, key=lambda item: item[0]))


def merge_groups(stated: Mapping[str, str | None], duplicates: Groups) -> Mapping[str, str]:
    """One group a case.

    Args:
        stated: For each case its group, or None.
        duplicates: Cases that belong together for another reason; names not in `stated` are passed over.

    Returns:
        For each case a group's name: a stated one of those put together, else the first case's. Cases have
        equal groups exactly if they are linked by a stated group or by duplicates, however far.
    """
    links: list[list[tuple[str, str]]] = [
        [("case", name)] if group is None else [("case", name), ("group", group)]
        for name, group in stated.items()
    ]
    links += [[("case", name) for name in group if name in stated] for group in duplicates]
    sets = []
    for members in joined([link for link in links if link]):
        cases = sorted((name for kind, name in members if kind == "case"), key=natural_key)
        names = sorted((name for kind, name in members if kind == "group"), key=natural_key)
        sets.append((not names, names[0] if names else cases[0], cases))
    merged: dict[str, str] = {}
    taken: set[str] = set()
    for _, name, cases in sorted(sets, key=lambda item: (item[0], natural_key(item[2][0]))):
        unique = next(name + "'" * n for n in range(len(taken) + 1) if name + "'" * n not in taken)
        taken.add(unique)
        merged.update(dict.fromkeys(cases, unique))
    return {name: merged[name] for name in stated}
