"""Score masks that come from anywhere: another program, or a second reader.

    .venv/bin/python examples/score_your_own_masks.py

Here the "second reader" draws the organs of phantoms a pixel off and overlooks one now and then.
"""

from __future__ import annotations

import numpy as np

from delineate import phantoms
from delineate.evaluation.scores import CaseScore, score_case
from delineate.evaluation.summary import Summary, summarise
from delineate.image import Mask
from delineate.metrics.overlap import overlap
from delineate.metrics.surface import hausdorff95, normalized_surface_dice

PATIENTS, SLICES = 6, 3
OVERLOOKED = 5  # the aorta's value


def scored() -> tuple[CaseScore, ...]:
    """The scores of all slices; slices of one patient are one group."""
    labels = phantoms.KINDS["organs"].labels
    scores: list[CaseScore] = []
    for number, phantom in enumerate(phantoms.generate("organs", PATIENTS * SLICES, size=(128, 128))):
        second = np.roll(phantom.mask, 1, axis=1)
        if number % 7 == 0:
            second[second == OVERLOOKED] = 0
        patient = f"patient {number // SLICES}"
        scores += score_case(f"slice {number}", patient, Mask(phantom.mask, labels), Mask(second, labels))
    return tuple(scores)


def show(summary: Summary) -> None:
    """A line a label."""
    for label in summary.labels:
        dice = label.metrics["dice"]
        if dice is not None:
            interval = f"{dice.low:.3f} – {dice.high:.3f}"
            print(f"{label.name}: Dice {dice.mean:.3f} ({interval}), missed {label.missed}")
    if summary.mean_dice is not None:
        print(f"mean over labels: {summary.mean_dice.mean:.3f}; {summary.interval_note}")


def main() -> None:
    """Score many cases, then one pair of masks by hand."""
    show(summarise(scored(), phantoms.KINDS["organs"].labels))
    reference, prediction = np.zeros((2, 32, 32), dtype=np.bool_)
    reference[8:24, 8:24] = True
    prediction[8:24, 10:26] = True
    print("two squares, two pixels apart:")
    print(f"  Dice {overlap(reference, prediction).dice}, HD95 {hausdorff95(reference, prediction)} px")
    print(f"  NSD within 1 px {normalized_surface_dice(reference, prediction, 1.0):.3f}")


if __name__ == "__main__":
    main()
