"""Labels that have a side: in a mirrored image the left kidney is the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from delineate.augment.transfer import to_device


@dataclass(frozen=True)
class LeftRight:
    """Which axis of the images runs between left and right, and which labels change with it.

    Attributes:
        axis: Of the spatial axes, `(H, W)` or `(D, H, W)`, from 0.
        pairs: Values of labels, each the other's mirror image.

    Raises:
        ValueError: The axis is none, a value is no label's, or is in two places.
    """

    axis: int
    pairs: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not 0 <= self.axis <= 2:
            raise ValueError(f"axis must be 0, 1 or 2, not {self.axis}")
        values = [value for pair in self.pairs for value in pair]
        if not all(1 <= value <= 254 for value in values):
            raise ValueError(f"pairs are of label values from 1 to 254: {self.pairs}")
        if len(set(values)) != len(values):
            raise ValueError(
                f"a label may be in one pair only, and be its own mirror image in none: {self.pairs}"
            )


def swap_labels(masks: Tensor, mirrored: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Exchange the values of each pair in the masks that were mirrored.

    Args:
        masks: `(N, H, W)` or `(N, D, H, W)` uint8.
        mirrored: `(N,)` bool, in the processor's memory.
        pairs: Of label values, none in two pairs.

    Returns:
        Masks of the same shape; the given ones stay as they are.
    """
    if not pairs or not bool(mirrored.any()):
        return masks
    becomes = torch.arange(256, dtype=torch.uint8)
    for left, right in pairs:
        becomes[left], becomes[right] = right, left
    swapped = to_device(becomes, masks.device)[masks.int()]
    return torch.where(to_device(mirrored, masks.device).view(-1, *[1] * (masks.ndim - 1)), swapped, masks)
