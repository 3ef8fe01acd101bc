"""Codes in place of names that may tell who a patient is: in all that is shown and written."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from delineate import formats
from delineate.dataset.roles import place
from delineate.files import output_error, write_text

PRIVATE = "private"  # the folder, within one of results, that is not passed on
TABLE = "names.csv"
LEAST_LETTERS = 4  # of a word from a file's header, to be looked for in names
_LOOKS = re.compile(
    r"\^"  # DICOM's way to part names
    r"|(?<!\d)(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])(?!\d)"  # a date
    r"|(?<![0-9a-zA-Z])\d{7,}(?![0-9a-zA-Z])"  # a long number
    r"|\d+(?:\.\d+){5,}"  # a UID
    r"|(?i:(?<![a-z])(?:mrn|patient|pat|pid)[-_ ]?(?:id|name|no|nr)?[-_ ]?\d{4,})"
)


def looks_identifying(text: str, words: Collection[str] = ()) -> bool:
    """Whether a name looks as if it said who a patient is.

    Args:
        text: A file's or folder's name.
        words: What the file's own header says of its subject: names, numbers, dates.
    """
    if _LOOKS.search(text):
        return True
    folded = text.casefold()
    return any(len(word) >= LEAST_LETTERS and word.casefold() in folded for word in words)


@dataclass
class Pseudonyms:
    """Which names are replaced by which codes.

    Attributes:
        salt: Makes the codes; whoever has it and guesses a name can verify the guess, so it is kept apart.
        all_names: Whether all names are replaced, not only those that look as if they told something.
        table: Code → the files it stands for.
    """

    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)
    all_names: bool = False
    table: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    _hidden: dict[str, str] = field(default_factory=dict, repr=False)
    _pattern: re.Pattern[str] | None = field(default=None, repr=False)

    def name(self, name: str, paths: Sequence[Path], words: Collection[str], root: Path | None = None) -> str:
        """What a case is called: its name, or a code where the name or that of its files tells too much.

        Args:
            name: Of the case.
            paths: Its files.
            words: What their headers say of the subject.
            root: The data's folder: of the paths, what lies below it counts.
        """
        parts = {name: name}
        for path in paths:
            below = path.relative_to(root).parts if root and path.is_relative_to(root) else (path.name,)
            parts |= {part: formats.stem_of(Path(part)) for part in below}
        own = {part for part in parts if place([part]).rest}  # images/ and masks/ tell nothing
        telling = [part for part in own if self.all_names or looks_identifying(part, words)]
        if not telling:
            return name
        encoded = name.encode("utf-8", "surrogatepass")
        code = f"case-{hashlib.blake2b(encoded, key=self.salt, digest_size=5).hexdigest()}"
        self.table[code] = tuple(str(path) for path in paths)
        for part in telling:
            self.hide(part, code)
            self.hide(parts[part], code)
        return code

    def hide(self, text: str, code: str) -> None:
        """Have a text replaced from now on."""
        if len(text) >= LEAST_LETTERS and text not in self._hidden:
            self._hidden[text] = code
            self._pattern = None

    def redacted(self, text: str) -> str:
        """The text with codes in place of all that is hidden."""
        if not self._hidden:
            return text
        if self._pattern is None:
            longest = sorted(self._hidden, key=len, reverse=True)
            self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(each) for each in longest)})(?!\w)")
        return self._pattern.sub(lambda match: self._hidden[match[0]], text)

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
        writer.writerows((code, " | ".join(files)) for code, files in self.table.items())
        write_text(private_folder(folder) / TABLE, text.getvalue())


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
