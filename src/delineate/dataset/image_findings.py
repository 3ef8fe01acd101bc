"""Problems of the files and pictures of a set: each function finds one kind."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from delineate.dataset.case_files import CaseFiles, Problem, shown
from delineate.dataset.inspection import ImageFacts, Inspected
from delineate.dataset.naming import counted, listed
from delineate.errors import ImageError
from delineate.geometry import USUAL_ORIENTATION, turn_to
from delineate.image import Colour

_VARYING = re.compile(r"\S+\.\w{3,4}(?= of the same case)|\d+(\.\d+)?(e[+-]?\d+)?")
Facts = Mapping[str, ImageFacts]
OUTLIER_DEVIATIONS = 6.0
LEAST_FOR_OUTLIERS = 12
OUTLIER_FLOOR = 0.02  # of the intensity range: smaller differences are never called far
KIND_SHARE = 0.1
COARSE = 1.5  # spacing along an axis over that along the others, for slices to be cut across it


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
        end = "" if reason.endswith("?") else "."
        message = (
            f"{names}: {reason}{end}" if alike else f"{names}: the same fault, of the first: {reason}{end}"
        )
        files = tuple(error.path for error in errors)
        problems.append(Problem("error", "unreadable-file", message, files))
    return problems


def size_mismatches(inspected: Sequence[Inspected], root: Path) -> list[Problem]:
    """Pairs whose mask does not lie on the image's grid."""
    wrong = [
        (item, path)
        for item in inspected
        if item.misfit is not None and (path := item.misfit_file or item.case.mask) is not None
    ]
    if not wrong:
        return []
    lines = [f"{shown(path, root)} of {_image_name(item.case, root)}: {item.misfit}" for item, path in wrong]
    files = tuple(file for item, path in wrong for file in (*item.case.image, path))
    message = (
        f"{counted(len(wrong), 'mask')} not on the grid of the image: {'; '.join(lines[:12])}"
        f"{f'; and {len(lines) - 12} more' if len(lines) > 12 else ''}. Masks are never resized by guess: "
        "export them again on the image's grid, or take these cases out."
    )
    return [Problem("error", "size-mismatch", message, files)]


def unplaced_masks(inspected: Sequence[Inspected], root: Path) -> list[Problem]:
    """Volumes of labels that do not say where they lie, of images that do: their axes are taken on trust."""
    paths = tuple(
        item.mask_unplaced for item in inspected if item.mask_unplaced is not None and not item.misfit
    )
    if not paths:
        return []
    message = (
        f"{counted(len(paths), 'mask')} without a place in the patient, of images that have one: "
        f"{listed(shown(path, root) for path in paths)}. They are laid on their images as they are stored, "
        "axis by axis: depth, height, width. Look at the overlays, or save them with their images' header."
    )
    return [Problem("warning", "unplaced-mask", message, paths)]


def _image_name(case: CaseFiles, root: Path) -> str:
    """The image's file, or of a series its folder."""
    return shown(case.image[0].parent if case.stack else case.image[0], root)


def axes_of(facts: Facts, cases: Sequence[CaseFiles], root: Path) -> tuple[int, list[Problem]]:
    """Whether the images are pictures (2) or volumes (3), and what to say where they are both."""
    count = Counter(len(image.size) for image in facts.values())
    most = count.most_common(1)[0][0]
    if len(count) == 1:
        return most, []
    paths = {case.name: case.image[0] for case in cases}
    other = [name for name, image in facts.items() if len(image.size) != most]
    kinds = {2: "pictures", 3: "volumes"}
    message = (
        f"Most of the images are {kinds[most]}, but there are also {kinds[5 - most]} ({len(other)}): "
        f"{listed(shown(paths[name], root) for name in other)}. Train on the one or on the other."
    )
    return most, [Problem("error", "mixed-axes", message, tuple(paths[name] for name in other))]


def orientation_of(facts: Facts) -> tuple[str | None, list[Problem]]:
    """The orientation that all volumes are to be turned to.

    It is "SPL" (slices from the feet to the head, as they are looked at), or, where pixels lie far apart
    along another axis, the one that begins with that axis; None where volumes do not say how they lie.
    """
    volumes = {name: image for name, image in facts.items() if len(image.size) == 3}
    silent = [name for name, image in volumes.items() if image.geometry.directions is None]
    if silent or not volumes:
        if not silent or len(silent) == len(volumes):
            return None, []
        message = (
            f"How they lie in the patient is not said by {len(silent)} of {len(volumes)} volumes: "
            f"{listed(silent)}. All volumes are taken as they are stored."
        )
        return None, [Problem("warning", "no-orientation", message)]
    spacings = [
        turn_to(image.geometry, USUAL_ORIENTATION).geometry(image.geometry, image.size).spacing_mm or (1.0,)
        for image in volumes.values()
    ]
    median = np.median(np.array(spacings), axis=0)
    coarsest = int(np.argmax(median))
    orientation = USUAL_ORIENTATION
    if median[coarsest] > COARSE * np.delete(median, coarsest).max():
        orientation = orientation[coarsest] + orientation.replace(orientation[coarsest], "")
    stored = Counter(image.geometry.orientation for image in volumes.values())
    turned = [f"{number} {kind}" for kind, number in stored.most_common() if kind != orientation]
    if not turned:
        return orientation, []
    message = (
        f"Volumes are turned to {orientation} for the net (stored as {', '.join(turned)}); masks come back "
        "as their images lie."
    )
    return orientation, [Problem("note", "turned", message)]


def unknown_spacings(facts: Facts) -> list[Problem]:
    """Volumes that do not say how far their voxels lie apart, beside others that do.

    A spacing is never guessed, and a plan that resamples would have to, so the fingerprint then has none.
    """
    volumes = {name: image for name, image in facts.items() if len(image.size) == 3}
    silent = [name for name, image in volumes.items() if image.geometry.spacing_mm is None]
    if not silent or len(silent) == len(volumes):
        return []
    message = (
        f"How far their voxels lie apart is not said by {len(silent)} of {len(volumes)} volumes: "
        f"{listed(silent)}. A plan that learns from one of these cannot go by the spacing of the others "
        "either: nothing is resampled to one spacing, and voxels count as cubes all of one size. That costs "
        "accuracy where spacings differ or slices lie far apart. Save these volumes with their spacing, "
        "as NIfTI, NRRD or MetaImage do, or take them out."
    )
    return [Problem("warning", "no-spacing", message)]


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
    """Whether 8-bit, 16-bit and float pictures are mixed, or pictures with formats of the clinic."""
    own = [name for name, image in facts.items() if not image.shares]
    if len(own) == len(facts):
        return []
    if own:
        message = (
            f"{len(own)} of {len(facts)} images come from formats of the clinic, whose numbers are taken as "
            "they are, the others are pictures, whose integers are shares of their range. Export all alike."
        )
        return [Problem("warning", "mixed-pixel-types", message)]
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
    if len(names) < LEAST_FOR_OUTLIERS or any(not image.shares for image in facts.values()):
        return []
    values = np.array([facts[name].brightness for name in names])
    centre = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - centre), axis=0)
    floats = any(facts[name].pixel_type == "float32" or not facts[name].shares for name in names)
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
