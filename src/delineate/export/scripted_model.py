"""A model as a TorchScript module that needs neither Delineate nor its plan."""

# ruff: noqa: RUF005, RUF046  lists cannot be unpacked in TorchScript, and its ceil and round give floats
# no `from __future__ import annotations`: TorchScript reads the class's annotations as they are
import io
import math
import warnings
from typing import Final

import torch
from torch import Tensor, nn

from delineate.export.archive import without_places
from delineate.export.scripted import (
    channels_as,
    padded,
    part,
    resize,
    resize_back,
    size_of,
    window_corners,
)
from delineate.inference.engines.network_onnx import Averaged
from delineate.inference.fitting import SAMPLED_VOXELS
from delineate.inference.predict import mirrorings
from delineate.inference.windows import window_weight
from delineate.plan import Plan

WINDOWS_AT_ONCE = 4


class ScriptedModel(nn.Module):
    """All of prediction but reading, turning and writing; made to be compiled by `torch.jit.script`.

    Args:
        plan: The model's.
        network: Normalized `(N, C, *size)` to probabilities, already compiled.
        reversed_axes: Whether the spatial axes of its images come in the reverse order of ours, as
            programs of the clinic hand them over: `(W, H)` or `(W, H, D)`.
    """

    axes: Final[int]
    network_axes: Final[int]
    whole: Final[bool]
    stretch: Final[bool]
    by_image: Final[bool]
    colour: Final[str]
    reversed_axes: Final[bool]
    sampled: Final[int]
    at_once: Final[int]
    window: list[int]
    steps: list[int]
    scale: float
    spacing_mm: list[float]
    flips: list[list[int]]
    orders: list[list[int]]
    gain: Tensor
    offset: Tensor
    lowest: Tensor
    highest: Tensor
    weight: Tensor

    def __init__(self, plan: Plan, network: torch.jit.ScriptModule, *, reversed_axes: bool) -> None:
        super().__init__()
        preprocessing, channels = plan.preprocessing, plan.data.channels
        self.network = network
        self.axes, self.network_axes = plan.data.axes, plan.network.axes
        self.whole, self.stretch = preprocessing.mode == "whole", preprocessing.fit == "stretch"
        self.by_image = preprocessing.normalization == "image"
        self.colour, self.reversed_axes = str(plan.data.colour), reversed_axes
        self.sampled, self.at_once = SAMPLED_VOXELS, WINDOWS_AT_ONCE
        self.window = list(plan.window)
        self.steps = [max(1, round(s * (1 - plan.prediction.overlap))) for s in self.window]
        self.scale = preprocessing.scale
        self.spacing_mm = list(preprocessing.spacing_mm or ())
        flips = mirrorings(plan)
        self.flips = [list(dims) for dims, _ in flips]
        same = list(range(plan.network.output_channels))
        self.orders = [same if order is None else order for _, order in flips]
        fixed = preprocessing.normalization == "dataset"
        mean = torch.tensor(preprocessing.mean if fixed else (0.0,) * channels)
        deviation = torch.tensor(preprocessing.standard_deviation if fixed else (1.0,) * channels)
        clip = preprocessing.clip or ((-math.inf, math.inf),) * channels
        for name, values in {
            "gain": 1 / deviation,
            "offset": -mean / deviation,
            "lowest": torch.tensor([low for low, _ in clip]),
            "highest": torch.tensor([high for _, high in clip]),
            "weight": window_weight(tuple(self.window)),
        }.items():
            self.register_buffer(name, values)

    def forward(self, image: Tensor, spacing_mm: Tensor | None = None) -> Tensor:
        """The probabilities at each pixel.

        Args:
            image: `(N, C, …)` of any size and number type: pictures as shares of their range, 0 to 1, where
                the model was trained on integer pictures; else in the units of its training images.
            spacing_mm: `(N, 3)` of volumes, of the axes as they come; None where it is as the model works.

        Returns:
            `(N, K, …)` float32 of the same size: the foreground's, K = 1, for one label; else the
            background's and each label's.
        """
        found: list[Tensor] = []
        for at in range(image.shape[0]):
            one = image[at].to(torch.float32)
            spacing = [0.0 for _ in range(0)]
            if spacing_mm is not None:
                spacing = [float(each) for each in spacing_mm[at]]
            if self.reversed_axes:
                one, spacing = self.turned(one), spacing[::-1]
            result = self.of_image(channels_as(one, self.colour), spacing)
            found.append(self.turned(result) if self.reversed_axes else result)
        return torch.stack(found)

    def turned(self, pixels: Tensor) -> Tensor:
        """`(C, …)` with its spatial axes in the reverse order."""
        return pixels.transpose(1, pixels.dim() - 1)

    def of_image(self, image: Tensor, spacing: list[float]) -> Tensor:
        """`(K, …)` of `(C, …)` as the plan's axes go."""
        shape = [-1] + [1] * (image.dim() - 1)
        image = torch.minimum(torch.maximum(image, self.lowest.view(shape)), self.highest.view(shape))
        if self.axes == 3 and self.network_axes == 2:
            return self.of_slices(image)
        own = size_of(image)
        working = resize(image, self.working_size(own, spacing))
        gain, offset = self.intensities(working)
        return resize_back(self.of_working(working, gain, offset), own)

    def of_slices(self, volume: Tensor) -> Tensor:
        """`(K, D, H, W)` of `(C, D, H, W)` by a net of pictures, all slices by one normalization."""
        voxels = float(volume.shape[1] * volume.shape[2] * volume.shape[3])
        step = max(1, int(math.ceil((voxels / self.sampled) ** (1.0 / 3.0))))
        gain, offset = self.intensities(volume[:, ::step, ::step, ::step])
        size = size_of(volume)[1:]
        rows: list[Tensor] = []
        for at in range(volume.shape[1]):
            working = resize(volume[:, at], self.working_size(size, [0.0 for _ in range(0)]))
            rows.append(resize_back(self.of_working(working, gain, offset), size))
        return torch.stack(rows, 1)

    def working_size(self, size: list[int], spacing: list[float]) -> list[int]:
        """See `inference.preprocess.working_size`."""
        if self.network_axes == 3:
            if len(spacing) == 0 or len(self.spacing_mm) == 0:
                return size
            return [max(1, int(round(size[a] * (spacing[a] / self.spacing_mm[a])))) for a in range(3)]
        if not self.whole:
            return [max(1, int(round(own * self.scale))) for own in size]
        if self.stretch:
            return self.window
        scale = min(self.window[0] / size[0], self.window[1] / size[1])
        return [min(self.window[a], max(1, int(round(size[a] * scale)))) for a in range(2)]

    def intensities(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The factor and the summand by which pixels are normalized, a channel."""
        if not self.by_image:
            return self.gain, self.offset
        flat = pixels.flatten(1)
        mean = flat.mean(1)
        deviation = flat.std(1, correction=0)
        rounding = 1e-6 * mean.abs()  # `fingerprint.ROUNDING`, which a script cannot name
        deviation = torch.where(deviation > rounding, deviation, torch.ones_like(deviation))
        return 1 / deviation, -mean / deviation

    def of_working(self, pixels: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
        """`(K, …)` of an image at its working size, not yet normalized."""
        shape = [-1] + [1] * (pixels.dim() - 1)
        size = size_of(pixels)
        filled = padded(torch.addcmul(offset.view(shape), pixels, gain.view(shape)), self.window)
        if self.whole:
            return part(self.seen(filled.unsqueeze(0))[0], [0] * len(size), size)
        corners = window_corners(size_of(filled), self.window, self.steps)
        weights = torch.zeros([1] + size_of(filled), device=pixels.device)
        total = torch.zeros([0])
        for first in range(0, len(corners), self.at_once):
            some = corners[first : first + self.at_once]
            found = self.seen(torch.stack([part(filled, corner, self.window) for corner in some]))
            if first == 0:
                total = torch.zeros([found.shape[1]] + size_of(filled), device=pixels.device)
            for at in range(len(some)):
                part(total, some[at], self.window).add_(found[at] * self.weight)
                part(weights, some[at], self.window).add_(self.weight)
        return part(total / weights, [0] * len(size), size)

    def seen(self, batch: Tensor) -> Tensor:
        """`(N, K, …)` of normalized windows, the mirrored ones averaged in."""
        total: Tensor = self.network(batch)
        for at in range(len(self.flips)):
            found: Tensor = self.network(batch.flip(self.flips[at])).flip(self.flips[at])
            total = total + found[:, self.orders[at]]
        return total / (1 + len(self.flips))


def scripted_model(network: nn.Module, plan: Plan, *, reversed_axes: bool) -> bytes:
    """A model as a TorchScript file.

    Args:
        network: In evaluation mode, on the processor; a `ModuleList` of several, whose probabilities are
            averaged.
        plan: The one it was trained by.
        reversed_axes: See `ScriptedModel`.

    Returns:
        What `torch.jit.load` reads.
    """
    networks = list(network) if isinstance(network, nn.ModuleList) else [network]
    example = torch.zeros(2, plan.data.channels, *plan.window)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of torch: what the trace holds fast is meant, and that it is old
        traced = torch.jit.trace(Averaged(networks).eval(), example, check_trace=False)  # type: ignore[no-untyped-call]  # torch's
        compiled = torch.jit.script(ScriptedModel(plan, traced, reversed_axes=reversed_axes).eval())
        stream = io.BytesIO()
        torch.jit.save(compiled, stream)
    return without_places(stream.getvalue())
