"""Plans for nets that see volumes, and whether volumes are better seen slice by slice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from delineate.augment.settings import AugmentationSettings
from delineate.fingerprint import Fingerprint
from delineate.geometry import left_right_axis, times
from delineate.losses import LossSettings
from delineate.networks.settings import UNetSettings
from delineate.plan import Plan, PredictionPlan, PreprocessingPlan, output_channels
from delineate.planner.common import (
    ALIKE,
    Asked,
    Dims,
    Planned,
    data_plan,
    data_reasons,
    intensity_scheme,
    left_right_mirroring,
    length_of,
    likeness_reason,
    outputs_reason,
    threshold_plan,
    training_plan,
    up,
)

FEWEST_SLICES = 16  # of the median volume, for a net to see it as a whole
MOST_ANISOTROPIC = 3.0  # spacing across slices over that within, likewise
ISOTROPIC = 2.0  # spacings that differ by less are pooled alike
PATCH_VOXELS = 48**3
KEPT = 0.99  # least Dice that slices of masks must keep at the working spacing
WIDTHS = (16, 32, 64, 128, 160)
SHORTEST = 4  # voxels of the coarsest level along an axis
BATCH_SIZE = 4
MOST_LARGER_LABELS = 16  # whose logits a small machine holds with larger patches


def choose_dims(data: Fingerprint, asked: Asked) -> tuple[Dims, str]:
    """Whether a net sees slices or volumes, and why.

    Args:
        data: Of volumes.
        asked: May say it.
    """
    if asked.dims is not None:
        return asked.dims, "asked for"
    depth = data.median[0]
    if depth < FEWEST_SLICES:
        return 2, f"slices: a median volume has only {depth} of them"
    spacing = data.spacing_mm or (1.0, 1.0, 1.0)
    ratio = spacing[0] / min(spacing[1:])
    if ratio > MOST_ANISOTROPIC:
        return 2, f"slices: they lie {ratio:.1f} times as far apart as the pixels within them"
    return 3, f"volumes: {depth} slices, {ratio:.1f} times as far apart as the pixels within them"


def plan_volumes(data: Fingerprint, asked: Asked) -> Planned:
    """A plan for a net of three axes."""
    reasons = data_reasons(data)
    spacing, scale = _spacing(data)
    whole, steps_mm = _size_at(data, spacing), spacing or (1.0, 1.0, 1.0)
    size, strides = patch(whole, steps_mm)
    reasons["preprocessing.size"] = f"a median volume has {times(whole)} voxels at this spacing"
    if asked.seen is not None and len(data.labels) <= MOST_LARGER_LABELS:
        larger, strides = patch(whole, steps_mm, max(PATCH_VOXELS, asked.seen.pixels))
        if larger != size:
            size = larger
            reasons["preprocessing.size"] += f"; {asked.seen.why}"
    scheme, intensity_reason = intensity_scheme(data)
    preprocessing = PreprocessingPlan(
        mode="patch",
        orientation=data.orientation,
        size=size,
        spacing_mm=spacing,
        **scheme.fields,
    )
    steps, budget_s = length_of(asked.length, data, preprocessing, BATCH_SIZE, reasons)
    training, training_reasons = training_plan(
        asked, steps, budget_s, batch_size=BATCH_SIZE, foreground_share=0.5
    )
    augmentation, augmentation_reasons = _augmentation(data, asked, spacing)
    mirror = augmentation.flip_horizontal or augmentation.flip_vertical or augmentation.flip_depth
    threshold, threshold_reasons = threshold_plan(data)
    reasons |= training_reasons | augmentation_reasons | threshold_reasons
    reasons |= {
        "preprocessing.normalization": intensity_reason,
        "training.foreground_share": "half of the patches show a label, however rare it is",
        "network.output_channels": outputs_reason(len(data.labels)),
        "network.strides": "no pooling along an axis of coarse spacing until the others are as coarse",
        "loss": "cross-entropy for every voxel, soft Dice for labels however small",
        "prediction.mirror": "the mean over the mirrorings seen in training"
        if mirror
        else "none was trained",
    }
    reasons["preprocessing.spacing_mm"] = (
        "not all volumes say how far their voxels lie apart, so none is resampled"
        if spacing is None
        else f"slices of the masks keep a Dice of {data.scale_ceiling[scale]:.3f} there"
    )
    plan = Plan(
        preset="auto",
        data=data_plan(data, asked),
        preprocessing=preprocessing,
        network=UNetSettings(
            axes=3,
            input_channels=data.channels,
            output_channels=output_channels(len(data.labels)),
            widths=WIDTHS[: len(strides) + 1],
            strides=strides,
            decoder_convolutions=1,
            residual=True,
            normalization="batch",
            upsampling="nearest",
        ),
        augmentation=augmentation,
        loss=LossSettings(cross_entropy=1, dice=1),
        training=training,
        prediction=PredictionPlan(threshold=threshold, overlap=0.25, mirror=mirror),
    )
    return Planned(plan, reasons)


def _spacing(data: Fingerprint) -> tuple[tuple[float, float, float] | None, float]:
    """The working spacing, and the scale within slices it comes from.

    The median spacing, along a coarse axis the tenth percentile (as nnU-Net), is made coarser as far as the
    masks bear it; the coarsest axis last.
    """
    if data.spacing_mm is None or data.finest_mm is None:
        return None, 1.0
    scale = min(at for at, value in data.scale_ceiling.items() if value >= KEPT or at == 1)
    own = list(data.spacing_mm)
    coarsest = max(range(3), key=own.__getitem__)
    if own[coarsest] > MOST_ANISOTROPIC * min(own):
        own[coarsest] = data.finest_mm[coarsest]
    depth, height, width = (_rounded(max(each, min(own) / scale)) for each in own)
    return (depth, height, width), scale


def _rounded(spacing_mm: float) -> float:
    """With four decimals, and below 0.1 mm with four significant digits."""
    return round(spacing_mm, max(4, 3 - math.floor(math.log10(spacing_mm))))


def _size_at(data: Fingerprint, spacing: Sequence[float] | None) -> tuple[int, ...]:
    """The median size at a spacing."""
    if spacing is None or data.spacing_mm is None:
        return data.median
    own = zip(data.median, data.spacing_mm, spacing, strict=True)
    return tuple(max(1, round(side * old / new)) for side, old, new in own)


def patch(
    size: Sequence[int], spacing: Sequence[float], voxels: int = PATCH_VOXELS
) -> tuple[tuple[int, int, int], tuple[tuple[Literal[1, 2], ...], ...]]:
    """A patch of at most about so many voxels, as nearly a cube in millimetres as volumes allow.

    Args:
        size: Of a median volume, `(D, H, W)` voxels.
        spacing: Its spacing.
        voxels: Of the patch.

    Returns:
        The patch's size, and how it is pooled from level to level: to no fewer than `SHORTEST` voxels, and
        never along an axis whose spacing is still `ISOTROPIC` times the finest of those that can be pooled.
    """
    low, high = 0.0, max(side * step for side, step in zip(size, spacing, strict=True))
    for _ in range(40):
        edge = (low + high) / 2
        low, high = (edge, high) if math.prod(_cube(edge, size, spacing)) <= voxels else (low, edge)
    sides = [max(1, math.floor(side)) for side in _cube(high, size, spacing)]
    steps, left = list(spacing), list(sides)
    strides: list[tuple[Literal[1, 2], ...]] = []
    while len(strides) < len(WIDTHS) - 1:
        free = [axis for axis in range(3) if left[axis] >= 2 * SHORTEST]
        pooled = [axis for axis in free if steps[axis] < ISOTROPIC * min(steps[other] for other in free)]
        if not pooled:
            break
        stride: tuple[Literal[1, 2], ...] = tuple(2 if axis in pooled else 1 for axis in range(3))
        strides.append(stride)
        left = [side // by for side, by in zip(left, stride, strict=True)]
        steps = [step * by for step, by in zip(steps, stride, strict=True)]
    if not strides:
        strides = [(1, 2, 2)]
    total = [math.prod(stride[axis] for stride in strides) for axis in range(3)]
    depth, height, width = (up(side, by) for side, by in zip(sides, total, strict=True))
    return (depth, height, width), tuple(strides)


def _cube(edge_mm: float, size: Sequence[int], spacing: Sequence[float]) -> list[float]:
    """The voxels of a cube of this edge, cut to the volume."""
    return [min(side, max(1.0, edge_mm / step)) for side, step in zip(size, spacing, strict=True)]


def _augmentation(
    data: Fingerprint, asked: Asked, spacing: Sequence[float] | None
) -> tuple[AugmentationSettings, dict[str, str]]:
    sides = (data.mirrored_in_depth, data.mirrored_vertically, data.mirrored_horizontally)
    across = left_right_axis(data.orientation)
    mirroring = left_right_mirroring(data, asked, sides[across])
    allowed = [likeness >= ALIKE for likeness in sides]
    said = [likeness_reason(likeness) for likeness in sides]
    allowed[across], said[across] = mirroring.allowed, mirroring.reason
    steps = spacing or (1.0, 1.0, 1.0)
    isotropic = max(steps) < ISOTROPIC * min(steps)
    settings = AugmentationSettings(
        rotation_degrees=20,
        tilt_degrees=15 if isotropic else 0,
        shift=0.05,
        zoom=(0.85, 1.18),
        stretch=0.1,
        flip_depth=allowed[0],
        flip_vertical=allowed[1],
        flip_horizontal=allowed[2],
        fill="reflect",
        brightness=0.15,
        contrast=0.2,
        gamma=0.25,
        noise=0.05,
    )
    return settings, {
        "augmentation.flip_depth": said[0],
        "augmentation.flip_vertical": said[1],
        "augmentation.flip_horizontal": said[2],
        "augmentation.tilt_degrees": "spacings are nearly equal"
        if isotropic
        else "no turning out of the plane of slices that lie far apart",
    }
