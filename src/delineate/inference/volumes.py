"""Masks of volumes, slab by slab: never all labels of a whole volume at its full size at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from delineate.errors import TooLittleMemoryError
from delineate.geometry import Array, Turn
from delineate.image import Image, turn_of
from delineate.inference.engines import Engine
from delineate.inference.fitting import prepared, working_size
from delineate.inference.found import Progress
from delineate.inference.memory import PROGRAM_BYTES, lacking
from delineate.inference.predict import decide, predictor_of, probabilities
from delineate.inference.preprocess import resize, slices, to_working
from delineate.inference.windows import slabs_of_windows, windows_of_one
from delineate.networks.settings import most_parameters
from delineate.plan import Plan

WINDOWS_AT_ONCE = 2
ACTIVATION_COPIES = 8  # of the finest level's features that a forward pass holds at once, at most


@dataclass(frozen=True)
class VolumePrediction:
    """What was found in a volume, on its own grid.

    Attributes:
        values: `(D, H, W)` uint8: 0 background, 1…n the labels.
        probabilities: `(n, D, H, W)` float16 of the labels, where they were asked for.
    """

    values: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float16] | None = None


def predict_volume(
    engine: Engine,
    plan: Plan,
    image: Image,
    *,
    keep_probabilities: bool = False,
    memory_bytes: int | None = None,
    progress: Progress = lambda *_: None,
) -> VolumePrediction:
    """The mask of a volume.

    Args:
        engine: Computes the net.
        plan: The one it was trained by.
        image: `(C, D, H, W)`.
        keep_probabilities: Whether to return them as well.
        memory_bytes: That may be used in all; None for what is free on this machine.
        progress: Told the steps done and their number.

    Returns:
        The mask's values, and the probabilities.

    Raises:
        DataError: The image does not fit the plan.
        TooLittleMemoryError: More memory would be needed than there is.
    """
    needed = needed_bytes(plan, image, keep_probabilities=keep_probabilities, members=engine.members)
    if shortage := lacking(needed, memory_bytes, PROGRAM_BYTES + image.pixels.nbytes):
        raise TooLittleMemoryError(
            f"it would take about {shortage}. Give more, or train with a coarser preprocessing.spacing_mm",
            shortage,
        )
    turned = prepared(image, plan)
    if plan.network.axes == 3:
        rows = _rows_of_windows(engine, plan, turned, progress=progress)
    else:
        rows = _rows_of_slices(engine, plan, turned, progress=progress)
    labels = len(plan.data.labels)
    values = np.empty(image.size, dtype=np.uint8)
    kept = np.empty((labels, *image.size), dtype=np.float16) if keep_probabilities else None
    turn = turn_of(image.geometry, 3, plan.preprocessing.orientation)
    values_turned = _seen_through(turn, values)
    kept_turned = None if kept is None else _seen_through(turn, kept)
    with torch.inference_mode():  # here, where it ends for certain: a generator may be left half way
        for at, found in enumerate(rows):
            values_turned[at] = decide(found, plan)
            if kept_turned is not None:
                kept_turned[:, at] = found[-labels:].numpy()
    return VolumePrediction(values, kept)


def _seen_through(turn: Turn | None, array: Array) -> Array:
    """The array with its axes turned, for writing: no voxel is copied."""
    return array if turn is None else turn.apply(array)


def needed_bytes(plan: Plan, image: Image, *, keep_probabilities: bool = False, members: int = 1) -> int:
    """About how much memory `predict_volume` takes in all, the image included, by so many nets."""
    if members > 1:
        others = 4 * (members - 1) * most_parameters(plan.network)
        return others + needed_bytes(plan, image, keep_probabilities=keep_probabilities)
    voxels = math.prod(image.size)
    classes = plan.network.output_channels
    image_bytes = image.pixels.nbytes + voxels * (1 + 2 * len(plan.data.labels) * keep_probabilities)
    turned, window = prepared(image, plan), plan.window
    features = 4 * math.prod(window) * plan.network.widths[0] * ACTIVATION_COPIES  # of one window
    if plan.network.axes == 2:
        slice_bytes = 4 * (4 * classes + 3 * plan.data.channels + 2) * math.prod(turned.size[1:])
        stretched = 0 if image.shares or plan.data.pixels == "float" else 4 * plan.data.channels * voxels
        at_once = windows_of_one(window, torch.device("cpu")) * features
        return PROGRAM_BYTES + image_bytes + stretched + slice_bytes + at_once
    size = working_size(turned.size, plan.preprocessing, turned.geometry.spacing_mm)
    size = tuple(max(side, own) for side, own in zip(size, window, strict=True))
    working = 4 * plan.data.channels * (2 * math.prod(size) + voxels)
    slab = 4 * (2 * classes + 1) * window[0] * math.prod(size[1:])
    row = 4 * 3 * classes * math.prod(turned.size[1:])
    return PROGRAM_BYTES + image_bytes + working + slab + row + WINDOWS_AT_ONCE * features


def _rows_of_slices(engine: Engine, plan: Plan, image: Image, *, progress: Progress) -> Iterator[Tensor]:
    """`(K, H, W)` of each slice, by a net that sees one at a time."""
    cut, intensities = slices(image, plan)
    for at, each in enumerate(cut, start=1):
        yield probabilities(engine, plan, each, intensities=intensities)
        progress(at, len(cut))


def _rows_of_windows(engine: Engine, plan: Plan, image: Image, *, progress: Progress) -> Iterator[Tensor]:
    """`(K, H, W)` of each slice of the volume's own grid, by a net of three axes."""
    window = plan.window
    if len(window) != 3:
        raise ValueError("the plan's window has not three axes")
    working = to_working(image, plan).normalized()
    slabs = slabs_of_windows(
        predictor_of(engine, plan),
        working.to(engine.device),
        window,
        plan.prediction.overlap,
        batch_size=WINDOWS_AT_ONCE,
        progress=progress,
    )
    depth, height, width = image.size
    for row in resampled_rows((slab.cpu() for slab in slabs), working.shape[1], depth):
        yield resize(row, (height, width)).clamp(0, 1)


def resampled_rows(slabs: Iterable[Tensor], depth: int, new_depth: int) -> Iterator[Tensor]:
    """Slices of another number, linearly between the given ones, with two slabs at most in memory.

    Args:
        slabs: `(K, d, H, W)`, together `depth` slices.
        depth: Their number.
        new_depth: The number wanted.

    Yields:
        `(K, H, W)`, `new_depth` of them; the same slices where nothing changes.
    """
    ratio = depth / new_depth
    wanted = 0
    held: Tensor | None = None
    first = 0  # the place of the first held slice
    for slab in slabs:
        held = slab if held is None else torch.cat([held[:, -1:], slab], dim=1)
        end = first + held.shape[1]
        while wanted < new_depth:
            place = min(max((wanted + 0.5) * ratio - 0.5, 0.0), depth - 1.0)
            below = math.floor(place)
            above = min(below + 1, depth - 1)
            if above >= end:
                break
            share = place - below
            row = held[:, below - first]
            yield row if share == 0 else torch.lerp(row, held[:, above - first], share)
            wanted += 1
        first = end - 1
