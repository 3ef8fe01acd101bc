"""What a model is to be applied to: files and folders, each image with a name for what will be written."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from delineate import formats
from delineate.dataset.case_files import Problem
from delineate.dataset.channel_files import joined
from delineate.dataset.listing import list_files
from delineate.dataset.naming import SEPARATORS, counted, folded, listed, natural_key, printable, unique_names
from delineate.dataset.roles import bare, role_of_name
from delineate.dataset.series import DicomFiles
from delineate.errors import UsageError
from delineate.files import is_folder
from delineate.formats.regions import is_slide, is_zarr


class GivenImage(NamedTuple):
    """An image to be predicted.

    Attributes:
        name: Unique and safe as a file name.
        files: Its file, its channels' files, or those of its slices; a folder stands for the DICOM series
            in it.
        stack: Whether the files are slices of one DICOM series.
    """

    name: str
    files: tuple[Path, ...]
    stack: bool = False


class PredictionInputs(NamedTuple):
    """What is to be predicted.

    Attributes:
        images: Each with a unique, safe name for what will be written.
        problems: What was given and cannot be predicted; nothing is passed over in silence.
    """

    images: tuple[GivenImage, ...]
    problems: tuple[Problem, ...]


def prediction_inputs(inputs: Sequence[Path], channels: int, *, volumes: bool = False) -> PredictionInputs:
    """The images among files and folders.

    Args:
        inputs: Files, taken whatever their suffix, and folders, not entered further down, but for volumes
            into folders of DICOM files where there are no images beside these.
        channels: Of how many files an image may be made: the model's channels where its colour is "channels",
            else 1. With several, grey files named as nnU-Net names channels (`c_0000.png`, `c_0001.png`) are
            one image. Their numbers go from 0, or are others that are the same of all images.
        volumes: Whether DICOM files of one folder that form a volume are one image, also where they are given
            one by one.

    Returns:
        The images in the order given, those of a folder in natural order, and the problems.
    """
    files: dict[Path, None] = {}
    problems: list[Problem] = []
    for given in inputs:
        if is_zarr(given):
            files[given] = None
        elif is_folder(given):
            below = _folders_of_series(given) if volumes else []
            problems += _beside_series(given, below) if below else []
            for folder in below or [given]:
                inside, found = _in_folder(folder)
                problems += found
                files.update(dict.fromkeys(inside))
        elif os.path.lexists(given):
            files[given] = None
        else:
            message = f"{printable(given)} does not exist. Check the name."
            problems.append(Problem("error", "missing-file", message, (given,)))
    dicom = DicomFiles.among(files) if volumes else DicomFiles({})
    stacks = _stacks(dicom, files)
    torn = dicom.torn(stack.files for stack in stacks)
    spread = dicom.spread(stack.files for stack in stacks)
    problems += [*torn, *spread]
    damaged = {path for problem in torn for path in problem.paths}
    parts = {path for problem in spread for path in problem.paths}
    taken = (damaged | parts).union(path for stack in stacks for path in stack.files)
    torn_folders = {path.parent for path in damaged}
    stacks = [
        stack
        for stack in stacks
        if stack.files[0].parent not in torn_folders and parts.isdisjoint(stack.files)
    ]
    single, found = joined([path for path in files if path not in taken], channels)
    problems += found
    images = [GivenImage(stem, paths) for stem, paths in single] + stacks
    order = {path: at for at, path in enumerate(files)}
    images.sort(key=lambda image: order.get(image.files[0], 0))
    names = unique_names(
        [
            (
                image.name,
                f"{first.parent.name}__{image.name}",
                f"{first.parent.name}__{first.name}".replace(".", "_"),
            )
            for image in images
            for first in image.files[:1]
        ]
    )
    return PredictionInputs(
        tuple(image._replace(name=name) for name, image in zip(names, images, strict=True)), tuple(problems)
    )


def _folders_of_series(folder: Path) -> list[Path]:
    """The folders in a folder without images of its own that hold DICOM files, as one a patient does."""
    try:
        children = sorted(folder.iterdir(), key=lambda path: natural_key(path.name))
        if any(child.is_file() and formats.is_image(child) for child in children):
            return []
        return [
            child
            for child in children
            if child.is_dir() and not child.name.startswith(".") and any(map(formats.is_dicom, _files(child)))
        ]
    except OSError:
        return []


def _beside_series(folder: Path, taken: Collection[Path]) -> list[Problem]:
    """What lies beside folders of DICOM files and is not looked into: an error where there are images."""
    where, problems = printable(folder), []
    listing = list_files(folder, recursive=False)
    others = [path for path in _folders(folder) if path not in taken and path not in listing.skipped]
    further = [path for path in others if _may_hold_images(path)]
    for path in further:
        message = (
            f"{printable(path)} was not looked into, for its images lie further down, are no DICOM files or "
            "cannot be reached. Give the folder that they lie in."
        )
        problems.append(Problem("error", "not-entered", message, (path,)))
    left = [*listing.files, *(path for path in others if path not in further)]
    if left:
        message = (
            f"{counted(len(left), 'file or folder', 'files and folders')} in {where} skipped, without "
            f"images: {listed(path.name for path in left)}."
        )
        problems.append(Problem("warning", "other-files", message, tuple(left)))
    return [*problems, *listing.problems(each=True)]


def _may_hold_images(folder: Path) -> bool:
    """Whether there are images in a folder or further down, or what cannot be looked at."""
    try:
        listing = list_files(folder)
    except UsageError:  # too much to be looked through
        return True
    if listing.broken or listing.closed:
        return True
    return any(_is_image(path) or formats.is_dicom(path) for path in listing.files)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


def _stacks(dicom: DicomFiles, files: Collection[Path]) -> list[GivenImage]:
    """The DICOM series among files that form volumes of several files, called by their folders."""
    by_folder: dict[Path, list[tuple[Path, ...]]] = defaultdict(list)
    for volume in dicom.volumes(files):
        by_folder[volume[0].parent].append(volume)
    return [
        GivenImage(
            folder.absolute().name + (f"_series{number}" if len(inside) > 1 else ""), volume, stack=True
        )
        for folder, inside in by_folder.items()
        for number, volume in enumerate(inside, start=1)
    ]


def _in_folder(folder: Path) -> tuple[list[Path], list[Problem]]:
    listing = list_files(folder, recursive=False)
    zarrs = [path for path in _folders(folder) if is_zarr(path)] if folder not in listing.closed else []
    images = [path for path in listing.files if _is_image(path)]
    if zarrs:
        images = sorted([*images, *zarrs], key=lambda path: natural_key(path.name))
    other = [path for path in listing.files if not _is_image(path)]
    problems = list(listing.problems(each=True))
    where = printable(folder)
    masks = _masks_beside(images)
    if masks:
        message = (
            f"{counted(len(masks), 'file')} in {where} left out, by their names masks of other files there: "
            f"{listed(path.name for path in masks)}. Give a file itself to have it predicted."
        )
        problems.append(Problem("warning", "masks-left-out", message, tuple(masks)))
        left_out = set(masks)
        images = [path for path in images if path not in left_out]
    if other:
        message = (
            f"{counted(len(other), 'file')} in {where} skipped, no pictures by their suffix: "
            f"{listed(path.name for path in other)}. Give a file itself to have it tried."
        )
        problems.append(Problem("warning", "other-files", message, tuple(other)))
    if not images and folder not in listing.closed:
        below = _folders(folder)
        hint = (
            f" It has the sub-folders {listed(path.name for path in below)}: give the one that is meant."
            if below
            else ""
        )
        problems.append(Problem("error", "no-images", f"{where} holds no pictures.{hint}", (folder,)))
    return images, problems


def _is_image(path: Path) -> bool:
    return formats.is_image(path) or is_slide(path)


def _folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir()]


def _masks_beside(files: Sequence[Path]) -> list[Path]:
    """Files named as masks of others: `x_mask.png`, `x_mask_2.png` and `x_lung_mask.png` beside `x.png`."""
    named = [path for path in files if role_of_name(formats.stem_of(path)) == "mask"]
    names = {
        name
        for path in set(files).difference(named)
        for name in (folded(formats.stem_of(path)), bare(formats.stem_of(path), "image"))
    }
    return [path for path in named if not names.isdisjoint(_beginnings(bare(formats.stem_of(path), "mask")))]


def _beginnings(name: str) -> list[str]:
    """A name, and what stands before each of its separators."""
    return [name, *(name[: match.start()] for match in SEPARATORS.finditer(name))]
