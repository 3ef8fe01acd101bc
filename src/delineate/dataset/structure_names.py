"""What the names of an image's several masks say: structures, objects of one kind, or several readers."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from delineate.dataset.naming import SEPARATORS, folded

Kind = Literal["structures", "objects", "readers", "numbered", "counted", "unclear"]
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TOKEN = re.compile(r"\d+(?:st|nd|rd|th)?(?![^\W\d_])|[^\W\d_]+|\d+")
_NUMBER = re.compile(
    r"\d+(?:st|nd|rd|th)?|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|first|second|third|fourth|fifth|i{1,3}|iv"
)
_READER = re.compile(
    r"observers?|readers?|raters?|annotators?|experts?|graders?|reviewers?|operators?|physicians?"
    r"|radiologists?|doctors?|students?|pathologists?|clinicians?|oncologists?|surgeons?|technicians?"
    r"|residents?|nurses?|junior|senior"
)
_VERSION = re.compile(  # in all names it tells nothing apart
    r"consensus|staple|majority|manual|auto(?:matic)?|human|ai|gold|silver"
    r"|originals?|corr(?:ected)?|final|drafts?|version|ver"
)
_AGE = re.compile(r"old|new")  # beside other words it tells of the structure: new lesions
_ONE_EACH = re.compile(  # before a number they name one structure of a body, or one value of a mask
    r"vertebrae?|ribs?|levels?|grades?|class(?:es)?|labels?|segments?|structures?|organs?|zones?|lobes?"
    r"|t(?:ee|oo)th|[lctsv]"
)
_HASH = re.compile(r"(?=\D*\d)(?=[^a-f]*[a-f])[0-9a-f]{8,}|[0-9a-f]{8}(?: [0-9a-f]{4}){3} [0-9a-f]{12}")
_ALONE = 0.9  # of the names of objects, at least, are in one image only
_SHARED = 0.5  # of the files of structures, at least, have a name that other images have, too
_MANY_LENGTHS, _SOME_LENGTHS, _HIGH = 4, 3, 8  # of numbers that run on in each image as far as it has objects


def kind_of(names: Sequence[Collection[str]]) -> Kind:
    """What the masks of images are by what they are called.

    Args:
        names: Of each image's masks, as `alike` has them, without what tells the image.

    Returns:
        "structures": names that images share; "objects": numbers or digests, in each image its own or as many
        as it has objects; "readers": whoever or whatever drew them; "numbered": numbers that may mean
        anything; "counted": structures, and beside them what looks like numbered objects of one kind;
        "unclear": anything else.
    """
    count = Counter(name for each in names for name in set(each))
    if _by_readers(tuple(count)):
        return "readers"
    by_core: dict[str, set[str]] = defaultdict(set)
    for name in count:
        by_core[core(name)].add(name)
    if all(_HASH.fullmatch(name) for name in count):
        return "objects" if _own(count, count) else "numbered"
    if len(count) > len(by_core) == 1:
        return "objects" if not _one_each(count) and _objects(names, count) else "numbered"
    shared = sum(number for number in count.values() if number > 1)
    if "" in by_core or (len(names) > 1 and shared < _SHARED * count.total()) or _apart(names):
        return "unclear"
    if any(_counted(names, own, count) for own in by_core.values()):
        return "counted"
    return "structures"


def core(name: str) -> str:
    """A name without its numbers, in digits or words."""
    return " ".join(token for token in _tokens(name) if not _NUMBER.fullmatch(token))


def alike(name: str) -> str:
    """A name for comparison: without case, and with spaces for whatever divides its words."""
    return SEPARATORS.sub(" ", folded(_HUMP.sub(" ", name))).strip()


def in_one_order(names: Sequence[Collection[str]]) -> Mapping[str, str]:
    """For names of the same words in another order, of which no image has two, the most usual one of them.

    Args:
        names: As `kind_of` takes them.
    """
    count = Counter(name for each in names for name in set(each))
    of_words: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in sorted(count, key=lambda name: (-count[name], name)):
        of_words[tuple(sorted(name.split()))].append(name)
    return {
        name: several[0]
        for words, several in of_words.items()
        if not any(_NUMBER.fullmatch(word) for word in words)
        and all(len(set(several) & set(each)) < 2 for each in names)
        for name in several[1:]
    }


def _tokens(name: str) -> list[str]:
    return _TOKEN.findall(alike(name))


def _by_readers(names: Sequence[str]) -> bool:
    """Whether some name says who or what drew the mask, where not all names do."""
    tokens = [_tokens(name) for name in names]
    in_all = set.intersection(*map(set, tokens)) if len(tokens) > 1 else set()
    told = [own for each in tokens if (own := [token for token in each if token not in in_all])]
    return (
        any(_READER.fullmatch(token) for each in tokens for token in each)
        or any(_VERSION.fullmatch(token) for each in told for token in each)
        or any(len(each) == 1 and _AGE.fullmatch(each[0]) for each in tokens)
        or (bool(told) and all(_AGE.fullmatch(" ".join(each)) for each in told))
    )


def _one_each(names: Iterable[str]) -> bool:
    """Whether numbers in names tell structures apart by the word before them: `vertebra L1`."""
    return any(_ONE_EACH.fullmatch(token) for name in names for token in core(name).split())


def _own(names: Collection[str], count: Mapping[str, int]) -> bool:
    """Whether nearly all names are in one image only."""
    return sum(count[name] == 1 for name in names) >= _ALONE * len(names)


def _objects(names: Sequence[Collection[str]], count: Mapping[str, int]) -> bool:
    """Whether names that differ in a number alone are surely of objects: as far as each image has some."""
    if _own(count, count):
        return True
    lengths = _lengths(names)
    if len(lengths) < 2:
        return False
    largest = max((int(token) for name in count for token in _tokens(name) if token.isdecimal()), default=0)
    far = largest >= _HIGH and len(lengths) >= min(_SOME_LENGTHS, len(names))
    first_has_no_number = all(any(core(name) == name for name in each) for each in names)
    return len(lengths) >= _MANY_LENGTHS or far or first_has_no_number


def _counted(names: Sequence[Collection[str]], own: Collection[str], count: Mapping[str, int]) -> bool:
    """Whether some names, alike but for a number, number the objects of each image."""
    if len(own) == 1 or _one_each(own):
        return False
    there = [found for each in names if (found := set(own) & set(each))]
    return len(there) > 1 and (_own(own, count) or len(_lengths(there)) > 1)


def _lengths(names: Sequence[Collection[str]]) -> set[int]:
    """How far the numbers run in images, where they run on as those of objects do: {1, 2} and {1, 2, 3}."""
    ordered = sorted((set(each) for each in names), key=len)
    nested = all(one <= other for one, other in itertools.pairwise(ordered))
    return {len(each) for each in ordered} if nested else set()


def _apart(names: Sequence[Collection[str]]) -> bool:
    """Whether images fall into groups that share no name, as where a patient's is a part of the names."""
    groups: list[tuple[set[str], int]] = []
    for each in names:
        meeting = [group for group in groups if not group[0].isdisjoint(each)]
        groups = [group for group in groups if group[0].isdisjoint(each)]
        words = set(each).union(*(group[0] for group in meeting))
        groups.append((words, 1 + sum(group[1] for group in meeting)))
    return sum(len(words) > 1 or images > 1 for words, images in groups) > 1
