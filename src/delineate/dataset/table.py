"""A CSV table that says which files belong together: `image,mask[,group][,split]`."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from delineate import formats
from delineate.dataset.case_files import SPLIT_WORDS, CaseFiles, Level, Problem, Split
from delineate.dataset.layouts import Found
from delineate.dataset.naming import counted, listed, natural_key, printable, safe_name, unique_names
from delineate.dataset.roles import place
from delineate.errors import DataError
from delineate.files import is_file, is_folder

MAXIMUM_BYTES = 64 << 20
REQUIRED = ("image", "mask")
KNOWN = ("image", "mask", "group", "split")
SUFFIXES = (".csv", ".tsv")
_DELIMITER_LINE = re.compile(r'\s*"?sep=([^\w "]|\t)"?[\s,;]*', re.IGNORECASE)  # as Excel writes it
_LIKE_A_GROUP = re.compile(
    r"(patient|subject|participant|person|case|group)s?[\s_.\-]*(id|no|nr|number|name|code)?"
)


@dataclass(frozen=True)
class _Row:
    line: int
    image: Path
    mask: Path | None
    group: str | None
    split: str
    written: Mapping[Path, str]  # each file as its cell names it


def columns(path: Path) -> tuple[str, ...]:
    """The column names of a table in small letters; none where it is not one.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(65536)
    except OSError as error:
        raise DataError(_unreadable(path, error)) from error
    encoding = "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    _, head, delimiter = _head(start.decode(encoding, errors="replace"))
    return tuple(name.strip().casefold() for name in next(csv.reader([head], delimiter=delimiter), []))


def is_table(path: Path) -> bool:
    """Whether the file's first line, blank ones aside, has the columns `image` and `mask`.

    Raises:
        DataError: The file cannot be read.
    """
    return set(REQUIRED) <= set(columns(path))


def read_table(path: Path) -> Found:
    """The cases a table lists.

    Args:
        path: The CSV file; its paths are taken from its own folder.

    Returns:
        The layout in words, the cases, and the problems.

    Raises:
        DataError: The file cannot be read as a table.
    """
    names = columns(path)
    rows, problems = _rows(path, names)
    usable = [row for row in rows if row.mask is not None]
    found_problems = [
        *problems,
        *_missing_files(rows, path),
        *_repeated(rows),
        *_unpaired(rows),
        *_split_words(usable),
        *_holes("split", [(row, row.split) for row in usable]),
        *_holes("group", [(row, row.group) for row in usable]),
    ]
    bad = {p for problem in found_problems if problem.level == "error" for p in problem.paths}
    usable = [row for row in usable if row.image not in bad and row.mask not in bad]
    if not usable and not any(problem.level == "error" for problem in found_problems):
        message = f"{printable(path.name)} lists no image with a mask. Fill in both columns, a line a case."
        found_problems.append(Problem("error", "no-pairs", message, (path,)))
    unused = [name for name in names if name and name not in KNOWN]
    if unused:
        message = (
            f"Columns of {printable(path.name)} not used: {listed(unused)}. Known are {', '.join(KNOWN)}."
        )
        like_groups = [name for name in unused if "group" not in names and _LIKE_A_GROUP.fullmatch(name)]
        if like_groups:
            message += (
                " The column group keeps together what must not be divided: if that is what "
                f"{listed(like_groups)} means, call it group."
            )
        level: Level = "warning" if like_groups else "note"
        found_problems.append(Problem(level, "unused-columns", message, (path,)))
    case_names = unique_names([_names(row.image, path.parent) for row in usable])
    plain = _plain_names([row.image for row in usable], case_names, path.parent)
    cases = [
        CaseFiles(name, (row.image,), row.mask, row.group, _split(row.split), plain=own)
        for name, own, row in zip(case_names, plain, usable, strict=True)
    ]
    optional = [name for name in ("group", "split") if name in names]
    words = f"the table {printable(path.name)} with the columns {', '.join((*REQUIRED, *optional))}"
    return words, tuple(sorted(cases, key=lambda case: natural_key(case.name))), found_problems


