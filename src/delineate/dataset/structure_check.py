"""Joined masks over the whole set: which structure lies over which, and what cannot be joined."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from delineate.dataset.case_files import Problem
from delineate.dataset.inspection import Inspected, Overlaps
from delineate.dataset.mask_shelf import MaskShelf
from delineate.dataset.naming import counted, listed
from delineate.dataset.structure_names import alike

COINCIDENT_DICE = 0.6  # of two structures, above which they may be two readings of one
WITHIN = 0.97  # of the smaller one, at least, lies in the larger, if it is a part of it
PART_SIZE = 0.7  # of the larger one, at most, is a part
HIDDEN = 0.05  # of a structure's pixels, at most, are seen: it would be no label
OVERLAP_DICE = 0.15  # above which it is to be looked at whether they are
INITIALS = 3  # letters, at most, of names that may stand for who drew the masks
DRAWN_TWICE = 0.08  # of the pixels of all objects, above which they may be readings of the same
OVERLAPPING = "overlapping-structures"
_PAIRS_SHOWN = 6
Pair = tuple[int, int]


@dataclass(frozen=True)
class Totals:
    """How structures lie over one another in a set.

    Attributes:
        names: By value.
        means: Of each structure the mean number of pixels over the cases that show it.
        pixels: Of each, over all cases.
        shared: Of each two that overlap the pixels that are in both, over all cases.
        beside: Of these two the pixels over the cases that show both.
        sets: How many pixels are in each set of structures, and in no other.
        given: The training data's order, where it is to be taken; empty for their own.
    """

    names: Mapping[int, str]
    means: Mapping[int, float]
    pixels: Mapping[int, int]
    shared: Mapping[Pair, int]
    beside: Mapping[Pair, Pair]
    sets: Mapping[tuple[int, ...], int]
    given: tuple[int, ...] = ()

    @property
    def order(self) -> tuple[int, ...]:
        """The values, each to be painted over those before: the smaller over the larger on average."""
        return self.given or tuple(sorted(self.names, key=lambda value: (-self.means.get(value, 0.0), value)))

    @property
    def rank(self) -> Mapping[int, int]:
        """Where each value stands in the order."""
        return {value: at for at, value in enumerate(self.order)}


def settled(
    inspected: Sequence[Inspected], shelf: MaskShelf, known: Sequence[str] = ()
) -> tuple[tuple[Inspected, ...], list[Problem]]:
    """Decide which structure is seen where several overlap, for all cases alike.

    Args:
        inspected: All cases.
        shelf: Is told the order in which joined masks are painted.
        known: Names of the training data's structures in their order, taken where these have no others.

    Returns:
        The cases with their structures in that order, and what is to be said.
    """
    if not any(item.case.structures for item in inspected):
        return tuple(inspected), []
    totals = _totals(inspected)
    totals = replace(totals, given=_as_known(totals.names, known))
    order = totals.order
    shelf.order = order
    ordered = tuple(
        replace(
            item,
            case=replace(
                item.case, structures=tuple(sorted(item.case.structures, key=lambda s: order.index(s.value)))
            ),
        )
        for item in inspected
    )
    problems = [*_several_readings(totals), *_drawn_twice(inspected)]
    if any(problem.level == "error" for problem in problems):
        return ordered, problems
    return ordered, [*problems, *_hidden(totals), *_overlaps(totals)]


def painted_names(inspected: Sequence[Inspected], order: Sequence[int]) -> tuple[str, ...]:
    """The names of structures in the order in which they are painted; none where there are not several."""
    names = {each.value: each.name for item in inspected for each in item.case.structures}
    return tuple(names[value] for value in order) if len(names) > 1 else ()


def _as_known(names: Mapping[int, str], known: Sequence[str]) -> tuple[int, ...]:
    """The values in the order of known names; none where some are of other names."""
    rank = {alike(name): at for at, name in enumerate(known)}
    if any(alike(name) not in rank for name in names.values()):
        return ()
    return tuple(sorted(names, key=lambda value: rank[alike(names[value])]))


def _totals(inspected: Sequence[Inspected]) -> Totals:
    names = {each.value: each.name for item in inspected for each in item.case.structures}
    found = [item.overlaps for item in inspected if item.overlaps is not None]
    sets: Counter[tuple[int, ...]] = Counter()
    own = [_own_pixels(overlaps) for overlaps in found]
    cases: Counter[int] = Counter(value for pixels in own for value in pixels)
    total: Counter[int] = Counter()
    for overlaps, pixels in zip(found, own, strict=True):
        sets.update(overlaps.pixels)
        total.update(pixels)
    shared: Counter[Pair] = Counter()
    for members, number in sets.items():
        for at, one in enumerate(members):
            for other in members[at + 1 :]:
                shared[one, other] += number
    shared = +shared
    beside = {
        pair: (
            sum(pixels[pair[0]] for pixels in own if set(pair) <= pixels.keys()),
            sum(pixels[pair[1]] for pixels in own if set(pair) <= pixels.keys()),
        )
        for pair in shared
    }
    means = {value: total[value] / cases[value] for value in total}
    return Totals(names, means, total, shared, beside, sets)


def _own_pixels(overlaps: Overlaps) -> dict[int, int]:
    """How many pixels each structure of a case has, whatever lies over it."""
    found: dict[int, int] = defaultdict(int)
    for members, number in overlaps.pixels.items():
        for value in members:
            found[value] += number
    return {value: number for value, number in found.items() if number}


def _part(totals: Totals, pair: Pair) -> bool:
    """Whether one of two structures is a part of the other."""
    smaller, larger = sorted(totals.beside[pair])
    return totals.shared[pair] >= WITHIN * smaller and smaller <= PART_SIZE * larger


def _dice(totals: Totals, pair: Pair) -> float:
    return 2 * totals.shared[pair] / sum(totals.beside[pair])


def _several_readings(totals: Totals) -> list[Problem]:
    """What is said where structures are so much the same that they may be several readings of one.

    An error where they nearly coincide, or overlap and are all called by what may be initials; else a
    warning.
    """
    initials = all(len(alike(name)) <= INITIALS for name in totals.names.values())
    pairs = [pair for pair in totals.shared if _dice(totals, pair) > OVERLAP_DICE and not _part(totals, pair)]
    coincident = [pair for pair in pairs if initials or _dice(totals, pair) > COINCIDENT_DICE]
    if coincident:
        what = (
            "overlap and are called by what may be readers' initials"
            if initials
            else "nearly coincide, as several readings of one structure do"
        )
        message = (
            f"Masks that were taken for those of several structures {what}: {_told(totals, coincident)}. "
            "Leave one of them in the data, or say which mask is meant in a CSV table with the columns "
            "image,mask; if they are of several structures, save one mask an image with a value for each."
        )
        return [Problem("error", "competing-structures", message)]
    within = [pair for pair in pairs if totals.shared[pair] < WITHIN * min(totals.beside[pair])]
    if not within:
        return []
    message = (
        f"Structures overlap much: {_told(totals, within)}. If they are two readers' masks of the same "
        "thing, keep one of them."
    )
    return [Problem("warning", OVERLAPPING, message)]


def _told(totals: Totals, pairs: Collection[Pair]) -> str:
    return listed((f"{_both(totals, pair)} (Dice {_dice(totals, pair):.2f})" for pair in pairs), _PAIRS_SHOWN)


def _drawn_twice(inspected: Sequence[Inspected]) -> list[Problem]:
    """How much of the objects of images is drawn twice; an error where they may be readings of the same."""
    drawn = seen = 0
    for item in inspected:
        overlaps = item.overlaps
        if overlaps is None or not any(len(each.files) > 1 for each in item.case.structures):
            continue
        for value, numbers in overlaps.drawn.items():
            if len(numbers) > 1:
                drawn += sum(numbers)
                seen += _own_pixels(overlaps)[value]
    if drawn == seen:
        return []
    share = 1 - seen / drawn
    if share <= DRAWN_TWICE:
        message = (
            f"Masks of single objects overlap: {share:.2%} of what they draw is drawn more than once. If "
            "some are further readers' masks of the same objects, take these out of the data."
        )
        return [Problem("note", "objects-overlap", message)]
    message = (
        f"Several masks an image, taken for those of single objects, overlap: {share:.0%} of what they draw "
        "is drawn more than once, as by several readers. Leave one mask an image in the data, with all of "
        "its objects, or say which is meant in a CSV table with the columns image,mask."
    )
    return [Problem("error", "competing-structures", message)]


def _hidden(totals: Totals) -> list[Problem]:
    """An error where nearly nothing of a structure would be seen below others."""
    rank = totals.rank
    seen: Counter[int] = Counter()
    for members, number in totals.sets.items():
        if members:
            seen[max(members, key=rank.__getitem__)] += number
    problems = []
    for value, number in totals.pixels.items():
        if seen[value] <= HIDDEN * number:
            over = [
                other
                for pair in totals.shared
                if value in pair and rank[other := pair[0] + pair[1] - value] > rank[value]
            ]
            names = listed(totals.names[other] for other in over)
            why = "as in the training data" if totals.given else "being smaller"
            message = (
                f"Nearly nothing of {totals.names[value]} would be left: {names} lie over it, {why}, and "
                f"every pixel has one label. Take the masks of {totals.names[value]} out of the data, or "
                "those of the others."
            )
            problems.append(Problem("error", "hidden-structure", message))
    return problems


def _overlaps(totals: Totals) -> list[Problem]:
    """A note on structures that overlap, and on which of them is seen there."""
    if not totals.shared:
        return []
    rank = totals.rank
    labelled = sum(number for members, number in totals.sets.items() if members)
    twice = sum(number for members, number in totals.sets.items() if len(members) > 1)
    pairs = sorted(totals.shared, key=lambda pair: (-totals.shared[pair], pair))
    lines = []
    for pair in pairs[:_PAIRS_SHOWN]:
        below, above = sorted(pair, key=rank.__getitem__)
        number = totals.shared[pair]
        share = number / totals.pixels[below]
        lines.append(f"{totals.names[above]} over {totals.names[below]} ({number} pixels, {share:.1%} of it)")
    more = f" and {len(pairs) - _PAIRS_SHOWN} more" if len(pairs) > _PAIRS_SHOWN else ""
    rule = "over the others in the training data" if totals.given else "smaller on average"
    message = (
        f"{counted(twice, 'pixel')}, {twice / labelled:.2%} of those labelled, in several structures. Every "
        f"pixel has one label: there the structure that is {rule} is seen, in all cases alike: "
        f"{', '.join(lines)}{more}."
    )
    return [Problem("note", "structures-overlap", message)]


def _both(totals: Totals, pair: Pair) -> str:
    return f"{totals.names[pair[0]]} and {totals.names[pair[1]]}"
