"""Which files are images and which are masks: by their folders, and where these do not say, by names."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from delineate import formats
from delineate.dataset.naming import folded
from delineate.dataset.pairing import Places
from delineate.dataset.roles import (
    Place,
    Role,
    bare,
    holds_no_masks,
    name_different_things,
    own_folders,
    role_of_name,
)

Manner = Literal["folders", "names"]


def assign(places: Places) -> tuple[Manner, Places, Places]:
    """Tell images from masks.

    Args:
        places: All pictures, and what their folders say.

    Returns:
        Whether folders or names told, the images, and the masks. Where images and masks lie in two folders
        whose names say nothing (`a/image_0.png`, `b/mask_0.png`), these are not in the places returned.
    """
    of_others = {part for where in places.values() if where.role != "mask" for part in where.rest}
    by_role: dict[Role | None, dict[Path, Place]] = defaultdict(dict)
    for path, where in places.items():
        own = (
            path.parent.name
        )  # no masks are in masks/predictions/, but in masks/result_1/ of images/result_1/
        apart = where.role == "mask" and own in where.rest and own not in of_others and holds_no_masks(own)
        by_role[None if apart else where.role][path] = where
    images, masks, neither = by_role["image"], by_role["mask"], by_role[None]
    if images and masks:
        return "folders", *_by_names(*_without_own_folders(images, masks))
    if masks:
        # the images lie beside the folder of masks: train/ with train_masks/, or x.png with masks/x.png
        keys = {where.key for where in masks.values()}
        beside = {path: where for path, where in neither.items() if where.key in keys}
        if beside or not neither:
            return "folders", beside, masks
        return "names", *_by_names(*_without_own_folders(_named(neither, "image"), masks))
    inside = images or neither
    masks = _named(inside, "mask") or _named(neither, "mask")
    images = {path: where for path, where in inside.items() if path not in masks}
    return "names", *_without_own_folders(images, masks)


def _named(places: Places, role: Role) -> dict[Path, Place]:
    return {path: where for path, where in places.items() if role_of_name(formats.stem_of(path)) == role}


def _without_own_folders(images: Places, masks: Places) -> tuple[Places, Places]:
    """Pass over folders that all images and no mask lie in, or the reverse, if no place has both.

    Not where they name different things, as `images/p1/` and `masks/p2/` do.
    """
    if _meet(images, masks):
        return images, masks
    if different_folders(images, masks) is not None:
        return images, masks
    dropped = _common(images.values()) ^ _common(masks.values())
    return _without(images, dropped), _without(masks, dropped)


def different_folders(images: Places, masks: Places) -> tuple[str, str] | None:
    """Folders of all images, and of all masks, that say by their names that these do not belong together."""
    of_images, of_masks = (_common(places.values()) for places in (images, masks))
    own = "/".join(sorted(of_images - of_masks)), "/".join(sorted(of_masks - of_images))
    whole = all(_are_folders(places, folders) for places, folders in ((images, own[0]), (masks, own[1])))
    return own if name_different_things(*own, whole=whole) else None


def _are_folders(places: Places, names: str) -> bool:
    """Whether names are folders', and not what is left of them without the word for a role."""
    parts = {folded(part) for path in itertools.islice(places, 1) for part in path.parts}
    return parts.issuperset(filter(None, names.split("/")))


def _meet(images: Places, masks: Places) -> bool:
    """Whether images and masks lie in a common place."""
    return bool({where.key for where in images.values()} & {where.key for where in masks.values()})


def _by_names(images: Places, masks: Places) -> tuple[Places, Places]:
    """Images put where the masks of their names are, if no place has both and each mask has one image."""
    if _meet(images, masks):
        return images, masks
    by_name: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        for name in {folded(formats.stem_of(image)), bare(formats.stem_of(image), "image")}:
            by_name[name].append(image)
    moved: dict[Path, Place] = {}
    for mask, where in masks.items():
        stem = formats.stem_of(mask)
        fitting = by_name.get(folded(stem)) or by_name.get(bare(stem, "mask")) or []
        if len(fitting) != 1 or fitting[0] in moved or _elsewhere(images[fitting[0]], where):
            return images, masks
        moved[fitting[0]] = replace(where, role="image")
    return {**images, **moved}, masks


def _elsewhere(image: Place, mask: Place) -> bool:
    """Whether folders say that an image and a mask do not belong together, whatever their names."""
    if image.split not in (None, mask.split):
        return True
    own = ("/".join(sorted(folders)) for folders in own_folders(image, mask))
    return name_different_things(*own, whole=True)


def _without(places: Places, dropped: Collection[str]) -> Places:
    return {
        path: replace(where, rest=tuple(part for part in where.rest if folded(part) not in dropped))
        for path, where in places.items()
    }


def _common(places: Iterable[Place]) -> set[str]:
    """Names of folders that all of these lie in."""
    names = [{folded(part) for part in where.rest} for where in places]
    return set.intersection(*names) if names else set()
