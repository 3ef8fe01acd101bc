"""Images that have several masks each, one a structure or an object: which are whose, and their names."""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from delineate import formats
from delineate.dataset.affixes import cores
from delineate.dataset.case_files import Problem, Structure, shown
from delineate.dataset.naming import SEPARATOR, SEPARATORS, counted, folded, listed, natural_key, path_key
from delineate.dataset.pairing import Key, Places
from delineate.dataset.rivals import files_told, folders_told
from delineate.dataset.roles import Place, bare, holds_no_masks, place
from delineate.dataset.structure_names import Kind, alike, core, in_one_order, kind_of
from delineate.image import MAXIMUM_LABELS

Names = dict[Path, tuple[Path, str]]
_LABEL_NUMBER = re.compile(r"label[\s_.\-]*\d+$", re.IGNORECASE)
_NAMED = 30
_LEAST_BEHIND = 4  # letters of a folder that is left out behind a structure's name: rib_1 is not rib in 1/
_BACKGROUND = frozenset({"background", "bg"})


@dataclass(frozen=True)
class Gathered:
    """The masks of images that have several each.

    Attributes:
        structures: Of each image; empty where it cannot be told what the masks are.
        left: Masks of no image.
        problems: What is to be said.
    """

    structures: Mapping[Path, tuple[Structure, ...]] = field(default_factory=dict)
    left: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()


def gather(images: Places, masks: Places, root: Path, *, stacks: Collection[Path] = ()) -> Gathered | None:
    """Find the masks of each image where it has several.

    They lie in a folder a structure (`masks/heart/1.png`), have an ending a structure (`masks/1_heart.png`),
    or lie in a folder an image (`masks/1/heart.png`), with it or not (`p1/masks/heart.nii.gz`).

    Args:
        images: What the folders of images say; of a volume of several files the first stands for all.
        masks: Likewise.
        root: The data's folder.
        stacks: The images that stand for volumes of several files, which are called by their folder.

    Returns:
        None where images do not have several masks, or where names do not tell which belong to which.
    """
    of_images = {part for image in images for part in image.relative_to(root).parts[:-1]}
    possible = {path: where for path, where in masks.items() if not _no_mask(path, root, of_images)}
    index = _index(images, stacks)
    schemes = (
        _by_folder(index, possible),
        _by_ending(index, possible),
        _by_case_folder(images, index, possible),
    )
    fitting = max(schemes, key=len)
    in_folders = fitting is schemes[0]
    found = {mask: fit for mask, fit in fitting.items() if alike(fit[1]) not in _BACKGROUND}
    named = {(image, alike(name)) for image, name in fitting.values()}
    several = len(named) > len({image for image, _ in named})
    if not found or not several or 2 * len(fitting) <= len(possible):
        return None
    by_image, spelled = _named(found)
    doubled = [paths for names in by_image.values() for paths in names.values() if len(paths) > 1]
    if doubled:
        return Gathered(problems=tuple(_doubled(paths, root) for paths in doubled))
    kind = kind_of([tuple(names) for names in by_image.values()])
    if kind == "objects" and any(_LABEL_NUMBER.search(formats.stem_of(mask)) for mask in found):
        kind = "numbered"  # label is a word for a mask, too
    if in_folders and kind in ("objects", "numbered"):
        kind = "readers"  # folders 1/ and 2/ hold no objects
    if kind not in ("structures", "objects"):
        told = _not_told(kind, by_image, root, in_folders=in_folders)
        return Gathered(problems=tuple(told)) if told else None
    files = {image: {name: paths[0] for name, paths in names.items()} for image, names in by_image.items()}
    left = tuple(path for path in possible if path not in fitting)
    if kind == "objects":
        return Gathered(_objects(files), left)
    return _structures(files, spelled, left)


def _named(found: Names) -> tuple[dict[Path, dict[str, list[Path]]], dict[str, str]]:
    """Of each image its masks by their names for comparison, and how each of these is spelled."""
    names: dict[Path, set[str]] = defaultdict(set)
    for image, name in found.values():
        names[image].add(alike(name))
    usual = in_one_order(tuple(names.values()))
    by_image: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for mask, (image, name) in sorted(found.items(), key=lambda item: path_key(item[0])):
        by_image[image][usual.get(alike(name), alike(name))].append(mask)
    return by_image, {alike(name): name for _, name in reversed(found.values()) if alike(name) not in usual}


def joined_note(structures: Mapping[Path, tuple[Structure, ...]], root: Path) -> Problem:
    """A note that masks were joined, of which files, and into which labels."""
    image, own = max(structures.items(), key=lambda item: sum(len(each.files) for each in item[1]))
    example = listed((shown(path, root) for each in own for path in each.files), 3)
    files = sum(len(each.files) for parts in structures.values() for each in parts)
    labels = {each.value: each.name for parts in structures.values() for each in parts}
    many = f"{counted(files, 'mask')} of {counted(len(structures), 'image')}"
    such = f"such as {example} of {shown(image, root)}"
    if any(len(each.files) > 1 for parts in structures.values() for each in parts):
        message = f"{many}, one an object, joined into one an image, with one label for all: {such}."
    else:
        names = listed((f"{value} {labels[value]}" for value in sorted(labels)), _NAMED)
        message = (
            f"{many}, one a structure, joined into one an image, {such}, with these values: {names}. "
            "--labels, if given, means these."
        )
    return Problem("note", "joined-masks", message)


