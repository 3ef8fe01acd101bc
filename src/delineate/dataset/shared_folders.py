"""Sub-folders that may be patients, of which nobody said whether they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from delineate.dataset.case_files import CaseFiles, Problem
from delineate.dataset.naming import counted, listed, natural_key
from delineate.dataset.roles import like_a_part, place

_FEW_FOLDERS, _MANY_CASES = 5, 5
_PATTERNS = ("^(.+?)__", "^(.+?)(?:__|$)", "^(.+)__")  # cases in sub-folders are named `p03__slice12`


def shared_folders(cases: Sequence[CaseFiles], root: Path, *, drawn: Sequence[CaseFiles]) -> list[Problem]:
    """Whether sub-folders hold several cases each, as a patient's do, of which nobody said what they are.

    Args:
        cases: The usable ones.
        root: The data's folder.
        drawn: Those of them that parts are drawn from. Of the others only folders are told that are in
            several of the parts that the data mark.
    """
    by_folder: dict[str, list[CaseFiles]] = defaultdict(list)
    for case, folders in zip(cases, _own_folders(cases, root), strict=True):
        if folders and not like_a_part(folders[0]):
            by_folder[folders[0]].append(case)
    pool = {case.name for case in drawn}
    shared = [folder for folder, inside in by_folder.items() if sum(case.name in pool for case in inside) > 1]
    divided = [folder for folder, inside in by_folder.items() if len({case.split for case in inside}) > 1]
    if not shared and not divided:
        return []
    few = len(by_folder) < _FEW_FOLDERS and len(cases) > _MANY_CASES * len(by_folder)
    pattern = (
        None if few else next((each for each in _PATTERNS if _tells_apart(each, by_folder, cases)), None)
    )
    kinds = " They are few for patients and may be kinds of images instead." if few else ""
    todo = f"give --group-regex '{pattern}'" if pattern else "name them in a CSV table with a column group"
    problems = []
    for code, found, which, come in (
        ("shared-folders", shared, "with several cases", "may come into different parts"),
        ("folders-across-split", divided, "in several parts of the given split", "are in different parts"),
    ):
        if found:
            named = listed((f"{folder}/" for folder in sorted(found, key=natural_key)), 6)
            message = (
                f"{counted(len(found), 'sub-folder')} {which}: {named}. Sub-folders are not taken for "
                f"patients; if they are, their cases {come}, which inflates the score: {todo}.{kinds}"
            )
            problems.append(Problem("warning", code, message))
    return problems


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
