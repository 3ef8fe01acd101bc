"""Files that could be the masks as well as those that were taken: told, never chosen among."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from delineate import formats
from delineate.dataset.affixes import one_for_one, stems
from delineate.dataset.case_files import Problem, shown
from delineate.dataset.mask_likeness import like_a_picture
from delineate.dataset.naming import folded, listed, natural_key
from delineate.dataset.pairing import Places
from delineate.dataset.roles import (
    Place,
    holds_no_masks,
    name_different_things,
    own_folders,
    sounds_like_images,
)
from delineate.errors import ImageError

_DEEPEST = 8  # folders, of which all choices are looked at
_TODO = (
    "Leave one of them in the data, or say which files belong together in a CSV table with the columns "
    "image,mask."
)


def competing_folders(masks: Places, root: Path) -> list[Problem]:
    """An error where several folders of masks mean the same place, so that only one can be meant."""
    folders: dict[tuple[str, ...], set[Path]] = defaultdict(set)
    for path, where in masks.items():
        folders[where.key].add(path.parent)
    competing = {folder for several in folders.values() if len(several) > 1 for folder in several}
    return folders_told(competing, [path for path in masks if path.parent in competing], root)


def rivals(
    pairs: Sequence[tuple[Path, Path]], left: Iterable[Path], images: Places, places: Places, root: Path
) -> list[Problem]:
    """An error where files put aside have the images' names one for one, and so may be the masks.

    Those of another part or patient are no rivals, and neither are pictures: copies of the images, a second
    modality.

    Args:
        pairs: Images with the masks that were taken.
        left: Masks left over, and pictures in folders that say neither image nor mask.
        images: The images and where they belong.
        places: What the folders of all files say.
        root: The data's folder.
    """
    by_image_folder: dict[Path, dict[Path, Path]] = defaultdict(dict)
    for image, mask in pairs:
        by_image_folder[image.parent][image] = mask
    common = set.intersection(*(set(_rest(images[image])) for image, _ in pairs)) if pairs else set()
    near: dict[tuple[str, ...], list[dict[Path, Path]]] = defaultdict(list)
    for taken in by_image_folder.values():
        near[tuple(part for part in _rest(images[next(iter(taken))]) if part not in common)].append(taken)
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in left:
        by_folder[path.parent].append(path)
    competing: dict[Path, None] = {}
    beside: list[tuple[Path, Path]] = []
    for folder, files in by_folder.items():
        for taken in itertools.chain.from_iterable(near.get(key, ()) for key in _parts_of(places[files[0]])):
            image, of_taken = next(iter(taken.items()))
            own = set(folder.relative_to(root).parts).difference(image.parent.relative_to(root).parts)
            if any(holds_no_masks(part) or sounds_like_images(part) for part in own):
                continue
            if _of_another(places[files[0]], places[of_taken]):
                continue
            if places[files[0]].split not in (None, images[image].split) or not _may_rival(files, taken):
                continue
            if folder == of_taken.parent:
                beside.append((of_taken, files[0]))
            else:
                competing |= dict.fromkeys((*(mask.parent for mask in taken.values()), folder))
    paths = [path for folder in competing for path in by_folder.get(folder, ())]
    return [*folders_told(competing, paths, root), *files_told(beside, root)]


def _parts_of(where: Place) -> list[tuple[str, ...]]:
    """A place's folders, some or all or none of them: what images may lie in whose masks these may be."""
    rest = _rest(where)[:_DEEPEST]
    return sorted({key for count in range(len(rest) + 1) for key in itertools.combinations(rest, count)})


def _rest(where: Place) -> tuple[str, ...]:
    return tuple(folded(part) for part in where.rest)


def _of_another(where: Place, mask: Place) -> bool:
    """Whether folders say that files are of another patient, or another thing, than a mask."""
    own, others = own_folders(where, mask)
    return any(name_different_things(one, other, whole=True) for one in own for other in others)


def _may_rival(files: Sequence[Path], taken: Mapping[Path, Path]) -> bool:
    """Whether the files of one folder fit images as well as the masks taken do."""
    if len(taken) != len(files) or one_for_one(stems(files), stems(taken)) is None:
        return False
    if _coloured(files[0]) and not _coloured(next(iter(taken.values()))):
        return False
    return not like_a_picture(files[0])


def folders_told(folders: Iterable[Path], files: Sequence[Path], root: Path) -> list[Problem]:
    """The error that several folders could hold the masks; none where there are no folders."""
    ordered = sorted(folders, key=lambda folder: natural_key(str(folder)))
    if not ordered:
        return []
    names = listed(f"{shown(folder, root)}/" for folder in ordered)
    message = f"Several folders could hold the masks: {names}. {_TODO}"
    return [Problem("error", "competing-mask-folders", message, tuple(files))]


def files_told(files: Sequence[tuple[Path, Path]], root: Path) -> list[Problem]:
    """The error that an image has two files that could be its mask; none where there are no such pairs."""
    if not files:
        return []
    names = listed(f"{shown(one, root)} or {shown(other, root)}" for one, other in files)
    message = f"Each image has several files that could be its mask, such as {names}. {_TODO}"
    return [Problem("error", "competing-masks", message, tuple(path for both in files for path in both))]


def _coloured(path: Path) -> bool:
    """Whether a file is a picture in colour by its header, and so hardly a mask where others are grey."""
    try:
        return formats.header(path).channels == 3
    except ImageError:
        return False
