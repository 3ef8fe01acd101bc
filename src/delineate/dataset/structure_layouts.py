"""Layouts in which an image has several masks, one a structure or an object, that are joined into one."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from delineate.dataset.case_files import Problem, Structure, shown
from delineate.dataset.layouts import Found, cases_of, divided, other_folders, parts_not_taken, places_of
from delineate.dataset.listing import Listing
from delineate.dataset.naming import listed, path_key, printable
from delineate.dataset.pairing import Places, unpaired
from delineate.dataset.rivals import rivals
from delineate.dataset.role_assignment import assign
from delineate.dataset.roles import Place
from delineate.dataset.series import DicomFiles, StackPair
from delineate.dataset.structure_files import gather, joined_note
from delineate.dataset.unrecognised import called


def joined_of(
    listing: Listing, pictures: Sequence[Path], dicom: DicomFiles, *, loosely: bool
) -> Found | None:
    """The cases whose masks are joined of several files; None where there are none such."""
    root = listing.root
    places = places_of(pictures, dicom, root, loosely=loosely)
    _, images, masks = assign(places)
    if dicom.volumes(masks):
        return None
    volumes = dicom.volumes(images)
    stacks = {files[0]: files for files in volumes}
    slices = {path for files in volumes for path in files[1:]}
    images = {path: where for path, where in images.items() if path not in slices}
    gathered = gather(images, masks, root, stacks=stacks)
    if gathered is None:
        return None
    problems = [*dicom.torn(volumes, functools.partial(called, root=root)), *gathered.problems]
    problems += dicom.spread(volumes, functools.partial(called, root=root))
    of = gathered.structures
    if not of:
        return "not recognised", (), problems
    joined = {path for structures in of.values() for each in structures for path in each.files}
    used = {*images, *slices, *gathered.left, *joined}
    unused = [path for path in pictures if path not in used]
    alone = [file for path in images if path not in of for file in stacks.get(path, (path,))]
    problems += other_folders(unused, root)
    problems += [unpaired("image", alone, root)] if alone else []
    problems += [unpaired("mask", gathered.left, root)] if gathered.left else []
    pairs = [(image, _first(structures)) for image, structures in of.items() if image not in stacks]
    others = [*gathered.left, *(path for path in unused if path not in masks)]
    problems += [
        _with_all_folders(found, joined, root) for found in rivals(pairs, others, images, places, root)
    ]
    problems += parts_not_taken([places[image] for image in of])
    volumes_found = [
        StackPair(stacks[image], _first(structures), _of_stack(images[image]), images[image].split)
        for image, structures in of.items()
        if image in stacks
    ]
    by_mask = {_first(structures): structures for structures in of.values()}
    cases = tuple(
        replace(case, structures=by_mask[case.mask])
        for case in cases_of(pairs, volumes_found, images)
        if case.mask is not None
    )
    return _in_words(of, images, root), cases, [*problems, joined_note(of, root)]


def _with_all_folders(found: Problem, joined: Collection[Path], root: Path) -> Problem:
    """The error on competing folders with all of those that would be joined."""
    if found.code != "competing-mask-folders":
        return found
    ours, theirs = (sorted({path.parent for path in each}, key=path_key) for each in (joined, found.paths))
    together, others = (
        listed(f"{shown(folder, root)}/" for folder in each)
        for each in (ours, [folder for folder in theirs if folder not in ours])
    )
    message = (
        f"Several folders could hold the masks: {together}, which would be joined, or {others}. Take the one "
        "or the other out of the data, or say which files belong together in a CSV table with the columns "
        "image,mask."
    )
    return replace(found, message=message)


def _first(structures: Sequence[Structure]) -> Path:
    """The file that stands for the whole mask."""
    return structures[0].files[0]


def _of_stack(where: Place) -> str:
    """What the case of a volume of several files is called."""
    return "__".join(filter(None, (where.split, *where.rest)))


def _in_words(of: Mapping[Path, tuple[Structure, ...]], images: Places, root: Path) -> str:
    """The layout of masks that are joined, as it is told to the user."""
    image, structures = max(of.items(), key=lambda item: sum(len(each.files) for each in item[1]))
    folders = listed(sorted({called(path.parent, root) for path in of}), 3)
    files = (shown(path, root) for structure in structures for path in structure.files)
    words = f"images in {folders}, several masks an image, joined: {image.name} with {listed(files, 3)}"
    return printable(words + divided({images[image].split for image in of}))
