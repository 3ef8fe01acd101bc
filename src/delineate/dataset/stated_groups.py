"""What belongs together as the data and the user say: column `group`, patients of DICOM, `--group-regex`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from delineate.dataset.case_files import CaseFiles, Problem
from delineate.dataset.grouping import merge_groups
from delineate.dataset.inspection import ImageFacts
from delineate.dataset.naming import counted, listed
from delineate.errors import UsageError


def group_pattern(group_regex: str | None) -> re.Pattern[str] | None:
    """The option `--group-regex`, compiled.

    Raises:
        UsageError: It is no regular expression.
    """
    if group_regex is None:
        return None
    try:
        return re.compile(group_regex)
    except re.error as error:
        raise UsageError(
            f"--group-regex {group_regex!r} is no regular expression: {error}. An example: '^([^_]+)' takes "
            "what stands before the first underscore."
        ) from error


def one_subject(cases: Sequence[CaseFiles], facts: Mapping[str, ImageFacts]) -> bool:
    """Whether all files name the same subject, as they do where all were anonymised alike."""
    subjects = {facts[case.name].subject for case in cases}
    return len(cases) > 1 and len(subjects) == 1 and None not in subjects


def by_subject(
    cases: Sequence[CaseFiles], facts: Mapping[str, ImageFacts], *, patterned: bool = False
) -> tuple[tuple[CaseFiles, ...], list[Problem]]:
    """The cases with the subject that their files name as their group, where the data state no other.

    Where the data state a group of some cases of a subject, its other cases belong to that group, too. But
    where all files name the same subject and groups are stated otherwise, these hold alone.

    Args:
        cases: The cases.
        facts: Of their images.
        patterned: Whether a pattern finds groups in the names.

    Returns:
        The cases, and what is to be said. Subjects are numbered, never named.
    """
    if one_subject(cases, facts) and (patterned or len({case.group for case in cases} - {None}) > 1):
        message = (
            f"The files of all {len(cases)} cases name one patient, as they do where all were anonymised "
            "alike: the groups that are stated hold instead. If it is one patient, the score tells nothing "
            "of others."
        )
        return tuple(cases), [Problem("note", "same-patient", message)]
    stated: dict[str, dict[str, None]] = defaultdict(dict)
    for case in cases:
        subject = facts[case.name].subject
        if subject is not None and case.group is not None:
            stated[subject][case.group] = None
    number: dict[str, int] = {}
    grouped = []
    for case in cases:
        subject = facts[case.name].subject
        if case.group is None and subject is not None:
            own = number.setdefault(subject, len(number) + 1)
            case = replace(case, group=next(iter(stated[subject]), f"patient {own}"))  # noqa: PLW2901
        grouped.append(case)
    problems = []
    several = sum(len(groups) > 1 for groups in stated.values())
    if several:
        message = (
            f"According to the file headers, the cases of {counted(several, 'patient')} are spread over "
            "several of your groups and may end up in different parts, which inflates the score. Give each "
            "patient one group."
        )
        problems.append(Problem("warning", "divided-patients", message))
    elif number:
        message = f"The files tell of {counted(len(number), 'patient')}; the cases of one stay together."
        problems.append(Problem("note", "patients", message))
    return tuple(grouped), problems


def stated_groups(
    cases: Sequence[CaseFiles],
    pattern: re.Pattern[str] | None,
    conceal: Callable[[Mapping[str, str | None]], Mapping[str, str | None]],
) -> tuple[Mapping[str, str | None], list[Problem]]:
    """The group of each case by the data and by the pattern.

    Args:
        cases: The cases.
        pattern: Finds the group in the plain name of a case: its first bracketed part, else the whole match.
        conceal: Puts codes in place of groups whose names tell too much.

    Returns:
        For each case its group, or None where nobody states one; and what is to be said. Where both the data
        and the pattern state groups, cases that share either have the same one.
    """
    by_data = {case.name: case.group for case in cases}
    if pattern is None:
        return by_data, []
    by_name: dict[str, str | None] = {}
    for case in cases:
        match = pattern.search(case.plain)
        by_name[case.name] = ((match[1] if pattern.groups else match[0]) if match else None) or None
    by_name, problems = _apart_by_part(cases, conceal(by_name))
    groups, found = _both(by_data, by_name)
    problems += found
    without = [name for name, group in by_name.items() if group is None]
    if without:
        message = (
            f"--group-regex {pattern.pattern!r} finds no group in {len(without)} of {len(cases)} names: "
            f"{listed(without)}. Change it so that it finds one in each."
        )
        problems.append(Problem("error", "no-group", message))
    return groups, problems


def _apart_by_part(
    cases: Sequence[CaseFiles], by_name: Mapping[str, str | None]
) -> tuple[dict[str, str | None], list[Problem]]:
    """The groups by name, those in several parts of a given split told apart if the parts name files alike.

    Where each part counts anew, `001` in two of them may be two patients. Else it is one.
    """
    part_of = {case.name: case.split or "train" for case in cases}  # nnU-Net marks the test part alone
    by_plain_name: dict[str, set[str]] = defaultdict(set)
    by_group: dict[str | None, set[str]] = defaultdict(set)
    for case in cases:
        by_plain_name[case.plain].add(part_of[case.name])
        by_group[by_name[case.name]].add(part_of[case.name])
    alike = {by_name[case.name] for case in cases if len(by_plain_name[case.plain]) > 1}
    several = [
        group for group, parts in by_group.items() if group in alike and group is not None and len(parts) > 1
    ]
    if not several:
        return dict(by_name), []
    apart = {
        name: f"{group} ({part_of[name]})" if group in several and part_of[name] != "train" else group
        for name, group in by_name.items()
    }
    message = (
        "Parts of the given split use the same file names, so that names do not tell whether the same people "
        f"are meant: {counted(len(several), 'group')} by --group-regex in more than one part "
        f"({listed(several)}), taken for other ones in each. If they are the same patients, the score is "
        "better than on new ones: state the groups in a CSV table with the columns image,mask,group,split."
    )
    return apart, [Problem("warning", "groups-named-alike", message)]


def _both(
    by_data: Mapping[str, str | None], by_name: Mapping[str, str | None]
) -> tuple[Mapping[str, str | None], list[Problem]]:
    """The groups by name, put together where the data's groups link them."""
    members: dict[str, list[str]] = defaultdict(list)
    for name, group in by_data.items():
        if group is not None:
            members[group].append(name)
    if not members:
        return by_name, []
    merged = merge_groups(by_name, tuple(tuple(names) for names in members.values()))
    known = {name for name in by_name if by_name[name] is not None or by_data[name] is not None}
    groups = {name: group if name in known else None for name, group in merged.items()}
    message = (
        "Cases that share a group in the data or a group by --group-regex are kept together: "
        f"{counted(len(members), 'group')} there and {len(set(by_name.values()) - {None})} by name make "
        f"{len(set(groups.values()) - {None})}."
    )
    return groups, [Problem("note", "groups-joined", message)]
