"""What the words in a file's name and folders say: image or mask, and training, validation or test."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from delineate.dataset.case_files import SPLIT_WORDS, Split
from delineate.dataset.naming import folded

Role = Literal["image", "mask"]
_IMAGE = r"images?|imgs?"
_MASK = r"masks?|labels?|annotations?|segmentations?|segs?|ground[\s_-]?truths?|gts?|1st[\s_-]manual"
_MASK_ENDING = (
    r"(?<=[\s_.\-])(?:manual\d?|annos?|msks?)$"  # elsewhere in a name it may be what a case is called
)
_IMAGE_FOLDER = re.compile(rf"{_IMAGE}|imaging|volumes?|vols?|(?:jpeg|png)images")  # as PASCAL VOC calls them
_MASK_FOLDER = re.compile(rf"{_MASK}|msks?|annos?|annots?|manual\d?|segmentationclass")
_FOLDER_WORDS: tuple[tuple[Role, re.Pattern[str]], ...] = (("mask", _MASK_FOLDER), ("image", _IMAGE_FOLDER))
_GLUED = re.compile(r"(?<=[^\W_])annot$")  # trainannot/, as CamVid has it
_TWO_WORDS = re.compile(r"ground[\s_-]truth")
_SEPARATOR = r"[\s_.\-]"
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NEUTRAL = frozenset({"set", "sets", "data", "dataset"})  # beside a word for a part
_LIKE_A_PART = re.compile(
    r"train|test(?!es|i[cs])|val(?!u|v)|eval(?:$|uation)"
)  # no testes, no values and valves


def _word(words: str) -> re.Pattern[str]:
    """One of `words` standing alone but for digits, with the separators before it or, at the start, after."""
    alone = rf"(?<![^\W\d_])(?:{words})(?![^\W\d_])"
    return re.compile(rf"^{alone}{_SEPARATOR}*|{_SEPARATOR}*{alone}", re.IGNORECASE)


_WORD: dict[Role, re.Pattern[str]] = {"image": _word(_IMAGE), "mask": _word(f"{_MASK}|{_MASK_ENDING}")}


@dataclass(frozen=True)
class Place:
    """What a file's folders say.

    Attributes:
        role: Whether they hold images or masks; None where they do not say.
        split: Which part they belong to; None where they do not say.
        rest: The folders that say neither.
    """

    role: Role | None
    split: Split | None
    rest: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for the places of an image and of its mask."""
        return (self.split or "", *(folded(part) for part in self.rest))


def place(folders: Sequence[str], *, loosely: bool = False) -> Place:
    """Read the folders between the data's root and a file: `train/images`, `train_masks`, `masks/val`.

    Args:
        folders: Their names.
        loosely: Whether a folder may also say more than its role, as `lung_masks` does; what more it says is
            then one of the folders that are left.
    """
    role: Role | None = None
    split: Split | None = None
    rest = []
    for folder in folders:
        found_role, found_split = _folder(folder)
        if found_role is None and found_split is None:
            if loosely:
                found_role, folder = _sounding(folder)  # noqa: PLW2901
            rest.append(folder)
        role, split = found_role or role, found_split or split
    return Place(role, split, tuple(rest))


def _folder(name: str) -> tuple[Role | None, Split | None]:
    """Role and split that one folder's name states, if every word of it is such a word."""
    role: Role | None = None
    splits: set[Split] = set()
    if _MASK_FOLDER.fullmatch(folded(name)):
        return "mask", None
    words = _words(name)
    for word in words:
        if word in SPLIT_WORDS:
            splits.add(SPLIT_WORDS[word])
        elif _MASK_FOLDER.fullmatch(word):
            role = "mask"
        elif _IMAGE_FOLDER.fullmatch(word):
            role = role or "image"
        elif word not in _NEUTRAL:
            return None, None
    if len(splits) > 1 or (not splits and not _NEUTRAL.isdisjoint(words)):
        return None, None
    return role, next(iter(splits), None)


def _sounding(name: str) -> tuple[Role | None, str]:
    """The role that one word of a folder's name states among others, and these others."""
    words = _words(name)
    for role, pattern in _FOLDER_WORDS:
        others = [word for word in words if not pattern.fullmatch(word)]
        if len(others) < len(words):
            return role, " ".join(filter(None, others))
    return None, name


def _words(name: str) -> list[str]:
    """The words of a folder's name, which separators and humps divide: `TrainDataset`."""
    apart = _GLUED.sub(" annot", folded(_HUMP.sub(" ", name)))
    return re.split(_SEPARATOR + "+", _TWO_WORDS.sub("groundtruth", apart))


def like_a_part(name: str) -> bool:
    """Whether a folder's name holds a word for a part, or one that begins so: `testset`, `train_A`."""
    return any(_LIKE_A_PART.match(word) for word in _words(name))


def role_of_name(stem: str) -> Role:
    """The role a file's name states: "mask" where one of its words does, else "image"."""
    return "mask" if _WORD["mask"].search(stem) else "image"


def bare(stem: str, role: Role) -> str:
    """`stem` without the words for its role: `image_7` and `mask_7` are `7`, `x_mask` is `x`."""
    return folded(_WORD[role].sub("", stem))
