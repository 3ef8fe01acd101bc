"""Volumes in millilitres over cases, and how far the predicted ones are off."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from delineate.evaluation.distributions import IntervalOf, Part, Statistics, number, statistics_of
from delineate.evaluation.scores import CaseScore


class Volumes(Part):
    """A label's volumes over the cases whose spacing is known, in millilitres.

    Attributes:
        reference_ml: Of the references.
        prediction_ml: Of the predictions.
        difference_ml: Prediction less reference of each case: above 0 where it is drawn too large.
        absolute_difference_ml: The same without its sign, so that too much does not make up for too little.
        relative_difference: The absolute difference over the reference's volume; of the cases that have the
            label.
    """

    reference_ml: Statistics
    prediction_ml: Statistics
    difference_ml: Statistics
    absolute_difference_ml: Statistics
    relative_difference: Statistics | None


def volumes_of(scores: Sequence[CaseScore], interval: IntervalOf) -> Volumes | None:
    """The volumes of one label; None where no case has any.

    Args:
        scores: One a case.
        interval: The interval of the mean of `(cases, 1)` values in that order.
    """
    groups = [score.group for score in scores]
    reference = np.array([number(score.reference_ml) for score in scores])
    prediction = np.array([number(score.prediction_ml) for score in scores])
    difference = prediction - reference
    relative = np.full_like(difference, math.nan)
    np.divide(np.abs(difference), reference, out=relative, where=reference > 0)
    of_reference, of_prediction, signed, absolute = (
        statistics_of(values, groups, interval)
        for values in (reference, prediction, difference, np.abs(difference))
    )
    if of_reference is None or of_prediction is None or signed is None or absolute is None:
        return None
    return Volumes(
        reference_ml=of_reference,
        prediction_ml=of_prediction,
        difference_ml=signed,
        absolute_difference_ml=absolute,
        relative_difference=statistics_of(relative, groups, interval),
    )
