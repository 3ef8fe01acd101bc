"""nnU-Net's raw layout: `imagesTr/case_0000.png` a channel, `labelsTr/case.png`, `imagesTs`, `labelsTs`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from delineate import formats
from delineate.dataset.case_files import CaseFiles, Problem, Split, shown
from delineate.dataset.layouts import Found, other_folders
from delineate.dataset.listing import Listing
from delineate.dataset.naming import counted, folded, listed, natural_key, safe_name, unique_names

PARTS: tuple[tuple[str, str, Split | None], ...] = (
    ("imagesTr", "labelsTr", None),
    ("imagesTs", "labelsTs", "test"),
)
_CHANNEL = re.compile(r"(.+)_(\d{4})")


def is_nnunet(listing: Listing) -> bool:
    """Whether a folder is laid out as nnU-Net's raw data."""
    return any(path.parent == listing.root / "imagesTr" for path in listing.files)


def by_channel(images: Sequence[Path]) -> Mapping[str, Mapping[int, Path]]:
    """Files by case and number, `c_0000.png`, `c_0001.png`; one without number is channel 0 of its case."""
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in images:
        name, channel = channel_of(path)
        found[name][channel] = path
    return found


def channel_of(path: Path) -> tuple[str, int]:
    """The case and the number that a file is called by; without a number it is channel 0."""
    stem = formats.stem_of(path)
    match = _CHANNEL.fullmatch(stem)
    return (match[1], int(match[2])) if match else (stem, 0)


def find_nnunet_cases(listing: Listing) -> Found:
    """The cases of a folder laid out as nnU-Net's raw data.

    Args:
        listing: All files below the folder.

    Returns:
        The layout in words, the cases, and the problems.
    """
    root = listing.root
    problems: list[Problem] = []
    found: list[tuple[str, tuple[Path, ...], Path, Split | None]] = []
    channels: set[int] = set()
    for image_folder, mask_folder, split in PARTS:
        images = [p for p in listing.files if p.parent == root / image_folder and formats.is_image(p)]
        masks = [p for p in listing.files if p.parent == root / mask_folder and formats.is_image(p)]
        if split == "test" and images and not masks:
            message = (
                f"{counted(len(images), 'file')} in {image_folder}/ not used: no {mask_folder}/ with masks."
            )
            problems.append(Problem("note", "unused-folder", message, tuple(images)))
            continue
        problems += _doubled(images, "image", root) + _doubled(masks, "mask", root)
        if any(problem.level == "error" for problem in problems):
            continue
        by_case = by_channel(images)
        by_name = {folded(formats.stem_of(path)): path for path in masks}
        pairs = {name: by_name.pop(folded(name)) for name in sorted(by_case) if folded(name) in by_name}
        alone = [path for name, files in by_case.items() if name not in pairs for path in files.values()]
        problems += _unpaired(alone, "image", mask_folder, root)
        problems += _unpaired(list(by_name.values()), "mask", image_folder, root)
        for name, mask in pairs.items():
            numbers = sorted(by_case[name])
            channels.update(numbers)
            found.append((name, tuple(by_case[name][number] for number in numbers), mask, split))
    complete = [case for case in found if len(case[1]) == len(channels)]
    problems += _incomplete([case for case in found if case not in complete], channels, root)
    problems += other_folders(_elsewhere(listing), root)
    problems += _splits_file(root)
    if not found and not any(problem.level == "error" for problem in problems):
        message = (
            "imagesTr/ and labelsTr/ hold no image with a mask. Looked for imagesTr/CASE_0000.png (one file "
            "a channel) "
            "with labelsTr/CASE.png."
        )
        problems.append(Problem("error", "no-pairs", message, tuple(listing.files)))
    names = unique_names([(name, f"{split or 'train'}__{name}") for name, _, _, split in complete])
    cases = [
        CaseFiles(unique, image, mask, None, split, plain=safe_name(name))
        for unique, (name, image, mask, split) in zip(names, complete, strict=True)
    ]
    files = counted(max(1, len(channels)), "image file")
    words = f"nnU-Net's raw layout with {files} a case: imagesTr/ with labelsTr/"
    if any(case.split == "test" for case in cases):
        words += ", imagesTs/ with labelsTs/ as the test part"
    return words, tuple(sorted(cases, key=lambda case: natural_key(case.name))), problems


def _doubled(files: Sequence[Path], role: str, root: Path) -> list[Problem]:
    by_stem: dict[tuple[str, int], list[Path]] = defaultdict(list)
    for path in files:
        name, channel = channel_of(path) if role == "image" else (formats.stem_of(path), 0)
        by_stem[folded(name), channel].append(path)
    return [
        Problem(
            "error",
            f"doubled-{role}",
            f"Several {role}s are named alike: {listed(shown(path, root) for path in paths)}. Keep one of "
            "them.",
            tuple(paths),
        )
        for paths in by_stem.values()
        if len(paths) > 1
    ]


def _unpaired(files: Sequence[Path], role: str, other: str, root: Path) -> list[Problem]:
    if not files:
        return []
    message = (
        f"{counted(len(files), f'{role} file')} left out, without a counterpart in {other}/: "
        f"{listed(shown(path, root) for path in files)}."
    )
    return [Problem("warning", f"unpaired-{role}", message, tuple(files))]


def _elsewhere(listing: Listing) -> list[Path]:
    """Pictures in none of the folders that the layout has."""
    known = {listing.root / folder for images, masks, _ in PARTS for folder in (images, masks)}
    return [path for path in listing.files if path.parent not in known and formats.is_image(path)]


def _incomplete(
    cases: Sequence[tuple[str, tuple[Path, ...], Path, Split | None]], channels: set[int], root: Path
) -> list[Problem]:
    if not cases:
        return []
    wanted = ", ".join(f"_{number:04d}" for number in sorted(channels))
    files = tuple(path for _, image, mask, _ in cases for path in (*image, mask))
    message = (
        f"{counted(len(cases), 'case')} without all channels, those of "
        f"{listed(shown(mask, root) for _, _, mask, _ in cases)}. Others have {wanted}. "
        "Add the missing files or remove these cases. There are: "
        f"{listed(shown(path, root) for _, image, _, _ in cases for path in image)}."
    )
    return [Problem("error", "missing-channel", message, files)]


def _splits_file(root: Path) -> list[Problem]:
    path = root / "splits_final.json"
    if not path.is_file():
        return []
    message = (
        "splits_final.json, nnU-Net's folds, is not used: the split is made anew and written to splits.json."
    )
    return [Problem("note", "folds-not-used", message, (path,))]
