"""A data set looked at before anything is learnt: every file decoded, all problems told at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from delineate.dataset import image_findings, set_findings
from delineate.dataset.case_files import CaseFiles, Discovery, Problem
from delineate.dataset.check_report import (
    ChannelIntensity,
    CheckReport,
    Sizes,
)
from delineate.dataset.concealing import concealed, telling_structures
from delineate.dataset.discover import discover
from delineate.dataset.duplicates import alike_in_order, exact_duplicates, near_duplicates
from delineate.dataset.grouping import merge_groups
from delineate.dataset.inspection import (
    ImageFacts,
    Inspected,
    in_threads,
    inspect_case,
)
from delineate.dataset.mask_check import MaskWishes, check_masks
from delineate.dataset.mask_shelf import MaskShelf
from delineate.dataset.masks import MaskEncoding
from delineate.dataset.pseudonyms import Pseudonyms
from delineate.dataset.shared_folders import shared_folders
from delineate.dataset.stated_groups import by_subject, group_pattern, one_subject, stated_groups
from delineate.dataset.structure_check import painted_names, settled
from delineate.dataset.telling_names import telling_names
from delineate.files import as_path
from delineate.formats import USUAL, Reading
from delineate.image import Colour, LabelSet

__all__ = ["ChannelIntensity", "CheckReport", "Sizes", "check"]
Progress = Callable[[str, int, int], None]


def check(
    data: Path | str,
    *,
    labels: str | None = None,
    group_regex: str | None = None,
    expected: LabelSet | None = None,
    encoding: MaskEncoding | None = None,
    reading: Reading = USUAL,
    pseudonyms: Pseudonyms | None = None,
    pooled: bool = False,
    order: Sequence[str] = (),
    progress: Progress | None = None,
) -> CheckReport:
    """Check a data set.

    Args:
        data: The folder, or a CSV table.
        labels: What the mask values mean, where that is to be decided by hand.
        group_regex: Finds the group in a case's name, without the part or folder that may tell it from others
            of that name: its first bracketed part, else the whole match. Groups that the data state hold as
            well.
        expected: The labels of a model to be scored on these data. A label may then be in no mask, all masks
            may be empty, and labels with the model's names get its order: the report's encoding has exactly
            `expected`. As many labels of other names are left as they are.
        encoding: That of the training data, to read these masks by, unless `labels` says otherwise. Values
            that it does not know are errors.
        reading: How the files are to be read.
        pseudonyms: Codes for names that tell too much; None for new ones.
        pooled: Whether folds will be drawn from all cases but those marked as test, so that a mark as
            validation means nothing.
        order: Names of the structures of the training data's joined masks, each painted over those before:
            these are joined likewise where they have no others.
        progress: Told the stage, how much of it is done, and of how much.

    Returns:
        Everything found; `ok` says whether training can begin.

    Raises:
        UsageError: There is no such folder, or the regular expression is none.
    """
    tell = progress or _silent
    pattern = group_pattern(group_regex)
    discovery = discover(as_path(data))
    problems = list(discovery.problems)
    shelf = MaskShelf(reading)
    inspected: Sequence[Inspected] = tuple(
        in_threads(
            lambda case: inspect_case(case, shelf),
            discovery.cases,
            lambda done, total: tell("reading images and masks", done, total),
        )
    )
    inspected, found = settled(inspected, shelf, order)
    problems += found
    hidden = concealed(inspected, discovery, pseudonyms or Pseudonyms(), Path(data))
    inspected, discovery = hidden.inspected, hidden.discovery
    if (refused := telling_structures(hidden)) is not None:
        inspected, problems = (), [refused]
        discovery = replace(discovery, layout="not recognised", cases=(), problems=(), label_names=None)
    problems += image_findings.unreadable(inspected, discovery.root)
    problems += image_findings.size_mismatches(inspected, discovery.root)
    problems += image_findings.unplaced_masks(inspected, discovery.root)
    cases = tuple(item.case for item in inspected if _usable(item))
    facts = {item.case.name: item.image for item in inspected if item.image is not None}
    wishes = MaskWishes(labels, expected, encoding)
    masks = check_masks(inspected, cases, discovery, wishes, shelf=shelf, tell=tell)
    problems += masks.problems
    colour, channels, found = _of_images(facts, discovery)
    problems += found
    axes, orientation, found = _of_space(facts, discovery)
    problems += found
    cases, found = by_subject(cases, facts, patterned=pattern is not None)
    problems += found
    subjects_aside = any(problem.code == "same-patient" for problem in found)
    marked = tuple(map(_in_pool, cases)) if pooled else cases
    groups, found = stated_groups(marked, pattern, hidden.groups)
    problems += found
    tell("comparing images", 0, 1)
    exact, near = exact_duplicates(facts), near_duplicates(facts)
    together = 2 * max((len(group) for group in near), default=0) <= len(facts)
    tell("comparing images", 1, 1)
    split_given = any(case.held_out for case in marked)
    drawn = tuple(case for case in marked if not case.held_out) if pooled or not split_given else ()
    problems += set_findings.duplicates(
        exact, near, masks.digests, near_kept_together=together, split_given=split_given
    )
    stated = {name: group for name, group in groups.items() if group is not None}
    if not stated:
        in_order = alike_in_order({hidden.called[case.name]: facts[case.name] for case in drawn})
        problems += set_findings.sequence(in_order)
        problems += shared_folders(marked, discovery.root, drawn=drawn)
        problems += telling_names(drawn or marked, split_given=not drawn)
    problems += set_findings.straddling(marked, exact, near, stated)
    if discovery.cases and not any(problem.level == "error" for problem in problems):
        merged = merge_groups(groups, (*exact, *(near if together else ())))
        problems += set_findings.too_few(marked, merged, stated, same_patient=one_subject(cases, facts))
    rank = {"error": 0, "warning": 1, "note": 2}
    return CheckReport(
        discovery=replace(discovery, problems=hidden.told(discovery.problems)),
        cases=cases,
        encoding=masks.encoding,
        problems=hidden.told(sorted(problems, key=lambda problem: rank[problem.level])),
        sizes=_sizes(facts),
        channels=channels,
        colour=colour,
        intensities=_intensities(facts, channels, discovery.channel_names),
        labels_by_case=masks.labels_by_case,
        duplicate_groups=exact,
        near_duplicate_groups=near,
        keep_near_together=together,
        groups=groups,
        axes=axes,
        orientation=orientation,
        subjects={
            name: image.subject
            for name, image in facts.items()
            if image.subject is not None and not subjects_aside
        },
        diagonals_mm={
            name: image.diagonal_mm for name, image in facts.items() if image.diagonal_mm is not None
        },
        sizes_by_case={case.name: facts[case.name].size for case in cases},
        reading=reading,
        pseudonyms=hidden.pseudonyms,
        order=painted_names(inspected, shelf.order),
    )


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass


def _usable(item: Inspected) -> bool:
    return not item.errors and item.image is not None and item.mask_size is not None and not item.misfit


def _in_pool(case: CaseFiles) -> CaseFiles:
    """The case, marked to train on where it is marked as validation."""
    return replace(case, split="train") if case.split == "validation" else case


def _of_space(
    facts: Mapping[str, ImageFacts], discovery: Discovery
) -> tuple[Literal[2, 3], str | None, list[Problem]]:
    """Pictures or volumes, how volumes are to be turned, and what is to be said of it."""
    if not facts:
        return 2, None, []
    axes, problems = image_findings.axes_of(facts, discovery.cases, discovery.root)
    if axes == 2:
        return 2, None, problems
    orientation, found = image_findings.orientation_of(facts)
    return 3, orientation, problems + found + image_findings.unknown_spacings(facts)


def _of_images(facts: Mapping[str, ImageFacts], discovery: Discovery) -> tuple[Colour, int, list[Problem]]:
    """How to read the channels, and all that is to be said of the images alone."""
    if not facts:
        return "grey", 1, []
    colour, channels, problems = image_findings.colour_of(facts, discovery.cases, discovery.root)
    for find in (
        image_findings.pixel_types,
        image_findings.constant_images,
        image_findings.intensity_outliers,
        image_findings.reader_notes,
    ):
        problems += find(facts)
    return colour, channels, problems


def _sizes(facts: Mapping[str, ImageFacts]) -> Sizes | None:
    if not facts:
        return None
    axes = Counter(len(image.size) for image in facts.values()).most_common(1)[0][0]
    kept = [image for image in facts.values() if len(image.size) == axes]
    sizes = np.array([image.size for image in kept])
    smallest, median, largest = (
        tuple(np.rint(reduce(sizes, axis=0)).astype(int).tolist()) for reduce in (np.min, np.median, np.max)
    )
    known = [image.geometry.spacing_mm for image in kept if image.geometry.spacing_mm is not None]
    spacing = tuple(np.median(np.array(known), axis=0).tolist()) if len(known) == len(kept) else None
    return Sizes(smallest, median, largest, len({image.size for image in kept}), spacing)


def _intensities(
    facts: Mapping[str, ImageFacts], channels: int, names: tuple[str, ...] | None
) -> tuple[ChannelIntensity, ...]:
    """Summed up over the set; an image whose channels are all equal counts for each."""
    found = []
    if names is None or len(names) != channels:
        names = {1: ("grey",), 3: ("red", "green", "blue")}.get(
            channels, tuple(f"channel {n}" for n in range(channels))
        )
    images = [image for image in facts.values() if image.equal_channels or image.channels == channels]
    if not images:
        return ()
    for channel, name in enumerate(names):
        low, high, means, deviations = (
            np.array([values[min(channel, len(values) - 1)] for values in column])
            for column in zip(
                *((i.minimum, i.maximum, i.mean, i.standard_deviation) for i in images), strict=True
            )
        )
        spread = float(np.sqrt(np.mean(deviations**2 + means**2) - means.mean() ** 2))
        found.append(ChannelIntensity(name, float(low.min()), float(high.max()), float(means.mean()), spread))
    return tuple(found)
