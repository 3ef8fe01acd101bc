"""Problems of a set as a whole: what is there twice, what the split tears apart, what is too little."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from delineate.dataset.case_files import CaseFiles, Problem
from delineate.dataset.grouping import by_part
from delineate.dataset.naming import counted, listed

Groups = Sequence[Sequence[str]]
FEW_CASES = 3
SEQUENCE_SHARE = 0.5


def duplicates(
    exact: Groups,
    near: Groups,
    mask_digests: Mapping[str, str],
    *,
    near_kept_together: bool,
    split_given: bool,
) -> list[Problem]:
    """Images that are there twice, and whether their masks agree.

    Args:
        exact: Names of images with the same pixels.
        near: Names of images nearly the same.
        mask_digests: Of the masks, by name.
        near_kept_together: Whether a split that is drawn keeps those nearly the same together.
        split_given: Whether the data say what is held out; what this divides is told by `straddling`.
    """
    problems = []
    if exact:
        then = "Keep" if split_given else "Each group is kept in one part of the split; better keep"
        message = (
            f"{counted(len(exact), 'group')} of images with exactly the same pixels: {_grouped(exact)}. "
            f"{then} one image of each."
        )
        problems.append(Problem("warning", "duplicate", message))
    if near:
        message = (
            f"{counted(len(near), 'group')} of images nearly the same (repeated shots, recompressed copies): "
            f"{_grouped(near)}."
        )
        if not near_kept_together:
            message += (
                " More than half of the set is one such group, so a split that is drawn does not keep them "
                "together, which inflates the score: state real groups (patients, videos) with --group-regex "
                "or in a CSV table."
            )
        elif not split_given:
            message += " Each group is kept in one part of a split that is drawn."
        problems.append(Problem("warning", "near-duplicate", message))
    disagreeing = [g for g in exact if len({mask_digests[name] for name in g if name in mask_digests}) > 1]
    if disagreeing:
        message = (
            f"{counted(len(disagreeing), 'group')} of identical images with different masks: "
            f"{_grouped(disagreeing)}. At most one "
            "mask of each can be right, or two people drew them: look, and keep one."
        )
        problems.append(Problem("warning", "same-image-different-masks", message))
    return problems


def sequence(share_alike: float) -> list[Problem]:
    """Whether the images seem to be slices or frames in a row, of which nobody said what belongs together."""
    if share_alike < SEQUENCE_SHARE:
        return []
    message = (
        f"Images that follow one another by name look alike ({share_alike:.0%} of them): they seem to be "
        "slices of a "
        "volume or frames of a video. A random split puts neighbours into different parts, which inflates "
        "the "
        "score. Say what belongs together with --group-regex ('^(.*)\\d$' makes blocks of ten of names that "
        "end in a "
        "number) or in a CSV table with a column group."
    )
    return [Problem("warning", "sequence", message)]


def straddling(
    cases: Sequence[CaseFiles], exact: Groups, near: Groups, stated: Mapping[str, str]
) -> list[Problem]:
    """What stands in several parts of a split that the data prescribe."""
    part = {case.name: case.split for case in cases if case.split}
    by_group: dict[str, list[str]] = defaultdict(list)
    for name, group in stated.items():
        by_group[group].append(name)
    kinds = (
        ("duplicate-across-split", exact, "Identical images stand"),
        ("group-across-split", list(by_group.values()), "Cases of one group stand"),
        ("near-duplicate-across-split", near, "Nearly identical images stand"),
    )
    problems = []
    for code, groups, what in kinds:
        across = [group for group in groups if len({part.get(name) for name in group} - {None}) > 1]
        if across:
            lines = [by_part(group, part) for group in across]
            shown = _grouped(lines) if code != "group-across-split" else _listed_groups(lines)
            message = (
                f"{what} in different parts of the given split, which inflates the score: {shown}. "
                "Move each group into one part, or keep one image of it."
            )
            problems.append(Problem("warning" if groups is near else "error", code, message))
    return problems


def label_problems(
    labels_by_case: Mapping[str, Sequence[str]], names: Sequence[str], *, only_scored: bool = False
) -> list[Problem]:
    """Empty masks, and labels in very few cases.

    Args:
        labels_by_case: The labels in each case's mask, of the cases that could be read.
        names: All labels.
        only_scored: Whether nothing is learnt from these cases, so that a label may be missing altogether.
    """
    if not labels_by_case:
        return []
    empty = [name for name, labels in labels_by_case.items() if not labels]
    if len(empty) == len(labels_by_case) and only_scored:
        message = (
            f"All {counted(len(empty), 'mask')} are empty: the scores tell only what is found where there is "
            "nothing. If something was to be seen, check how the masks were exported."
        )
        return [Problem("warning", "all-masks-empty", message)]
    if len(empty) == len(labels_by_case):
        message = (
            f"All {counted(len(empty), 'mask')} are empty: nothing to learn. Check how they were exported."
        )
        return [Problem("error", "all-masks-empty", message)]
    problems = []
    if empty:
        message = (
            f"Empty masks, {len(empty)} of {len(labels_by_case)}: {listed(empty)}. They count as images "
            "that show nothing "
            "of what is sought; take them out if they were merely not drawn."
        )
        problems.append(Problem("warning", "empty-mask", message))
    count = Counter(label for labels in labels_by_case.values() for label in labels)
    rare = [f"{name} ({count[name]})" for name in names if count[name] < FEW_CASES]
    if rare:
        todo = (
            "Too few to score it well."
            if only_scored
            else "Too few to learn and to score; add cases, or leave the label out with --labels."
        )
        message = f"{counted(len(rare), 'label')} in fewer than {FEW_CASES} cases: {listed(rare)}. {todo}"
        problems.append(Problem("warning", "rare-label", message))
    return problems


def too_few(
    cases: Sequence[CaseFiles],
    groups: Mapping[str, str],
    stated: Mapping[str, str],
    *,
    same_patient: bool,
) -> list[Problem]:
    """Whether there is something to learn from and something to check with.

    Args:
        cases: The usable ones.
        groups: For each what it must not be split from.
        stated: The groups that the data or the user state, where they do.
        same_patient: Whether all files name the same one.
    """
    parts = {case.split for case in cases}
    if cases and parts <= {"test", "validation"}:
        message = (
            "Nothing is left to train on: all cases are marked as validation or test. Mark some as train."
        )
        return [Problem("error", "no-training-cases", message)]
    fitting = [case for case in cases if case.split != "test"]
    if "validation" in parts or not fitting:
        return []
    if len(fitting) < 2:
        message = (
            "Only one image with a mask can be used. At least 2 are needed, one to train and one to check "
            "with, and 20 or "
            "more for a model worth having."
        )
        return [Problem("error", "too-few-cases", message)]
    if len({groups[case.name] for case in fitting}) < 2:
        number = len(fitting)
        named = {stated.get(case.name) for case in fitting}
        if named == {None}:
            message = (
                f"All {number} images show the same picture, so none can be held out to check with. Add "
                "other images."
            )
        elif len(named) > 1:
            message = (
                f"All {number} cases belong to one group, since images that are there twice join the groups "
                "that are stated; none can be held out to check with. Add cases of another patient, or take "
                "the copies out."
            )
        else:
            message = (
                f"All {number} cases belong to one group, so none can be held out to check with. Add cases "
                "of another patient, or group by something else."
            )
            if same_patient:
                message += (
                    " All files name one patient: if they were anonymised alike, say whose each image is "
                    "in a CSV table with a column group, or by its name with --group-regex."
                )
        return [Problem("error", "one-group", message)]
    return []


def _listed_groups(groups: Groups) -> str:
    """Groups of cases that are not the same image."""
    shown = "; ".join(listed(group, 6) for group in groups[:12])
    return shown + (f"; and {len(groups) - 12} more groups" if len(groups) > 12 else "")


def _grouped(groups: Groups) -> str:
    return listed(
        (" = ".join(group[:6]) + (f" = … ({len(group)})" if len(group) > 6 else "") for group in groups), 12
    )
