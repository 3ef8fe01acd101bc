"""What to say of a folder in which no image has a mask: what there is, what it may be, what is accepted."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from delineate import formats
from delineate.dataset.case_files import Problem, shown
from delineate.dataset.listing import Listing
from delineate.dataset.naming import counted, folded, listed, natural_key, printable
from delineate.dataset.pairing import Places
from delineate.dataset.role_assignment import different_folders
from delineate.dataset.roles import holds_no_masks, place

ACCEPTED = (
    "Accepted are: images/ and masks/ (or labels/, annotations/) with the same names; image_7.png with "
    "mask_7.png; "
    "x.png beside x_mask.png; a mask a structure, masks/heart/7.png with masks/lung/7.png; any of these in "
    "train/, val/, test/; nnU-Net's imagesTr/ and labelsTr/; a CSV table with the columns image,mask."
)
_MENTIONED = 3
_OUTLINES = re.compile(r"encodedpixels|\brle\b|segmentation|polygon|annotations|shapes", re.IGNORECASE)
_DRAWN = {  # how other programs keep outlines
    ".json": "LabelMe, COCO",
    ".xml": "Pascal VOC, ImageScope",
    ".txt": "YOLO",
    ".csv": "run lengths",
    ".mat": "MATLAB",
    ".zip": "ImageJ",
}


def one_side_missing(listing: Listing, images: Places, masks: Places) -> Problem:
    """The error where there are no images or no masks."""
    root = printable(listing.root)
    if images:
        what = f"{root} holds {counted(len(images), 'image')} but no masks."
        hints = _hints(
            (_like_masks(listing), _not_taken(listing), _same_stems(images), _drawn(listing, len(images)))
        )
        return Problem("error", "no-masks", f"{what} {_inventory(listing)} {hints}{ACCEPTED}", tuple(images))
    if masks:
        what = f"{root} holds {counted(len(masks), 'mask')} but no images beside them."
        return Problem("error", "no-images", f"{what} {_inventory(listing)} {ACCEPTED}", tuple(masks))
    kinds = ", ".join(
        sorted(suffix[1:].upper() for suffix in formats.SUFFIXES if suffix not in (".jpeg", ".tiff"))
    )
    what = f"{root} holds no pictures that can be read ({kinds})."
    return Problem("error", "no-images", f"{what} {_inventory(listing)} {ACCEPTED}")


def no_pairs(listing: Listing, images: Places, masks: Places) -> Problem:
    """The error where there are both, but no two go together."""
    some_images = listed((shown(path, listing.root) for path in images), 3)
    some_masks = listed((shown(path, listing.root) for path in masks), 3)
    hints = _hints((_different_folders(images, masks), _channels(images, masks)))
    return Problem(
        "error",
        "no-pairs",
        f"No image in {printable(listing.root)} has a mask of the same name. Images: {some_images}. Masks: "
        f"{some_masks}. "
        f"{_inventory(listing)} {hints}{ACCEPTED}",
        (*images, *masks),
    )


def _different_folders(images: Places, masks: Places) -> str | None:
    if (folders := different_folders(images, masks)) is None:
        return None
    return (
        f"Images in {folders[0]}/ and masks in {folders[1]}/ are not brought together, since these names say "
        "that they are of different things: if they do belong together, call the folders alike."
    )


def called(folder: Path, root: Path) -> str:
    """A folder for a message."""
    return "the folder itself" if folder == root else f"{shown(folder, root)}/"


def _hints(sentences: Iterable[str | None]) -> str:
    return "".join(f"{sentence} " for sentence in sentences if sentence)


def _inventory(listing: Listing) -> str:
    """What there is, counted by folder and suffix."""
    if not listing.files:
        return "Found: no file at all."
    count = Counter((path.parent, formats.suffix_of(path) or "no suffix") for path in listing.files)
    lines = [
        f"{number} × {printable(suffix)} in {called(folder, listing.root)}"
        for (folder, suffix), number in count.items()
    ]
    return f"Found: {listed(lines, 8)}."


def _like_masks(listing: Listing) -> str | None:
    """Folders whose names sound like masks among other words."""
    root = listing.root
    folders = {path.parent for path in listing.files if formats.is_image(path)}
    sounding = [
        folder
        for folder in folders
        if place(folder.relative_to(root).parts, loosely=True).role == "mask"
        and not holds_no_masks(folder.name)
    ]
    if not sounding or len(sounding) == len(folders):
        return None
    ordered = sorted(sounding, key=lambda folder: natural_key(str(folder)))
    names = listed((f"{shown(folder, root)}/" for folder in ordered), _MENTIONED)
    one = "These sound" if len(sounding) > 1 else "This sounds"
    return f"{one} like masks: {names}; call the folder of the masks masks/ and that of the images images/."


def _not_taken(listing: Listing) -> str | None:
    """Folders that are no masks by their names, though they might be meant."""
    root = listing.root
    folders = {path.parent for path in listing.files if formats.is_image(path)}
    named = sorted(
        (folder for folder in folders if folder != root and holds_no_masks(folder.name)),
        key=lambda folder: natural_key(str(folder)),
    )
    if not named or len(named) == len(folders):
        return None
    names = listed((f"{shown(folder, root)}/" for folder in named), _MENTIONED)
    return (
        f"Left aside, since by their names they hold what was predicted or made of masks: {names}. If masks "
        "that were drawn lie there, call the folder masks/."
    )


def _same_stems(images: Places) -> str | None:
    """Pictures of one folder with the same name but for the suffix, one of which may be the mask."""
    by_stem: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in images:
        by_stem[path.parent, folded(formats.stem_of(path))].append(path)
    twins = [paths for paths in by_stem.values() if len(paths) == 2]
    if 4 * len(twins) < len(images):
        return None
    one, other = twins[0]
    return (
        f"{counted(len(twins), 'name')} there twice, with another suffix, as {printable(one.name)} and "
        f"{printable(other.name)}: if one of them is the mask, put it into masks/ and the other into images/."
    )


def _drawn(listing: Listing, images: int) -> str | None:
    """Files that may hold outlines or run lengths, which are not read."""
    count = Counter(path.suffix.lower() for path in listing.files if path.suffix.lower() in _DRAWN)
    kinds = [
        suffix for suffix, number in count.items() if 2 * number >= images or _lists_outlines(listing, suffix)
    ]
    if not kinds:
        return None
    named = ", ".join(f"{suffix} ({_DRAWN[suffix]})" for suffix in sorted(kinds))
    return (
        f"Outlines, boxes and run lengths in {named} files are not read: export them as masks, a PNG an "
        "image, from the program that they were drawn with."
    )


def _lists_outlines(listing: Listing, suffix: str) -> bool:
    """Whether some file of a kind begins as lists of the outlines of all images do."""
    if suffix not in (".json", ".csv"):
        return False
    return any(_OUTLINES.search(_beginning(p)) for p in listing.files if p.suffix.lower() == suffix)


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(4096).decode(errors="replace")
    except OSError:
        return ""


def _channels(images: Places, masks: Places) -> str | None:
    """Whether folders hold one mask and several images, as the channels of one image."""
    of_images, of_masks = (_folders(places) for places in (images, masks))
    single = {key for key, paths in of_masks.items() if len(paths) == 1}
    several = [paths for key, paths in of_images.items() if key in single and len(paths) > 1]
    if not several or len(several) < len(of_masks):
        return None
    names = listed((path.name for path in several[0]), 4)
    return (
        f"Folders hold one mask and several images ({names}): if these are channels of one image, lay them "
        "out as nnU-Net does, imagesTr/CASE_0000.nii.gz, imagesTr/CASE_0001.nii.gz, … with "
        "labelsTr/CASE.nii.gz; if one of them is meant, list it with its mask in a CSV table."
    )


def _folders(places: Places) -> Mapping[tuple[str, ...], Sequence[Path]]:
    found: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for path, where in places.items():
        found[where.key].append(path)
    return found
