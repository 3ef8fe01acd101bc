"""What the values of masks mean: understood over the whole set, or refused with the option that decides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from delineate import formats
from delineate.dataset.mask_doubts import doubted
from delineate.dataset.mask_encoding import ANY, Kind, MaskEncoding, ValueRow, colour_distances, value_text
from delineate.dataset.mask_labels import fitted, not_fitting, option_naming
from delineate.dataset.mask_option import Entry, LabelOption, parse_labels
from delineate.dataset.mask_recognition import recognise
from delineate.dataset.mask_survey import FRACTION_LEVELS, Survey, Surveyor
from delineate.dataset.mask_table import encode, option_by_ranges, option_for, refusal
from delineate.errors import MaskError
from delineate.formats import StoredMask
from delineate.image import BACKGROUND, LabelSet

_EXACT_COLOURS = 64
_NEAR = 110.0  # of 442, black to white: the edge between two colours lies within it of one of them
_FAR_SHARE = 0.01


def understand(
    masks: Sequence[Path],
    *,
    labels: str | None = None,
    names: Mapping[int, str] | None = None,
    expected: LabelSet | None = None,
    read: Callable[[Path], StoredMask] = formats.read_mask,
    progress: Callable[[int, int], object] | None = None,
) -> MaskEncoding:
    """Look at all masks of a set and say what their values mean.

    Args:
        masks: The files, at least one.
        labels: The user's --labels option; see `mask_option`. It decides all.
        names: Label names by value where the data set has them (a `dataset.json`); 0 is background.
        expected: The labels of the model that the masks are compared with. All masks may then be empty, and
            labels named as the model's may be some of them.
        read: How a mask is read.
        progress: Called with the masks read and their number.

    Returns:
        The encoding, with the table to show. Its labels are `expected` where the names allow it.

    Raises:
        UsageError: `labels` cannot be read.
        MaskError: Masks cannot be read, are all empty, can mean more than one thing, or have other labels
            than expected.
    """
    option = parse_labels(labels) if labels is not None else None
    if not masks:
        raise MaskError("There are no masks.")
    surveyor = Surveyor()
    surveyor.look(masks, read, progress)
    if option is not None:
        survey = surveyor.survey("colours" if option.colours else "values")
    else:
        survey = surveyor.survey(None if names is None else "values")
    zero_is_label = option is not None and any(e.first == 0 and e.label for e in option.entries)
    if not zero_is_label and not survey.tally.values.any():
        if expected is None:
            raise MaskError(
                f"All {len(survey.masks)} masks are empty: every pixel is 0. Are these the right files?"
            )
        return encode(survey, "values", expected, [(0, 0, BACKGROUND)])
    if option is not None:
        encoding = _as_told(survey, option)
    elif names is not None:
        encoding = _as_named(survey, names)
    else:
        encoding = doubted(survey, recognise(survey, read))
    return encoding if expected is None else _as_expected(survey, encoding, expected)


def _as_expected(survey: Survey, encoding: MaskEncoding, expected: LabelSet) -> MaskEncoding:
    """The encoding with the model's labels, or the refusal that says how to name them."""
    found = fitted(encoding, expected)
    if found is None:
        raise refusal(survey, not_fitting(encoding, expected), option_naming(expected))
    return found


def _as_told(survey: Survey, option: LabelOption) -> MaskEncoding:
    """The encoding that --labels describes, after checking that the masks hold what it names."""
    if survey.fractions:
        return _told_fractions(survey, option)
    values = survey.tally.values
    blurred = survey.lossy or len(values) > _EXACT_COLOURS
    if option.colours and blurred:
        return _nearest_colours(survey, option)
    held = [
        entry.label
        for entry in option.entries
        if entry.label and bool(((values >= entry.first) & (values <= entry.last)).any())
    ]
    if not held:
        what = ", ".join(
            f'{entry.text} as "{_name(entry, option)}"' for entry in option.entries if entry.label
        )
        raise refusal(
            survey,
            f"--labels names {what}, but no mask holds it. These are the values:",
            option_for(survey, [int(v) for v in values if v][:_EXACT_COLOURS]),
        )
    if option.exact and survey.lossy:
        raise refusal(
            survey,
            "Lossy compression has changed the values near edges, so that --labels must name ranges.",
            option_by_ranges(survey),
        )
    ranges = [(entry.first, entry.last, entry.label) for entry in option.entries]
    named = np.zeros(len(values), bool)
    for first, last, _ in ranges:
        named |= (values >= first) & (values <= last)
    unnamed = [int(value) for value in values[~named]]
    ranges += [(value, value, BACKGROUND) for value in unnamed] if option.exact else _gaps(ranges)
    if option.exact and not any(first == 0 for first, _, _ in ranges):
        ranges.append((0, 0, BACKGROUND))
    left = [value_text(value, survey.reading) for value in unnamed if value]
    notes = _absent(option, held)
    if left:
        more = f" and {len(left) - 8} more" if len(left) > 8 else ""
        notes.append(f"not named by --labels, so background: {', '.join(left[:8])}{more}")
    return encode(survey, _kind(option), option.labels, ranges, notes)


