"""Files that are one channel each, brought together by the numbers at the end of their names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from delineate import formats
from delineate.dataset.case_files import Problem
from delineate.dataset.naming import counted, listed, printable
from delineate.dataset.nnunet import by_channel, channel_of
from delineate.errors import ImageError


def joined(files: Sequence[Path], channels: int) -> tuple[list[tuple[str, tuple[Path, ...]]], list[Problem]]:
    """Channel files brought together; where the model takes one channel, every file is an image.

    Args:
        files: To be predicted.
        channels: Of how many files an image may be made.

    Returns:
        Each image's name and files, and the problems.
    """
    if channels == 1:
        return [(formats.stem_of(path), (path,)) for path in files], []
    single: list[tuple[str, tuple[Path, ...]]] = []
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        stem = formats.stem_of(path)
        if stem[-5:-4] == "_" and stem[-4:].isdigit() and _is_grey(path):
            by_folder[path.parent].append(path)
        else:
            single.append((stem, (path,)))
    joined: list[tuple[str, tuple[Path, ...]]] = []
    problems = []
    wanted = _numbers(by_folder.values(), channels)
    for folder, paths in by_folder.items():
        doubled = _doubled(paths)
        for name, numbered in by_channel(paths).items():
            image = tuple(numbered[number] for number in sorted(numbered))
            if name in doubled:
                problems.append(_same_channel(folder, doubled[name]))
            elif set(numbered) == wanted:
                joined.append((name, image))
            elif len(image) > channels:
                problems.append(_too_many(folder, name, image, channels))
            else:
                problems.append(_incomplete(folder, numbered, wanted))
    if 0 not in wanted and len(joined) == 1:
        problems.append(_alone(joined[0][1]))
    return single + joined, problems


def _doubled(paths: Sequence[Path]) -> Mapping[str, list[Path]]:
    """By image the files that are the same channel of it."""
    times = Counter(map(channel_of, paths))
    doubled: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        if times[channel_of(path)] > 1:
            doubled[channel_of(path)[0]].append(path)
    return doubled


def _same_channel(folder: Path, files: Sequence[Path]) -> Problem:
    message = (
        f"Several files in {printable(folder)} are the same channel of one image: "
        f"{listed(path.name for path in files)}. Keep one of each."
    )
    return Problem("error", "doubled-channel", message, tuple(files))


def _too_many(folder: Path, name: str, files: tuple[Path, ...], channels: int) -> Problem:
    """Numbered files that are more than an image has channels: the numbers may be those of images."""
    some = listed((path.name for path in files), 3)
    message = (
        f"{len(files)} files in {printable(folder)} differ in the number at their end alone ({some}), "
        f"and have one channel each. The model takes {channels}: of one image {printable(name)} they are too "
        "many, and each as an image has too few. Call the channels of an image by its name with _0000 to "
        f"_{channels - 1:04d} behind it."
    )
    return Problem("error", "missing-channel", message, files)


def _incomplete(folder: Path, numbered: Mapping[int, Path], wanted: set[int]) -> Problem:
    """Files of an image that are too few, or have other numbers."""
    image = tuple(numbered[number] for number in sorted(numbered))
    has, takes, todo = counted(len(image), "channel file"), str(len(wanted)), ". Add the missing files."
    if len(image) == len(wanted):
        missing = wanted.difference(numbered)
        has, takes = f"the channel files {_told(numbered)}", _told(wanted)
        lacking = f"{_told(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        todo = f": {lacking}. Add what is missing, or rename them."
    message = (
        f"An image in {printable(folder)} has {has} ({listed(path.name for path in image)}), but the "
        f"model takes {takes}{todo}"
    )
    return Problem("error", "missing-channel", message, image)


def _alone(files: tuple[Path, ...]) -> Problem:
    """What to say of files joined by numbers not from 0, where no other image has the same ones."""
    message = (
        f"{listed(path.name for path in files)} were taken for the channels of one image, in this order. If "
        "they are images of their own, this model cannot segment them."
    )
    return Problem("warning", "taken-for-channels", message, files)


def _numbers(folders: Iterable[Sequence[Path]], channels: int) -> set[int]:
    """The numbers that an image's channel files must have: from 0, but for images that all have others."""
    found = [set(numbered) for paths in folders for numbered in by_channel(paths).values()]
    alike = found and len(found[0]) == channels and all(each == found[0] for each in found)
    return found[0] if alike else set(range(channels))


def _told(numbers: Iterable[int]) -> str:
    return ", ".join(f"_{number:04d}" for number in sorted(numbers))


def _is_grey(path: Path) -> bool:
    """Whether a file has one channel; one that cannot be read is left to the reader to report."""
    try:
        return formats.header(path).channels == 1
    except ImageError:
        return False
