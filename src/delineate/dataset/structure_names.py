"""What the names of an image's several masks say: structures, objects of one kind, or several readers."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal

from delineate.dataset.naming import folded

Kind = Literal["structures", "objects", "readers", "numbered", "unclear"]
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TOKEN = re.compile(r"\d+(?:st|nd|rd|th)?(?![^\W\d_])|[^\W\d_]+|\d+")
_NUMBER = re.compile(
    r"\d+(?:st|nd|rd|th)?|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|first|second|third|fourth|fifth|i{1,3}|iv"
)
_READER = re.compile(
    r"observers?|readers?|raters?|annotators?|experts?|graders?|reviewers?|operators?|physicians?"
    r"|radiologists?|doctors?|students?|consensus|staple|majority|manual|auto(?:matic)?"
    r"|originals?|corrected|final|drafts?|old|new|version|ver"
)
_SEPARATED = re.compile(r"[\s_.\-]+")
_HASH = re.compile(r"(?=\D*\d)(?=[^a-f]*[a-f])[0-9a-f]{8,}|[0-9a-f]{8}(?: [0-9a-f]{4}){3} [0-9a-f]{12}")
_ALONE = 0.9  # of the names of objects, at least, are in one image only
_SHARED = 0.5  # of the files of structures, at least, have a name that other images have, too


def kind_of(names: Sequence[Collection[str]]) -> Kind:
    """What the masks of images are by what they are called.

    Args:
        names: Of each image's masks, as `alike` has them, without what tells the image.

    Returns:
        "structures": names that images share; "objects": numbers or digests, in each image its own or as many
        as it has objects; "readers": whoever or whatever drew them; "numbered": the same numbers in all
        images; "unclear": anything else.
    """
    count = Counter(name for each in names for name in set(each))
    if any(_READER.fullmatch(token) for name in count for token in _tokens(name)):
        return "readers"
    cores = {core(name) for name in count}
    if all(_HASH.fullmatch(name) for name in count) or len(count) > len(cores) == 1:
        own = sum(number == 1 for number in count.values())
        return "objects" if own >= _ALONE * len(count) or _as_many_as_there_are(names) else "numbered"
    shared = sum(number for number in count.values() if number > 1)
    if "" in cores or (len(names) > 1 and shared < _SHARED * count.total()):
        return "unclear"
    return "structures"


def core(name: str) -> str:
    """A name without its numbers, in digits or words."""
    return " ".join(token for token in _tokens(name) if not _NUMBER.fullmatch(token))


def alike(name: str) -> str:
    """A name for comparison: without case, and with spaces for whatever divides its words."""
    return _SEPARATED.sub(" ", folded(_HUMP.sub(" ", name))).strip()


def _tokens(name: str) -> list[str]:
    return _TOKEN.findall(alike(name))


def _as_many_as_there_are(names: Sequence[Collection[str]]) -> bool:
    """Whether images differ in how far the numbers run, as those of objects do: {1, 2} and {1, 2, 3}."""
    ordered = sorted((set(each) for each in names), key=len)
    return len(ordered[0]) < len(ordered[-1]) and all(
        one <= other for one, other in itertools.pairwise(ordered)
    )
