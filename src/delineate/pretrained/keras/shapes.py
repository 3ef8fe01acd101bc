"""A U-Net from weights alone: without a graph, how layers are joined is seen from shapes and order."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import numpy as np

from delineate.pretrained.keras.archive import CONTAINERS, Layout
from delineate.pretrained.keras.found import Convolved, Floats, FoundUNet, Kind, Norm, WayUp
from delineate.pretrained.keras.hdf5 import Group
from delineate.pretrained.keras.refusal import SAVE_WHOLE, Refusal, shown
from delineate.pretrained.keras.weights import named, norm_of, variables, with_norm

USUAL_EPSILON = 1e-3  # of Keras's BatchNormalization
_LENGTHS = range(1, 5)  # of a block, in convolutions


@dataclass(frozen=True)
class Stored:
    """The arrays of one layer in a file without a graph."""

    name: str
    arrays: tuple[Floats, ...]

    @property
    def side(self) -> int:
        """Of its kernel; 0 where it has none."""
        kernel = self.arrays[0]
        return kernel.shape[0] if kernel.ndim == 4 and kernel.shape[0] == kernel.shape[1] else 0


def layers_of(root: Group, layout: Layout) -> list[Stored]:
    """All layers with weights, in order as far as the file tells it.

    Raises:
        Refusal: It holds models within models, whose order is not known.
    """
    if layout == "by name":
        found = []
        for name in root.texts("layer_names") or []:
            group = root.group(name)
            names = (group.texts("weight_names") if group is not None else None) or []
            found.append(Stored(name, tuple(named(group, each) for each in names if group is not None)))
        return [each for each in found if each.arrays]
    containers = [group for name in CONTAINERS if (group := root.group(name)) is not None]
    at = containers[0]
    found = []
    for name in sorted(at.names(), key=_in_order):
        if any(at.group(f"{name}/{inside}") is not None for inside in CONTAINERS):
            raise Refusal(f"it holds a model within a model, {shown(name)}, and no graph. {SAVE_WHOLE}")
        group = at.group(f"{name}/vars")
        found.append(Stored(name, tuple(variables(group)) if group is not None else ()))
    return [each for each in found if each.arrays]


def find_by_shapes(layers: list[Stored], *, skip_first: bool) -> FoundUNet:
    """The script's U-Net with these weights.

    Args:
        layers: In order within a kind.
        skip_first: Whether skipped channels come before the enlarged ones.

    Raises:
        Refusal: They are none that fit it.
    """
    kernels, norms = [each for each in layers if each.side], [each for each in layers if not each.side]
    if odd := [each for each in norms if any(array.ndim != 1 for array in each.arrays)]:
        raise _unlike(f"{shown(odd[0].name)} has weights of the shape {odd[0].arrays[0].shape}")
    by_side = {side: [_convolved(each) for each in kernels if each.side == side] for side in (1, 2, 3)}
    if odd := [each for each in kernels if each.side not in by_side]:
        raise _unlike(f"{shown(odd[0].name)} has a kernel of {odd[0].side} × {odd[0].side}")
    blocks = _with_norms(by_side[3], norms)
    if not by_side[1]:
        raise _unlike("it has no last convolution of 1 × 1")
    *points, head = by_side[1]
    if points and by_side[2]:
        raise _unlike("it has convolutions of 1 × 1 and of 2 × 2 on the way up")
    fits = [
        fit
        for each in itertools.product(_LENGTHS, _LENGTHS)
        if (fit := _divided(blocks, by_side[2] or points, not points, head, each, skip_first=skip_first))
    ]
    if len(fits) != 1:
        raise _unlike(f"{'several U-Nets have' if fits else 'no U-Net has'} weights of these shapes")
    return fits[0]


def _divided(
    blocks: list[Convolved],
    ups: list[Convolved],
    transposed: bool,
    head: Convolved,
    lengths: tuple[int, int],
    *,
    skip_first: bool,
) -> FoundUNet | None:
    """The net with blocks of so many convolutions on the way down and up, if all shapes fit."""
    (down, up), depth = lengths, len(ups)
    if depth < 1 or len(blocks) != (depth + 1) * down + depth * up:
        return None
    cut = (depth + 1) * down
    levels = [tuple(blocks[at : at + down]) for at in range(0, cut, down)]
    ways = [tuple(blocks[at : at + up]) for at in range(cut, len(blocks), up)]
    kind: Kind = "transposed" if transposed else "nearest"
    channels = levels[0][0].kernel.shape[2]
    net = FoundUNet(
        channels=channels,
        size=None,
        gain=np.ones(channels),
        offset=np.zeros(channels),
        takes="unsaid",
        down=tuple(levels),
        up=tuple(WayUp(kind, each, skip_first, block) for each, block in zip(ups, ways, strict=True)),
        head=head,
        output="unknown",
    )
    return net if _flows(net) else None


def _flows(net: FoundUNet) -> bool:
    """Whether each layer takes as many channels as the one before it gives."""
    channels, widths = net.channels, []
    for block in net.down:
        for each in block:
            if each.kernel.shape[2] != channels:
                return False
            channels = each.kernel.shape[3]
        widths.append(channels)
    for way, width in zip(net.up, reversed(widths[:-1]), strict=True):
        given, taken = (3, 2) if way.kind == "nearest" else (2, 3)
        if way.up.kernel.shape[taken] != channels:
            return False
        channels = way.up.kernel.shape[given] + width
        for each in way.block:
            if each.kernel.shape[2] != channels:
                return False
            channels = each.kernel.shape[3]
    return bool(net.head.kernel.shape[2] == channels)


def _convolved(stored: Stored) -> Convolved:
    kernel, *rest = stored.arrays
    width = kernel.shape[2 if stored.side == 2 else 3]
    if len(rest) > 1 or any(each.shape != (width,) for each in rest):
        raise _unlike(f"{shown(stored.name)} has other weights than a kernel and a bias")
    return Convolved(stored.name, kernel, rest[0] if rest else np.zeros(width, dtype=np.float32))


def _with_norms(convolutions: list[Convolved], norms: list[Stored]) -> list[Convolved]:
    if not norms:
        return convolutions
    if len(norms) != len(convolutions):
        counts = f"{len(norms)} normalizations and {len(convolutions)} convolutions of 3 × 3"
        raise _unlike(f"it has {counts}, of which it does not say which belong together")
    return [with_norm(each, _norm(stored, each)) for each, stored in zip(convolutions, norms, strict=True)]


def _norm(stored: Stored, convolved: Convolved) -> Norm:
    shapes = {array.shape for array in stored.arrays}
    if len(stored.arrays) != 4 or shapes != {convolved.bias.shape}:
        raise _unlike(f"the normalization {shown(stored.name)} does not fit {shown(convolved.name)}")
    scale, shift, mean, variance = stored.arrays
    return norm_of(shown(stored.name), scale, shift, mean, variance, USUAL_EPSILON)


def _in_order(name: str) -> tuple[str, int]:
    """Keras numbers the layers of a class: conv2d, conv2d_1, …, conv2d_10."""
    found = re.fullmatch(r"(.*?)(?:_(\d{1,9}))?", name, re.DOTALL)
    return (found[1], int(found[2] or 0)) if found else (name, 0)


def _unlike(what: str) -> Refusal:
    return Refusal(
        f"its weights, which come without a graph, are not those of the script's U-Net: {what}. {SAVE_WHOLE}"
    )
