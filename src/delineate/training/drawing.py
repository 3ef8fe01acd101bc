"""Which cases a step learns from, and which labels they have to show."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from delineate.plan import TrainingPlan
from delineate.training.cache import CachedCase
from delineate.training.randomness import LABELS, generator_at, indices_at

MOST_OFTEN = 20


@dataclass(frozen=True)
class Having:
    """Which cases have each label, looked up once for all steps.

    Attributes:
        by_label: By the label's value, the positions of the cases that have it; nothing where all cases have
            all labels, so that any will do.
        labelled: Number of the cases that have any.
        up_to: For each of these labels, up to where a number in [0, 1) stands for it.
    """

    by_label: Mapping[int, Sequence[int]]
    labelled: int
    up_to: Sequence[float]


@dataclass(frozen=True)
class Drawn:
    """One of the cases of a step.

    Attributes:
        case: To learn from.
        foreground_share: How likely its patch is to be centred on a labelled pixel.
        label: Whose, by its value; None for any.
    """

    case: CachedCase
    foreground_share: float
    label: int | None = None


def having(cases: Sequence[CachedCase]) -> Having:
    """Which cases have each label."""
    found: dict[int, list[int]] = {}
    for at, case in enumerate(cases):
        for value in case.labels:
            found.setdefault(value, []).append(at)
    if all(len(each) == len(cases) for each in found.values()):
        found = {}
    ordered = dict(sorted(found.items()))
    ends = list(itertools.accumulate(math.sqrt(len(each)) for each in ordered.values()))
    return Having(ordered, sum(bool(case.labels) for case in cases), [end / ends[-1] for end in ends])


def drawn_at(
    step: int, cases: Sequence[CachedCase], training: TrainingPlan, known: Having | None = None
) -> list[Drawn]:
    """The cases of a step: epochs in shuffled order, and in place of some of them cases that show a label.

    Where cases lack labels, `training.foreground_share` of the cases is drawn for one, or less where so few
    have any that each would be shown more than `MOST_OFTEN` times as often as the others: first a label, the
    more often the more cases have it, by the root of their number; then one of the cases that have it.

    Args:
        step: From 0.
        cases: The training cases.
        training: Its seed, batch size and share.
        known: From `having`; None to have it looked up.

    Returns:
        `training.batch_size` of them.
    """
    share, size = training.foreground_share, training.batch_size
    known = having(cases) if known is None else known
    if not share or not known.by_label:
        return [Drawn(cases[at], share) for at in indices_at(training.seed, step, size, len(cases))]
    share = min(share, MOST_OFTEN * known.labelled / len(cases))
    generator = generator_at(training.seed, LABELS, step)
    draws = torch.rand((size, 2), generator=generator, dtype=torch.float64).tolist()
    labels = list(known.by_label)
    drawn = []
    for number, (which, draw) in enumerate(draws, start=step * size):
        before = int(number * share)  # were drawn for a label, so that the others go on in their order
        if int((number + 1) * share) == before:
            (at,) = indices_at(training.seed, number - before, 1, len(cases))
            drawn.append(Drawn(cases[at], 0.0))
            continue
        label = labels[min(bisect.bisect_right(known.up_to, which), len(labels) - 1)]
        at = known.by_label[label][int(draw * len(known.by_label[label]))]
        drawn.append(Drawn(cases[at], 1.0, label))
    return drawn
