"""A U-Net of Keras as one of ours: the same numbers, in our names, layouts and order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from delineate.networks.settings import UNetSettings
from delineate.pretrained.keras.found import Convolved, Doubles, FoundUNet
from delineate.pretrained.keras.refusal import Refusal, all_of, shown

if TYPE_CHECKING:
    from torch import Tensor

OUR_EPSILON = 1e-5  # of torch's batch normalization
MAXIMUM_OUTPUTS = 255
Arrays = dict[str, Doubles]


def settings_of(found: FoundUNet) -> UNetSettings:
    """What our net is made of.

    Raises:
        Refusal: It differs from ours in the number or width of its convolutions, or in its output.
    """
    widths = tuple(len(block[-1].bias) for block in found.down)
    faults = _faults(found, widths)
    if faults:
        raise all_of(faults)
    try:
        return UNetSettings(
            input_channels=found.channels,
            output_channels=1 if _is_two(found) else len(found.head.bias),
            widths=widths,
            convolutions=len(found.down[0]),
            decoder_convolutions=len(found.up[0].block),
            normalization="batch" if _normalized(found) else "none",
            upsampling=found.up[0].kind,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Refusal(f"our net cannot be so: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def weights_of(found: FoundUNet) -> dict[str, Tensor]:
    """The weights as our net names them; `settings_of` has accepted the net."""
    import torch  # noqa: PLC0415  heavy

    arrays: Arrays = {}
    normalized = _normalized(found)
    for level, block in enumerate(found.down):
        _add_block(arrays, f"encoders.{level}.", block, normalized=normalized)
    for level, way in enumerate(found.up):
        kernel, bias = _folded(way.up, output_axis=2 if way.kind == "transposed" else 3)
        at = f"decoders.{level}.up."
        if way.kind == "transposed":
            arrays[f"{at}weight"], arrays[f"{at}bias"] = kernel.transpose(3, 2, 0, 1), bias
        else:
            arrays[f"{at}projection.weight"], arrays[f"{at}projection.bias"] = _ours(kernel), bias
        block = way.block
        skipped = way.block[0].kernel.shape[2] - len(way.up.bias)
        _add_block(
            arrays,
            f"decoders.{level}.block.",
            block,
            normalized=normalized,
            skipped=skipped if way.skip_first else 0,
        )
    kernel, bias = found.head.kernel.astype(np.float64), found.head.bias.astype(np.float64)
    if _is_two(found):  # softmax of two logits is the sigmoid of their difference
        kernel, bias = kernel[..., 1:] - kernel[..., :1], bias[1:] - bias[:1]
    arrays["head.weight"], arrays["head.bias"] = _ours(kernel), bias
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(each, dtype=np.float32)) for name, each in arrays.items()
    }
    counters = [
        name.replace("running_var", "num_batches_tracked") for name in tensors if "running_var" in name
    ]
    return tensors | {name: torch.tensor(0) for name in counters}


def with_channels_reversed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights for images whose channels are in the other order."""
    first = "encoders.0.convolutions.0.weight"
    return weights | {first: weights[first].flip(1)}


def _add_block(
    arrays: Arrays, prefix: str, block: tuple[Convolved, ...], *, normalized: bool, skipped: int = 0
) -> None:
    """A block's weights; of the first convolution so many leading channels are moved to the end."""
    for at, each in enumerate(block):
        name = f"{prefix}convolutions.{at}."
        kernel, bias = (each.kernel.astype(np.float64), None) if normalized else _folded(each)
        if skipped and at == 0:
            kernel = np.concatenate([kernel[:, :, skipped:], kernel[:, :, :skipped]], axis=2)
        arrays[f"{name}weight"] = _ours(kernel)
        if bias is not None:
            arrays[f"{name}bias"] = bias
        else:
            arrays |= {f"{prefix}normalizations.{at}.{key}": value for key, value in _norm(each).items()}


def _norm(convolved: Convolved) -> Arrays:
    """A normalization with our epsilon and the convolution's bias in its mean, exactly the same in effect."""
    norm = convolved.norm
    if norm is None:
        raise ValueError("a convolution without a normalization")
    variance, scale = norm.variance + norm.epsilon - OUR_EPSILON, norm.scale
    below = variance < 0
    scale = np.where(below, scale * np.sqrt(OUR_EPSILON / (norm.variance + norm.epsilon)), scale)
    return {
        "weight": scale,
        "bias": norm.shift,
        "running_mean": norm.mean - convolved.bias,
        "running_var": np.where(below, 0, variance),
    }


def _folded(convolved: Convolved, output_axis: int = 3) -> tuple[Doubles, Doubles]:
    """Kernel and bias with the normalization after them taken in."""
    kernel, bias = convolved.kernel.astype(np.float64), convolved.bias.astype(np.float64)
    if convolved.norm is None:
        return kernel, bias
    gain, offset = convolved.norm.affine()
    shape = [1, 1, 1, 1]
    shape[output_axis] = -1
    return kernel * gain.reshape(shape), bias * gain + offset


def _ours(kernel: Doubles) -> Doubles:
    """`(height, width, in, out)` → `(out, in, height, width)`."""
    return kernel.transpose(3, 2, 0, 1)


def _normalized(found: FoundUNet) -> bool:
    """Whether every convolution of the blocks has a normalization; else those there are get folded in."""
    return all(each.norm is not None for block in _blocks(found) for each in block)


def _blocks(found: FoundUNet) -> list[tuple[Convolved, ...]]:
    return [*found.down, *(way.block for way in found.up)]


def _is_two(found: FoundUNet) -> bool:
    return len(found.head.bias) == 2 and found.output != "sigmoid"


def _faults(found: FoundUNet, widths: tuple[int, ...]) -> list[str]:
    faults = []
    if len({way.kind for way in found.up}) > 1:
        faults.append(
            "some of its ways up are Conv2DTranspose and some UpSampling2D, where one kind is expected"
        )
    levels = [(block, width) for block, width in zip(found.down, widths, strict=True)]
    ways = list(zip(found.up, reversed(widths[:-1]), strict=True))
    for block, width in [*levels, *((way.block, width) for way, width in ways)]:
        faults += [
            f"{shown(each.name)} has {len(each.bias)} filters, where {width} are expected as in its level"
            for each in block
            if len(each.bias) != width
        ]
    faults += [
        f"{shown(way.up.name)} has {len(way.up.bias)} filters, where {width} are expected as in its level"
        for way, width in ways
        if len(way.up.bias) != width
    ]
    for blocks, where in ((found.down, "down"), ([way.block for way in found.up], "up")):
        numbers = [len(block) for block in blocks]
        if len(set(numbers)) > 1:
            faults.append(
                f"its blocks on the way {where} have {numbers} convolutions, where equal numbers are expected"
            )
    outputs = len(found.head.bias)
    if found.output == "sigmoid" and outputs > 1:
        faults.append(
            f"{shown(found.head.name)} gives {outputs} outputs by a sigmoid each, labels that may overlap; "
            "ours are one label by a sigmoid, or several by a softmax"
        )
    if found.output == "softmax" and outputs == 1:
        faults.append(f"{shown(found.head.name)} is a softmax of one output, which is always 1")
    if outputs > MAXIMUM_OUTPUTS:
        faults.append(
            f"{shown(found.head.name)} has {outputs} outputs, where at most {MAXIMUM_OUTPUTS} can be"
        )
    return faults
