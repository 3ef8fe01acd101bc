"""Bringing images and masks together by name; what does not fit is named, never guessed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from delineate import formats
from delineate.dataset.affixes import by_affix, by_folder
from delineate.dataset.case_files import Problem, shown
from delineate.dataset.grouping import joined
from delineate.dataset.naming import SEPARATOR, counted, folded, listed, path_key
from delineate.dataset.roles import Place, Role, bare

Places = Mapping[Path, Place]
ROLES: tuple[Role, Role] = ("image", "mask")
Key = tuple[tuple[str, ...], str]
_NUMBERED = re.compile(r"(.+?)(?:[\s_\-]+|(?<=\D))\d+")
_SEPARATOR = re.compile(SEPARATOR)


def pair(images: Places, masks: Places, root: Path) -> tuple[list[tuple[Path, Path]], list[Problem]]:
    """Find each image's mask: by the same name, then by names that differ in a word for image or mask.

    Args:
        images: Image files and what their folders say.
        masks: Likewise.
        root: The data's folder, for messages.

    Returns:
        The pairs, and a problem for everything unpaired, doubled or ambiguous.
    """
    problems: list[Problem] = []
    pool: dict[Role, list[Path]] = {}
    doubled: dict[Role, set[Key]] = {}
    files: dict[Role, Places] = {"image": images, "mask": masks}
    for role, places in files.items():
        pool[role], doubled[role], found = _without_doubles(places, role, root)
        problems += found

    exact, pool = _matched(pool, images, masks, False, False)
    loose: list[tuple[Path, Path]] = []
    for image_bare, mask_bare in ((False, True), (True, False), (True, True)):
        found_pairs, pool = _matched(pool, images, masks, image_bare, mask_bare)
        loose += found_pairs
    plain, pool = _by_affix_or_folder(pool, (*exact, *loose), {**images, **masks})
    problems += _told_affixes(plain, root)

    several = set(_further_masks(pool["mask"], (*exact, *loose, *plain), images, masks))
    if several:
        problems.append(_several_masks(sorted(several, key=path_key), root))
    left: dict[Role, list[Path]] = {
        "image": _not_doubled(pool["image"], images, "image", doubled["mask"]),
        "mask": [p for p in _not_doubled(pool["mask"], masks, "mask", doubled["image"]) if p not in several],
    }
    waiting = {path for paths in pool.values() for path in paths} - {*left["image"], *left["mask"], *several}
    if waiting:
        names = listed(shown(path, root) for path in sorted(waiting, key=path_key))
        message = f"{counted(len(waiting), 'file')} left out until the doubled names are settled: {names}."
        problems.append(Problem("note", "partner-of-doubled", message, tuple(sorted(waiting, key=path_key))))
    contested = _contested(loose, left, images, masks)
    for group in contested:
        problems.append(_ambiguous(sorted(group, key=path_key), images, root))
    disputed = {path for group in contested for path in group}
    problems += [
        unpaired(role, rest, root)
        for role, paths in left.items()
        if (rest := [path for path in paths if path not in disputed])
    ]
    pairs = exact + plain + [files for files in loose if not disputed & set(files)]
    return sorted(pairs, key=lambda files: path_key(files[0])), problems


def _matched(
    pool: Mapping[Role, Sequence[Path]], images: Places, masks: Places, image_bare: bool, mask_bare: bool
) -> tuple[list[tuple[Path, Path]], dict[Role, list[Path]]]:
    """Pairs whose key one image and one mask have, and what is left."""
    by_image = _by_key(pool["image"], _keys(images, "image", image_bare))
    by_mask = _by_key(pool["mask"], _keys(masks, "mask", mask_bare))
    pairs = [
        (by_image[key][0], by_mask[key][0])
        for key in by_image.keys() & by_mask.keys()
        if len(by_image[key]) == len(by_mask[key]) == 1
    ]
    used = {path for files in pairs for path in files}
    return pairs, {role: [path for path in paths if path not in used] for role, paths in pool.items()}


def _by_affix_or_folder(
    pool: Mapping[Role, Sequence[Path]], pairs: Sequence[tuple[Path, Path]], places: Places
) -> tuple[list[tuple[Path, Path]], dict[Role, list[Path]]]:
    """Pairs in places without any other, by what all names of a role have in common, or by their folders."""
    done = {places[image].key for image, _ in pairs}
    images, masks = ([path for path in pool[role] if places[path].key not in done] for role in ROLES)
    found = by_affix(images, masks, places) or (by_folder(images, masks, places) if not pairs else [])
    used = {path for files in found for path in files}
    return found, {role: [path for path in paths if path not in used] for role, paths in pool.items()}


def _told_affixes(pairs: Sequence[tuple[Path, Path]], root: Path) -> list[Problem]:
    if not pairs:
        return []
    image, mask = min(pairs, key=lambda files: path_key(files[0]))
    message = (
        f"{counted(len(pairs), 'image')} paired with the only mask that fits, by names that differ in more "
        f"than words for image and mask: {shown(image, root)} with {shown(mask, root)}. If that is wrong, "
        "say which files belong together in a CSV table with the columns image,mask."
    )
    return [Problem("note", "paired-by-rest", message, (image, mask))]


def _contested(
    loose: Sequence[tuple[Path, Path]], left: Mapping[Role, Sequence[Path]], images: Places, masks: Places
) -> list[set[Path]]:
    """Files left over that would fit a loosely matched pair as well, or each other, with what they fit."""
    partner = {path: files for files in loose for path in files}
    by_key: dict[Key, dict[Role, list[Path]]] = defaultdict(lambda: {"image": [], "mask": []})
    sides: tuple[tuple[Role, Places, int], ...] = (("image", images, 0), ("mask", masks, 1))
    for role, places, side in sides:
        for path in (*left[role], *(files[side] for files in loose)):
            for key in {_keys(places, role, False)(path), _keys(places, role, True)(path)}:
                by_key[key][role].append(path)
    links = []
    for fitting in by_key.values():
        everyone = [path for paths in fitting.values() for path in paths]
        if all(fitting.values()) and any(path not in partner for path in everyone):
            links.append([other for path in everyone for other in partner.get(path, (path,))])
    return joined(links)


def _keys(places: Places, role: Role, without_words: bool) -> Callable[[Path], Key]:
    def key(path: Path) -> Key:
        return places[path].key, bare(formats.stem_of(path), role) if without_words else folded(
            formats.stem_of(path)
        )

    return key


def _by_key(paths: Sequence[Path], key: Callable[[Path], Key]) -> dict[Key, list[Path]]:
    found: dict[Key, list[Path]] = defaultdict(list)
    for path in paths:
        found[key(path)].append(path)
    return found


def _without_doubles(places: Places, role: Role, root: Path) -> tuple[list[Path], set[Key], list[Problem]]:
    """The files whose name is theirs alone, the keys of the others, and what to say of them."""
    found = _by_key(sorted(places, key=path_key), _keys(places, role, False))
    problems = []
    for paths in found.values():
        if len(paths) == 1:
            continue
        folders = {path.parent for path in paths}
        if len(folders) > 1:
            why = f"Several {role}s of the same name lie in folders that mean the same"
        elif len({folded(path.name) for path in paths}) < len(paths):
            why = f"The names of these {role}s differ only in capitals or in how accents are encoded"
        else:
            why = f"Several {role}s have the same name but for the suffix"
        names = listed(shown(path, root) for path in paths)
        todo = "Keep one of them, or say which belongs to which in a CSV table with the columns image,mask."
        problems.append(Problem("error", f"doubled-{role}", f"{why}: {names}. {todo}", tuple(paths)))
    alone = [paths[0] for paths in found.values() if len(paths) == 1]
    doubled = [path for paths in found.values() if len(paths) > 1 for path in paths]
    return alone, {_keys(places, role, b)(path) for path in doubled for b in (False, True)}, problems


def _not_doubled(paths: Sequence[Path], places: Places, role: Role, keys: set[Key]) -> list[Path]:
    """Those whose partner was not already reported as doubled."""
    plain, short = _keys(places, role, False), _keys(places, role, True)
    return [path for path in paths if plain(path) not in keys and short(path) not in keys]


def _further_masks(
    left: Sequence[Path], pairs: Sequence[tuple[Path, Path]], images: Places, masks: Places
) -> list[Path]:
    """Masks named like one that has its image, or like that, with more behind: `x_mask_1`, `x_mask_spleen`.

    Those that fit an image by another word for a mask are not among them: `x_seg` beside `x_mask`.
    """
    of_images, of_masks = _keys(images, "image", False), _keys(masks, "mask", False)
    paired_masks = {of_masks(mask) for _, mask in pairs}
    paired = paired_masks | {of_images(image) for image, _ in pairs}
    fitting = {_keys(images, "image", without)(image) for image in images for without in (False, True)}
    found = []
    for path in left:
        where, stem = of_masks(path)
        numbered = _NUMBERED.fullmatch(stem)
        begins = any((where, stem[: match.start()]) in paired for match in _SEPARATOR.finditer(stem))
        if (numbered and (where, numbered[1]) in paired_masks) or (
            begins and _keys(masks, "mask", True)(path) not in fitting
        ):
            found.append(path)
    return found


def _several_masks(paths: Sequence[Path], root: Path) -> Problem:
    return Problem(
        "error",
        "several-masks",
        f"{counted(len(paths), 'mask')} look like a further mask of an image that has one already: "
        f"{listed(shown(path, root) for path in paths)}. If each is of one structure, give all of them its "
        "name, such as x_mask_liver.png beside x_mask_spleen.png, and they are joined; else take the further "
        "ones out of the data. If they are masks of other images, add these.",
        tuple(paths),
    )


def _ambiguous(files: Sequence[Path], images: Places, root: Path) -> Problem:
    of_images = [path for path in files if path in images]
    of_masks = [path for path in files if path not in images]
    return Problem(
        "error",
        "ambiguous-pair",
        f"It cannot be told which belong together: {counted(len(of_images), 'image')} "
        f"({listed(shown(path, root) for path in of_images)}) and {counted(len(of_masks), 'mask')} "
        f"({listed(shown(path, root) for path in of_masks)}). Give each image and its mask the same name, or "
        "list "
        "the pairs in a CSV table with the columns image,mask.",
        tuple(files),
    )


def unpaired(role: Role, paths: Sequence[Path], root: Path) -> Problem:
    """The warning that files are left out, being without a partner."""
    article, other = ("a", "mask") if role == "image" else ("an", "image")
    return Problem(
        "warning",
        f"unpaired-{role}",
        f"{counted(len(paths), role)} left out, without {article} {other}: "
        f"{listed(shown(path, root) for path in paths)}. "
        f"Add the {other}{'' if len(paths) == 1 else 's'} under the same name if they should count.",
        tuple(paths),
    )
