"""Names that look as if they said who a patient is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

LEAST_LETTERS = 4  # of a word to be looked for within others; shorter ones count where they stand alone
LEAST_ALONE = 3
_YEAR, _PARTS = r"(?:19|20)\d\d", r"[-_. /]"
_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_MONTH_NAME = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = (
    rf"(?<!\d){_YEAR}{_PARTS}?{_MONTH}{_PARTS}?{_DAY}(?!\d)"  # 20190304, 2019-03-04
    rf"|(?<!\d){_YEAR}{_PARTS}\d\d?{_PARTS}\d\d?(?!\d)"  # 2019-3-4
    rf"|(?<!\d)\d\d?{_PARTS}\d\d?{_PARTS}{_YEAR}(?!\d)"  # 4.3.2019
    rf"|(?<![0-9a-z])\d\d?{_PARTS}?{_MONTH_NAME}{_PARTS}?{_YEAR}(?!\d)"  # 04Mar2019
    rf"|(?<![0-9a-z]){_YEAR}{_PARTS}?{_MONTH_NAME}{_PARTS}?\d\d?(?!\d)"  # 2019-Mar-04
)
_UID = r"(?<![\d.])\d+(?:\.\d+){5,}"
_WRITTEN_DATE = (  # as in a sentence, in which numbers follow one another
    rf"(?<!\d){_YEAR}([-_.]?){_MONTH}\1{_DAY}(?!\d)|(?<!\d){_DAY}([-.]){_MONTH}\2{_YEAR}(?!\d)"
)
_NAME = r"[^\W_]*[^\W\d_]\^+[^\W_]*(?:\^+[^\W_]*)*"  # DICOM parts names so
_RECORD = r"(?<![0-9a-z])(?:mrn|patient|pat|pid)[-_ ]?(?:id|name|no|nr)?[-_ ]?\d{4,}"
_NUMBER = (
    r"(?<![0-9a-z])\d{7,}(?![0-9a-z])"
    r"|(?<![0-9a-z])[a-z]{1,10}(?!000)\d{7,}(?![0-9a-z])"  # P12345678, but not the counter IM00000012
    r"|(?<![0-9a-z])(?:\d{6}[-+]\d{4}|\d{3}-\d\d-\d{4})(?![0-9a-z])"  # of citizens and insured
)
_CODES = re.compile(
    r"(?<![0-9a-z])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=(?:\d*[a-f]){3})[0-9a-f]{16,})(?![0-9a-z])",
    re.IGNORECASE,
)  # UUIDs and digests: whatever digits stand in them say nothing
_LOOKS = re.compile("|".join((r"\^", _DATE, _UID, _RECORD, _NUMBER)), re.IGNORECASE)
IN_TEXT = re.compile("|".join((_WRITTEN_DATE, _NAME, _UID, _RECORD)), re.IGNORECASE)
"""What looks so even in a sentence, in which long numbers may mean anything."""
_WORDS = re.compile(r"[^\W_]+")


def looks_identifying(text: str, words: Collection[str] = ()) -> bool:
    """Whether a name looks as if it said who a patient is.

    Args:
        text: A file's or folder's name.
        words: What the file's own header says of its subject: names, numbers, dates.
    """
    if _LOOKS.search(_CODES.sub(" ", text)):
        return True
    plain = fold(text)
    alone = set(_WORDS.findall(plain))
    return any(
        word in alone if len(word) < LEAST_LETTERS else word in plain
        for word in map(fold, words)
        if len(word) >= LEAST_ALONE
    )


def names_any(text: str, folded_words: Collection[str]) -> bool:
    """Whether one of many words stands alone in a name.

    Args:
        text: A file's or folder's name.
        folded_words: What the headers of many files say of their subjects, folded.
    """
    return any(len(word) >= LEAST_ALONE and word in folded_words for word in _WORDS.findall(fold(text)))


def fold(text: str) -> str:
    """`text` without case and accents; a number without the zeros before it."""
    if text.isdigit():
        return text.lstrip("0")
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))
