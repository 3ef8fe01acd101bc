"""Layouts told by folders and names: `images/` with `masks/`, split sub-folders, side by side, flat."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from delineate import formats
from delineate.dataset.case_files import CaseFiles, Problem, Split, shown
from delineate.dataset.listing import Listing
from delineate.dataset.naming import (
    counted,
    listed,
    natural_key,
    path_key,
    printable,
    safe_name,
    unique_names,
)
from delineate.dataset.pairing import Places, pair
from delineate.dataset.rivals import competing_folders, rivals
from delineate.dataset.role_assignment import assign
from delineate.dataset.roles import Place, bare, like_a_part, own_folders, place
from delineate.dataset.series import DicomFiles, StackPair, pair_stacks
from delineate.dataset.unrecognised import called, no_pairs, one_side_missing

Found = tuple[str, tuple[CaseFiles, ...], list[Problem]]


def places_of(pictures: Sequence[Path], dicom: DicomFiles, root: Path, *, loosely: bool) -> dict[Path, Place]:
    """What the folders of pictures say; DICOM segmentations are masks wherever they lie."""
    places = {path: place(path.relative_to(root).parts[:-1], loosely=loosely) for path in pictures}
    return places | {path: replace(places[path], role="mask") for path in dicom.segmentations()}


def pairs_of(listing: Listing, pictures: Sequence[Path], dicom: DicomFiles, *, loosely: bool) -> Found:
    """The pairs by folders that say nothing but their role or, loosely, by such as `lung_masks`."""
    root = listing.root
    places = places_of(pictures, dicom, root, loosely=loosely)
    manner, images, masks = assign(places)
    unused = [path for path in pictures if path not in images and path not in masks]
    problems = [*competing_folders(masks, root), *other_folders(unused, root)]
    competing = {path for problem in problems if problem.level == "error" for path in problem.paths}
    masks = {path: where for path, where in masks.items() if path not in competing}
    if not images or not masks:
        if not competing:
            problems.insert(0, one_side_missing(listing, images, masks))
        return "not recognised", (), problems
    pairs, found = pair(images, masks, root)
    stacks: list[StackPair] = []
    paired = {path for files in pairs for path in files}
    volumes = [files for files in dicom.volumes(images) if not paired & set(files)]
    problems += dicom.torn(volumes, functools.partial(called, root=root))
    spread = dicom.spread(volumes, functools.partial(called, root=root))
    problems += spread
    parts = {path for problem in spread for path in problem.paths}
    volumes = [files for files in volumes if parts.isdisjoint(files)]
    images = {path: where for path, where in images.items() if path not in parts}
    if volumes or spread:
        free = {path: where for path, where in masks.items() if path not in paired}
        stacks, of_stacks = pair_stacks(volumes, images, free, dicom)
        slices = {path for files in stacks for path in files.files}
        several = _several_series(volumes, slices, root)
        problems += several
        slices |= {path for problem in several for path in problem.paths}
        images = {path: where for path, where in images.items() if path not in slices}
        masks = {path: where for path, where in masks.items() if path not in of_stacks}
        pairs, found = pair(images, masks, root)
    problems += found
    if not pairs and not stacks:
        return "not recognised", (), [*problems, no_pairs(listing, images, masks)]
    chosen = {mask for _, mask in pairs}
    left = [*(path for path in masks if path not in chosen), *unused]
    problems += rivals(pairs, left, images, places, root)
    problems += _across(pairs, places, root)
    problems += parts_not_taken(
        [places[file] for file in (*(i for i, _ in pairs), *(s.files[0] for s in stacks))]
    )
    words = _in_words(manner, pairs, images, root) if pairs else ""
    if stacks:
        words = "; ".join(filter(None, (words, _stacks_in_words(stacks, root))))
    return words, cases_of(pairs, stacks, images), problems


def other_folders(left: Iterable[Path], root: Path) -> list[Problem]:
    """A note on pictures in folders that hold neither images nor masks."""
    files = sorted(left, key=path_key)
    count = Counter(path.parent for path in files)
    if not count:
        return []
    folders = sorted(count, key=lambda folder: natural_key(str(folder)))
    names = listed(
        f"{shown(f, root)}/ ({counted(count[f], 'file')})"
        if f != root
        else f"{counted(count[f], 'file')} at the top"
        for f in folders
    )
    return [
        Problem(
            "note",
            "unused-folder",
            f"Pictures not used, being neither images nor masks by their folder: {names}.",
            tuple(files),
        )
    ]


def parts_not_taken(places: Sequence[Place]) -> list[Problem]:
    """Folders of some cases that may be meant for parts of a split, but state none."""
    everywhere = set.intersection(*(set(where.rest) for where in places))
    folders = {part for where in places if where.split is None for part in where.rest if like_a_part(part)}
    names = sorted(folders - everywhere, key=natural_key)
    if not names:
        return []
    message = (
        f"Folders that are not taken for parts of a split: {listed(f'{name}/' for name in names)}. If they "
        "are parts, call them train, val and test, or state the parts in a CSV table with the columns "
        "image,mask,split."
    )
    return [Problem("warning", "parts-not-taken", message)]


def _across(pairs: Sequence[tuple[Path, Path]], places: Places, root: Path) -> list[Problem]:
    """A note where images and masks lie in folders that are called otherwise and not beside each other."""
    for image, mask in pairs:
        if all(own_folders(places[image], places[mask])) and image.parent.parent != mask.parent.parent:
            message = (
                f"Images in {called(image.parent, root)} were paired with masks in "
                f"{called(mask.parent, root)} by the names of the files alone. If these folders do not "
                "belong together, say which files do in a CSV table with the columns image,mask."
            )
            return [Problem("note", "paired-across-folders", message, (image, mask))]
    return []


def _several_series(
    volumes: Sequence[tuple[Path, ...]], paired: Collection[Path], root: Path
) -> list[Problem]:
    """Folders with several DICOM series, of which it cannot be told which belongs to which mask."""
    by_folder: dict[Path, list[tuple[Path, ...]]] = defaultdict(list)
    for files in volumes:
        by_folder[files[0].parent].append(files)
    problems = []
    for folder, inside in by_folder.items():
        left = [files for files in inside if files[0] not in paired]
        if len(inside) > 1 and left:
            firsts = listed(f"{len(files)} slices with {files[0].name}" for files in inside)
            message = (
                f"{called(folder, root)} holds {len(inside)} DICOM series ({firsts}), and it cannot be told "
                "which of them a mask belongs to. Give each series a folder of its own, named as its mask."
            )
            paths = tuple(path for files in left for path in files)
            problems.append(Problem("error", "several-series", message, paths))
    return problems


def _stacks_in_words(stacks: Sequence[StackPair], root: Path) -> str:
    """Volumes of several files, as they are told to the user."""
    first = stacks[0]
    image, mask = shown(first.files[0].parent, root), shown(first.mask, root)
    words = f"{counted(len(stacks), 'DICOM series', 'DICOM series')}: {image}/ with {mask}"
    return printable(words + divided({stack.split for stack in stacks}))


def cases_of(
    pairs: Sequence[tuple[Path, Path]], stacks: Sequence[StackPair], images: Places
) -> tuple[CaseFiles, ...]:
    """The cases, named by file, or by folder and file where that is needed to tell them apart."""
    rests = [images[image].rest for image, _ in pairs]
    common = 0
    while rests and len({rest[: common + 1] for rest in rests}) == 1 and len(rests[0]) > common:
        common += 1
    alternatives = []
    for image, _ in pairs:
        folders = images[image].rest[common:]
        own = formats.stem_of(image)
        stem = () if folders and not bare(own, "image") else (own,)  # p1/image.png is p1
        split = images[image].split
        plain = "__".join((*folders, *stem))
        alternatives.append(
            [plain, f"{split}__{plain}", f"{split}__{plain}{formats.suffix_of(image)}".replace(".", "_")]
        )
    alternatives += [[stack.name, f"{stack.files[0].parent.name}__{stack.name}"] for stack in stacks]
    names = unique_names(alternatives)
    cases = [
        CaseFiles(name, (image,), mask, None, images[image].split, plain=safe_name(shortest))
        for name, (shortest, *_), (image, mask) in zip(names, alternatives, pairs, strict=False)
    ]
    for name, stack in zip(names[len(pairs) :], stacks, strict=True):
        plain = safe_name(stack.name.removeprefix(f"{stack.split}__"))
        cases.append(CaseFiles(name, stack.files, stack.mask, None, stack.split, stack=True, plain=plain))
    return tuple(sorted(cases, key=lambda case: natural_key(case.name)))


def _in_words(manner: str, pairs: Sequence[tuple[Path, Path]], images: Places, root: Path) -> str:
    """The layout as it is told to the user."""
    image, mask = pairs[0]
    if manner == "names" and image.parent == mask.parent:
        words = f"images and masks side by side, told apart by name: {image.name} with {mask.name}"
    else:
        where = [
            listed(sorted({called(path.parent, root) for path in side}), 3)
            for side in zip(*pairs, strict=True)
        ]
        words = f"images in {where[0]}, masks in {where[1]}: {image.name} with {mask.name}"
    words += divided({images[image].split for image, _ in pairs})
    subfolders = {images[image].rest for image, _ in pairs}
    if len(subfolders) > 1:
        words += f"; in {len(subfolders)} sub-folders"
    return printable(words)


def divided(splits: Collection[Split | None]) -> str:
    """The parts that folders name, as they are told to the user; nothing where they name none."""
    named = [split for split in ("train", "validation", "test") if split in splits]
    return f"; divided by folder into {', '.join(named)}" if named else ""
