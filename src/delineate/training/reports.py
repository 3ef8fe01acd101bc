"""What steps report, read a little later where a device computes ahead, so that no step waits for it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from delineate.errors import TrainingError
from delineate.image import IGNORED

STEPS_AHEAD = 2  # that a CUDA card may have before it while the processor prepares the next


@dataclass(frozen=True)
class Report:
    """What came of a step.

    Attributes:
        loss: Of its batch.
        dice: Of the batch over foreground pixels, in [0, 1]; None where it has none and none were found.
        pixels: What the Dice comes from, summed over the labels: pixels of reference and prediction together,
            and those of both.
    """

    loss: float
    dice: float | None
    pixels: tuple[int, int]


@dataclass(frozen=True)
class _Open:
    """A report on its way to the processor."""

    step: int
    names: tuple[str, ...]
    loss: Tensor
    sound: Tensor
    counts: Tensor
    there: torch.cuda.Event | None


class Reports:
    """The reports of steps, first in, first out.

    Args:
        steps_ahead: How many may be open while others are taken; 0 reads each at once.
    """

    def __init__(self, steps_ahead: int) -> None:
        self.steps_ahead = steps_ahead
        self._open: deque[_Open] = deque()

    def add(self, step: int, names: tuple[str, ...], loss: Tensor, sound: Tensor, counts: Tensor) -> None:
        """Send a step's report on its way.

        Args:
            step: From 1.
            names: Of the cases in its batch.
            loss: A scalar.
            sound: A bool: gradients and statistics are numbers.
            counts: From `overlap_counts`.
        """
        there = None
        if loss.is_cuda:
            loss, sound, counts = (each.to("cpu", non_blocking=True) for each in (loss, sound, counts))
            there = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch's is untyped
            there.record()
        self._open.append(_Open(step, names, loss, sound, counts, there))

    def read(self, *, all_of_them: bool = False) -> Iterator[Report]:
        """The reports that are due, in order: all but the last `steps_ahead`, or all.

        Raises:
            TrainingError: The loss or its gradient was not a number; step and cases are named.
        """
        while len(self._open) > (0 if all_of_them else self.steps_ahead):
            each = self._open.popleft()
            if each.there is not None:
                each.there.synchronize()
            loss = float(each.loss)
            if not math.isfinite(loss):
                raise _nonsense(f"The loss is {loss}", each)
            if not bool(each.sound):
                raise _nonsense("The net's gradients or statistics overflow", each)
            together, both = each.counts.sum(0).tolist()
            yield Report(loss, dice_of(each.counts), (together, both))


def _nonsense(what: str, step: _Open) -> TrainingError:
    return TrainingError(
        f"{what} at step {step.step}, on the batch of {', '.join(step.names)}. "
        "Look at these images for extreme values, or lower "
        "training.learning_rate in a copy of plan.yaml and train with --plan."
    )


def overlap_counts(logits: Tensor, masks: Tensor) -> Tensor:
    """What the Dice of decided pixels is computed from, left where the logits are.

    Args:
        logits: `(N, K, …)`.
        masks: `(N, …)` uint8.

    Returns:
        `(n, 2)` int64, of each label the pixels of reference and prediction together, and those of both.
    """
    scored = masks != IGNORED
    found = (logits[:, 0] > 0).to(masks.dtype) if logits.shape[1] == 1 else logits.argmax(1).to(masks.dtype)
    counts = []
    for value in range(1, max(1, logits.shape[1] - 1) + 1):
        reference, prediction = masks == value, (found == value) & scored
        counts += [reference.sum() + prediction.sum(), (reference & prediction).sum()]
    return torch.stack(counts).view(-1, 2)


def dice_of(counts: Tensor) -> float | None:
    """Dice over the whole batch, mean over the labels that occur; None where none does.

    Args:
        counts: From `overlap_counts`.

    Returns:
        In [0, 1].
    """
    dice = [2 * both / total for total, both in counts.tolist() if total]
    return sum(dice) / len(dice) if dice else None


def mean_dice(dices: Sequence[float]) -> float:
    """Mean over batches; 1 where none had a label, or one found."""
    return fmean(dices) if dices else 1.0
