"""Names that are replaced wherever they stand in a text, and no word or number of the text itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from delineate.dataset.naming import printable

LEAST_LETTERS = 4  # of a name to be replaced outside of paths


@dataclass
class HiddenNames:
    """Names and what stands for them.

    A name is replaced as a whole, never within a longer word, and the longest of several. Ordinary words,
    numbers and very short names are replaced only where they are the whole text or stand beside a slash, in
    a path, for sentences have them, too.
    """

    _codes: dict[str, str] = field(default_factory=dict, repr=False)
    _anywhere: set[str] = field(default_factory=set, repr=False)
    _lengths: list[int] = field(default_factory=list, repr=False)

    def hide(self, name: str, code: str, *, anywhere: bool = False) -> None:
        """Have a name replaced from now on; the first code that it is given stays.

        Args:
            name: Also replaced as messages print it.
            code: What is put in its place.
            anywhere: Whether also a word or number is replaced outside of paths; small words never are.
        """
        for form in (name, printable(name)):
            if anywhere and len(form) >= LEAST_LETTERS and not (form.isalpha() and form.islower()):
                self._anywhere.add(form)
            if form and form not in self._codes:
                self._codes[form] = code
                if len(form) not in self._lengths:
                    self._lengths = sorted((*self._lengths, len(form)), reverse=True)

    def replaced(self, text: str) -> str:
        """The text with codes in place of the names, in a time that hangs little on their number."""
        if not self._codes or text in self._codes:
            return self._codes.get(text, text)
        parts: list[str] = []
        at = done = 0
        while at < len(text):
            end = None if _inside(text, at) else self._name_at(text, at)
            if end is None:
                at += 1
            else:
                parts += [text[done:at], self._codes[text[at:end]]]
                at = done = end
        return "".join((*parts, text[done:]))

    def _name_at(self, text: str, at: int) -> int | None:
        """Where the longest name ends that begins at a place; None where none does."""
        for length in self._lengths:
            end, name = at + length, text[at : at + length]
            if (
                name in self._codes
                and not _inside(text, end)
                and (name in self._anywhere or not _is_ordinary(name) or _in_path(text, at, end))
            ):
                return end
        return None


def _inside(text: str, at: int) -> bool:
    """Whether a place lies within a word or number."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


def _is_ordinary(name: str) -> bool:
    """Whether a sentence may have it without meaning the name."""
    return len(name) < LEAST_LETTERS or _is_number(name) or name.replace(" ", "").replace("-", "").isalpha()


def _is_number(name: str) -> bool:
    return name.replace(".", "").isdigit()


def _in_path(text: str, at: int, end: int) -> bool:
    """Whether what stands there is a folder or file of a path, and not a part of its name or of `0/255`."""
    before, after = text[max(0, at - 1) : at], text[end : end + 1]
    if "/" not in (before, after) or before in ("_", "-") or after in ("_", "-"):
        return False
    start, stop = text.rfind(" ", 0, at) + 1, text.find(" ", end)
    path = text[start : stop if stop >= 0 else None]
    return not _is_number(text[at:end]) or any(letter.isalpha() for letter in path)
