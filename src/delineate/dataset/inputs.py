"""What a model is to be applied to: files and folders, each image with a name for what will be written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from delineate import formats
from delineate.dataset.case_files import Problem
from delineate.dataset.listing import list_files
from delineate.dataset.naming import counted, folded, listed, printable, unique_names
from delineate.dataset.nnunet import by_channel
from delineate.dataset.roles import bare, role_of_name
from delineate.errors import ImageError


class PredictionInputs(NamedTuple):
    """What is to be predicted.

    Attributes:
        images: A unique, safe name for each image, and its file or its channels' files.
        problems: What was given and cannot be predicted; nothing is passed over in silence.
    """

    images: tuple[tuple[str, tuple[Path, ...]], ...]
    problems: tuple[Problem, ...]


def prediction_inputs(inputs: Sequence[Path], channels: int) -> PredictionInputs:
    """The images among files and folders.

    Args:
        inputs: Files, taken whatever their suffix, and folders, not entered further down.
        channels: Of how many files an image may be made: the model's channels where its colour is "channels",
            else 1. With several, grey files named as nnU-Net names channels (`c_0000.png`, `c_0001.png`) are
            one image.

    Returns:
        The images in the order given, those of a folder in natural order, and the problems.
    """
    files: dict[Path, None] = {}
    problems: list[Problem] = []
    for given in inputs:
        if given.is_dir():
            inside, found = _in_folder(given)
            files.update(dict.fromkeys(inside))
            problems += found
        elif given.exists():
            files[given] = None
        else:
            message = f"{printable(given)} does not exist. Check the name."
            problems.append(Problem("error", "missing-file", message, (given,)))
    images, found = _joined(list(files), channels)
    problems += found
    names = unique_names(
        [
            (stem, f"{folder}__{stem}", f"{folder}__{first.name}".replace(".", "_"))
            for stem, (first, *_) in images
            for folder in [first.parent.name]
        ]
    )
    return PredictionInputs(
        tuple((name, image) for name, (_, image) in zip(names, images, strict=True)), tuple(problems)
    )


def _in_folder(folder: Path) -> tuple[list[Path], list[Problem]]:
    listing = list_files(folder, recursive=False)
    images = [path for path in listing.files if formats.is_image(path)]
    other = [path for path in listing.files if not formats.is_image(path)]
    problems = list(listing.problems())
    where = printable(folder)
    masks = _masks_beside(images)
    if masks:
        message = (
            f"{counted(len(masks), 'file')} in {where} left out, by their names masks of other files there: "
            f"{listed(path.name for path in masks)}. Give a file itself to have it predicted."
        )
        problems.append(Problem("warning", "masks-left-out", message, tuple(masks)))
        images = [path for path in images if path not in set(masks)]
    if other:
        message = (
            f"{counted(len(other), 'file')} in {where} skipped, no pictures by their suffix: "
            f"{listed(path.name for path in other)}. Give a file itself to have it tried."
        )
        problems.append(Problem("warning", "other-files", message, tuple(other)))
    if not images and folder not in listing.closed:
        below = [path for path in sorted(folder.iterdir()) if path.is_dir()]
        hint = (
            f" It has the sub-folders {listed(path.name for path in below)}: give the one that is meant."
            if below
            else ""
        )
        problems.append(Problem("error", "no-images", f"{where} holds no pictures.{hint}", (folder,)))
    return images, problems


def _masks_beside(files: Sequence[Path]) -> list[Path]:
    """Files named as masks of others: `x_mask.png` beside `x.png`, `mask_7.png` beside `image_7.png`."""
    named = [path for path in files if role_of_name(path.stem) == "mask"]
    names = {
        name
        for path in set(files).difference(named)
        for name in (folded(path.stem), bare(path.stem, "image"))
    }
    return [path for path in named if bare(path.stem, "mask") in names]


def _joined(files: Sequence[Path], channels: int) -> tuple[list[tuple[str, tuple[Path, ...]]], list[Problem]]:
    """Channel files brought together; where the model takes one channel, every file is an image."""
    if channels == 1:
        return [(path.stem, (path,)) for path in files], []
    single: list[tuple[str, tuple[Path, ...]]] = []
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        if path.stem[-5:-4] == "_" and path.stem[-4:].isdigit() and _is_grey(path):
            by_folder[path.parent].append(path)
        else:
            single.append((path.stem, (path,)))
    problems = []
    for folder, paths in by_folder.items():
        for name, numbered in by_channel(paths).items():
            image = tuple(numbered[number] for number in sorted(numbered))
            if len(image) == channels:
                single.append((name, image))
            else:
                message = (
                    f"The image {printable(name)} in {printable(folder)} has "
                    f"{counted(len(image), 'channel file')} "
                    f"({listed(path.name for path in image)}), but the model takes {channels}. Add or remove "
                    "files."
                )
                problems.append(Problem("error", "missing-channel", message, image))
    return single, problems


def _is_grey(path: Path) -> bool:
    """Whether a file has one channel; one that cannot be read is left to the reader to report."""
    try:
        return formats.header(path).channels == 1
    except ImageError:
        return False
