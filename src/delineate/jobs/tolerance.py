"""What to bear in mind of the tolerance of the normalised surface Dice."""

from __future__ import annotations

from delineate.dataset.naming import counted
from delineate.evaluation.digits import distance_text
from delineate.evaluation.scores import TOLERANCE_MM, TOLERANCE_PX, VOLUME
from delineate.jobs.parts import Part
from delineate.jobs.reporter import Reporter

LARGE = 0.1  # of an image's diagonal


def tolerance_cautions(part: Part, tolerance_mm: float | None, reporter: Reporter) -> tuple[str, ...]:
    """Sentences to stand beside the NSD of these cases; they are told as warnings, too.

    Args:
        part: What is scored.
        tolerance_mm: That was asked for; None for the usual one.
        reporter: Told.
    """
    cautions = (*_in_pixels(part, tolerance_mm), *_large(part, tolerance_mm))
    for caution in cautions:
        reporter.warn(caution)
    return cautions


def _in_pixels(part: Part, tolerance_mm: float | None) -> tuple[str, ...]:
    """That a tolerance in millimetres means nothing where no spacing is known."""
    unknown = sum(files.name not in part.report.diagonals_mm for files in part.files)
    if tolerance_mm is None or not unknown:
        return ()
    if unknown == len(part):
        which = "no image says its spacing: the NSD's tolerance is"
    else:
        which = f"the spacing of {unknown} of {len(part)} images is not known: there the NSD's tolerance is"
    return (f"--tolerance is in millimetres, but {which} {TOLERANCE_PX:g} px.",)


def _large(part: Part, tolerance_mm: float | None) -> tuple[str, ...]:
    """That the tolerance is large for the images, as it is under a microscope."""
    if tolerance_mm is None and part.report.axes != VOLUME:
        return ()
    tolerance = TOLERANCE_MM if tolerance_mm is None else tolerance_mm
    diagonals = [part.report.diagonals_mm.get(files.name) for files in part.files]
    exceeded = [each for each in diagonals if each is not None and tolerance > LARGE * each]
    if not exceeded:
        return ()
    return (
        f"The NSD's tolerance of {tolerance:g} mm is larger than a tenth of the image's diagonal in "
        f"{len(exceeded)} of {counted(len(diagonals), 'case')}, of {distance_text(min(exceeded))} mm the "
        "smallest: there the NSD is high wherever the borders lie. Give a smaller one with --tolerance.",
    )
