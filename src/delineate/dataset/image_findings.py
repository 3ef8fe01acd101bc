"""Problems of the files and pictures of a set: each function finds one kind."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from delineate.dataset.case_files import CaseFiles, Problem, shown
from delineate.dataset.cases import size_in_words
from delineate.dataset.inspection import ImageFacts, Inspected
from delineate.dataset.naming import counted, listed
from delineate.errors import ImageError
from delineate.image import Colour

_VARYING = re.compile(r"\S+\.\w{3,4}(?= of the same case)|\d+(\.\d+)?(e[+-]?\d+)?")
Facts = Mapping[str, ImageFacts]
OUTLIER_DEVIATIONS = 6.0
LEAST_FOR_OUTLIERS = 12
OUTLIER_FLOOR = 0.02  # of the intensity range: smaller differences are never called far
KIND_SHARE = 0.1


def unreadable(inspected: Sequence[Inspected], root: Path) -> list[Problem]:
    """Files that cannot be read: one error a cause, whatever numbers and names of files it comes with."""
    by_cause: dict[str, list[ImageError]] = defaultdict(list)
    for item in inspected:
        for error in item.errors:
            by_cause[_VARYING.sub("…", error.reason)].append(error)
    problems = []
    for errors in by_cause.values():
        names = listed(shown(error.path, root) for error in errors)
        reason = errors[0].reason.rstrip(".")
        alike = len({error.reason for error in errors}) == 1
        message = f"{names}: {reason}." if alike else f"{names}: the same fault, of the first: {reason}."
        files = tuple(error.path for error in errors)
        problems.append(Problem("error", "unreadable-file", message, files))
    return problems


def size_mismatches(inspected: Sequence[Inspected], root: Path) -> list[Problem]:
    """Pairs whose mask does not have the image's size."""
    wrong = [
        item for item in inspected if item.image and item.mask_size and item.image.size != item.mask_size
    ]
    if not wrong:
        return []
    lines = []
    for item in wrong:
        if item.image and item.mask_size and item.case.mask:
            lines.append(
                f"{shown(item.case.image[0], root)} is {size_in_words(item.image.size)}, "
                f"{shown(item.case.mask, root)} is {size_in_words(item.mask_size)}"
            )
    files = tuple(path for item in wrong for path in (*item.case.image, item.case.mask) if path)
    message = (
        f"{counted(len(wrong), 'mask')} of another size than the image: {'; '.join(lines[:12])}"
        f"{f'; and {len(lines) - 12} more' if len(lines) > 12 else ''}. Masks are never resized by guess: "
        "export them "
        "again at the image's size, or take these cases out."
    )
    return [Problem("error", "size-mismatch", message, files)]


def colour_of(facts: Facts, cases: Sequence[CaseFiles], root: Path) -> tuple[Colour, int, list[Problem]]:
    """How the channels of the whole set are to be read.

    Returns:
        The colour, the number of channels, and what to say about it.
    """
    count = Counter((image.channels, image.files > 1) for image in facts.values())
    kinds = {channels for channels, _ in count}
    paths = {case.name: case.image[0] for case in cases}
    if kinds <= {1, 3} and not any(several for _, several in count):
        coloured = [name for name, image in facts.items() if not image.equal_channels]
        stored_rgb = [name for name, image in facts.items() if image.channels == 3 and image.equal_channels]
        if not coloured:
            message = (
                f"{counted(len(stored_rgb), 'image')} stored as RGB with three equal channels: read as grey."
            )
            return "grey", 1, [Problem("note", "grey-as-rgb", message)] if stored_rgb else []
        grey = len(facts) - len(coloured)
        if not grey:
            return "rgb", 3, []
        single = [name for name, image in facts.items() if image.channels == 1]
        message = (
            f"{counted(grey, 'image')} grey in content and {len(coloured)} in colour: all are read as RGB."
        )
        if single:
            message += (
                f" {counted(len(single), 'file')} stored with one channel, among them "
                f"{listed((shown(paths[name], root) for name in single), 3)}. If the two kinds come from "
                "different devices, "
                "consider a model for each."
            )
        files = tuple(paths[name] for name in single)
        return "rgb", 3, [Problem("warning" if single else "note", "mixed-colour", message, files)]
    if len(kinds) == 1:
        return "channels", kinds.pop(), []
    most = Counter(image.channels for image in facts.values()).most_common(1)[0][0]
    other = [name for name, image in facts.items() if image.channels != most]
    message = (
        f"The images have different numbers of channels: {most} in most, but "
        f"{listed(f'{facts[name].channels} in {shown(paths[name], root)}' for name in other)}. Export all "
        "alike, or take "
        "these out."
    )
    return (
        "channels",
        most,
        [Problem("error", "mixed-channels", message, tuple(paths[name] for name in other))],
    )


def pixel_types(facts: Facts) -> list[Problem]:
    """Whether 8-bit, 16-bit and float images are mixed."""
    count = Counter(image.pixel_type for image in facts.values())
    if len(count) < 2:
        return []
    words = {"uint8": "8-bit", "uint16": "16-bit", "float32": "floating-point"}
    kinds = listed(f"{number} {words.get(kind, kind)}" for kind, number in count.most_common())
    message = (
        f"The images are stored with different ranges: {kinds}. Integers are read as shares of their range; "
        "if the same "
        "tissue then has different brightness, export all images alike."
    )
    return [Problem("warning", "mixed-pixel-types", message)]


def constant_images(facts: Facts) -> list[Problem]:
    """Images that show nothing."""
    names = [name for name, image in facts.items() if image.constant]
    if not names:
        return []
    message = (
        f"{counted(len(names), 'image')} of one single value throughout, showing nothing: {listed(names)}. "
        "Take them out unless that is meant."
    )
    return [Problem("warning", "constant-image", message)]


def intensity_outliers(facts: Facts) -> list[Problem]:
    """Images far brighter, darker, flatter or starker than the set's median, in median deviations."""
    names = [name for name, image in facts.items() if not image.constant]
    if len(names) < LEAST_FOR_OUTLIERS:
        return []
    values = np.array([facts[name].brightness for name in names])
    centre = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - centre), axis=0)
    floats = any(facts[name].pixel_type == "float32" for name in names)
    span = np.ptp(values, axis=0) if floats else 1.0
    far = (np.abs(values - centre) > OUTLIER_DEVIATIONS * np.maximum(spread, OUTLIER_FLOOR * span)).any(
        axis=1
    )
    outliers = [name for name, is_far in zip(names, far, strict=True) if is_far]
    if not outliers:
        return []
    if len(outliers) > KIND_SHARE * len(names):
        message = (
            f"{len(outliers)} of {len(names)} images differ far in brightness or contrast from the others: "
            "the set seems to mix "
            f"kinds of image. Among them are {listed(outliers, 5)}."
        )
        return [Problem("note", "mixed-brightness", message)]
    message = (
        f"{counted(len(outliers), 'image')} far from the others in brightness or contrast: "
        f"{listed(outliers)}. "
        "Look at them: they may be badly exposed, inverted or of another kind."
    )
    return [Problem("warning", "intensity-outlier", message)]


def reader_notes(facts: Facts) -> list[Problem]:
    """What the reader did, one line a kind with the number of images."""
    count = Counter(note for image in facts.values() for note in image.notes)
    return [
        Problem("note", "reader", f"In {number} of {len(facts)} images: {note.rstrip('.')}.")
        for note, number in count.most_common()
    ]
