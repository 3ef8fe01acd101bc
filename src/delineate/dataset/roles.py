"""What the words in a file's name and folders say: image or mask, and training, validation or test."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from delineate.dataset.case_files import SPLIT_WORDS, Split
from delineate.dataset.naming import (
    SEPARATOR,
    SEPARATORS,
    folded,
    letters_of,
    number_differently,
    say_opposites,
)

Role = Literal["image", "mask"]
_IMAGE = r"images?|imgs?"
_MASK = r"masks?|labels?|annotations?|segmentations?|segs?|ground[\s_-]?truths?|gts?|1st[\s_-]manual"
_MASK_ENDING = (
    r"(?<=[\s_.\-])(?:manual\d?|annos?|msks?)$"  # elsewhere in a name it may be what a case is called
)
_IMAGE_FOLDER = re.compile(rf"{_IMAGE}|(?:jpeg|png)images")  # the latter as PASCAL VOC calls them
_MASK_FOLDER = re.compile(rf"{_MASK}|msks?|annos?|annots?|segmentationclass")
_PLAIN: tuple[tuple[Role, re.Pattern[str]], ...] = (("mask", _MASK_FOLDER), ("image", _IMAGE_FOLDER))
_FAINT: tuple[tuple[Role, re.Pattern[str]], ...] = (  # within images/ or masks/ they tell one of these's kind
    ("mask", re.compile(r"manual\d?")),
    ("image", re.compile(r"imaging|volumes?|vols?")),
)
_NO_MASKS = re.compile(
    r"overlay|preview|thumb|visuali|distance|superpixel|segmentationobject"
    r"|predict|(?<![a-z])preds?(?![a-z])|result|output|probabilit|confidence|heat.?map|depth"
    r"|(?<![a-z])weights?(?![a-z])|weight.?map"
    r"|field.?of.?view|(?<![a-z])fov(?![a-z])",
    re.IGNORECASE,
)
_GLUED = re.compile(r"(?<=[^\W_])annot$")  # trainannot/, as CamVid has it
_TWO_WORDS = re.compile(r"ground[\s_-]truth")
_VERSIONS = frozenset({"v", "version"})
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NEUTRAL = frozenset({"set", "sets", "data", "dataset"})  # beside a word for a part
_LIKE_A_PART = re.compile(
    r"train|test(?!es|i[cs])|val(?!u|v)|eval(?:$|uation)"
)  # no testes, no values and valves


def _word(words: str) -> re.Pattern[str]:
    """One of `words` standing alone but for digits, with the separators before it or, at the start, after."""
    alone = rf"(?<![^\W\d_])(?:{words})(?![^\W\d_])"
    return re.compile(rf"^{alone}{SEPARATOR}*|{SEPARATOR}*{alone}", re.IGNORECASE)


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


def own_folders(one: Place, other: Place) -> tuple[set[str], set[str]]:
    """The folders that only one of two places lies in, and those that only the other does, folded."""
    folders, others = ({folded(part) for part in where.rest} for where in (one, other))
    return folders - others, others - folders


def place(folders: Sequence[str], *, loosely: bool = False) -> Place:
    """Read the folders between the data's root and a file: `train/images`, `train_masks`, `masks/val`.

    Args:
        folders: Their names.
        loosely: Whether a folder may also say more than its role, as `lung_masks` does; what more it says is
            then one of the folders that are left.
    """
    found = [_folder(folder, _PLAIN) for folder in folders]
    if all(role is None for role, _ in found):
        found = [_folder(folder, (*_PLAIN, *_FAINT)) for folder in folders]
    role: Role | None = None
    split: Split | None = None
    rest = []
    for folder, (found_role, found_split) in zip(folders, found, strict=True):
        sounding: Role | None = None
        if found_role is None and found_split is None:
            sounding, own = _sounding(folder) if loosely else (None, folder)
            rest.append(own)
        role, split = found_role or sounding or role, found_split or split
    return Place(role, split, tuple(rest))


def _folder(name: str, patterns: Sequence[tuple[Role, re.Pattern[str]]]) -> tuple[Role | None, Split | None]:
    """Role and split that one folder's name states, if every word of it is such a word."""
    if (role := _role(folded(name), patterns)) is not None:
        return role, None
    words = _words(name)
    splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    roles = {word: _role(word, patterns) for word in words if word not in SPLIT_WORDS}
    if any(role is None and word not in _NEUTRAL for word, role in roles.items()):
        return None, None
    if len(splits) > 1 or (not splits and not _NEUTRAL.isdisjoint(words)):
        return None, None
    stated = set(roles.values())
    return next((role for role, _ in patterns if role in stated), None), next(iter(splits), None)


def _role(word: str, patterns: Sequence[tuple[Role, re.Pattern[str]]]) -> Role | None:
    return next((role for role, pattern in patterns if pattern.fullmatch(word)), None)


def _sounding(name: str) -> tuple[Role | None, str]:
    """The role that one word of a folder's name states among others, and these others."""
    words = _words(name)
    for role, pattern in (*_PLAIN, *_FAINT):
        others = [word for word in words if not pattern.fullmatch(word)]
        if len(others) < len(words) and not (role == "mask" and holds_no_masks(name)):
            return role, " ".join(filter(None, others))
    return None, name


def _words(name: str) -> list[str]:
    """The words of a folder's name, which separators and humps divide: `TrainDataset`."""
    apart = _GLUED.sub(" annot", folded(_HUMP.sub(" ", name)))
    return SEPARATORS.split(_TWO_WORDS.sub("groundtruth", apart))


def like_a_part(name: str) -> bool:
    """Whether a folder's name holds a word for a part, or one that begins so: `testset`, `train_A`."""
    return any(_LIKE_A_PART.match(word) for word in _words(name))


def holds_no_masks(folder: str) -> bool:
    """Whether a folder's name says that its files are predicted, or made of masks: `overlays`."""
    return _NO_MASKS.search(folder) is not None


def sounds_like_images(folder: str) -> bool:
    """Whether a word of a folder's name says plainly that it holds images: `images_resized`."""
    roles = {_role(word, _PLAIN) for word in _words(folder)}
    return "image" in roles and "mask" not in roles


def name_different_things(one: str, other: str, *, whole: bool) -> bool:
    """Whether folders' names say that what is in them does not belong together.

    They do by opposite words, and by other numbers behind the same word, as `p1` and `p2`. Numbers that
    count the folders themselves, as in `1. Images` and `2. Masks`, say nothing.

    Args:
        one: A folder's name, or what it says besides its role.
        other: Likewise.
        whole: Whether these are names of folders; then numbers alone, `1` and `2`, are different things, too.
    """
    if say_opposites(one, other):
        return True
    words, others = (
        [word for word in letters_of(text) if _role(word, _PLAIN) is None] for text in (one, other)
    )
    if not number_differently(one, other) or words != others or set(words) & _VERSIONS:
        return False
    return bool(words) or (whole and not letters_of(one) and not letters_of(other))


def role_of_name(stem: str) -> Role:
    """The role a file's name states: "mask" where one of its words does, else "image"."""
    return "mask" if _WORD["mask"].search(stem) else "image"


def bare(stem: str, role: Role) -> str:
    """`stem` without the words for its role: `image_7` and `mask_7` are `7`, `x_mask` is `x`."""
    return folded(_WORD[role].sub("", stem))
