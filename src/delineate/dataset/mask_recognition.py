"""What the values of masks mean when nobody says: the rules, each refusing where two meanings remain.

The rules look at three things. *Where* a value lies: pixels of a label fill areas, so most have four equal
neighbours; the values of a blurred or compressed edge have none. A label also lies in one mask where it lies
in the next. *Which files* hold it: labels come back from file to file, and one that a file lacks is a gap;
object numbers run 1…k with another k in each. *How many pieces* it has: one object is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects
from scipy.spatial import KDTree
from skimage.measure import label as connected_pieces

from delineate.dataset.mask_doubts import may_be_void, option_without_void
from delineate.dataset.mask_edges import AREA_SHARE, areas_between
from delineate.dataset.mask_encoding import ANY, MaskEncoding, value_text
from delineate.dataset.mask_survey import Integers, Survey, read_levels
from delineate.dataset.mask_table import encode, option_by_ranges, option_for, peaks, refusal
from delineate.formats import StoredMask
from delineate.image import MAXIMUM_LABELS, LabelSet

_FOREGROUND = LabelSet.of("foreground")
_SMALL_NUMBERS = 32  # values below are label numbers, never shades of grey
_EDGE_PIXELS = 0.2  # of all pixels, at most, are edges
_FEW_OBJECTS, _MANY_OBJECTS = 4, 10
_DENSE = 0.9
_ONE_PIECE = 1.1
_AT_ITS_PLACE = 0.25  # beyond chance: 10 to 15 objects numbered row by row reach 0.2, organs 0.5 and more
_MOST_LABELS = 32
_SAMPLE = 40

Read = Callable[[Path], StoredMask]


def recognise(survey: Survey, read: Read) -> MaskEncoding:
    """What the masks of a set mean.

    Args:
        survey: All of them, counted; some hold a value other than 0.
        read: To look at some once more.

    Returns:
        The encoding.

    Raises:
        MaskError: More than one meaning is possible, or none; it shows the table and the options.
    """
    values = survey.tally.values
    labelled = values[values != 0]
    if survey.reading == "colours":
        return _colours(survey)
    if len(labelled) == 1:
        ranges = [(0, 0, 0), (int(labelled[0]), int(labelled[0]), 1)]
        return encode(survey, "values", _FOREGROUND, ranges)
    if _soft_edges(survey):
        thick = _thick_middle(survey, read)
        if thick is None:
            return _threshold(survey)
        raise refusal(
            survey,
            f"Values in between are more than blurred edges: they fill areas, for example in {thick}.",
            option_by_ranges(survey),
            f">{_middle(survey)}=foreground · one label, whatever lies in between",
        )
    if survey.lossy:
        raise refusal(
            survey, "Lossy compression has blurred masks of several values.", option_by_ranges(survey)
        )
    objects = _numbered_objects(survey, read)
    if objects == "yes":
        note = "every mask numbers its objects in its own way: all numbers above 0 were taken as one label"
        return encode(survey, "instances", _FOREGROUND, [(0, 0, 0), (1, ANY, 1)], [note])
    if objects == "perhaps":
        raise refusal(
            survey,
            "These values may number the objects of each mask, or be labels that the masks share.",
            *_blurred_labels(survey),
            ">0=foreground · if they number objects",
            *_named_one_by_one(survey),
        )
    return _several_labels(survey)


def _soft_edges(survey: Survey) -> bool:
    """Whether there are two extremes, and between them only what blurred or compressed edges leave."""
    tally, values = survey.tally, survey.tally.values
    highest = int(values[-1])
    if len(values) < 5 or highest < _SMALL_NUMBERS:
        return False
    upper = values > highest / 2
    low = int(values[~upper][np.argmax(tally.pixels[~upper])]) if (~upper).any() else highest
    high = int(values[upper][np.argmax(tally.pixels[upper])])
    if low > highest / 8 or high < highest * 7 / 8:
        return False
    others = (values != low) & (values != high)
    # compression may leave flat patches one or two greys beside an extreme
    patches = (
        (np.abs(values - low) <= 8) | (np.abs(values - high) <= 8) if survey.lossy else np.zeros_like(others)
    )
    edges = others & ~patches
    inside = tally.interior[edges].sum() / max(1, tally.pixels[edges].sum())
    no_area = (tally.interior < AREA_SHARE * tally.pixels) | (tally.pixels < 50)
    return bool(
        survey.share(others) <= _EDGE_PIXELS
        and inside <= AREA_SHARE / 2
        and (survey.lossy or no_area[edges].all())
    )


def _threshold(survey: Survey) -> MaskEncoding:
    at = _middle(survey)
    extremes = np.argsort(survey.tally.pixels)[-2:]
    between = np.ones(len(survey.tally.values), bool)
    between[extremes] = False
    how = "lossy compression" if survey.lossy else "smoothed edges"
    shown = "0.5" if survey.fractions else str(at)
    notes = [
        f"{how} left values in between ({100 * survey.share(between):.2f} % of the pixels): "
        f"above {shown} was taken as foreground"
    ]
    return encode(survey, "threshold", _FOREGROUND, [(0, at, 0), (at + 1, ANY, 1)], notes)


def _middle(survey: Survey) -> int:
    """The level half-way up the range of the masks' type."""
    highest = int(survey.tally.values[-1])
    return next((full for full in (255, 65535) if full * 7 / 8 <= highest <= full), highest) // 2


