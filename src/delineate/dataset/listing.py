"""The files below a folder: all of them, in natural order, each accounted for."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from delineate.dataset.case_files import Level, Problem, shown
from delineate.dataset.naming import listed, natural_key, path_key
from delineate.errors import UsageError

MAXIMUM_FILES = 500_000
MAXIMUM_DEPTH = 12
SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r"})


@dataclass
class Listing:
    """Files below `root`.

    Attributes:
        root: The folder.
        files: Paths that begin with `root`; links are followed, for reading alone.
        skipped: Hidden and system files and folders.
        broken: Links that lead nowhere or back into a folder above them.
        closed: Folders that may not be read, and those too deep to be meant.
        special: What is no ordinary file: pipes, devices.
        outward: Links that lead out of `root`.
    """

    root: Path
    files: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)
    special: list[Path] = field(default_factory=list)
    outward: list[Path] = field(default_factory=list)

    def problems(self, *, each: bool = False) -> tuple[Problem, ...]:
        """What was not taken, a line a kind; with `each` one for every link and folder that is an error."""
        kinds: tuple[tuple[Level, str, list[Path], str, str, str], ...] = (
            ("error", "closed-folder", self.closed, "folder", "cannot be opened",
             " Make it readable (chmod u+rx) or take it out of the data."),
            ("error", "broken-link", self.broken, "link", "leads nowhere or in a circle", " Remove it."),
            ("note", "hidden-files", self.skipped, "hidden or system file", "left aside", ""),
            ("note", "special-files", self.special, "pipe, device or socket", "left aside", ""),
            ("note", "outside-links", self.outward, "link out of the folder", "read like the rest", ""),
        )  # fmt: skip
        found = []
        for level, code, all_paths, what, why, todo in kinds:
            told = [[path] for path in all_paths] if each and level == "error" else [all_paths]
            for paths in filter(None, told):
                names = listed(shown(path, self.root) for path in paths)
                message = f"{what.capitalize()} {why}: {names}.{todo}"
                if len(paths) > 1:
                    message = f"{len(paths)} times: {message[0].lower()}{message[1:]}"
                found.append(Problem(level, code, message, tuple(paths)))
        return tuple(found)


def list_files(root: Path, *, recursive: bool = True) -> Listing:
    """List the files below a folder.

    Args:
        root: A folder that can be read.
        recursive: Whether sub-folders are entered.

    Returns:
        The listing, sorted.

    Raises:
        UsageError: There are so many files that another folder must have been meant.
    """
    listing = Listing(root)
    real_root = Path(os.path.realpath(root))
    _walk(listing, root, real_root, (str(real_root),), recursive)
    listing.files.sort(key=path_key)
    return listing


def _walk(
    listing: Listing, folder: Path, real_root: Path, ancestors: tuple[str, ...], recursive: bool
) -> None:
    try:
        with os.scandir(folder) as entries:
            children = sorted(entries, key=lambda entry: natural_key(entry.name))
    except OSError:
        listing.closed.append(folder)
        return
    for entry in children:
        path = folder / entry.name
        if entry.name.startswith(".") or entry.name.casefold() in SYSTEM_NAMES:
            listing.skipped.append(path)
            continue
        try:
            mode = entry.stat().st_mode
        except OSError:  # a link that leads nowhere or to itself
            listing.broken.append(path)
            continue
        real = os.path.realpath(path) if entry.is_symlink() else str(Path(ancestors[-1]) / entry.name)
        if entry.is_symlink() and not Path(real).is_relative_to(real_root):
            listing.outward.append(path)
        if stat.S_ISREG(mode):
            listing.files.append(path)
            if len(listing.files) > MAXIMUM_FILES:
                raise UsageError(
                    f"{listing.root} holds more than {MAXIMUM_FILES} files. "
                    "Give the folder of the data set itself."
                )
        elif not stat.S_ISDIR(mode):
            listing.special.append(path)
        elif real in ancestors:
            listing.broken.append(path)
        elif len(ancestors) > MAXIMUM_DEPTH:
            listing.closed.append(path)
        elif recursive:
            _walk(listing, path, real_root, (*ancestors, real), recursive)
