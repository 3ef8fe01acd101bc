"""What scoring the held-out part will take: a few of its cases, or a part of one, predicted and scored."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch

from delineate.evaluation.overlays import draw_overlay, encode_png
from delineate.evaluation.scores import score_case
from delineate.image import Image, Mask, oriented, oriented_mask
from delineate.inference.engines import Engine, TorchEngine
from delineate.inference.fitting import prepared, working_size
from delineate.inference.hardware import computing_device, has_fast_bf16
from delineate.inference.memory import PROGRAM_BYTES, lacking
from delineate.inference.predict import predict_mask
from delineate.inference.volumes import needed_bytes, predict_volume
from delineate.inference.windows import window_starts
from delineate.jobs.parts import LoadedCase, Part
from delineate.jobs.scoring import OVERLAY_PX, naming
from delineate.networks.settings import most_parameters
from delineate.networks.unet import UNet
from delineate.plan import Plan
from delineate.training.trainer import precision_for

MOST_CASES = 4
MOST_VOXELS = 1 << 19  # of a volume that are predicted for measuring
DRAWN_CASES = 9  # of the report: predicted and drawn once more
REPORT_SECONDS = 2.0  # intervals, figures and the page
SCORING_BYTES = 16  # a pixel or voxel, of masks and boundaries
DRAWING_BYTES = 16, 27  # a pixel of an overlay, and more for each of its channels


@dataclass(frozen=True)
class ToScore:
    """What will be scored and drawn by the same nets.

    Attributes:
        part: The cases.
        members: Nets whose probabilities are averaged for each case.
    """

    part: Part
    members: int = 1


@dataclass(frozen=True)
class ScoringCost:
    """What scoring will take.

    Attributes:
        seconds: In all.
        more_bytes: Memory at most, above what the process holds when a case has been predicted.
        shortage: The case that takes more memory than there is, in words with how much; None without one.
    """

    seconds: float
    more_bytes: int
    shortage: str | None = None


@dataclass(frozen=True)
class _Measured:
    """Seconds that a case of so many pixels took, to be read and predicted, and to be scored."""

    pixels: int
    predicting_seconds: float
    scoring_seconds: float

    @property
    def seconds(self) -> float:
        """All."""
        return self.predicting_seconds + self.scoring_seconds


def measure_scoring(
    plan: Plan, work: ToScore, *, allowed_s: float, clock: Callable[[], float] = time.monotonic
) -> ScoringCost:
    """Time the prediction and scoring of some cases by a net that has learned nothing.

    Args:
        plan: Says the net and how it predicts.
        work: What will be scored.
        allowed_s: No further case is measured beyond this.
        clock: Seconds.

    Raises:
        DataError: A case cannot be read or does not fit the plan; it is named.
    """
    part = work.part
    if not len(part):
        return ScoringCost(0.0, 0)
    device = torch.device(computing_device())
    network = UNet(plan.network)
    network = network.to(device, memory_format=network.memory_format).eval()  # type: ignore[call-overload]  # torch's stubs miss this form
    engine = TorchEngine(network, bf16=precision_for(plan) == "bf16" and has_fast_bf16())
    pixels = {files.name: math.prod(part.report.sizes_by_case[files.name]) for files in part.files}
    cases = iter(part.of(_spread_by_size(pixels)))
    start, found, drawing_s, more, shortage = clock(), list[_Measured](), 0.0, 0, None
    while not found or (len(found) < MOST_CASES and clock() - start < allowed_s):
        before = clock()
        case = next(cases, None)
        if case is None:
            break
        read_s = clock() - before
        if not found:
            before = clock()
            encode_png(draw_overlay(case.image, case.mask, case.mask), longest_px=OVERLAY_PX)
            drawing_s = clock() - before
            more, shortage = _more_bytes(plan, case, work), _shortage(plan, case, work)
        predicting_s, scoring_s = _timed(engine, plan, case, clock)
        found.append(_Measured(pixels[case.name], read_s + work.members * predicting_s, scoring_s))
    found = found[1:] or found  # the first pays for what is set up
    usual, all_s = _for_all(found, list(pixels.values()))
    redone = usual * sum(each.predicting_seconds for each in found) / sum(each.seconds for each in found)
    seconds = all_s + min(DRAWN_CASES, len(part)) * (redone + drawing_s) + REPORT_SECONDS
    return ScoringCost(seconds, more, shortage)


def _spread_by_size(pixels: Mapping[str, int]) -> list[str]:
    """Some cases, from the smallest to a large one, that of medium size first."""
    by_size = sorted(pixels, key=pixels.__getitem__)
    names = [by_size[i * len(by_size) // MOST_CASES] for i in (2, 3, 1, 0)]
    return list(dict.fromkeys(names))


def _for_all(measured: Sequence[_Measured], pixels: Sequence[int]) -> tuple[float, float]:
    """Seconds of a case of mean size, and of all.

    What a case takes is a straight line over its pixels: the one that the measured ones lie along, but
    neither falling nor below 0 at no pixels; in proportion where all measured ones are of one size.

    Args:
        measured: Some cases.
        pixels: Of all cases.
    """
    size, seconds = fmean(each.pixels for each in measured), fmean(each.seconds for each in measured)
    spread = sum((each.pixels - size) ** 2 for each in measured)
    steepest = slope = seconds / size
    if spread:
        slope = sum((each.pixels - size) * (each.seconds - seconds) for each in measured) / spread
        slope = min(max(slope, 0.0), steepest)
    usual = seconds + slope * (fmean(pixels) - size)
    return usual, usual * len(pixels)


def _timed(engine: Engine, plan: Plan, case: LoadedCase, clock: Callable[[], float]) -> tuple[float, float]:
    """Seconds that predicting and scoring a case takes; of a large volume by an excerpt."""
    shown = _excerpt(plan, case)
    image, reference = shown.image, shown.mask
    before = clock()
    with naming(case):
        if len(image.size) == 2:
            predict_mask(engine, plan, image)
        else:
            predict_volume(engine, plan, image)
    predicted = clock()
    # a net that has learned nothing finds noise, which takes longer to score than what will be found
    moved = Mask(np.roll(reference.values, 2, -1), reference.labels, reference.geometry)
    score_case(case.name, case.group, reference, moved)
    scored = clock()
    voxels = math.prod(case.image.size) / math.prod(image.size)
    predicting = (predicted - before) * _passes(plan, case) / _passes(plan, shown)
    return predicting, (scored - predicted) * voxels


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


def _more_bytes(plan: Plan, case: LoadedCase, work: ToScore) -> int:
    """Memory that the largest case takes: a picture beyond what measuring this one takes, a volume in all."""
    largest = work.part.report.sizes_by_case[_largest(work.part)]
    others = 4 * (work.members - 1) * most_parameters(plan.network)
    if len(case.image.size) == 2:
        more = max(0, math.prod(largest) - math.prod(case.image.size))
        return more * _bytes_a_pixel(plan, case) + others
    needed = needed_bytes(plan, _as_large(case.image, largest), members=work.members)
    return needed - PROGRAM_BYTES + SCORING_BYTES * math.prod(largest)


def _bytes_a_pixel(plan: Plan, case: LoadedCase) -> int:
    """About what a pixel of a picture takes, which is read, and predicted, scored and drawn in turn."""
    channels, classes = plan.data.channels, plan.network.output_channels
    own = case.image.pixels.nbytes // math.prod(case.image.size) + 1
    if plan.preprocessing.mode == "whole":  # numbers of the image, probabilities at both sizes
        predicting = 4 * channels + 8 * classes
    else:
        predicting = 8 * channels + 12 * classes + 8
    drawing = DRAWING_BYTES[0] + DRAWING_BYTES[1] * case.image.channels
    return 2 * own + max(predicting, SCORING_BYTES, drawing)


def _as_large(image: Image, size: tuple[int, ...]) -> Image:
    """An image of that size as far as its memory is counted, which takes none."""
    return replace(image, pixels=np.broadcast_to(image.pixels.flat[0], (image.channels, *size)))


def _largest(part: Part) -> str:
    """The name of the case of most pixels."""
    sizes = part.report.sizes_by_case
    return max((files.name for files in part.files), key=lambda name: math.prod(sizes[name]))


def _shortage(plan: Plan, case: LoadedCase, work: ToScore) -> str | None:
    """The largest volume and the memory it lacks, as its prediction finds it; None where there is enough."""
    if len(case.image.size) == 2:
        return None
    largest = _largest(work.part)
    like = _as_large(case.image, work.part.report.sizes_by_case[largest])
    if lacking(2 * needed_bytes(plan, like, members=work.members), None) is None:
        return None  # whatever its spacing; it need not be read
    image = next(iter(work.part.of([largest]))).image
    needed = needed_bytes(plan, image, members=work.members)
    found = lacking(needed, None, PROGRAM_BYTES + image.pixels.nbytes)
    return None if found is None else f"case {largest} would take about {found}"