def _thick_middle(survey: Survey, read: Read) -> Path | None:
    """A mask in which pixels between the extremes make up areas and not just outlines, if there is one."""
    highest = int(survey.tally.values[-1])
    for path in survey.masks:
        levels = read_levels(read(path), path, survey.reading, survey.fractions)
        if areas_between(levels, highest, lossy=survey.lossy):
            return path
    return None


def _numbered_objects(survey: Survey, read: Read) -> str:
    """Whether values number objects, a mask its own: "yes", "perhaps" or "no"."""
    if survey.reading in ("shown", "colours") or survey.fractions:
        return "no"
    objects = [values[values > 0] for values in survey.occurring if (values > 0).any()]
    kinds = int((survey.tally.values > 0).sum())
    if kinds < _FEW_OBJECTS:
        return "no"
    dense = float(np.mean([len(ids) / ids[-1] >= _DENSE for ids in objects])) >= _DENSE
    varied = len({len(ids) for ids in objects}) >= min(3, max(2, len(objects)))
    numbered = dense and varied and not _gaps_prevail(survey, objects)
    unshared = len(objects) > 1 and float((survey.tally.files == 1).mean()) >= _DENSE
    if not (numbered or unshared):
        return "perhaps" if kinds > _MOST_LABELS or (len(objects) == 1 and kinds >= _MANY_OBJECTS) else "no"
    pieces = pieces_per_value(survey, read)
    if kinds < _MANY_OBJECTS:
        return "perhaps" if pieces <= _ONE_PIECE else "no"
    objects_alone = pieces <= _ONE_PIECE and _filled(survey) >= 4 * AREA_SHARE
    return "yes" if objects_alone and not _places_come_back(survey, read) else "perhaps"


def _gaps_prevail(survey: Survey, objects: list[Integers]) -> bool:
    """Whether most values that masks lack lie below their highest, as a missing organ's does."""
    values = survey.tally.values[survey.tally.values > 0]
    gaps = sum(int(np.searchsorted(values, ids[-1], "right")) - len(ids) for ids in objects)
    return 2 * gaps > sum(len(values) - len(ids) for ids in objects)


def _filled(survey: Survey) -> float:
    """Share of the labelled pixels that lie inside areas of one value."""
    labelled = survey.tally.values != 0
    return float(survey.tally.interior[labelled].sum() / survey.tally.pixels[labelled].sum())


def pieces_per_value(survey: Survey, read: Read) -> float:
    """Mean number of connected pieces of a value in a mask, background aside, over some masks."""
    pieces = kinds = 0
    for at, levels in _some(survey, read):
        pieces += int(connected_pieces(levels, background=0, connectivity=2).max())
        kinds += int((survey.occurring[at] > 0).sum())
    return pieces / max(1, kinds)


def _places_come_back(survey: Survey, read: Read) -> bool:
    """Whether values lie in one mask where they lie in the next; also where those shared are too few to tell.

    The values that both masks hold are laid over one another, in shares of the box around them, and counted
    where the nearest has the same number. Of numbers given by chance one does, which is not counted.
    """
    met = others = 0
    shared_any = False
    values, boxes = np.zeros(0, np.int64), np.zeros((0, 2, 0))
    for _, levels in _some(survey, read):
        before, values_before = boxes, values
        values, boxes = _boxes(levels)
        shared, ours, theirs = np.intersect1d(values, values_before, return_indices=True)
        if not len(shared) or boxes.shape[2] != before.shape[2]:
            continue
        _, nearest = KDTree(_middles(before[theirs])).query(_middles(boxes[ours]))
        met += int((nearest == np.arange(len(shared))).sum()) - 1
        others += len(shared) - 1
        shared_any = True
    return shared_any and met >= _AT_ITS_PLACE * others


def _boxes(levels: Integers) -> tuple[Integers, npt.NDArray[np.float64]]:
    """The values above 0, and the first and last index of each along each axis: `(n, 2, axes)`."""
    values = np.unique(levels[levels > 0])
    found = find_objects(np.searchsorted(values, levels, "right"))
    ends = [[[side.start for side in box], [side.stop - 1 for side in box]] for box in found]
    return values, np.array(ends, np.float64).reshape(len(values), 2, levels.ndim)


