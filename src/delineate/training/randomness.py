"""Random numbers as a function of seed and place, so that nothing need be remembered to go on exactly."""

from __future__ import annotations

import functools

import numpy as np
import torch

ORDER, BATCH, LABELS = 1, 2, 3


def generator_at(seed: int, purpose: int, position: int) -> torch.Generator:
    """A generator for one place of a run.

    Args:
        seed: Of the run.
        purpose: `ORDER` for an epoch's order, `BATCH` for a step's batch, `LABELS` for what it has to show.
        position: Which epoch or step.

    Returns:
        On the CPU; the same for the same arguments, independent of any other.
    """
    state = np.random.SeedSequence([seed, purpose, position]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def indices_at(seed: int, step: int, batch_size: int, cases: int) -> list[int]:
    """The cases of a step: epochs in shuffled order run on without a break, batches always full.

    Args:
        seed: Of the run.
        step: From 0.
        batch_size: Indices wanted.
        cases: Number of cases.

    Returns:
        `batch_size` indices in [0, cases).
    """
    indices: list[int] = []
    position = step * batch_size
    while len(indices) < batch_size:
        epoch, offset = divmod(position + len(indices), cases)
        indices += _order(seed, epoch, cases)[offset : offset + batch_size - len(indices)].tolist()
    return indices


@functools.lru_cache(maxsize=2)  # a step is in two epochs at most, or in many short ones
def _order(seed: int, epoch: int, cases: int) -> torch.Tensor:
    return torch.randperm(cases, generator=generator_at(seed, ORDER, epoch))
