"""Plans for pictures, and for the slices of volumes."""

from __future__ import annotations

import math

from delineate.augment.settings import AugmentationSettings
from delineate.fingerprint import Fingerprint
from delineate.geometry import left_right_axis
from delineate.losses import LossSettings
from delineate.networks.settings import UNetSettings
from delineate.plan import MAXIMUM_SIDE, Plan, PredictionPlan, PreprocessingPlan, output_channels
from delineate.planner.common import (
    ALIKE,
    Asked,
    Mirroring,
    Planned,
    Seen,
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

WORKING_SIDE = 128
MOST_LARGER_LABELS = 16  # whose logits a small machine holds at larger sizes
RARE = 1 / 3  # share of the cases that have a label
KEPT = 0.992  # least Dice that masks must keep when brought to the working size and back
KEPT_WHOLLY = 0.9993  # likewise, for patches to be taken from smaller images
WHOLE_SIDES = (128, 160, 192, 256)  # tried in turn where several labels are told apart by where they lie
TURNED_ASPECT = 1.5  # largest ratio of the sides of what is seen for images to be turned by any angle
FAR_REDUCED = 12.0  # times a median image is made smaller, from which on its texture is gone
FREE_ASPECT = 2.0  # largest ratio of aspects that stretching to one size may even out

WINDOW_SIDE, WINDOW_OVERLAP = 384, 0.15  # most of a window in prediction, and the share that neighbours have
OF_ONE_SIZE = 0.9  # least share of the largest image's sides that the smallest ones have

WHOLE_STRIDE, PATCH_STRIDE = 32, 8
WHOLE_WIDTHS, PATCH_WIDTHS = (32, 64, 128, 192, 256), (24, 48, 96, 128)


def plan_pictures(data: Fingerprint, asked: Asked) -> Planned:
    """A plan for pictures or, where the data are volumes, for their slices."""
    reasons = data_reasons(data)
    preprocessing, size_reasons = _preprocessing(data, asked.seen)
    reasons |= size_reasons
    whole = preprocessing.mode == "whole"
    batch_size = 16 if whole else 8
    steps, budget_s = length_of(asked.length, data, preprocessing, batch_size, reasons)
    rare = _rare(data)
    training, training_reasons = training_plan(
        asked, steps, budget_s, batch_size=batch_size, foreground_share=0.5 if rare or not whole else 0.0
    )
    reasons |= training_reasons
    if not whole:
        reasons["training.foreground_share"] = "half of the patches show a label, however rare it is"
    elif rare:
        reasons["training.foreground_share"] = f"half of the images are drawn for a label: {rare}"
    network = UNetSettings(
        input_channels=data.channels,
        output_channels=output_channels(len(data.labels)),
        widths=WHOLE_WIDTHS if whole else PATCH_WIDTHS,
        decoder_convolutions=1,
        residual=True,
        normalization="batch",
        upsampling="nearest",
        stem=2 if whole else 1,
    )
    reasons |= {
        "network.output_channels": outputs_reason(len(data.labels)),
        "network.stem": "2×2 pixels at a time: four times the steps in the same time"
        if whole
        else "every pixel by itself, for thin and small structures",
    }
    augmentation, augmentation_reasons = _augmentation(data, asked, preprocessing)
    reasons |= augmentation_reasons
    reasons["loss"] = "cross-entropy for every pixel, soft Dice for labels however small"
    reasons["prediction.mirror"] = (
        "the mean over the mirrorings seen in training"
        if augmentation.flip_horizontal or augmentation.flip_vertical
        else "no mirroring was trained"
    )
    threshold, threshold_reasons = threshold_plan(data)
    reasons |= threshold_reasons
    prediction = PredictionPlan(
        threshold=threshold, mirror=augmentation.flip_horizontal or augmentation.flip_vertical
    )
    if not whole:
        larger = _windows(prediction, data, preprocessing)
        prediction = larger or prediction
        reasons["prediction.window"] = (
            "as large as the patches, since images are of different sizes"
            if larger is None
            else "larger than the patches, so that fewer cover an image"
        )
    plan = Plan(
        preset="auto",
        data=data_plan(data, asked),
        preprocessing=preprocessing,
        network=network,
        augmentation=augmentation,
        loss=LossSettings(cross_entropy=1, dice=1),
        training=training,
        prediction=prediction,
    )
    return Planned(plan, reasons)


def _preprocessing(data: Fingerprint, seen: Seen | None) -> tuple[PreprocessingPlan, dict[str, str]]:
    """Whole images where their masks outlive it, else patches at the images' own resolution."""
    height, width = data.median[-2:]
    scheme, intensity_reason = intensity_scheme(data)
    root = math.sqrt(height * width)
    side: float = _whole_side(data, root)
    kept = _kept(data, side)
    reasons = {"preprocessing.normalization": intensity_reason}
    if kept >= KEPT:
        wished = _wished_side(data, seen, root, side)
        if seen is not None and _with_aspect(wished, height / width) != _with_aspect(side, height / width):
            side, kept = wished, _kept(data, wished)
            reasons["preprocessing.size"] = seen.why
        elif side > WORKING_SIDE:
            small = f"{WORKING_SIDE} × {WORKING_SIDE}"
            reasons["preprocessing.size"] = (
                "whole, since where a label lies may tell which it is, and no smaller, since at "
                f"{small} masks would keep only {_kept(data, WORKING_SIDE):.3f}"
            )
        if root > FAR_REDUCED * side:
            far = (
                f"images are seen {root / side:.0f} times smaller, which masks outlive; set a larger size "
                "where labels are told apart by finer texture"
            )
            known = reasons.get("preprocessing.size")
            reasons["preprocessing.size"] = f"{known}; {far}" if known else far
        size = _with_aspect(side, height / width)
        reasons |= {
            "preprocessing.mode": f"masks keep {kept:.3f} at this size, so it costs next to nothing",
            "preprocessing.fit": f"height / width runs from {data.aspect[0]:.2f} to {data.aspect[1]:.2f}",
        }
        preprocessing = PreprocessingPlan(
            mode="whole",
            size=size,
            fit="pad" if _padded(data) else "stretch",
            orientation=data.orientation,
            **scheme.fields,
        )
        return preprocessing, reasons
    scale = min(scale for scale, value in data.scale_ceiling.items() if value >= KEPT_WHOLLY or scale == 1)
    patch = tuple(
        min(WORKING_SIDE, max(up(length * scale, PATCH_STRIDE), 2 * PATCH_STRIDE))
        for length in (height, width)
    )
    reasons |= {
        "preprocessing.mode": f"at {side:g} × {side:g} masks would keep a Dice of only {kept:.3f}",
        "preprocessing.scale": f"masks keep a Dice of {data.scale_ceiling[scale]:.3f}",
    }
    preprocessing = PreprocessingPlan(
        mode="patch",
        size=(patch[0], patch[1]),
        scale=scale,
        orientation=data.orientation,
        **scheme.fields,
    )
    return preprocessing, reasons


def _whole_side(data: Fingerprint, root: float) -> int:
    """Of a square with the area that whole images may be seen at; whether masks outlive it is another matter.

    Patches show too little for several labels that are told apart by where they lie, as organs are, so that
    of them larger whole images are tried, too.
    """
    least = min(WORKING_SIDE, up(root, WHOLE_STRIDE))
    several = 1 < len(data.labels) <= MOST_LARGER_LABELS
    for side in WHOLE_SIDES if several else ():
        if least <= side <= root and _kept(data, side) >= KEPT:
            return side
    return least


def _wished_side(data: Fingerprint, seen: Seen | None, root: float, side: float) -> float:
    """The side that is asked for where it can be had, else `side`; never more than the images have."""
    if seen is None:
        return side
    wished = min(math.sqrt(seen.pixels), root)
    if seen.as_is:
        aspect = data.median[-2] / data.median[-1]
        usual = [each for each in WHOLE_SIDES if each <= root]  # rounding may have made it of one of these
        known = [wished, *usual]
        wished = min(known, key=lambda each: abs(math.prod(_with_aspect(each, aspect)) - seen.pixels))
        return wished if wished >= side or _kept(data, wished) >= KEPT else side
    wished = int(wished) // WHOLE_STRIDE * WHOLE_STRIDE
    return wished if wished > side and len(data.labels) <= MOST_LARGER_LABELS else side


def _rare(data: Fingerprint) -> str:
    """Why labels are too rare for images to be drawn regardless of them; empty if they are not."""
    seen, shown = (data.slices, data.label_slices) if data.slices else (data.cases, data.label_cases)
    fewest = min((each for each in shown if each), default=seen)
    if fewest >= RARE * seen:
        return ""
    return f"{data.labels[shown.index(fewest)]} is in {fewest} of {seen}"


def _padded(data: Fingerprint) -> bool:
    """Whether shapes differ too much for whole images to be stretched to one."""
    return data.aspect[1] / data.aspect[0] > FREE_ASPECT


def _kept(data: Fingerprint, side: float) -> float:
    """The Dice that masks keep where images, or what they are padded to, have the area of such a square."""
    ceiling = data.padded_ceiling if data.padded_ceiling and _padded(data) else data.side_ceiling
    return min((value for at, value in ceiling.items() if at >= side), default=ceiling[max(ceiling)])


def _windows(
    prediction: PredictionPlan, data: Fingerprint, preprocessing: PreprocessingPlan
) -> PredictionPlan | None:
    """As few windows as cover every image, never smaller than the patches learned from.

    None where the images are not of one size: what covers one without waste overlaps far too much on another.
    """
    sides = []
    each_axis = zip(data.smallest[-2:], data.largest[-2:], preprocessing.size, strict=True)
    for smallest, largest, patch in each_axis:
        if smallest < OF_ONE_SIZE * largest:
            return None
        length, count = largest * preprocessing.scale, 1
        while (side := up(length / (1 + (count - 1) * (1 - WINDOW_OVERLAP)), PATCH_STRIDE)) > WINDOW_SIDE:
            count += 1
        sides.append(max(patch, side))
    return prediction.model_copy(update={"window": (sides[0], sides[1]), "overlap": WINDOW_OVERLAP})


def _augmentation(
    data: Fingerprint, asked: Asked, preprocessing: PreprocessingPlan
) -> tuple[AugmentationSettings, dict[str, str]]:
    sides = [
        Mirroring(likeness >= ALIKE, likeness_reason(likeness))
        for likeness in (data.mirrored_vertically, data.mirrored_horizontally)
    ]
    across = left_right_axis(data.orientation) - 1  # of slices, which may lie one behind another that way
    if across >= 0:
        likeness = (data.mirrored_vertically, data.mirrored_horizontally)[across]
        sides[across] = left_right_mirroring(data, asked, likeness)
    vertical, horizontal = (side.allowed for side in sides)
    # half a turn and a mirroring make the other mirroring, which would leave paired labels where they are
    free = horizontal and vertical and not (asked.left_right and across >= 0)
    whole = preprocessing.mode == "whole"
    shape = data.median[-2:] if whole else preprocessing.size
    long = max(shape) > TURNED_ASPECT * min(shape)
    far = 1.4 if whole and free else (1.2 if whole else 1.25)
    strength = 1.0 if whole and free else 0.6
    settings = AugmentationSettings(
        rotation_degrees=180 if free and not long else 15,
        shift=0.075,
        zoom=(round(1 / far, 3), far),
        stretch=0.15,
        flip_horizontal=horizontal,
        flip_vertical=vertical,
        fill="reflect" if whole else "nearest",
        brightness=0.25 * strength,
        contrast=0.35 * strength,
        gamma=0.4 * strength,
        colour=0.15 * strength if data.channels > 1 else 0.0,
    )
    turned = "labels have their sides: small turns only"
    if free:
        turned = "any direction, as mirrored labels lie alike"
        if long:
            turned = "little, as much of a long image would be turned out of itself"
    return settings, {
        "augmentation.rotation_degrees": turned,
        "augmentation.flip_horizontal": sides[1].reason,
        "augmentation.flip_vertical": sides[0].reason,
    }


def _with_aspect(side: float, aspect: float) -> tuple[int, int]:
    """Multiples of the stride with about the area of a square of this side, height / width near `aspect`."""
    root = math.sqrt(aspect)
    height, width = (
        min(MAXIMUM_SIDE, max(WHOLE_STRIDE, round(length / WHOLE_STRIDE) * WHOLE_STRIDE))
        for length in (side * root, side / root)
    )
    return height, width
