"""Codes in place of names that may tell who a patient is: in all that is shown and written."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from delineate import formats
from delineate.dataset.hidden_names import HiddenNames
from delineate.dataset.identifying import IN_TEXT, looks_identifying, names_any
from delineate.dataset.naming import printable
from delineate.dataset.roles import place
from delineate.files import output_error, write_text

PRIVATE = "private"  # the folder, within one of results, that is not passed on
TABLE = "names.csv"
_CHANNEL = re.compile(r"_\d{4}$")
_CODE = re.compile(r"((?:case|folder|group|name)-[0-9a-f]{10})")
__all__ = [
    "PRIVATE",
    "TABLE",
    "Pseudonyms",
    "holds_codes",
    "looks_identifying",
    "private_folder",
    "words_of",
]


@dataclass
class Pseudonyms:
    """Which names are replaced by which codes.

    Attributes:
        salt: Makes the codes; whoever has it and guesses a name can verify the guess, so it is kept apart.
            Empty for a random one, unless it is settled by the data.
        all_names: Whether all names are replaced, not only those that look as if they told something.
        table: Code → the files and names it stands for.
    """

    salt: bytes = field(default=b"", repr=False)
    all_names: bool = False
    table: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    _hidden: HiddenNames = field(default_factory=HiddenNames, repr=False)
    _settled: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        self._settled = bool(self.salt)
        self.salt = self.salt or secrets.token_bytes(16)

    def settle(self, known: Iterable[str]) -> None:
        """Take the salt from the data, where none was given, so that the same data get the same codes.

        Args:
            known: What can be known only by who has the data: names, digests of pixels, words of headers.
                Where that is nothing the salt stays random: one made of nothing anybody could make.
        """
        if self._settled:
            return
        digest, anything = hashlib.blake2b(digest_size=16), False
        for text in known:
            encoded, anything = _encoded(text), True
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        if anything:
            self.salt, self._settled = digest.digest(), True

    def name(self, name: str, paths: Sequence[Path], words: Collection[str], root: Path | None = None) -> str:
        """What a case is called: its name, or a code where the name or that of its files tells too much.

        Args:
            name: Of the case.
            paths: Its files.
            words: What their headers say of the subject.
            root: The data's folder: of the paths, what lies below it counts.
        """
        files = dict.fromkeys(path.name for path in paths)
        folders = dict.fromkeys(part for path in paths for part in _below(path, root)[:-1])
        telling = {part for part in (name, *files, *folders) if self._tells(part, words)}
        if not telling:
            return name
        code = self._code("case", name, *(str(path) for path in paths))
        self._hidden.hide(name, code, anywhere=looks_identifying(name, words))
        for part in folders:
            if part in telling:
                anywhere = looks_identifying(part, words)
                self._hidden.hide(part, self._code("folder", part, part), anywhere=anywhere)
        in_folders = [part for path in paths for part in _files_in(path)]  # as what is said of a series does
        for part in (*files, *in_folders):
            if self._tells(part, words):
                self._hide_file(part, code, anywhere=looks_identifying(part, words))
        return code

    def group(self, text: str, words: Collection[str], *, of_hidden: bool = False) -> str:
        """What a group is called: its name, or a code where that tells too much.

        Args:
            text: As the data or a pattern call it.
            words: What the headers of its files say of their subjects, folded.
            of_hidden: Whether one of its cases goes by a code.
        """
        if not (of_hidden or self.all_names or looks_identifying(text) or names_any(text, words)):
            return text
        return self._code("group", text, text)

    def hide_others(
        self, paths: Iterable[Path], words: Collection[str] = (), root: Path | None = None
    ) -> None:
        """Have names that tell too much replaced, of files that belong to no case.

        Args:
            paths: The files; headers of DICOM among them are read for what they say of their subject.
            words: What the headers of other files say of theirs, folded.
            root: The data's folder: of the paths, what lies below it counts.
        """
        seen: set[str] = set()
        for path in paths:
            own = words_of(path)
            for part in _below(path, root):
                if part in seen and not own:
                    continue
                seen.add(part)
                anywhere = looks_identifying(part, own) or names_any(part, words)
                if place([part]).rest and (anywhere or self.all_names):
                    self._hide_file(part, self._code("name", part, part), anywhere=anywhere)

    def redacted(self, text: str) -> str:
        """The text with codes in place of all that is hidden and of what looks as if it should be."""
        parts = _CODE.split(self._hidden.replaced(text))
        parts[::2] = [
            IN_TEXT.sub(lambda match: self._code("name", match[0], match[0]), part) for part in parts[::2]
        ]
        return "".join(parts)

    def write_table(self, folder: Path) -> None:
        """Write which code stands for which files to `private/names.csv` in a folder, if there are codes.

        Raises:
            OutputError: The place cannot be written.
        """
        if not self.table:
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("code", "files"))
        writer.writerows((code, " | ".join(map(printable, names))) for code, names in self.table.items())
        write_text(private_folder(folder) / TABLE, text.getvalue())

    def _tells(self, part: str, words: Collection[str] = ()) -> bool:
        """Whether a name is to be hidden; images/ and masks/ tell nothing."""
        return bool(place([part]).rest) and (self.all_names or looks_identifying(part, words))

    def _code(self, kind: str, text: str, *stands_for: str) -> str:
        code = f"{kind}-{hashlib.blake2b(_encoded(text), key=self.salt, digest_size=5).hexdigest()}"
        self.table[code] = tuple(dict.fromkeys((*self.table.get(code, ()), *stands_for)))
        return code

    def _hide_file(self, name: str, code: str, *, anywhere: bool) -> None:
        """A file's name, whole, without suffix, and without the number of its channel."""
        stem = formats.stem_of(Path(name))
        suffix = formats.suffix_of(Path(name))
        self._hidden.hide(name, code + (suffix if suffix in formats.SUFFIXES else ""), anywhere=anywhere)
        self._hidden.hide(stem, code, anywhere=anywhere)
        self._hidden.hide(_CHANNEL.sub("", stem), code, anywhere=anywhere)


def holds_codes(text: str) -> bool:
    """Whether a text has codes in place of names."""
    return _CODE.search(text) is not None


def words_of(path: Path) -> frozenset[str]:
    """What a file's header says of its subject; of a DICOM file whose header cannot be read, its name."""
    if not formats.is_dicom(path):
        return frozenset()
    return formats.identifying_words(path) or frozenset({formats.stem_of(path)})


def _below(path: Path, root: Path | None) -> tuple[str, ...]:
    """The folders below the data's, and the file; of a path elsewhere its name alone."""
    return path.relative_to(root).parts if root and path.is_relative_to(root) else (path.name,)


def _files_in(path: Path) -> list[str]:
    """The names of the files in a folder; none where it is no folder or may not be read."""
    try:
        return sorted(each.name for each in path.iterdir()) if path.is_dir() else []
    except OSError:
        return []


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def private_folder(folder: Path) -> Path:
    """The folder for what is not passed on, made if need be, for this user alone.

    Raises:
        OutputError: It cannot be made.
    """
    private = folder / PRIVATE
    try:
        private.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise output_error(private, error) from error
    return private