def _middles(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The middle of each box in shares of the box around all, `(n, axes)`; boxes are `(n, 2, axes)`."""
    low, high = boxes[:, 0].min(0), boxes[:, 1].max(0)
    middles: npt.NDArray[np.float64] = (boxes.mean(1) - low) / (high - low + 1)
    return middles


def _some(survey: Survey, read: Read) -> Iterator[tuple[int, Integers]]:
    """Some masks, evenly spread: the position and the levels of each."""
    count = len(survey.masks)
    for at in np.unique(np.linspace(0, count - 1, min(_SAMPLE, count)).astype(int)).tolist():
        path = survey.masks[at]
        yield at, read_levels(read(path), path, survey.reading, survey.fractions)


def _several_labels(survey: Survey) -> MaskEncoding:
    """A label a value, if every value looks like one."""
    tally = survey.tally
    labelled = [int(value) for value in tally.values if value]
    if labelled == [1, 255] and not any({1, 255} <= set(found.tolist()) for found in survey.occurring):
        raise refusal(
            survey,
            "Some masks use 1 and others 255, never both: one label written in two ways, or two labels?",
            "1=foreground,255=foreground · one label",
            option_for(survey, labelled) + " · two labels",
        )
    if 0 not in tally.values:
        raise refusal(
            survey,
            "No pixel is 0, so that one of the other values may be the background.",
            *_one_is_background(survey, labelled),
        )
    if _lie_on_edges(survey) or len(labelled) > _MOST_LABELS:
        raise refusal(
            survey,
            "Some values lie only on edges, or there are too many: labels, or shades of blurred edges?",
            option_by_ranges(survey) + " · if edges are blurred",
            *([option_without_void(survey) + " · if 255 marks what is not labelled"] * may_be_void(survey)),
            *_named_one_by_one(survey),
        )
    names = LabelSet.of(*(f"label {value}" for value in labelled))
    ranges = [(value, value, labelled.index(value) + 1 if value else 0) for value in [0, *labelled]]
    return encode(survey, "values", names, ranges, _possible_objects(survey, labelled))


def _lie_on_edges(survey: Survey) -> bool:
    """Whether some values fill no areas, as shades of blurred edges do."""
    tally = survey.tally
    thin = (tally.interior < AREA_SHARE * tally.pixels) & (tally.values >= _SMALL_NUMBERS)
    return bool(thin.any())


def _blurred_labels(survey: Survey) -> list[str]:
    """The option for several labels with blurred edges, as enlarging leaves them, if there may be such."""
    if len(peaks(survey)) > 2 and _lie_on_edges(survey):
        return [option_by_ranges(survey) + " · if edges are blurred"]
    return []


def _named_one_by_one(survey: Survey) -> list[str]:
    """The option that makes every value a label, if so many can be; many may also be shades of one."""
    labelled = [int(value) for value in survey.tally.values if value]
    options = (
        [option_for(survey, labelled) + " · if they are labels"] if len(labelled) <= MAXIMUM_LABELS else []
    )
    if len(labelled) > _MOST_LABELS:
        options.append(f">{_middle(survey)}=foreground · if they are shades of one label")
    return options


def _possible_objects(survey: Survey, labelled: list[int]) -> list[str]:
    """A note where two or three labels might be objects after all."""
    found = [values[values > 0] for values in survey.occurring if (values > 0).any()]
    dense = all(len(ids) == ids[-1] for ids in found)
    if dense and len(labelled) < _FEW_OBJECTS and len({len(ids) for ids in found}) > 1:
        return ['values run 1, 2, … in every mask. If they number objects, give --labels ">0=foreground"']
    return []


def _one_is_background(survey: Survey, labelled: list[int]) -> list[str]:
    """Options that make the most frequent value background, or none."""
    most = int(survey.tally.values[survey.tally.pixels.argmax()])
    others = option_for(survey, [value for value in labelled if value != most])
    options = [f"{value_text(most, survey.reading)}=background,{others}"] if others else []
    return [*options, option_for(survey, labelled) + " · if every pixel is labelled"]


def _colours(survey: Survey) -> MaskEncoding:
    """A label a colour, black being background."""
    tally = survey.tally
    labelled = [int(value) for value in tally.values if value]
    areas = [value for value in peaks(survey) if value][:_MOST_LABELS]
    example = option_for(survey, areas or labelled[:3])
    thin = (tally.interior < AREA_SHARE * tally.pixels) & (tally.values != 0)
    if survey.lossy or thin.any() or len(labelled) > _MOST_LABELS:
        raise refusal(
            survey,
            "The colours are blurred, or too many to be labels. Name those that count; each pixel then "
            "takes the nearest of them or black.",
            example,
        )
    if 0 not in tally.values:
        raise refusal(
            survey,
            "No pixel is black, so that one of the colours may be the background.",
            *_one_is_background(survey, labelled),
        )
    names = LabelSet.of(*(value_text(value, "colours") for value in labelled))
    ranges = [(value, value, at) for at, value in enumerate([0, *labelled])]
    return encode(survey, "colours", names, ranges)
