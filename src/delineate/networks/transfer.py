"""The weights of a trained U-Net as the start of another, with other channels or labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from delineate.networks.settings import UNetSettings, with_channels_of

HEAD = "head."


@dataclass(frozen=True)
class Weighted:
    """A U-Net's weights with what they mean.

    Attributes:
        settings: What the net is made of.
        labels: Names of its labels in the order of their values 1, 2, ….
        weights: As the net names them.
    """

    settings: UNetSettings
    labels: tuple[str, ...]
    weights: Mapping[str, Tensor]


@dataclass(frozen=True)
class Transferred:
    """Weights to start from, and where they come from.

    Attributes:
        weights: All that the new net has.
        adapted: Names of those brought to another number of channels.
        fresh: Names of those that start as a new net's, the head apart.
        dropped: Names of the trained net's that the new net has no place for.
        labels: Whose part of the head is taken over.
        new_labels: Whose part of the head starts as a new net's.
    """

    weights: dict[str, Tensor]
    adapted: tuple[str, ...]
    fresh: tuple[str, ...]
    dropped: tuple[str, ...]
    labels: tuple[str, ...]
    new_labels: tuple[str, ...]


def transfer(trained: Weighted, fresh: Weighted) -> Transferred:
    """Take over from a trained net all that a fresh one can use.

    Tensors of equal name and shape are copied, batch statistics too. Where images have another number of
    channels, see `adapt_channels`. In the head the logits of labels with the same name are copied, and the
    background's with them; the others stay the fresh net's.

    Args:
        trained: Its weights are taken.
        fresh: A new net's; its settings differ in the channels of input and output alone.

    Returns:
        The weights, none of them shared with either net.

    Raises:
        ValueError: The nets differ in more than channels.
    """
    if with_channels_of(trained.settings, fresh.settings) != fresh.settings:
        raise ValueError("the nets differ in more than their channels")
    weights: dict[str, Tensor] = {}
    adapted, new = [], []
    logits, folded = kept_logits(trained.labels, fresh.labels), math.prod(fresh.settings.folding)
    for name, tensor in fresh.weights.items():
        before = trained.weights.get(name)
        weights[name] = tensor.detach().clone()
        if before is None:  # of a shortcut that needed none, as its input had as many channels as its output
            new.append(name)
        elif name.startswith(HEAD):
            for ours, theirs in logits.items():
                weights[name][ours * folded : (ours + 1) * folded] = before[
                    theirs * folded : (theirs + 1) * folded
                ].detach()
        elif before.shape == tensor.shape:
            weights[name] = before.detach().clone()
        else:
            channels = trained.settings.input_channels, fresh.settings.input_channels
            weights[name] = adapt_channels(before, *channels).to(tensor.dtype)
            adapted.append(name)
        if weights[name].shape != tensor.shape:
            raise ValueError(f"{name} differs in more than the image's channels")
    kept = kept_labels(trained.labels, fresh.labels)
    others = tuple(name for name in fresh.labels if name not in kept)
    dropped = tuple(name for name in trained.weights if name not in weights)
    return Transferred(weights, tuple(adapted), tuple(new), dropped, kept, others)


def adapt_channels(weight: Tensor, before: int, after: int) -> Tensor:
    """A convolution of an image as one of an image with another number of channels.

    At each place of the kernel the sum over the channels is kept and spread evenly: an image that repeats one
    grey channel gives what the grey image gave.

    Args:
        weight: `(width, before · folded, …)`, where the pixels that the stem folds lie together a channel.
        before: Channels of the image so far.
        after: Channels that it shall have.

    Returns:
        `(width, after · folded, …)`.
    """
    width, _, *kernel = weight.shape
    by_channel = weight.detach().reshape(width, before, -1, *kernel)
    mean = by_channel.sum(1, keepdim=True) / after
    return mean.expand(-1, after, *mean.shape[2:]).flatten(1, 2).contiguous()


def kept_labels(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, ...]:
    """The labels whose part of the head still means the same.

    One label is decided by a sigmoid and several by a softmax, which are different things: between them none
    is kept.
    """
    if before == after:
        return after
    return tuple(name for name in after if name in before) if min(len(before), len(after)) > 1 else ()


def kept_logits(before: tuple[str, ...], after: tuple[str, ...]) -> dict[int, int]:
    """Which logit of the head comes from which; with several labels the background's goes with theirs."""
    if len(after) == 1:
        return {0: 0} if before == after else {}
    kept = kept_labels(before, after)
    logits = {1 + after.index(name): 1 + before.index(name) for name in kept}
    return {0: 0} | logits if kept else {}
