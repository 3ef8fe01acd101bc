"""What training makes small: cross-entropy, and one minus the soft Dice overlap.

Masks are `(N, H, W)` or `(N, D, H, W)` uint8, here `(N, …)`: 0 background, 1…n the labels, `IGNORED` where
nothing is scored. Logits are `(N, 1, …)` for one label (sigmoid) or `(N, n + 1, …)` for several (softmax).
All sums run in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from delineate.image import IGNORED
from delineate.losses.settings import LossSettings


def segmentation_loss(logits: Tensor, mask: Tensor, settings: LossSettings) -> Tensor:
    """The weighted sum of both losses.

    Args:
        logits: `(N, 1, …)` or `(N, n + 1, …)`, any float type.
        mask: `(N, …)` uint8.
        settings: The weights.

    Returns:
        A scalar, float32; 0 where every pixel is ignored.
    """
    logits = logits.float()
    scored = mask != IGNORED
    loss = logits.new_zeros(())
    if settings.cross_entropy:
        loss = loss + settings.cross_entropy * cross_entropy(logits, mask, scored)
    if settings.dice:
        dice = soft_dice(
            logits, mask, scored, per_image=settings.dice_per_image, absent=not settings.cross_entropy
        )
        loss = loss + settings.dice * (1 - dice)
    return loss


def cross_entropy(logits: Tensor, mask: Tensor, scored: Tensor) -> Tensor:
    """Mean cross-entropy of the scored pixels.

    Args:
        logits: `(N, K, …)` float32.
        mask: `(N, …)` uint8.
        scored: `(N, …)` bool.

    Returns:
        A scalar in nats.
    """
    if logits.shape[1] == 1:
        target = (mask == 1).to(logits.dtype)
        pixelwise = functional.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
    else:
        pixelwise = functional.cross_entropy(logits, mask.masked_fill(~scored, 0).long(), reduction="none")
    return (pixelwise * scored).sum() / scored.sum().clamp(min=1)


def soft_dice(
    logits: Tensor, mask: Tensor, scored: Tensor, *, per_image: bool, absent: bool, smooth: float = 1.0
) -> Tensor:
    """Mean soft Dice over the labels (background apart), with probabilities in place of decisions.

    Beside a cross-entropy a label without a pixel of reference is best left out: its Dice would push it down
    many times harder than a batch that shows it pulls it up, so that a label that most batches lack would
    never be learned. Without one nothing else speaks against finding it there.

    Args:
        logits: `(N, K, …)` float32.
        mask: `(N, …)` uint8.
        scored: `(N, …)` bool.
        per_image: Whether sums run over one image or over the batch.
        absent: Whether labels without a pixel of reference count.
        smooth: Pixels added above and below, so that an empty reference met by an empty prediction scores 1.

    Returns:
        A scalar in [0, 1]; 1 where no label counts.

    Source:
        Milletari, Navab, Ahmadi: V-Net, 3DV 2016 (with the sums of Drozdzal et al. 2016, unsquared).
    """
    probability = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)[:, 1:]
    values = torch.arange(1, probability.shape[1] + 1, device=mask.device, dtype=mask.dtype)
    target = (mask[:, None] == values.view(-1, *[1] * (mask.ndim - 1))).to(probability.dtype)
    probability = probability * scored[:, None]
    pixels = tuple(range(2, probability.ndim))
    over = pixels if per_image else (0, *pixels)
    overlap = (probability * target).sum(over)
    size = target.sum(over)
    dice = (2 * overlap + smooth) / (probability.sum(over) + size + smooth)
    shown = size > 0 if not absent else torch.ones_like(size, dtype=torch.bool)
    count = shown.sum()
    return torch.where(count > 0, (dice * shown).sum() / count.clamp(min=1), 1.0)
