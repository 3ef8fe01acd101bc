"""The planner's rules for volumes: slices or volumes, spacing, patch, pooling, intensities and sides."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import PlanError
from delineate.fingerprint import SCALES, SIDES, Fingerprint
from delineate.networks.unet import UNet, parameter_count
from delineate.plan import Plan, from_yaml, to_yaml
from delineate.planner import Dims, Length, Planned, make_plan
from delineate.planner.common import Asked, intensity_scheme, look_paired
from delineate.planner.volumes import (
    FEWEST_SLICES,
    ISOTROPIC,
    KEPT,
    MOST_ANISOTROPIC,
    PATCH_VOXELS,
    SHORTEST,
    WIDTHS,
    choose_dims,
    patch,
)

Triple = tuple[int, int, int]


def fingerprint(**other: Any) -> Fingerprint:
    """20 CT of 100 slices of 256 × 256 voxels, 3 × 1 × 1 mm, and what is other than that."""
    size = other.get("median", (100, 256, 256))
    labels = other.get("labels", ("liver",))
    values: dict[str, Any] = {
        "cases": 20,
        "slices": 700,
        "axes": 3,
        "orientation": "SPL",
        "spacing_mm": (3.0, 1.0, 1.0),
        "finest_mm": (2.5, 0.8, 0.8),
        "modality": "CT",
        "colour": "grey",
        "channels": 1,
        "smallest": size,
        "median": size,
        "largest": size,
        "aspect": (1.0, 1.0),
        "pixels": "float",
        "mean": (-500.0,),
        "standard_deviation": (400.0,),
        "calibrated": True,
        "labelled_mean": (100.0,),
        "labelled_deviation": (30.0,),
        "labelled_range": ((-20.0, 190.0),),
        "labels": labels,
        "label_share": (0.02,) * len(labels),
        "label_cases": (20,) * len(labels),
        "scale_ceiling": dict.fromkeys(SCALES, 1.0) | {0.375: 0.9, 0.25: 0.8},
        "side_ceiling": dict.fromkeys(SIDES, 1.0),
        "mirrored_horizontally": 1.0,
        "mirrored_vertically": 1.0,
        "mirrored_in_depth": 1.0,
    }
    return Fingerprint.model_validate(values | other)


def planned(length: Length | None = None, **other: Any) -> Planned:
    return make_plan(fingerprint(**other), length or Length())


@pytest.mark.parametrize(
    ("depth", "spacing", "dims", "reason"),
    [
        (100, (3.0, 1.0, 1.0), 3, "volumes: 100 slices, 3.0 times as far apart as the pixels within them"),
        (16, (1.0, 1.0, 1.0), 3, "volumes: 16 slices, 1.0 times as far apart as the pixels within them"),
        (15, (1.0, 1.0, 1.0), 2, "slices: a median volume has only 15 of them"),
        (100, (3.1, 1.0, 1.0), 2, "slices: they lie 3.1 times as far apart as the pixels within them"),
        (100, (5.0, 1.0, 2.0), 2, "slices: they lie 5.0 times as far apart as the pixels within them"),
        (100, (1.0, 5.0, 1.0), 3, "volumes: 100 slices, 1.0 times as far apart as the pixels within them"),
        (100, None, 3, "volumes: 100 slices, 1.0 times as far apart as the pixels within them"),
    ],
)
def test_slices_or_volumes(depth: int, spacing: tuple[float, ...] | None, dims: Dims, reason: str) -> None:
    assert (FEWEST_SLICES, MOST_ANISOTROPIC) == (16, 3.0)
    data = fingerprint(median=(depth, 64, 64), spacing_mm=spacing, finest_mm=spacing)
    assert choose_dims(data, Asked(Length())) == (dims, reason)
    made = make_plan(data, Length())
    assert made.plan.network.axes == len(made.plan.preprocessing.size) == dims
    assert made.plan.data.axes == 3
    assert made.reasons["network.axes"] == reason
    assert f"# {reason}" in to_yaml(made.plan, made.reasons)


@pytest.mark.parametrize("dims", [2, 3])
def test_slices_or_volumes_as_asked(dims: Dims) -> None:
    for data in (fingerprint(), fingerprint(median=(4, 64, 64)), fingerprint(spacing_mm=(9.0, 1.0, 1.0))):
        made = make_plan(data, Length(), dims=dims)
        assert made.plan.network.axes == dims
        assert made.reasons["network.axes"] == "asked for"


def test_pictures_are_no_volumes() -> None:
    pictures = fingerprint(axes=2, median=(256, 256), spacing_mm=None, finest_mm=None, orientation=None)
    with pytest.raises(PlanError, match=r"--dims 3 is for volumes, but these images are pictures\."):
        make_plan(pictures, Length(), dims=3)
    assert make_plan(pictures, Length(), dims=2).plan.network.axes == 2
    with pytest.raises(PlanError, match=r"--dims 3 is for volumes, but the classic net sees pictures\."):
        make_plan(fingerprint(), Length(), dims=3, preset="classic")
    assert make_plan(fingerprint(), Length(), preset="classic").plan.network.axes == 2


@pytest.mark.parametrize(
    ("own", "finest", "ceiling", "spacing"),
    [
        ((1.0, 1.0, 1.0), (0.5, 0.5, 0.5), {0.5: 1.0}, (2.0, 2.0, 2.0)),
        ((1.0, 1.0, 1.0), (0.5, 0.5, 0.5), {0.5: KEPT}, (2.0, 2.0, 2.0)),
        ((1.0, 1.0, 1.0), (0.5, 0.5, 0.5), {0.5: KEPT - 0.001}, (1.3333, 1.3333, 1.3333)),
        ((1.0, 1.0, 1.0), (0.5, 0.5, 0.5), {0.75: 0.5, 0.5: 0.5}, (1.0, 1.0, 1.0)),
        (
            (3.0, 0.8, 0.8),
            (2.0, 0.7, 0.7),
            {0.5: 1.0},
            (2.0, 1.6, 1.6),
        ),  # more than 3 times: the finest tenth
        ((2.4, 0.8, 0.8), (2.0, 0.7, 0.7), {0.5: 1.0}, (2.4, 1.6, 1.6)),
        ((1.0, 4.0, 0.5), (0.5, 3.0, 0.5), {0.5: 0.9, 0.75: 0.9}, (1.0, 3.0, 0.5)),
        (None, None, {0.5: 1.0}, None),
        # ordinary volumes keep four decimals
        ((2.5, 0.703125, 0.703125), (2.5, 0.7, 0.7), {0.5: 0.9, 0.75: 0.9}, (2.5, 0.7031, 0.7031)),
        ((0.7, 0.3125, 0.3125), (0.7, 0.3, 0.3), {0.5: 0.9, 0.75: 0.9}, (0.7, 0.3125, 0.3125)),
        # microscopes: micrometres and nanometres keep four digits
        ((0.00035, 0.00035, 0.00035), (0.0, 0.0, 0.0), {0.5: 0.9, 0.75: 0.9}, (0.00035,) * 3),
        ((0.03, 0.01234567, 0.01234567), (0.0, 0.0, 0.0), {0.5: 0.9, 0.75: 0.9}, (0.03, 0.01235, 0.01235)),
        ((8e-06, 4e-06, 4e-06), (0.0, 0.0, 0.0), {0.5: 1.0}, (8e-06, 8e-06, 8e-06)),
    ],
)
def test_working_spacing(
    own: tuple[float, ...] | None,
    finest: tuple[float, ...] | None,
    ceiling: dict[float, float],
    spacing: tuple[float, ...] | None,
) -> None:
    kept = dict.fromkeys(SCALES, 1.0) | {0.375: 0.9, 0.25: 0.8} | ceiling
    made = make_plan(fingerprint(spacing_mm=own, finest_mm=finest, scale_ceiling=kept), Length(), dims=3)
    assert made.plan.preprocessing.spacing_mm == spacing
    assert from_yaml(to_yaml(made.plan)) == made.plan
    assert made.reasons["preprocessing.spacing_mm"].startswith("not all" if spacing is None else "slices of")


def test_the_size_is_told_at_the_working_spacing() -> None:
    made = planned()  # 3 × 1 × 1 mm seen at 3 × 2 × 2 mm
    assert made.plan.preprocessing.spacing_mm == (3.0, 2.0, 2.0)
    assert made.reasons["preprocessing.size"] == (
        "a median volume has 128 × 128 × 100 voxels at this spacing"
    )
    assert made.reasons["data"] == ("20 training cases, 256 × 256 × 100 voxels, median spacing 1 × 1 × 3 mm")


@pytest.mark.parametrize(
    ("size", "spacing", "patch_size", "strides"),
    [
        ((100, 100, 100), (1, 1, 1), (48, 48, 48), [(2, 2, 2)] * 3),
        # of 69 mm: 23 slices are pooled once the others are as coarse, and twice; then there are 5
        ((100, 100, 100), (3, 1, 1), (24, 80, 80), [(1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)]),
        ((100, 100, 100), (1.9, 1, 1), (32, 64, 64), [(2, 2, 2), (2, 2, 2), (1, 2, 2)]),
        ((32, 32, 32), (1, 1, 1), (32, 32, 32), [(2, 2, 2)] * 3),  # no larger than the volumes
        ((5, 500, 500), (1, 1, 1), None, [(1, 2, 2)] * 4),  # too few slices to pool
        ((1, 1, 1), (1, 1, 1), (1, 2, 2), [(1, 2, 2)]),
    ],
)
def test_patches_by_hand(
    size: Triple, spacing: tuple[float, ...], patch_size: Triple | None, strides: list[tuple[int, ...]]
) -> None:
    found, pooled = patch(size, spacing)
    assert list(pooled) == strides
    if patch_size is not None:
        assert found == patch_size


side = st.integers(1, 700)
step_mm = st.floats(0.1, 20)


@settings(max_examples=300)
@given(st.tuples(side, side, side), st.tuples(step_mm, step_mm, step_mm))
def test_a_patch_fits_its_net_and_the_memory(size: Triple, spacing: tuple[float, float, float]) -> None:
    found, strides = patch(size, spacing)
    total = [math.prod(stride[axis] for stride in strides) for axis in range(3)]
    assert 1 <= len(strides) < len(WIDTHS)
    assert all(max(stride) == 2 for stride in strides)
    assert all(length % by == 0 for length, by in zip(found, total, strict=True))
    bare = [length - by + 1 for length, by in zip(found, total, strict=True)]  # before it was filled up
    assert math.prod(bare) <= PATCH_VOXELS
    assert all(each <= max(1, own) for each, own in zip(bare, size, strict=True))
    if strides != ((1, 2, 2),):
        assert all(length // by >= SHORTEST for length, by in zip(found, total, strict=True) if by > 1)


@settings(max_examples=300)
@given(st.tuples(side, side, side), st.tuples(step_mm, step_mm, step_mm))
def test_no_coarse_axis_is_pooled_before_the_others_are_as_coarse(
    size: Triple, spacing: tuple[float, float, float]
) -> None:
    _, strides = patch(size, spacing)
    if strides == ((1, 2, 2),):  # of volumes too small to be pooled by the rule
        return
    steps = list(spacing)
    for level, stride in enumerate(strides):
        for axis in range(3):
            later = any(each[axis] == 2 for each in strides[level + 1 :])
            if stride[axis] == 2:  # none that is still pooled itself is half as coarse
                still = [other for other in range(3) if any(each[other] == 2 for each in strides[level:])]
                assert steps[axis] < ISOTROPIC * min(steps[other] for other in still)
            elif later:  # it waits for a finer one
                finest = min(steps[other] for other in range(3) if stride[other] == 2)
                assert steps[axis] >= ISOTROPIC * finest
        steps = [step * by for step, by in zip(steps, stride, strict=True)]


@settings(max_examples=100)
@given(st.tuples(*[st.integers(60, 700)] * 3), st.tuples(step_mm, step_mm, step_mm))
def test_patches_of_large_volumes_are_as_large_as_they_may_be_and_nearly_cubes(
    size: Triple, spacing: tuple[float, float, float]
) -> None:
    found, _ = patch(size, spacing)
    assert math.prod(found) >= PATCH_VOXELS / 4
    edges = [length * step for length, step in zip(found, spacing, strict=True)]
    free = [
        edge
        for edge, length, own, step in zip(edges, found, size, spacing, strict=True)
        if length < own and step <= 4 * min(spacing)
    ]
    if free and max(spacing) <= 4 * min(spacing):
        assert max(free) <= 3 * min(free)


SCALE = st.floats(0, 1)


@st.composite
def fingerprints(draw: st.DrawFn) -> Fingerprint:
    """Any data set of volumes that can be measured."""
    channels, labels = draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from([1, 2, 30]))
    sides = [sorted(draw(st.tuples(side, side, side))) for _ in range(3)]
    spacing = draw(st.none() | st.tuples(step_mm, step_mm, step_mm))
    low = draw(st.floats(-2000, 2000))
    return fingerprint(
        cases=draw(st.integers(1, 1000)),
        slices=draw(st.integers(1, 100_000)),
        orientation=draw(st.sampled_from([None, "SPL", "PSL", "LSP"])),
        spacing_mm=spacing,
        finest_mm=spacing and tuple(step * 0.9 for step in spacing),
        modality=draw(st.sampled_from([None, "CT", "MR"])),
        colour={1: "grey", 3: "rgb", 5: "channels"}[channels],
        channels=channels,
        smallest=tuple(each[0] for each in sides),
        median=tuple(each[1] for each in sides),
        largest=tuple(each[2] for each in sides),
        aspect=sorted((draw(st.floats(1e-3, 1e3)), sides[1][1] / sides[2][1])),
        pixels=draw(st.sampled_from(["integer", "float"])),
        mean=(low,) * channels,
        standard_deviation=(draw(st.floats(1e-6, 1e4)),) * channels,
        calibrated=draw(st.booleans()),
        labelled_mean=(low,) * channels,
        labelled_deviation=(draw(st.floats(1e-6, 1e4)),) * channels,
        labelled_range=((low, low + draw(st.sampled_from([0.0, 1.0, 500.0]))),) * channels,
        labels=tuple(f"label {n}" for n in range(labels)),
        scale_ceiling={at: 1.0 if at == 1 else draw(SCALE) for at in SCALES},
        side_ceiling={at: draw(SCALE) for at in SIDES},
        mirrored_horizontally=draw(st.floats(0, 3)),
        mirrored_vertically=draw(st.floats(0, 3)),
        mirrored_in_depth=draw(st.floats(0, 3)),
    )


@settings(max_examples=60, deadline=None)
@given(fingerprints(), st.sampled_from([None, 2, 3]), st.sampled_from([Length(), Length(epochs=7)]))
def test_any_volumes_get_a_valid_plan_with_reasons(
    data: Fingerprint, dims: Dims | None, length: Length
) -> None:
    made = make_plan(data, length, dims=dims)
    plan = made.plan
    text = to_yaml(plan, made.reasons)
    assert from_yaml(text) == plan
    for path, reason in made.reasons.items():
        value: Any = plan
        for part in path.split("."):
            assert part in type(value).model_fields, path
            value = getattr(value, part)
        assert reason.strip() == reason != ""
        assert f"# {reason}" in text
    assert {"network.axes", "preprocessing.normalization", "loss"} <= made.reasons.keys()
    assert plan.preprocessing.orientation == data.orientation
    seen = data.cases if plan.network.axes == 3 else data.slices
    if length.epochs is not None:
        assert plan.training.steps is not None
        assert plan.training.steps >= math.ceil(length.epochs * seen / plan.training.batch_size)
        kind = "cases" if plan.network.axes == 3 else "slices"
        assert made.reasons["training.steps"].startswith(f"{length.epochs} epochs of {seen} {kind}")


def test_the_usual_plan_for_volumes() -> None:
    plan = planned().plan
    assert (plan.preprocessing.mode, plan.training.batch_size, plan.training.foreground_share) == (
        "patch",
        4,
        0.5,
    )
    assert (plan.network.normalization, plan.network.residual) == ("batch", True)
    assert len(plan.network.widths) == len(plan.network.strides or ()) + 1
    assert plan.network.widths == WIDTHS[: len(plan.network.widths)]
    assert (plan.augmentation.rotation_degrees, plan.augmentation.tilt_degrees) == (20, 15)
    assert parameter_count(UNet(plan.network)) < 10_000_000


@pytest.mark.parametrize(
    ("spacing", "tilted"), [((1.9, 1.0, 1.0), True), ((2.0, 1.0, 1.0), False), (None, True)]
)
def test_no_tilt_of_slices_that_lie_far_apart(spacing: tuple[float, ...] | None, tilted: bool) -> None:
    kept = dict.fromkeys(SCALES, 0.5) | {1.0: 1.0}
    made = make_plan(fingerprint(spacing_mm=spacing, finest_mm=spacing, scale_ceiling=kept), Length(), dims=3)
    assert (made.plan.augmentation.tilt_degrees > 0) == tilted


PATHS: dict[str, tuple[dict[str, Any], str]] = {
    "CT": (
        {
            "normalization": "dataset",
            "mean": (100.0,),
            "standard_deviation": (30.0,),
            "clip": ((-20.0, 190.0),),
        },
        "CT numbers mean the same everywhere: percentiles of the labelled pixels",
    ),
    "each": (
        {"normalization": "image", "mean": (), "standard_deviation": (), "clip": ()},
        "the numbers of one image mean nothing in another: each by itself",
    ),
    "all": (
        {"normalization": "dataset", "mean": (-500.0,), "standard_deviation": (400.0,), "clip": ()},
        "mean and deviation of all training images: labels cover 30.0% of the pixels, so an image's own "
        "values would depend on them",
    ),
    "light": (
        {"normalization": "image", "mean": (), "standard_deviation": (), "clip": ()},
        "each image's own mean and deviation: labels cover only 20.0% of the pixels",
    ),
}


@pytest.mark.parametrize(
    ("other", "path"),
    [
        ({}, "CT"),
        ({"calibrated": False}, "each"),
        ({"labelled_range": ((5.0, 5.0),)}, "each"),  # nothing between them
        ({"labelled_range": ()}, "each"),
        ({"calibrated": False, "pixels": "integer", "label_share": (0.3,)}, "all"),
        ({"calibrated": False, "pixels": "integer", "label_share": (0.2,)}, "light"),
        ({"calibrated": False, "axes": 2, "modality": "MR"}, "each"),
        ({"calibrated": False, "axes": 2, "modality": None, "label_share": (0.3,)}, "all"),
        ({"calibrated": False, "axes": 2, "modality": None, "label_share": (0.2,)}, "light"),
        ({"axes": 2}, "CT"),
    ],
)
def test_intensities(other: dict[str, Any], path: str) -> None:
    scheme, reason = intensity_scheme(fingerprint(**other))
    expected, why = PATHS[path]
    assert {name: getattr(scheme, name) for name in expected} == expected
    assert reason == why
    if other.get("axes") != 2:
        every: tuple[Dims, ...] = (2, 3)
        for dims in every:
            made = make_plan(fingerprint(**other), Length(), dims=dims)
            told = made.plan.preprocessing.model_dump()
            assert {name: told[name] for name in expected} == expected
            assert made.reasons["preprocessing.normalization"] == why


PAIRED = [
    ("left lung", "right lung"),
    ("Lung_L", "Lung_R"),
    ("kidney_L", "kidney_R"),
    ("L kidney", "R kidney"),
    ("kidney (left)", "kidney (right)"),
    ("leftLung", "rightLung"),
    ("LeftAtrium", "RightAtrium"),
    ("Left", "Right"),
    ("rib-left-1", "rib-right-1"),
    ("linke Niere rechts", "linke Niere links"),
    ("LUNG LEFT", "lung right"),
    ("ren dexter", "ren sinister"),
    ("Lt. hip", "Rt. hip"),
    ("heart", "eye L", "eye R"),
]
UNPAIRED = [
    ("lung",),
    ("lung", "heart"),
    ("upright", "up"),
    ("bright", "dark"),
    ("brightness", "leftover"),
    ("kidney_L", "liver"),
    ("left atrium", "right ventricle"),
    ("L kidney",),
    ("L1", "L2", "L3"),
    ("spleen", "liver", "pancreas"),
    ("cell", "nucleus"),
    ("alright", "all"),
]


@pytest.mark.parametrize("labels", PAIRED, ids=", ".join)
def test_names_of_sides(labels: tuple[str, ...]) -> None:
    assert look_paired(labels)
    assert look_paired(labels[::-1])


@pytest.mark.parametrize("labels", UNPAIRED, ids=", ".join)
def test_names_without_sides(labels: tuple[str, ...]) -> None:
    assert not look_paired(labels)


def flips(plan: Plan) -> list[bool]:
    augmentation = plan.augmentation
    return [augmentation.flip_depth, augmentation.flip_vertical, augmentation.flip_horizontal]


NAMES = ["flip_depth", "flip_vertical", "flip_horizontal"]
LUNGS = ("left lung", "right lung")
PAIR = (LUNGS,)
NO_PAIR = "labels have names of sides; to mirror all the same, pair them with --left-right"


@pytest.mark.parametrize(
    ("orientation", "across"), [("SPL", 2), ("PSL", 2), ("LSP", 0), ("SRA", 1), (None, 2)]
)
@pytest.mark.parametrize("likeness", [0.0, 1.0])
@pytest.mark.parametrize("dims", [2, 3])
def test_left_and_right_are_mirrored_along_their_own_axis(
    dims: Dims, likeness: float, orientation: str | None, across: int
) -> None:
    first = 3 - dims  # slices have no depth to mirror
    named: dict[str, Any] = {
        "labels": LUNGS,
        "orientation": orientation,
        "mirrored_in_depth": likeness,
        "mirrored_vertically": likeness,
        "mirrored_horizontally": likeness,
    }
    unpaired = make_plan(fingerprint(**named), Length(), dims=dims)
    paired = make_plan(fingerprint(**named), Length(), dims=dims, left_right=PAIR)
    plain = make_plan(fingerprint(**named | {"labels": ("a", "b")}), Length(), dims=dims)
    for axis in range(first, 3):
        where = f"augmentation.{NAMES[axis]}"
        alike = f"where labels lie agrees with its mirror image to at most {likeness:.2f}"
        assert flips(plain.plan)[axis] is (likeness == 1.0)
        assert plain.reasons[where] == alike
        if axis == across:
            assert not flips(unpaired.plan)[axis]
            assert unpaired.reasons[where] == NO_PAIR
            assert flips(paired.plan)[axis]
            assert paired.reasons[where] == (
                "where an image is mirrored, left lung with right lung change places"
            )
        else:
            assert flips(unpaired.plan)[axis] is flips(paired.plan)[axis] is (likeness == 1.0)
            assert unpaired.reasons[where] == paired.reasons[where] == alike
    for made in (unpaired, paired, plain):
        assert made.plan.prediction.mirror is any(flips(made.plan)[first:])
    assert paired.plan.data.left_right == PAIR
    assert unpaired.plan.data.left_right == ()


def test_paired_labels_are_turned_a_little_only() -> None:
    # half a turn of a picture that was mirrored top to bottom is the picture mirrored left to right
    pictures: dict[str, Any] = {
        "axes": 2, "median": (256, 256), "spacing_mm": None, "finest_mm": None, "orientation": None,
        "labels": LUNGS,
    }  # fmt: skip
    paired = make_plan(fingerprint(**pictures), Length(), left_right=PAIR).plan.augmentation
    assert (paired.flip_horizontal, paired.flip_vertical, paired.rotation_degrees) == (True, True, 15)
    free = make_plan(fingerprint(**pictures | {"labels": ("a", "b")}), Length()).plan.augmentation
    assert (free.flip_horizontal, free.flip_vertical, free.rotation_degrees) == (True, True, 180)
    across = fingerprint(orientation="LSP", labels=LUNGS)  # in these slices no side is seen
    assert make_plan(across, Length(), dims=2, left_right=PAIR).plan.augmentation.rotation_degrees == 180


@pytest.mark.parametrize("pairs", [(("left lung", "heart"),), (("left lung", "left lung"),)])
def test_pairs_of_labels_that_there_are_not(pairs: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(PlanError, match=r"data\.left_right must name each label at most once"):
        make_plan(fingerprint(labels=LUNGS), Length(), left_right=pairs)


@pytest.mark.parametrize("fourth_axis", ["refuse", "channels"])
def test_a_fourth_axis_is_kept_in_the_plan(fourth_axis: Literal["refuse", "channels"]) -> None:
    made = make_plan(fingerprint(), Length(), fourth_axis=fourth_axis)
    assert made.plan.data.fourth_axis == fourth_axis


def test_slices_are_learned_as_pictures() -> None:
    made = make_plan(fingerprint(), Length(epochs=2), dims=2)
    plan = made.plan
    assert (plan.preprocessing.mode, plan.preprocessing.size) == ("whole", (128, 128))
    assert (plan.preprocessing.spacing_mm, plan.network.strides) == (None, None)
    assert plan.training.steps == math.ceil(2 * 700 / 16)
    classic = make_plan(fingerprint(), Length(epochs=2), preset="classic").plan
    assert classic.training.steps == math.ceil(2 * 700 / 32)
    assert (classic.data.axes, classic.preprocessing.orientation) == (3, "SPL")


def test_an_epoch_of_volumes_is_as_many_patches_as_cover_them() -> None:
    data = fingerprint(median=(100, 200, 200), spacing_mm=(2.0, 1.0, 1.0), finest_mm=(2.0, 1.0, 1.0))
    made = make_plan(data, Length(epochs=3), dims=3)
    spacing, size = made.plan.preprocessing.spacing_mm, made.plan.preprocessing.size
    assert spacing is not None
    at = [round(side * own / new) for side, own, new in zip((100, 200, 200), (2, 1, 1), spacing, strict=True)]
    patches = math.prod(math.ceil(side / each) for side, each in zip(at, size, strict=True))
    assert patches > 1
    assert made.plan.training.steps == math.ceil(3 * data.cases * patches / made.plan.training.batch_size)
    assert made.reasons["training.steps"] == f"3 epochs of {data.cases} cases, each of {patches} patches"