def _name(entry: Entry, option: LabelOption) -> str:
    return option.labels.names[entry.label - 1]


def _absent(option: LabelOption, held: Collection[int]) -> list[str]:
    """What to say of labels that are named and in no mask."""
    absent = [
        f"{entry.text} ({_name(entry, option)})"
        for entry in option.entries
        if entry.label and entry.label not in held
    ]
    return [f"no mask holds {', '.join(absent)}"] if absent else []


def _kind(option: LabelOption) -> Kind:
    if option.colours:
        return "colours"
    above = [entry.above for entry in option.entries if entry.label]
    if len(option.labels) == 1 and len(above) == 1 and above[0] is not None:
        return "instances" if above[0] == 0 else "threshold"
    return "values"


def _gaps(ranges: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """What lies below, between and above the ranges, as background."""
    gaps, free = [], 0
    for first, last, _ in sorted(ranges):
        if first > free:
            gaps.append((free, first - 1, BACKGROUND))
        free = last + 1
    if free <= ANY:
        gaps.append((free, ANY, BACKGROUND))
    return gaps


def _told_fractions(survey: Survey, option: LabelOption) -> MaskEncoding:
    """A threshold for masks of shares from 0 to 1."""
    above = [entry.above for entry in option.entries if entry.label]
    if len(above) != 1 or above[0] is None or not 0 <= above[0] < 1:
        raise refusal(survey, "The masks hold shares from 0 to 1, here as 0…255.", ">0.5=foreground")
    at = int(above[0] * FRACTION_LEVELS)
    return encode(survey, "threshold", option.labels, [(0, at, BACKGROUND), (at + 1, ANY, 1)])


def _nearest_colours(survey: Survey, option: LabelOption) -> MaskEncoding:
    """Named colours among blurred ones: every pixel takes the nearest of them, or black."""
    ranges = [(entry.first, entry.last, entry.label) for entry in option.entries]
    if not any(first == 0 for first, _, _ in ranges):
        ranges.append((0, 0, BACKGROUND))
    ranges.sort()
    named = np.array([first for first, _, _ in ranges])
    distances = colour_distances(survey.tally.values, named)
    far = survey.share(distances.min(axis=1) > _NEAR)
    if far > _FAR_SHARE:
        distinct = [int(v) for v in survey.tally.values[np.argsort(-survey.tally.pixels)][:8] if v]
        raise refusal(
            survey,
            f"{100 * far:.1f} % of the pixels are far from every colour that --labels names. Name the "
            "others too, if only as background:",
            option_for(survey, distinct),
        )
    nearest = distances.argmin(axis=1)
    rows = []
    for at, (colour, _, label) in enumerate(ranges):
        near = survey.tally.values[nearest == at]
        rows.append(
            ValueRow(
                value_text(colour, "colours"),
                option.labels.names[label - 1] if label else None,
                survey.share(nearest == at),
                sum(bool(np.isin(found, near).any()) for found in survey.occurring),
            )
        )
    blurred = survey.share(distances.min(axis=1) > 0)
    note = (
        f"the colours are blurred ({100 * blurred:.2f} % of the pixels): each takes the nearest that is named"
    )
    held = {label for (_, _, label), row in zip(ranges, rows, strict=True) if row.cases}
    encoding = encode(survey, "colours", option.labels, ranges, [*_absent(option, held), note])
    return replace(encoding, rows=tuple(rows), nearest=True)


def _as_named(survey: Survey, names: Mapping[int, str]) -> MaskEncoding:
    """Labels as a `dataset.json` names them."""
    labelled = {value: name for value, name in sorted(names.items()) if value != BACKGROUND}
    unknown = [int(v) for v in survey.tally.values if v and int(v) not in labelled]
    if unknown or survey.fractions:
        listed = ", ".join(map(str, unknown[:8])) + (", …" if len(unknown) > 8 else "")
        option = option_by_ranges(survey) if survey.lossy else option_for(survey, unknown[:_EXACT_COLOURS])
        if len(labelled) == 1 and len(unknown) == 1:
            option = f"{unknown[0]}={next(iter(labelled.values()))}"
        raise refusal(
            survey, f"The data set names no label with the value {listed}, but masks hold it.", option
        )
    try:
        labels = LabelSet.of(*labelled.values())
    except ValueError as error:
        raise MaskError(f"The data set's names cannot be used: {error}.") from error
    ranges = [(value, value, at) for at, value in enumerate([BACKGROUND, *labelled])]
    absent = [name for value, name in labelled.items() if value not in survey.tally.values]
    notes = [f"named by the data set, but in no mask: {', '.join(absent)}"] if absent else []
    return encode(survey, "values", labels, ranges, notes)


__all__ = ["MaskEncoding", "ValueRow", "parse_labels", "understand"]
