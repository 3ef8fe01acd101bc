"""What lies in a folder: which images, which masks, which belong together, and what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from delineate import formats
from delineate.dataset.case_files import SPLIT_WORDS, CaseFiles, Discovery, Problem, Split, shown
from delineate.dataset.description import FILE_NAME, Description, read_description
from delineate.dataset.layouts import Found
from delineate.dataset.listing import Listing, list_files
from delineate.dataset.naming import counted, listed, path_key
from delineate.dataset.nnunet import PARTS, find_nnunet_cases, nnunet_folders
from delineate.dataset.recognised import find_pairs
from delineate.dataset.table import REQUIRED, SUFFIXES, is_table, read_table
from delineate.errors import DataError
from delineate.files import existing_folder, is_file

__all__ = ["CaseFiles", "Discovery", "Problem", "Split", "discover"]
_KNOWN_FILES = frozenset({FILE_NAME, "splits_final.json", "splits.json"})


def discover(data: Path) -> Discovery:
    """Find the cases in a data set.

    Recognised are, in this order: a CSV or TSV table with the columns `image` and `mask`; nnU-Net's raw
    layout; folders of images and of masks, also in `train/`, `val/`, `test/`; images and masks side by side;
    any of these with several masks an image, one a structure or an object, which are then joined.
    Links are followed, for reading alone.

    Args:
        data: The folder, or a table.

    Returns:
        The cases in natural order, whatever order the disk gives them in, and every problem met.

    Raises:
        UsageError: There is no such folder, or it may not be read.
    """
    if data.suffix.lower() in SUFFIXES and is_file(data):
        return _described(data.parent, _from_table(data), ())
    root = existing_folder(data, "the images and masks")
    listing = list_files(root)
    try:
        lists = {path: is_table(path) for path in _lists(listing)}
    except DataError as error:
        problem = Problem("error", "unreadable-table", str(error), ())
        return _described(root, ("not recognised", (), [problem]), ())
    tables = [path for path, table in lists.items() if table]
    tables = [path for path in tables if path.suffix.lower() == ".csv"] or tables  # or the same as TSV
    aside = _aside(listing, tables, unused=[path for path, table in lists.items() if not table])
    if len(tables) > 1:
        names = listed(path.name for path in tables)
        message = f"Several tables list images and masks: {names}. Give the one meant instead of the folder."
        return _described(
            root, ("not recognised", (), [Problem("error", "several-tables", message, tuple(tables))]), aside
        )
    if tables:
        return _described(root, _from_table(tables[0]), aside)
    return _by_layout(listing, aside)


def _by_layout(listing: Listing, aside: tuple[Problem, ...]) -> Discovery:
    """The cases of a folder without a table."""
    root = listing.root
    folders = nnunet_folders(listing)
    if len(folders) > 1:
        names = listed(f"{shown(folder, root)}/" for folder in folders)
        message = f"Several data sets, each with its own {PARTS[0][0]}/: {names}. Give one of them."
        problem = Problem("error", "several-data-sets", message, folders)
        return _described(root, ("not recognised", (), [problem]), aside)
    if folders:
        return _described(root, find_nnunet_cases(listing, folders[0]), aside, folders[0])
    return _described(root, find_pairs(listing), aside)


def _lists(listing: Listing) -> list[Path]:
    """The files beside the folders that may be tables, by their suffix."""
    return [p for p in listing.files if p.parent == listing.root and p.suffix.lower() in SUFFIXES]


def _from_table(path: Path) -> Found:
    try:
        return read_table(path)
    except DataError as error:
        return "not recognised", (), [Problem("error", "unreadable-table", str(error), (path,))]


def _described(root: Path, found: Found, aside: tuple[Problem, ...], folder: Path | None = None) -> Discovery:
    """The discovery with what `dataset.json`, in the data's folder or another, adds, errors first."""
    layout, cases, problems = found
    description = read_description(folder or root)
    rank = {"error": 0, "warning": 1, "note": 2}
    names, unused = description.label_names, tuple[Problem, ...]()
    if any(case.structures for case in cases):
        names, unused = _names_of_structures(cases), _names_not_used(description)
    told = (*problems, *description.problems, *unused, *aside)
    ordered = sorted(told, key=lambda problem: rank[problem.level])
    return Discovery(root, layout, cases, tuple(ordered), names, description.channel_names)


def _names_of_structures(cases: Sequence[CaseFiles]) -> Mapping[int, str] | None:
    """The names of labels by value in masks that are joined; None where they have none."""
    named = {each.value: each.name for case in cases for each in case.structures if each.name}
    return dict(sorted(named.items())) or None


def _names_not_used(description: Description) -> tuple[Problem, ...]:
    """A note where names for values are stated, though the values of joined masks are given here."""
    if description.label_names is None:
        return ()
    message = (
        f"The labels in {FILE_NAME} are not used: they name values of masks, but the masks are joined, and "
        "their labels called by folders and files."
    )
    return (Problem("note", "label-names-not-used", message),)


def _aside(listing: Listing, tables: list[Path], unused: list[Path]) -> tuple[Problem, ...]:
    """What is to be said of lists and files that are not used, and of what the listing skipped."""
    other = [
        path
        for path in listing.files
        if not formats.is_image(path) and path not in (*tables, *unused) and path.name not in _KNOWN_FILES
    ]
    problems = listing.problems()
    if unused:
        message = (
            f"{counted(len(unused), 'list')} not used, without the columns {' and '.join(REQUIRED)} in the "
            f"first line: {listed(path.name for path in unused)}. If patients or parts are stated there, add "
            "these columns, and call the others group and split."
        )
        problems = (*problems, Problem("warning", "unused-table", message, tuple(unused)))
    parts = [path for path in other if path.suffix.lower() == ".txt" and path.stem.lower() in SPLIT_WORDS]
    if parts:
        names = listed(shown(path, listing.root) for path in sorted(parts, key=path_key))
        message = (
            f"{counted(len(parts), 'list')} not used, by the name of parts of a split: {names}. If they say "
            "which images are to be trained on and which to be held out, state that in a CSV table with the "
            "columns image,mask,split."
        )
        problems = (*problems, Problem("warning", "unused-list", message, tuple(parts)))
    if other:
        names = listed(shown(path, listing.root) for path in sorted(other, key=path_key))
        message = f"{counted(len(other), 'file')} left aside, no pictures by their suffix: {names}."
        problems = (*problems, Problem("note", "other-files", message, tuple(other)))
    return problems
