"""What masks that were understood by themselves may mean otherwise: inverted, or with pixels not labelled."""

from __future__ import annotations

import itertools
from dataclasses import replace

from delineate.dataset.mask_encoding import MaskEncoding, value_text
from delineate.dataset.mask_survey import Survey
from delineate.dataset.mask_table import option_for

_LABELLED_SHARE = 0.9
_MOST = 0.5
VOID = 255
_FAR = 2  # times the widest gap between the others that 255 lies above them, at least
_BORDER = 0.6  # of its pixels, at most, lie inside of it


def doubted(survey: Survey, encoding: MaskEncoding) -> MaskEncoding:
    """The encoding with a warning for what may be meant otherwise."""
    found = (_inverted(survey, encoding), _not_labelled(survey, encoding))
    return replace(encoding, warnings=tuple(warning for warning in found if warning))


def may_be_void(survey: Survey) -> bool:
    """Whether 255 may mark what was not labelled: as thin borders, or far above several other values.

    Labels spread over all greys to be seen, such as areas of 85, 170 and 255, are no such case.
    """
    others = [int(value) for value in survey.tally.values if 0 < value != VOID]
    if survey.reading != "values" or VOID not in survey.tally.values or not others or max(others) > VOID:
        return False
    at = survey.tally.values == VOID
    inside = float(survey.tally.interior[at].sum() / survey.tally.pixels[at].sum())
    widest = max(after - before for before, after in itertools.pairwise([0, *others]))
    return inside <= _BORDER or (len(others) > 1 and VOID - others[-1] > _FAR * widest)


def option_without_void(survey: Survey) -> str:
    """The --labels option that makes all values labels but 255."""
    return option_for(survey, [int(value) for value in survey.tally.values if 0 < value < VOID])


def _inverted(survey: Survey, encoding: MaskEncoding) -> str | None:
    """Nearly all pixels labelled, most of them alike: that one may be the background."""
    labelled = sum(row.share for row in encoding.rows if row.label is not None)
    if labelled <= _LABELLED_SHARE:
        return None
    values = [int(value) for value in survey.tally.values]
    most = values[int(survey.tally.pixels.argmax())]
    if len(encoding.labels) == 1 and encoding.kind == "threshold":
        option = f"0-{encoding.ranges[0][1]}=foreground" if not survey.fractions else ""
    elif len(encoding.labels) == 1:
        option = f"{value_text(0, survey.reading)}=foreground"
    elif survey.share(survey.tally.values == most) > _MOST:
        option = option_for(survey, [value for value in values if value != most])
    else:
        return None
    say = f', give --labels "{option}"' if option else ", invert them"
    return f"{100 * labelled:.0f} % of all pixels are labelled. If the masks are inverted{say}"


def _not_labelled(survey: Survey, encoding: MaskEncoding) -> str | None:
    """A label 255 beside smaller values."""
    if encoding.kind != "values" or not may_be_void(survey):
        return None
    every = [int(value) for value in survey.tally.values if value]
    return (
        f"the value {VOID} became a label, but beside smaller values it often marks pixels that nobody "
        f'labelled. If it does, make it background by --labels "{option_without_void(survey)}"; if it is a '
        f'label, say so by --labels "{option_for(survey, every)}"'
    )