def _no_mask(path: Path, root: Path, of_images: Collection[str]) -> bool:
    """Whether the name, or a folder without images, says that it is an overlay, a preview or the like."""
    own = [part for part in path.relative_to(root).parts[:-1] if part not in of_images]
    return any(map(holds_no_masks, (*own, formats.stem_of(path))))


def _objects(files: Mapping[Path, Mapping[str, Path]]) -> dict[Path, tuple[Structure, ...]]:
    """All masks of an image as one label, called by what their names have in common, if anything."""
    cores = {core(name) for names in files.values() for name in names}
    name = next(iter(cores)) if len(cores) == 1 else ""
    return {image: (Structure(name, 1, tuple(names.values())),) for image, names in files.items()}


def _structures(
    files: Mapping[Path, Mapping[str, Path]], spelled: Mapping[str, str], left: tuple[Path, ...]
) -> Gathered:
    """A label a name, numbered in natural order of the names."""
    every = sorted(spelled, key=natural_key)
    if len(every) > MAXIMUM_LABELS:
        message = (
            f"The images have masks of {len(every)} names, one a structure, and at most {MAXIMUM_LABELS} "
            f"labels can be told apart. Take some out: {listed(spelled[name] for name in every)}."
        )
        return Gathered(problems=(Problem("error", "too-many-structures", message),))
    values = {name: value for value, name in enumerate(every, start=1)}
    structures = {
        image: tuple(Structure(spelled[name], values[name], (own[name],)) for name in every if name in own)
        for image, own in files.items()
    }
    return Gathered(structures, left, tuple(_missing(files, spelled)))


def _missing(files: Mapping[Path, Mapping[str, Path]], spelled: Mapping[str, str]) -> Iterator[Problem]:
    count = Counter(name for names in files.values() for name in names)
    lacking = sorted((name for name in count if count[name] < len(files)), key=natural_key)
    if lacking:
        names = listed(f"{spelled[name]} ({len(files) - count[name]})" for name in lacking)
        message = (
            f"Structures without a mask in some of the {counted(len(files), 'image')}: {names}. They count "
            "as absent there; if they were merely not drawn, take these images out."
        )
        yield Problem("warning", "missing-structures", message)


def _doubled(paths: Sequence[Path], root: Path) -> Problem:
    names = listed(shown(path, root) for path in paths)
    message = f"Several masks mean the same structure of one image: {names}. Keep one of them."
    return Problem("error", "doubled-mask", message, tuple(paths))


def _not_told(
    kind: Kind, by_image: Mapping[Path, Mapping[str, Sequence[Path]]], root: Path, *, in_folders: bool
) -> list[Problem]:
    """The error where it cannot be told what an image's masks are; none where one has no name of its own."""
    every = tuple(path for names in by_image.values() for paths in names.values() for path in paths)
    image, own = max(by_image.items(), key=lambda item: len(item[1]))
    masks = [path for paths in own.values() for path in paths]
    if kind == "readers":
        if in_folders:
            return folders_told({path.parent for path in every}, every, root)
        return files_told([(masks[0], masks[1])], root)
    if any("" in names for names in by_image.values()):
        return []
    such = f"as {shown(image, root)} with {listed((shown(mask, root) for mask in masks), 4)}"
    if kind == "numbered":
        message = _numbered({name for names in by_image.values() for name in names}, by_image, such)
    elif kind == "counted":
        message = (
            f"Images have masks of structures and beside them numbered ones of some kind, not as many in "
            f"each, {such}. Numbers of single objects would become a label each. Make one mask an image of "
            "all objects of a kind, called by it alone; or if each number is a structure, call it by a word."
        )
    else:
        message = (
            f"Images have several masks each, told apart by numbers, or names that few images share, {such}: "
            "one a structure, one an object, or of several readers? If one a structure, call them by the "
            "structures, alike in all images and without what tells the image, and they are joined; else "
            "keep one an image."
        )
    return [Problem("error", "unclear-masks", message, every)]


def _numbered(names: Collection[str], by_image: Mapping[Path, Collection[str]], such: str) -> str:
    """What is said of masks of which only numbers tell what they are."""
    same = all(set(names) == set(each) for each in by_image.values())
    word = max(map(core, names), key=len)
    called = f"{word}_a and {word}_b" if word else "heart and lung"
    return (
        f"Images have several masks each, told apart by numbers alone{', the same in all images' * same}, "
        f"{such}: one a structure, one an object, or of several readers? If one a structure, call them by "
        f"names that differ in more than a number, such as {called}, alike in all images, and they are "
        "joined; or make one mask an image with a value a structure. If one an object, make one mask an "
        "image of all. Of several readers keep one."
    )