def _names(image: Path, root: Path) -> tuple[str, ...]:
    """What a case may be called, shortest first."""
    stem, folders = formats.stem_of(image), _parents(image, root)
    return stem, "__".join((*folders, stem)), "__".join((*folders, image.name.replace(".", "_")))


def _plain_names(images: Sequence[Path], names: Sequence[str], root: Path) -> list[str]:
    """The names of the files; with the folders, but those of parts, where these had to be added to all."""
    stems = [safe_name(formats.stem_of(image)) for image in images]
    if any(name == stem for name, stem in zip(names, stems, strict=True)):
        return stems
    folders = [[each for each in _parents(image, root) if place([each]).split is None] for image in images]
    return [
        safe_name("__".join((*above, formats.stem_of(image))))
        for image, above in zip(images, folders, strict=True)
    ]


def _unreadable(path: Path, error: OSError) -> str:
    return (
        f"{printable(path)} cannot be read: {error.strerror}. It may say which files belong together: change "
        "its permissions, or put it elsewhere."
    )


def _head(text: str) -> tuple[int, str, str]:
    """The number of lines before the column names, these, and the delimiter, which a line may state."""
    stated = None
    for number, line in enumerate(text.splitlines()):
        if match := _DELIMITER_LINE.fullmatch(line):
            stated = match[1]
        elif line.strip(",; \t"):
            return number, line, stated or max(",;\t", key=line.count)
    return 0, "", ","


def _rows(path: Path, names: Sequence[str]) -> tuple[list[_Row], list[Problem]]:
    """The table's lines as paths; lines that are too long are told."""
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        has = listed(names) if names else "none"
        raise DataError(
            f"{printable(path)} has no column named {' and none named '.join(missing)}. Its first line must "
            "name "
            f"the columns, image,mask[,group][,split]; it has: {has}."
        )
    repeated = sorted({name for name in names if name in KNOWN and names.count(name) > 1})
    if repeated:
        raise DataError(f"{printable(path)} has the column {listed(repeated)} twice. Keep one.")
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise DataError(
                f"{printable(path)} is larger than {MAXIMUM_BYTES >> 20} MiB, too large for a list of files."
            )
        text = path.read_bytes().decode("utf-8-sig")
        before, _, delimiter = _head(text)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for _ in range(before + 1):
            next(reader)
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)} is not written in UTF-8. Save it as “CSV UTF-8”.") from error
    except csv.Error as error:
        raise DataError(
            f"{printable(path)} cannot be read as a table: {error}. Check its quotation marks."
        ) from error
    except OSError as error:
        raise DataError(_unreadable(path, error)) from error
    wrong = [str(number) for number, cells in lines if len(cells) > len(names)]
    problems = []
    if wrong:
        message = (
            f"{counted(len(wrong), 'line')} of {printable(path.name)} have more cells than there are "
            "columns: "
            f"{listed(wrong)}. Put names with a comma in quotation marks."
        )
        problems.append(Problem("error", "table-cells", message, (path,)))
    rows, nameless = [], []
    for number, cells in lines:
        if len(cells) <= len(names):
            row = dict(zip(names, (cell.strip() for cell in cells), strict=False))
            written = {
                _file(path.parent, cell): printable(cell) for role in REQUIRED if (cell := row.get(role))
            }
            if not row.get("image"):
                nameless.append(f"line {number}")
                continue
            image = _file(path.parent, row["image"])
            mask = _file(path.parent, row["mask"]) if row.get("mask") else None
            rows.append(_Row(number, image, mask, row.get("group") or None, row.get("split", ""), written))
    if nameless:
        message = (
            f"No image is named in {counted(len(nameless), 'line')} of {printable(path.name)}: "
            f"{listed(nameless)}. Fill in the column image, or remove the lines."
        )
        problems.append(Problem("error", "table-cells", message, (path,)))
    return rows, problems


def _file(folder: Path, cell: str) -> Path:
    """The file a cell means, without `..` on the way, so that the same file is always the same path."""
    return Path(os.path.normpath(folder / cell))


def _parents(path: Path, root: Path) -> tuple[str, ...]:
    return path.relative_to(root).parts[:-1] if path.is_relative_to(root) else (path.parent.name,)


