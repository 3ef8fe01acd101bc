"""Names that differ only in what all images and all masks have in common, or that a folder makes plain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from delineate import formats
from delineate.dataset.naming import folded, number_differently, say_opposites
from delineate.dataset.roles import Place

_LEAST = 2  # names, of which a common beginning or end can be told
_Item = TypeVar("_Item", bound=Hashable)


@dataclass(frozen=True)
class Cores:
    """Names without what all of them begin and end with.

    Attributes:
        begin: What all begin with.
        end: What all end with.
        of: Each name's own part.
    """

    begin: str
    end: str
    of: Mapping[str, str]

    def may_go_with(self, other: Cores) -> bool:
        """Whether the common parts do not name different things, as `p1_` and `p2_` do."""
        pairs = ((self.begin, other.begin), (self.end, other.end))
        return not any(number_differently(one, two) or say_opposites(one, two) for one, two in pairs)


def cores(names: Collection[str]) -> Cores:
    """The names' own parts; no number and no word is cut in its middle.

    Args:
        names: At least two different ones.
    """
    ordered = sorted(set(names))
    begin = _alike(ordered[0], ordered[-1])
    while any(_cuts(name, begin) for name in ordered):
        begin -= 1
    backwards = sorted(name[begin:][::-1] for name in ordered)
    end = _alike(backwards[0], backwards[-1])
    while any(_cuts(name[::-1], end) for name in ordered):
        end -= 1
    first = ordered[0]
    own = {name: name[begin : len(name) - end] for name in ordered}
    return Cores(first[:begin], first[len(first) - end :], own)


def _alike(one: str, other: str) -> int:
    """How many letters two names begin alike with; of sorted names the first and the last tell it for all."""
    differing = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))


def _cuts(name: str, at: int) -> bool:
    """Whether a number or a word would be cut there."""
    if not 0 < at < len(name):
        return False
    one, other = name[at - 1], name[at]
    return (one.isdigit() and other.isdigit()) or (one.isalpha() and other.isalpha())


def one_for_one(these: Mapping[_Item, str], those: Mapping[_Item, str]) -> dict[_Item, _Item] | None:
    """For each of these the one of those with the same name, but for what all of either have in common.

    Returns:
        None where one of these has no such partner, or several have the same name. Some of those may be left.
    """
    if len(these) < _LEAST or len(those) < len(these):
        return None
    whole = (Cores("", "", {name: name for name in names.values()}) for names in (these, those))
    for mine, others in (tuple(whole), (cores(these.values()), cores(those.values()))):
        by_core: dict[str, list[_Item]] = defaultdict(list)
        for item, name in those.items():
            by_core[others.of[name]].append(item)
        found = {item: by_core.get(mine.of[name], []) for item, name in these.items()}
        distinct = len({mine.of[name] for name in these.values()}) == len(these)
        if distinct and mine.may_go_with(others) and all(len(fitting) == 1 for fitting in found.values()):
            return {item: fitting[0] for item, fitting in found.items()}
    return None


def by_affix(
    images: Sequence[Path], masks: Sequence[Path], places: Mapping[Path, Place]
) -> list[tuple[Path, Path]]:
    """Pairs by names that differ in one affix of all images and one of all masks of a place.

    `21_training.tif` goes with `21_manual1.gif` if all images there end in `_training` and all masks in
    `_manual1`. Only where all images, or all masks, of the place find a partner.

    Args:
        images: Of places in which no other pair was found.
        masks: Likewise.
        places: What the folders of both say.
    """
    pairs = []
    for some_images, some_masks in _by_place(images, masks, places):
        of_images, of_masks = stems(some_images), stems(some_masks)
        if (found := one_for_one(of_masks, of_images)) is not None:
            pairs += [(image, mask) for mask, image in found.items()]
        elif (found := one_for_one(of_images, of_masks)) is not None:
            pairs += list(found.items())
    return pairs


def by_folder(
    images: Sequence[Path], masks: Sequence[Path], places: Mapping[Path, Place]
) -> list[tuple[Path, Path]]:
    """The one image and the one mask of each folder, where all are alike: `p1/ct.nii`, `p1/organs.nii`.

    Alike are folders in which the names are the same but for the folder's own name.
    """
    groups = _by_place(images, masks, places)
    if len(groups) < _LEAST or any(len(one) != 1 or len(other) != 1 for one, other in groups):
        return []
    kinds = {
        tuple(_apart_from_folder(path, places[path]) for path in (*some_images, *some_masks))
        for some_images, some_masks in groups
    }
    return [(one[0], other[0]) for one, other in groups] if len(kinds) == 1 else []


def _apart_from_folder(path: Path, where: Place) -> str:
    own = folded(where.rest[-1]) if where.rest else ""
    stem = folded(formats.stem_of(path))
    return stem.replace(own, "*") if own else stem


def stems(paths: Iterable[Path]) -> dict[Path, str]:
    """The names of files without suffix, folded."""
    return {path: folded(formats.stem_of(path)) for path in paths}


def _by_place(
    images: Sequence[Path], masks: Sequence[Path], places: Mapping[Path, Place]
) -> list[tuple[list[Path], list[Path]]]:
    """Images and masks of each place that has both."""
    found: dict[tuple[str, ...], tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for side, paths in enumerate((images, masks)):
        for path in paths:
            found[places[path].key][side].append(path)
    return [sides for sides in found.values() if all(sides)]
