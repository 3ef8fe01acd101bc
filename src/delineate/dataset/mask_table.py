"""The table of values that is shown, and the refusal that shows it with the option that decides."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from delineate.dataset.mask_encoding import (
    ANY,
    Kind,
    MaskEncoding,
    ValueRow,
    colour_distances,
    value_text,
)
from delineate.dataset.mask_survey import Survey
from delineate.errors import MaskError
from delineate.image import LabelSet

_ROWS = 12
_AREA = 0.3
_AREA_SHARE = 0.002
_CROWD_RADIUS = 12
_CROWD_SHARE = 0.01


def encode(
    survey: Survey,
    kind: Kind,
    labels: LabelSet,
    ranges: Sequence[tuple[int, int, int]],
    notes: Sequence[str] = (),
) -> MaskEncoding:
    """An encoding with the table of what was seen.

    Args:
        survey: What was seen.
        kind: See `MaskEncoding`.
        labels: The labels.
        ranges: See `MaskEncoding`.
        notes: What the user should know, beyond the survey's own notes.
    """
    ordered = tuple(sorted(ranges))
    highest = int(survey.tally.values.max())
    rows = tuple(
        _row(survey, first, last, label, labels)
        for first, last, label in ordered
        if label or last < ANY or first <= highest  # no background above all that is there
    )
    return MaskEncoding(
        kind, labels, rows, (*survey.notes, *notes), ordered, survey.reading, survey.fractions
    )


def _row(survey: Survey, first: int, last: int, label: int, labels: LabelSet) -> ValueRow:
    values = survey.tally.values
    seen = (values >= first) & (values <= last)
    text = value_text(first, survey.reading)
    if first != last:
        end = last if last < ANY else max(first, int(values.max()))
        text = f"{first}–{end}"
    return ValueRow(
        text, labels.names[label - 1] if label else None, survey.share(seen), survey.cases(first, last)
    )


def refusal(survey: Survey, why: str, *options: str) -> MaskError:
    """The error that shows what was seen and the options that decide what it means.

    Args:
        survey: What was seen.
        why: What cannot be known, as a sentence.
        options: Texts for --labels, each followed by what it says after " · ", if anything.
    """
    tally = survey.tally
    shown = np.sort(np.argsort(-tally.pixels, kind="stable")[:_ROWS])
    lines = [why, "", f"  {'value':>8}  {'pixels':>8}  masks"]
    for at in shown:
        value = value_text(int(tally.values[at]), survey.reading)
        share = 100 * tally.pixels[at] / tally.pixels.sum()
        lines.append(f"  {value:>8}  {share:>6.2f} %  {int(tally.files[at])} of {len(survey.masks)}")
    if len(tally.values) > len(shown):
        lines.append(f"  and {len(tally.values) - len(shown)} more values, each with fewer pixels")
    lines += ["", "Decide it with one of these:" if len(options) > 1 else "Decide it, for example with:"]
    for option in options:
        text, _, meaning = option.partition(" · ")
        lines.append(f'  --labels "{text}"' + (f"   {meaning}" if meaning else ""))
    return MaskError("\n".join(lines))


def option_for(survey: Survey, values: Sequence[int]) -> str:
    """The --labels option that makes every one of `values` a label."""
    texts = [value_text(int(value), survey.reading) for value in values]
    return ",".join(f"{text}=label {text.lstrip('#')}" for text in texts)


def peaks(survey: Survey) -> list[int]:
    """Values that fill areas, as those of labels do and those of blurred edges do not, in rising order.

    In lossy masks a label has no exact value: there, those around which pixels crowd.
    """
    tally = survey.tally
    if not survey.lossy:
        areas = (tally.interior >= _AREA * tally.pixels) & (tally.pixels >= _AREA_SHARE * tally.pixels.sum())
        return [int(value) for value in tally.values[areas]]
    left = tally.pixels.copy()
    found: list[int] = []
    while left.any():
        value = int(tally.values[left.argmax()])
        if survey.reading == "colours":
            distances = colour_distances(tally.values, np.array([value]))[:, 0] / 2
        else:
            distances = np.abs(tally.values - value).astype(np.float64)
        if left[distances <= _CROWD_RADIUS].sum() < _CROWD_SHARE * tally.pixels.sum():
            break
        found.append(value)
        left[distances <= 3 * _CROWD_RADIUS] = 0
    return sorted(found)


def option_by_ranges(survey: Survey) -> str:
    """The --labels option that puts the limits half-way between the peaks, the lowest being background."""
    found = peaks(survey)
    if len(found) < 2:
        middle = (int(survey.tally.values[0]) + int(survey.tally.values[-1])) // 2
        return f">{middle}=foreground"
    limits = [(one + other) // 2 + 1 for one, other in itertools.pairwise(found)]
    ends = [limit - 1 for limit in limits[1:]] + [max(255, int(survey.tally.values[-1]))]
    return ",".join(
        f"{first}-{last}=label {value}" for first, last, value in zip(limits, ends, found[1:], strict=True)
    )
