"""Sub-folders that may be patients, of which nobody said whether they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from delineate.dataset.case_files import CaseFiles, Problem
from delineate.dataset.naming import counted, listed, natural_key
from delineate.dataset.roles import like_a_part, place

_PATTERNS = ("^(.+?)__", "^(.+?)(?:__|$)", "^(.+)__")  # cases in sub-folders are named `p03__slice12`


def shared_folders(cases: Sequence[CaseFiles], root: Path, *, split_given: bool) -> list[Problem]:
    """Whether sub-folders hold several cases each, as a patient's do, of which nobody said what they are.

    Args:
        cases: The usable ones.
        root: The data's folder.
        split_given: Whether the data say what is held out; then only folders that it divides are told.
    """
    by_folder: dict[str, list[CaseFiles]] = defaultdict(list)
    for case, folders in zip(cases, _own_folders(cases, root), strict=True):
        if folders and not like_a_part(folders[0]):
            by_folder[folders[0]].append(case)
    shared = [
        folder
        for folder, inside in by_folder.items()
        if len(inside) > 1 and (not split_given or len({case.split for case in inside}) > 1)
    ]
    if not shared:
        return []
    pattern = next((each for each in _PATTERNS if _tells_apart(each, by_folder, cases)), None)
    todo = f"give --group-regex '{pattern}'" if pattern else "name them in a CSV table with a column group"
    names = listed((f"{folder}/" for folder in sorted(shared, key=natural_key)), 6)
    message = (
        f"{counted(len(shared), 'sub-folder')} with several cases: {names}. Sub-folders are not taken for "
        f"patients; if they are, their cases may come into different parts, which inflates the score: {todo}."
    )
    return [Problem("warning", "shared-folders", message)]


def _own_folders(cases: Sequence[CaseFiles], root: Path) -> list[tuple[str, ...]]:
    """The sub-folders of each case that name neither images nor a part, without those that all lie in."""
    found = []
    for case in cases:
        folder = case.image[0].parent.parent if case.stack else case.image[0].parent  # a stack has its own
        found.append(place(folder.relative_to(root).parts).rest if folder.is_relative_to(root) else ())
    common = 0
    while all(len(each) > common for each in found) and len({each[: common + 1] for each in found}) == 1:
        common += 1
    return [each[common:] for each in found]


def _tells_apart(
    pattern: str, by_folder: Mapping[str, Sequence[CaseFiles]], cases: Sequence[CaseFiles]
) -> bool:
    """Whether a pattern finds a group in all names: one within a folder, another in each."""
    matches = {case.name: re.search(pattern, case.plain) for case in cases}
    group = {name: match[1] for name, match in matches.items() if match}
    if len(group) < len(cases):
        return False
    of_folders = [{group[case.name] for case in inside} for inside in by_folder.values()]
    return len(set.union(*of_folders)) == len(of_folders) == sum(map(len, of_folders))
