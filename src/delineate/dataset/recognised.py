"""The layout of a folder: pairs as plain names give them first, then as looser ones do, then joined masks."""

from __future__ import annotations

from delineate import formats
from delineate.dataset.layouts import Found, pairs_of
from delineate.dataset.listing import Listing
from delineate.dataset.series import DicomFiles
from delineate.dataset.structure_layouts import joined_of

_NOTHING = frozenset({"no-masks", "no-images", "no-pairs"})
_SEVERAL = frozenset({"several-masks", "doubled-mask"})  # what masks of several structures may look like


def find_pairs(listing: Listing) -> Found:
    """Recognise the layout of a folder by the words in its folders' and files' names.

    Args:
        listing: All files below the folder.

    Returns:
        The layout in words, the cases, and the problems.
    """
    pictures = [path for path in listing.files if formats.is_image(path)]
    dicom = DicomFiles.among(pictures)
    found = pairs_of(listing, pictures, dicom, loosely=False)
    if not found[1] and _errors(found) <= _NOTHING:
        loose = pairs_of(listing, pictures, dicom, loosely=True)
        if loose[1] or "competing-mask-folders" in _errors(loose):
            found = loose
    errors = _errors(found)
    if not errors or not errors <= _NOTHING | _SEVERAL:
        return found
    tried = (joined_of(listing, pictures, dicom, loosely=loosely) for loosely in (False, True))
    joined = next(filter(None, tried), None)
    return joined if joined and (joined[1] or not found[1]) else found


def _errors(found: Found) -> set[str]:
    return {problem.code for problem in found[2] if problem.level == "error"}
