"""What the names of cases seem to say that nobody stated: copies of a picture, parts of a split, patients."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from delineate.dataset.case_files import SPLIT_WORDS, CaseFiles, Problem
from delineate.dataset.naming import counted

_COPY = re.compile(r"^(.+)\.rf\.[0-9A-Za-z]{8,}$")  # as Roboflow calls what it makes of one picture
_FIRST_WORD = re.compile(r"[A-Za-z]+")
_FIRST_PART = re.compile(r"^([^_]*\d[^_]*)_(?!_)")  # not that between folder and name
_LEAST_GROUPS, _MOST_IN_A_GROUP = 3, 100


def telling_names(cases: Sequence[CaseFiles], *, split_given: bool) -> list[Problem]:
    """What the names seem to say of what belongs together, where no group is stated.

    Args:
        cases: The usable ones.
        split_given: Whether the data say what is held out.
    """
    if copies := _copies(cases):
        return copies
    return [] if split_given else [*_parts(cases), *_first_parts(cases)]


def _copies(cases: Sequence[CaseFiles]) -> list[Problem]:
    sources = Counter(match[1] for case in cases if (match := _COPY.match(case.plain)))
    several = sum(number > 1 for number in sources.values())
    if not several:
        return []
    message = (
        f"Names with .rf., as Roboflow gives them: {counted(several, 'picture')} in several copies, which "
        "may come into different parts, which inflates the score. Give --group-regex '^(.+)\\.rf\\.' to keep "
        "the copies of one picture together."
    )
    return [Problem("warning", "copies-by-name", message)]


def _parts(cases: Sequence[CaseFiles]) -> list[Problem]:
    """Names that all begin with a word for a part, `train_1` and `test_1`."""
    words = [match[0].casefold() if (match := _FIRST_WORD.match(case.plain)) else "" for case in cases]
    parts = {SPLIT_WORDS.get(word) for word in words}
    if None in parts or len(parts) < 2:
        return []
    message = (
        f"Names begin with words for parts of a split ({', '.join(sorted(set(words)))}), which are not taken "
        "for them. If they are parts, put the files into folders train/, val/ and test/, or state the parts "
        "in a CSV table with the columns image,mask,split."
    )
    return [Problem("warning", "parts-by-name", message)]


def _first_parts(cases: Sequence[CaseFiles]) -> list[Problem]:
    """Names of which several have the same number before the first `_`, as a patient's may."""
    found = [match[1] for case in cases if (match := _FIRST_PART.match(case.plain))]
    count = Counter(found)
    if len(found) < len(cases) or not _LEAST_GROUPS <= len(count) <= len(cases) / 2:
        return []
    if len(cases) > _MOST_IN_A_GROUP * len(count):
        return []
    message = (
        f"What stands before the first _ in the names is the same in several cases: {len(count)} different "
        f"ones in {len(cases)} cases. If these are patients, keep the cases of each together: --group-regex "
        "'^([^_]+)'."
    )
    return [Problem("note", "groups-by-name", message)]
