"""What scoring the held-out part will take: a few of its cases, or a part of one, predicted and scored."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch

from delineate.errors import DataError
from delineate.evaluation.overlays import draw_overlay, encode_png
from delineate.evaluation.scores import score_case
from delineate.image import Mask, oriented, oriented_mask
from delineate.inference.engines import Engine, TorchEngine
from delineate.inference.fitting import prepared, working_size
from delineate.inference.hardware import computing_device, has_fast_bf16
from delineate.inference.memory import PROGRAM_BYTES
from delineate.inference.predict import predict_mask
from delineate.inference.volumes import needed_bytes, predict_volume
from delineate.inference.windows import window_starts
from delineate.jobs.parts import LoadedCase, Part
from delineate.jobs.scoring import OVERLAY_PX
from delineate.networks.unet import UNet
from delineate.plan import Plan
from delineate.training.trainer import precision_for

MOST_CASES = 4
MOST_VOXELS = 1 << 19  # of a volume that are predicted for measuring
DRAWN_CASES = 9  # of the report: predicted and drawn once more
REPORT_SECONDS = 2.0  # intervals, figures and the page
SCORING_BYTES = 16  # a voxel, of masks and boundaries


@dataclass(frozen=True)
class ScoringCost:
    """What scoring will take.

    Attributes:
        seconds: In all.
        more_bytes: Memory at most, above what the process holds when a case has been predicted.
    """

    seconds: float
    more_bytes: int


def measure_scoring(
    plan: Plan, part: Part, *, allowed_s: float, clock: Callable[[], float] = time.monotonic
) -> ScoringCost:
    """Time the prediction and scoring of some cases by a net that has learned nothing.

    Args:
        plan: Says the net and how it predicts.
        part: That will be scored.
        allowed_s: No further case is measured beyond this.
        clock: Seconds.

    Raises:
        DataError: A case cannot be read or does not fit the plan; it is named.
    """
    if not len(part):
        return ScoringCost(0.0, 0)
    device = torch.device(computing_device())
    network = UNet(plan.network)
    network = network.to(device, memory_format=network.memory_format).eval()  # type: ignore[call-overload]  # torch's stubs miss this form
    engine = TorchEngine(network, bf16=precision_for(plan) == "bf16" and has_fast_bf16())
    names = [part.files[i * len(part) // MOST_CASES].name for i in range(MOST_CASES)]
    cases = iter(part.of(list(dict.fromkeys(names))))
    start, seconds, drawing_s, more = clock(), list[float](), 0.0, 0
    while not seconds or (len(seconds) < MOST_CASES and clock() - start < allowed_s):
        before = clock()
        case = next(cases, None)
        if case is None:
            break
        read_s = clock() - before
        if not seconds:
            before = clock()
            encode_png(draw_overlay(case.image, case.mask, case.mask), longest_px=OVERLAY_PX)
            drawing_s = clock() - before
        seconds.append(read_s + _timed(engine, plan, case, clock))
        more = max(more, _more_bytes(plan, case, part))
    usual = fmean(seconds[1:] or seconds)  # the first pays for what is set up
    drawn = min(DRAWN_CASES, len(part))
    return ScoringCost(len(part) * usual + drawn * (usual + drawing_s) + REPORT_SECONDS, more)


def _timed(engine: Engine, plan: Plan, case: LoadedCase, clock: Callable[[], float]) -> float:
    """Seconds that predicting and scoring a case takes; of a large volume by an excerpt."""
    shown = _excerpt(plan, case)
    image, reference = shown.image, shown.mask
    before = clock()
    try:
        if len(image.size) == 2:
            predict_mask(engine, plan, image)
        else:
            predict_volume(engine, plan, image)
    except DataError as error:
        raise DataError(f"Case {case.name} does not fit the model: {error}.") from error
    predicted = clock()
    # a net that has learned nothing finds noise, which takes longer to score than what will be found
    moved = Mask(np.roll(reference.values, 2, -1), reference.labels, reference.geometry)
    score_case(case.name, case.group, reference, moved)
    scored = clock()
    voxels = math.prod(case.image.size) / math.prod(image.size)
    return (predicted - before) * _passes(plan, case) / _passes(plan, shown) + (scored - predicted) * voxels


def _excerpt(plan: Plan, case: LoadedCase) -> LoadedCase:
    """The case, or the middle of a large volume: some slices, or for a net of volumes less along all axes."""
    voxels = math.prod(case.image.size)
    if len(case.image.size) == 2 or voxels <= MOST_VOXELS:
        return case
    image = oriented(case.image, plan.preprocessing.orientation)
    mask = oriented_mask(case.mask, plan.preprocessing.orientation)
    share = MOST_VOXELS / voxels
    shares = (share, 1.0, 1.0) if plan.network.axes == 2 else (share ** (1 / 3),) * 3
    sides = [max(1, round(side * part)) for side, part in zip(image.size, shares, strict=True)]
    starts = tuple((side - new) // 2 for side, new in zip(image.size, sides, strict=True))
    cut = tuple(slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    geometry = image.geometry.moved(starts)
    return replace(
        case,
        image=replace(image, pixels=np.ascontiguousarray(image.pixels[:, *cut]), geometry=geometry),
        mask=replace(mask, values=np.ascontiguousarray(mask.values[cut]), geometry=geometry),
    )


def _passes(plan: Plan, case: LoadedCase) -> int:
    """How much there is to predict: slices of a volume, or windows for a net of volumes."""
    if len(case.image.size) == 2:
        return 1
    turned = prepared(case.image, plan)
    if plan.network.axes == 2:
        return turned.size[0]
    size = working_size(turned.size, plan.preprocessing, turned.geometry.spacing_mm)
    return math.prod(
        len(window_starts(length, side, plan.prediction.overlap))
        for length, side in zip(size, plan.window, strict=True)
    )


def _more_bytes(plan: Plan, case: LoadedCase, part: Part) -> int:
    """Memory that the largest volume takes, as far as this one tells; a picture's was met in measuring."""
    if len(case.image.size) == 2:
        return 0
    own = math.prod(case.image.size)
    sizes = part.report.sizes
    largest = max(own, math.prod(sizes.largest)) if sizes is not None else own
    return round((needed_bytes(plan, case.image) - PROGRAM_BYTES + SCORING_BYTES * own) * largest / own)