def _index(images: Places, stacks: Collection[Path]) -> dict[Key, Path]:
    """Images by where they lie and what they are called, with and without words for an image."""
    found: dict[Key, list[Path]] = defaultdict(list)
    for image, where in images.items():
        stem, here = formats.stem_of(image), where
        if image in stacks:
            *above, stem = where.rest or ("",)
            here = replace(where, rest=tuple(above))
        for name in {folded(stem), bare(stem, "image")}:
            found[here.key, name].append(image)
    return {key: paths[0] for key, paths in found.items() if len(paths) == 1}


def _by_folder(index: Mapping[Key, Path], masks: Places) -> Names:
    """`masks/heart/1.png` of `images/1.png`, also where all files of the folder have an ending: `1_H.png`."""
    found: Names = {}
    endings = _common_endings(masks)
    for mask, where in masks.items():
        stem = formats.stem_of(mask)
        for at, folder in enumerate(where.rest):
            key = Place(None, where.split, (*where.rest[:at], *where.rest[at + 1 :])).key
            name = _without_words(folder)
            without = folded(stem).removesuffix(endings[mask.parent])
            stems = (folded(stem), bare(stem, "mask"), _without_ending(stem, name), without)
            image = next((index[key, each] for each in stems if (key, each) in index), None)
            if image is not None:
                found[mask] = (image, name)
    return found


def _common_endings(masks: Places) -> dict[Path, str]:
    """What the names of all files of a folder end with, a word at least; else nothing."""
    names: dict[Path, set[str]] = defaultdict(set)
    for mask in masks:
        names[mask.parent].add(folded(formats.stem_of(mask)))
    return {folder: cores(each).end if len(each) > 1 else "" for folder, each in names.items()}


@functools.cache
def _without_words(folder: str) -> str:
    """What a folder says besides that it holds masks: `leftMask` says left."""
    (rest,) = place([folder], loosely=True).rest or (folder,)
    return folder if alike(rest) == alike(folder) else rest


def _without_ending(stem: str, name: str) -> str:
    """`1_heart` in the folder `heart` is `1`."""
    return re.sub(rf"{SEPARATOR}+{re.escape(folded(name))}$", "", folded(stem))


def _by_ending(index: Mapping[Key, Path], masks: Places) -> Names:
    """`masks/1_heart.png` or `masks/heart_1.png` of `images/1.png`, `x_mask_2.png` of `x.png`.

    A number counts masks behind a word for one, or where no mask has the whole name of an image; else `1_2`
    may be the mask of another image.
    """
    found: Names = {}
    numbered = not any((where.key, folded(formats.stem_of(mask))) in index for mask, where in masks.items())
    for mask, where in masks.items():
        for own, rest in _parted(formats.stem_of(mask)):
            image = index.get((where.key, folded(own))) or index.get((where.key, bare(own, "mask")))
            name = _without_mask(rest)
            if image is not None and (numbered or core(name) or alike(name) != alike(rest)):
                found[mask] = (image, name)
                break
    return found


def _parted(stem: str) -> Iterator[tuple[str, str]]:
    """A name in two parts, what may be the image's first: ahead, the longest first, then behind."""
    places = list(SEPARATORS.finditer(stem))
    for at in reversed(places):
        yield stem[: at.start()], stem[at.end() :]
    for at in places:
        yield stem[at.end() :], stem[: at.start()]


def _by_case_folder(images: Places, index: Mapping[Key, Path], masks: Places) -> Names:
    """`p1/masks/heart.nii.gz` of the only image in `p1`, `masks/1/heart.png` of `images/1.png`."""
    within: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for image, where in images.items():
        for depth in range(1, len(where.rest) + 1):
            within[replace(where, rest=where.rest[:depth]).key].append(image)
    found: Names = {}
    for mask, where in masks.items():
        if not where.rest:
            continue
        *above, folder = where.rest
        alone = within.get(where.key, [])
        named = index.get((replace(where, rest=tuple(above)).key, folded(folder)))
        fitting = alone[0] if len(alone) == 1 else named
        if fitting is not None:
            found[mask] = (fitting, _without_mask(_without_case(formats.stem_of(mask), where.rest)))
    return found


def _without_case(stem: str, folders: Sequence[str]) -> str:
    """`p1_heart` in the folder `p1` is `heart`, and so is `heart_Meier` in `Meier/visit1`."""
    for folder in sorted(folders, key=len, reverse=True):
        stem = re.sub(rf"^{re.escape(folder)}{SEPARATOR}+", "", stem, flags=re.IGNORECASE)
        if len(folder) >= _LEAST_BEHIND and not folder.isdecimal():
            stem = re.sub(rf"{SEPARATOR}+{re.escape(folder)}$", "", stem, flags=re.IGNORECASE)
    return stem


def _without_mask(name: str) -> str:
    """A name without words for a mask, as it is written if it has none."""
    rest = bare(name, "mask")
    return (name if rest == folded(name) else rest).strip(" _-.")
