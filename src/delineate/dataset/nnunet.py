"""nnU-Net's raw layout: `imagesTr/case_0000.png` a channel, `labelsTr/case.png`; `Ts` and `Va` alike."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from delineate import formats
from delineate.dataset.case_files import CaseFiles, Problem, Split, shown
from delineate.dataset.layouts import Found, other_folders
from delineate.dataset.listing import Listing
from delineate.dataset.naming import counted, folded, listed, natural_key, path_key, safe_name, unique_names

PARTS: tuple[tuple[str, str, Split | None], ...] = (
    ("imagesTr", "labelsTr", None),
    ("imagesVa", "labelsVa", "validation"),
    ("imagesTs", "labelsTs", "test"),
)
_CHANNEL = re.compile(r"(.+)_(\d{4})")


def nnunet_folders(listing: Listing) -> tuple[Path, ...]:
    """The folders laid out as nnU-Net's raw data: the given one, or those below it with all pictures."""
    folders = {path.parent.parent for path in listing.files if path.parent.name == PARTS[0][0]}
    if listing.root in folders:
        return (listing.root,)
    pictures = [path for path in listing.files if formats.is_image(path)]
    whole = all(any(path.is_relative_to(folder) for folder in folders) for path in pictures)
    return tuple(sorted(folders, key=path_key)) if whole else ()


def by_channel(images: Sequence[Path], cases: Collection[str] = ()) -> Mapping[str, Mapping[int, Path]]:
    """Files by case and number, `c_0000.png`, `c_0001.png`; one without number is channel 0 of its case."""
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in images:
        name, channel = channel_of(path, cases)
        found[name][channel] = path
    return found


def channel_of(path: Path, cases: Collection[str] = ()) -> tuple[str, int]:
    """The case and the number that a file is called by; without a number it is channel 0.

    Args:
        path: The file.
        cases: Folded names that are known to be those of cases, also if they end as with a number.
    """
    stem = formats.stem_of(path)
    if folded(stem) in cases:
        return stem, 0
    match = _CHANNEL.fullmatch(stem)
    return (match[1], int(match[2])) if match else (stem, 0)


def find_nnunet_cases(listing: Listing, folder: Path) -> Found:
    """The cases of a folder laid out as nnU-Net's raw data.

    Args:
        listing: All files of the data.
        folder: That folder, the data's own or one below.

    Returns:
        The layout in words, the cases, and the problems.
    """
    root = listing.root
    problems: list[Problem] = []
    found: list[tuple[str, tuple[Path, ...], Path, Split | None]] = []
    channels: set[int] = set()
    for image_folder, mask_folder, split in PARTS:
        images = [p for p in listing.files if p.parent == folder / image_folder and formats.is_image(p)]
        masks = [p for p in listing.files if p.parent == folder / mask_folder and formats.is_image(p)]
        if split is not None and images and not masks:
            message = (
                f"{counted(len(images), 'file')} in {image_folder}/ not used: no {mask_folder}/ with masks."
            )
            problems.append(Problem("note", "unused-folder", message, tuple(images)))
            continue
        called = {folded(formats.stem_of(path)) for path in masks}
        problems += _doubled(images, "image", root, called) + _doubled(masks, "mask", root, called)
        if any(problem.level == "error" for problem in problems):
            continue
        by_case = by_channel(images, called)
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
    problems += other_folders(_elsewhere(listing, folder), root)
    problems += _splits_file(folder)
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
    for image_folder, mask_folder, split in PARTS[1:]:
        if any(case.split == split for case in cases):
            words += f", {image_folder}/ with {mask_folder}/ as the {split} part"
    if folder != root:
        words += f", in {shown(folder, root)}/"
    return words, tuple(sorted(cases, key=lambda case: natural_key(case.name))), problems


def _doubled(files: Sequence[Path], role: str, root: Path, cases: Collection[str]) -> list[Problem]:
    by_stem: dict[tuple[str, int], list[Path]] = defaultdict(list)
    for path in files:
        name, channel = channel_of(path, cases) if role == "image" else (formats.stem_of(path), 0)
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


def _elsewhere(listing: Listing, folder: Path) -> list[Path]:
    """Pictures in none of the folders that the layout has."""
    known = {folder / name for images, masks, _ in PARTS for name in (images, masks)}
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