def _named(file: Path, row: _Row) -> str:
    """A file as the table names it, so that it is found again wherever it lies."""
    return row.written.get(file, printable(file.name))


def _files(rows: Iterable[_Row]) -> tuple[Path, ...]:
    """All files of some lines, each once."""
    return tuple(dict.fromkeys(file for row in rows for file in (row.image, row.mask) if file is not None))


def _split(word: str) -> Split | None:
    return SPLIT_WORDS.get(word.casefold())


def _missing_files(rows: Sequence[_Row], table: Path) -> list[Problem]:
    files = [(row, file) for row in rows for file in (row.image, row.mask) if file is not None]
    missing = [(row, file) for row, file in files if not _is_file(file)]
    if not missing:
        return []
    names = listed(f"{_named(file, row)} (line {row.line})" for row, file in missing)
    backwards = any("\\" in _named(file, row) for row, file in missing)
    message = (
        f"{counted(len(missing), 'file')} named in {printable(table.name)} not found: {names}. Paths are "
        f"taken from the table's own folder{', and written with / between folders' if backwards else ''}. "
        "Correct them or remove the lines."
    )
    return [Problem("error", "missing-file", message, tuple(file for _, file in missing))]


def _is_file(path: Path) -> bool:
    """Whether there is such a file, or a folder that may hold a DICOM series."""
    return is_file(path) or is_folder(path)


def _repeated(rows: Sequence[_Row]) -> list[Problem]:
    """Images or masks that stand in several lines, and files that are image and mask at once."""
    problems = []
    cells: dict[str, Callable[[_Row], Path | None]] = {
        "image": lambda row: row.image,
        "mask": lambda row: row.mask,
    }
    for role, cell in cells.items():
        naming: dict[Path, list[_Row]] = defaultdict(list)
        for row in rows:
            if (file := cell(row)) is not None:
                naming[file].append(row)
        twice = {file: where for file, where in naming.items() if len(where) > 1}
        if twice:
            names = listed(
                f"{_named(file, where[0])} (lines {', '.join(str(row.line) for row in where)})"
                for file, where in twice.items()
            )
            message = f"{counted(len(twice), role)} listed more than once: {names}. Keep one line each."
            files = _files(row for where in twice.values() for row in where)
            problems.append(Problem("error", f"doubled-{role}", message, files))
    both = [row for row in rows if row.image == row.mask]
    if both:
        names = listed(f"{_named(row.image, row)} (line {row.line})" for row in both)
        message = (
            f"{counted(len(both), 'line')} name one file as image and as mask: {names}. Correct the mask."
        )
        problems.append(Problem("error", "image-is-mask", message, tuple(row.image for row in both)))
    return problems


def _unpaired(rows: Sequence[_Row]) -> list[Problem]:
    without = [row for row in rows if row.mask is None]
    if not without:
        return []
    names = listed(f"{_named(row.image, row)} (line {row.line})" for row in without)
    message = f"{counted(len(without), 'image')} left out, without a mask in the table: {names}."
    return [Problem("warning", "unpaired-image", message, tuple(row.image for row in without))]


def _split_words(rows: Sequence[_Row]) -> list[Problem]:
    """Words in the split column that mean nothing."""
    unknown = [row for row in rows if row.split and _split(row.split) is None]
    if not unknown:
        return []
    names = listed(f"{printable(row.split)} (line {row.line})" for row in unknown)
    message = f"The column split has words that mean no part: {names}. Write train, validation or test."
    return [Problem("error", "unknown-split", message, _files(unknown))]


def _holes(column: str, cells: Sequence[tuple[_Row, str | None]]) -> list[Problem]:
    """Cells of a column left empty where others are filled in, as cells that were merged leave them."""
    empty = [row for row, cell in cells if not cell]
    if not empty or len(empty) == len(cells):
        return []
    names = listed(f"line {row.line}" for row in empty)
    message = (
        f"The column {column} is empty in {counted(len(empty), 'line')} and filled in elsewhere: {names}. "
        "Fill in all or none."
    )
    return [Problem("error", f"missing-{column}", message, _files(empty))]
