"""The planner's rules, each by the fingerprint that calls for it; and that any data set gets a plan."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from delineate.augment.settings import AugmentationSettings
from delineate.errors import PlanError
from delineate.fingerprint import SCALES, SIDES, Fingerprint
from delineate.image import Colour
from delineate.inference.windows import window_starts
from delineate.losses import LossSettings
from delineate.networks.settings import UNetSettings
from delineate.networks.unet import UNet, parameter_count
from delineate.plan import MAXIMUM_SIDE, Plan, PreprocessingPlan, TrainingPlan, from_yaml, to_yaml
from delineate.planner import (
    CLASSIC_EPOCHS,
    DEFAULT_BUDGET_S,
    Length,
    Preset,
    Seen,
    as_model_saw,
    make_plan,
    with_room,
)

NOT_LOST = {"scale_ceiling": dict.fromkeys(SCALES, 1.0), "side_ceiling": dict.fromkeys(SIDES, 1.0)}
THIN = {
    "scale_ceiling": {1.0: 1.0, 0.75: 0.95, 0.5: 0.9, 0.375: 0.8, 0.25: 0.6},
    "side_ceiling": {64: 0.2, 96: 0.4, 128: 0.6, 160: 0.7, 192: 0.8, 256: 0.9},
}


def fingerprint(**other: Any) -> Fingerprint:
    """A data set of 100 grey 300 × 400 images with one large label, and what is other than that."""
    size = other.get("median", (300, 400))
    labels, channels = other.get("labels", ("lesion",)), other.get("channels", 1)
    values: dict[str, Any] = {
        "cases": 100,
        "colour": "grey",
        "channels": 1,
        "smallest": size,
        "median": size,
        "largest": size,
        "aspect": (size[0] / size[1], size[0] / size[1]),
        "pixels": "integer",
        "mean": (0.5,) * channels,
        "standard_deviation": (0.25,) * channels,
        "labels": labels,
        "label_share": (0.1,) * len(labels),
        "label_cases": (100,) * len(labels),
        **NOT_LOST,
        "mirrored_horizontally": 1.0,
        "mirrored_vertically": 1.0,
    }
    return Fingerprint.model_validate(values | other)


CHANNELS: list[tuple[Colour, int]] = [
    ("grey", 1),
    ("rgb", 3),
    ("channels", 1),
    ("channels", 2),
    ("channels", 64),
]
shares = st.floats(0, 1)
side = st.one_of(st.integers(1, 1000), st.integers(1, 100_000))


@st.composite
def fingerprints(draw: st.DrawFn) -> Fingerprint:
    """Any data set that can be measured."""
    colour, channels = draw(st.sampled_from(CHANNELS))
    heights, widths = (sorted(draw(st.tuples(side, side, side))) for _ in range(2))
    aspects = sorted((draw(st.floats(1e-5, 1e5)), heights[1] / widths[1]))
    labels = tuple(f"label {n}" for n in range(draw(st.sampled_from([1, 2, 3, 254]))))
    return Fingerprint(
        cases=draw(st.integers(1, 100_000)),
        colour=colour,
        channels=channels,
        smallest=(heights[0], widths[0]),
        median=(heights[1], widths[1]),
        largest=(heights[2], widths[2]),
        aspect=(aspects[0], aspects[1]),
        pixels=draw(st.sampled_from(["integer", "float"])),
        mean=(draw(st.floats(-1e6, 1e6)),) * channels,
        standard_deviation=(draw(st.floats(1e-6, 1e6)),) * channels,
        labels=labels,
        label_share=(draw(shares),) * len(labels),
        label_cases=(1,) * len(labels),
        scale_ceiling={scale: 1.0 if scale == 1 else draw(shares) for scale in SCALES},
        side_ceiling={at: draw(shares) for at in SIDES},
        padded_ceiling={at: draw(shares) for at in draw(st.sampled_from([SIDES, ()]))},
        mirrored_horizontally=draw(st.floats(0, 100)),
        mirrored_vertically=draw(st.floats(0, 100)),
    )


lengths = st.one_of(
    st.builds(Length),
    st.builds(Length, budget_s=st.floats(0, 3_000_000, exclude_min=True)),
    st.builds(Length, epochs=st.integers(1, 1000)),
)


def patches_in_the_median(data: Fingerprint, preprocessing: PreprocessingPlan) -> int:
    """Patches that cover a median picture, where patches are seen."""
    if preprocessing.mode == "whole":
        return 1
    height, width = (round(side * preprocessing.scale) for side in data.median)
    return -(-height // preprocessing.size[0]) * -(-width // preprocessing.size[1])


def named(plan: Plan, path: str) -> object:
    """The section or choice of a plan that a reason is given for."""
    found: object = plan
    for part in path.split("."):
        assert isinstance(found, BaseModel)
        assert part in type(found).model_fields, path
        found = getattr(found, part)
    return found


@settings(max_examples=60)
@given(fingerprints(), lengths, st.sampled_from(["auto", "classic"]), st.integers(0, 2**31 - 1))
def test_any_data_set_gets_a_valid_plan_with_reasons(
    data: Fingerprint, length: Length, preset: Preset, seed: int
) -> None:
    planned = make_plan(data, length, preset=preset, seed=seed)
    plan = planned.plan
    assert all(height % plan.network.stride == 0 for height in plan.preprocessing.size)
    assert all(16 <= height <= MAXIMUM_SIDE for height in plan.preprocessing.size)
    assert (plan.preset, plan.training.seed, plan.data.labels) == (preset, seed, data.labels)
    assert plan.network.output_channels == (1 if len(data.labels) == 1 else len(data.labels) + 1)
    text = to_yaml(plan, planned.reasons)
    for path, reason in planned.reasons.items():
        named(plan, path)
        assert reason.strip() == reason != ""
        assert f"# {reason}" in text
    assert from_yaml(text) == plan
    assert {"preprocessing", "preprocessing.mode"} & planned.reasons.keys()
    assert {"training.steps", "training.optimizer", "loss"} <= planned.reasons.keys()
    epochs = CLASSIC_EPOCHS if length == Length() and preset == "classic" else length.epochs
    if epochs is None:
        assert plan.training.steps is None
        assert plan.training.budget_s == (length.budget_s or DEFAULT_BUDGET_S)
    else:
        seen = epochs * data.cases * patches_in_the_median(data, plan.preprocessing)
        assert plan.training.steps == math.ceil(seen / plan.training.batch_size)
        assert plan.training.budget_s is None


def test_whole_images_where_masks_outlive_it() -> None:
    planned = make_plan(fingerprint(), Length())
    # 128² pixels in the shape 300 × 400: 110.9 × 147.8, to the nearest multiples of 32
    assert planned.plan.preprocessing == PreprocessingPlan(
        mode="whole", size=(96, 160), fit="stretch", normalization="image"
    )
    assert planned.plan.network.stem == 2
    assert planned.plan.training.foreground_share == 0
    assert (
        planned.reasons["preprocessing.mode"] == "masks keep 1.000 at this size, so it costs next to nothing"
    )


@pytest.mark.parametrize(
    ("median", "size"),
    [
        ((128, 128), (128, 128)),
        ((64, 64), (64, 64)),
        ((65, 65), (96, 96)),  # not smaller than the images
        ((1, 1), (32, 32)),
        ((2000, 2000), (128, 128)),
        ((500, 2000), (64, 256)),
        ((2000, 500), (256, 64)),
    ],
)
def test_working_size(median: tuple[int, int], size: tuple[int, int]) -> None:
    assert make_plan(fingerprint(median=median), Length()).plan.preprocessing.size == size


ROOM = Seen(192**2, "room")


@pytest.mark.parametrize(
    ("median", "size"),
    [
        ((2000, 2000), (192, 192)),
        ((300, 400), (160, 224)),  # 166.3 × 221.7
        ((500, 2000), (96, 384)),
        ((191, 191), (160, 160)),  # no larger than the images
        ((160, 160), (160, 160)),
        ((159, 159), (128, 128)),
        ((60, 60), (64, 64)),
    ],
)
def test_whole_images_seen_larger(median: tuple[int, int], size: tuple[int, int]) -> None:
    smallest, planned = (make_plan(fingerprint(median=median), Length(), seen=seen) for seen in (None, ROOM))
    assert planned.plan.preprocessing.size == size
    if math.prod(size) > math.prod(smallest.plan.preprocessing.size):
        assert planned.reasons["preprocessing.size"] == "room"
    else:
        assert planned == smallest
        assert "preprocessing.size" not in planned.reasons


def test_patches_the_classic_net_and_many_labels_stay_as_they_are() -> None:
    # at 192 × 192 these masks keep enough, but folding pixels would cost small structures more
    fine = fingerprint(side_ceiling={64: 0.5, 96: 0.9, 128: 0.99, 160: 0.995, 192: 1.0, 256: 1.0})
    many = fingerprint(labels=tuple(f"label {n}" for n in range(17)))
    cases: list[tuple[Fingerprint, Preset]] = [(fine, "auto"), (many, "auto"), (fingerprint(), "classic")]
    for data, preset in cases:
        plans = [make_plan(data, Length(), preset=preset, seen=seen) for seen in (None, ROOM)]
        assert plans[0] == plans[1]


@pytest.mark.parametrize(
    ("budget_s", "step_seconds", "why"),
    [
        (1000, 0.401, ""),
        (
            1000,
            0.4,
            "when this plan was made, about 2,500 steps at 160 × 96 would have fitted into 16.7 min: "
            "fewer steps with larger images teach more",
        ),
        (600, 0.0487, "about 12,000 steps at 160 × 96 would have fitted into 10 min"),
        (None, 0.001, ""),
    ],
)
def test_where_there_is_room_for_larger_images(budget_s: Any, step_seconds: float, why: str) -> None:
    length = Length(budget_s) if budget_s else Length(epochs=1)
    found = with_room(make_plan(fingerprint(), length).plan, step_seconds)
    assert found == (Seen(192**2, found.why) if why and found else None)
    assert why in (found.why if found else "")


@pytest.mark.parametrize(
    "median", [(2000, 2000), (300, 400), (500, 2000), (191, 191), (1000, 1250), (161, 210)]
)
@pytest.mark.parametrize("seen", [None, ROOM, Seen(512**2, "by hand", as_is=True)])
def test_images_are_seen_as_large_as_a_model_saw_them(median: tuple[int, int], seen: Seen | None) -> None:
    data = fingerprint(median=median)
    model = make_plan(data, Length(), seen=seen).plan
    planned = make_plan(data, Length(), seen=as_model_saw(model))
    assert planned.plan.preprocessing.size == model.preprocessing.size
    size = " × ".join(str(side) for side in reversed(model.preprocessing.size))
    usual = make_plan(data, Length())
    reason = planned.reasons.get("preprocessing.size")
    if model.preprocessing.size != usual.plan.preprocessing.size:
        assert reason == f"about as large as the model to start from saw its own: {size}"
    else:
        assert planned == usual


def test_images_are_seen_smaller_only_where_masks_outlive_it() -> None:
    model = make_plan(fingerprint(median=(64, 64)), Length()).plan
    assert model.preprocessing.size == (64, 64)
    kept = make_plan(fingerprint(side_ceiling=dict.fromkeys(SIDES, 1.0)), Length(), seen=as_model_saw(model))
    assert kept.plan.preprocessing.size == (64, 64)
    lost = {64: 0.98, 96: 0.99, 128: 0.995, 160: 0.997, 192: 1.0, 256: 1.0}
    kept = make_plan(fingerprint(side_ceiling=lost), Length(), seen=as_model_saw(model))
    assert kept == make_plan(fingerprint(side_ceiling=lost), Length())


def test_models_of_patches_say_nothing_of_the_size_and_classic_ones_do() -> None:
    assert as_model_saw(make_plan(fingerprint(**THIN), Length()).plan) is None
    classic = as_model_saw(make_plan(fingerprint(), Length(), preset="classic").plan)
    assert classic is not None
    assert classic.pixels == 128**2


@pytest.mark.parametrize(("kept", "mode"), [(0.992, "whole"), (0.9919, "patch")])
def test_where_whole_images_end(kept: float, mode: str) -> None:
    ceiling = {64: 0.5, 96: 0.9, 128: kept, 160: 0.995, 192: 1.0, 256: 1.0}
    assert make_plan(fingerprint(side_ceiling=ceiling), Length()).plan.preprocessing.mode == mode


def test_small_images_are_judged_at_their_own_size() -> None:
    ceiling = {64: 1.0, 96: 1.0, 128: 0.5, 160: 1.0, 192: 1.0, 256: 1.0}
    assert (
        make_plan(fingerprint(median=(60, 60), side_ceiling=ceiling), Length()).plan.preprocessing.mode
        == "patch"
    )
    ceiling = {64: 0.5, 96: 0.5, 128: 1.0, 160: 1.0, 192: 1.0, 256: 1.0}
    assert (
        make_plan(fingerprint(median=(300, 300), side_ceiling=ceiling), Length()).plan.preprocessing.mode
        == "whole"
    )


@pytest.mark.parametrize(
    ("aspect", "fit"), [((1.0, 1.0), "stretch"), ((0.75, 1.5), "stretch"), ((0.5, 1.1), "pad")]
)
def test_unlike_shapes_are_padded(aspect: tuple[float, float], fit: str) -> None:
    assert make_plan(fingerprint(aspect=aspect), Length()).plan.preprocessing.fit == fit


def test_padded_images_are_judged_by_what_padding_leaves_of_them_and_no_others_are() -> None:
    lost = {64: 0.8, 96: 0.9, 128: 0.97, 160: 0.98, 192: 0.99, 256: 0.995}
    padded = make_plan(fingerprint(aspect=(0.5, 1.5), padded_ceiling=lost), Length())
    assert padded.plan.preprocessing.mode == "patch"
    assert "only 0.970" in padded.reasons["preprocessing.mode"]
    organs = {"labels": ("liver", "spleen"), "aspect": (0.5, 1.5), "padded_ceiling": lost}
    whole = make_plan(fingerprint(**organs), Length()).plan.preprocessing
    assert (whole.mode, whole.fit, whole.size) == ("whole", "pad", (224, 288))  # of 256 × 256
    alike = make_plan(fingerprint(padded_ceiling=lost), Length())
    assert alike == make_plan(fingerprint(), Length())
    measured_before = make_plan(fingerprint(aspect=(0.5, 1.5)), Length()).plan.preprocessing
    assert (measured_before.mode, measured_before.fit) == ("whole", "pad")


def test_patches_for_thin_structures() -> None:
    planned = make_plan(fingerprint(median=(584, 565), **THIN), Length())
    preprocessing, training = planned.plan.preprocessing, planned.plan.training
    assert (preprocessing.mode, preprocessing.size, preprocessing.scale) == ("patch", (128, 128), 1.0)
    assert (training.foreground_share, training.batch_size) == (0.5, 8)
    assert planned.plan.network.stem == 1
    assert planned.reasons["preprocessing.mode"] == "at 128 × 128 masks would keep a Dice of only 0.600"
    assert "preprocessing.scale" in planned.reasons


@pytest.mark.parametrize(
    ("ceiling", "scale", "size"),
    [
        ({0.75: 0.9993, 0.5: 0.999, 0.375: 0.9, 0.25: 0.8}, 0.75, (75, 128)),
        ({0.75: 0.9999, 0.5: 0.9995, 0.375: 0.9994, 0.25: 0.8}, 0.375, (38, 75)),
        ({0.75: 0.9, 0.5: 0.8, 0.375: 0.7, 0.25: 0.6}, 1.0, (100, 128)),
    ],
)
def test_patches_of_smaller_images_where_nothing_is_lost(
    ceiling: dict[float, float], scale: float, size: tuple[int, int]
) -> None:
    data = fingerprint(median=(100, 200), **(THIN | {"scale_ceiling": {1.0: 1.0, **ceiling}}))
    preprocessing = make_plan(data, Length()).plan.preprocessing
    assert preprocessing.scale == scale
    assert preprocessing.size == tuple(min(128, math.ceil(length / 8) * 8) for length in size)


def test_patches_are_no_larger_than_small_images_need() -> None:
    assert make_plan(fingerprint(median=(50, 9), **THIN), Length()).plan.preprocessing.size == (56, 16)


@pytest.mark.parametrize(
    ("size", "window", "by_hand"),
    [
        ((584, 565), (320, 312), ([0, 264], [0, 253])),
        ((256, 256), (256, 256), ([0], [0])),
        ((384, 385), (384, 216), ([0], [0, 169])),  # one pixel too many: two windows
        ((100, 1000), (104, 376), ([0], [0, 312, 624])),
        ((90, 120), (96, 120), ([0], [0])),
    ],
)
def test_as_few_windows_as_can_be_cover_an_image(
    size: tuple[int, int], window: tuple[int, int], by_hand: tuple[list[int], list[int]]
) -> None:
    plan = make_plan(fingerprint(median=size, **THIN), Length()).plan
    assert plan.prediction.window == plan.window == window
    assert plan.prediction.overlap == 0.15
    starts = tuple(window_starts(*each, 0.15) for each in zip(size, window, strict=True))
    assert starts == by_hand


@given(st.tuples(st.integers(1, 4000), st.integers(1, 4000)))
def test_windows_of_images_of_one_size_compute_little_twice(size: tuple[int, int]) -> None:
    plan = make_plan(fingerprint(median=size, **THIN), Length()).plan
    for length, window, patch in zip(size, plan.window, plan.preprocessing.size, strict=True):
        count = len(window_starts(length, window, plan.prediction.overlap))
        before = len(window_starts(length, patch, 0.25))
        assert patch <= window <= 384
        assert count <= before
        assert count * window <= max(before * patch, 1.25 * length + 8 * count)


@pytest.mark.parametrize(
    ("smallest", "largest", "window"),
    [
        ((270, 361), (300, 400), (304, 224)),  # a tenth smaller: what covers the largest covers all
        ((269, 400), (300, 400), None),
        ((300, 359), (300, 400), None),
    ],
)
def test_where_images_vary_windows_are_as_large_as_the_patches(
    smallest: tuple[int, int], largest: tuple[int, int], window: tuple[int, int] | None
) -> None:
    plan = make_plan(fingerprint(smallest=smallest, largest=largest, **THIN), Length()).plan
    assert plan.prediction.window == window
    assert plan.prediction.overlap == (0.25 if window is None else 0.15)
    assert plan.window == (window or (128, 128))


def test_whole_images_are_seen_at_once() -> None:
    plan = make_plan(fingerprint(), Length()).plan
    assert plan.prediction.window is None
    assert plan.window == plan.preprocessing.size


@pytest.mark.parametrize("other", [NOT_LOST, THIN])
@pytest.mark.parametrize(
    ("horizontal", "vertical", "rotation"),
    [(1, 1, 180), (0.8, 0.8, 180), (0.79, 1, 15), (1, 0, 15), (0, 0, 15)],
)
def test_no_mirroring_where_labels_have_their_sides(
    horizontal: float, vertical: float, rotation: float, other: dict[str, Any]
) -> None:
    data = fingerprint(mirrored_horizontally=horizontal, mirrored_vertically=vertical, **other)
    planned = make_plan(data, Length())
    augmentation = planned.plan.augmentation
    assert augmentation.flip_horizontal is (horizontal >= 0.8)
    assert augmentation.flip_vertical is (vertical >= 0.8)
    assert augmentation.rotation_degrees == rotation
    assert planned.plan.prediction.mirror is (horizontal >= 0.8 or vertical >= 0.8)
    assert f"{horizontal:.2f}" in planned.reasons["augmentation.flip_horizontal"]


def test_grey_images_have_no_colours_to_change() -> None:
    assert make_plan(fingerprint(), Length()).plan.augmentation.colour == 0
    assert make_plan(fingerprint(colour="rgb", channels=3), Length()).plan.augmentation.colour > 0


def test_the_data_are_described() -> None:
    planned = make_plan(fingerprint(colour="rgb", channels=3, labels=("a", "b"), pixels="float"), Length())
    plan = planned.plan
    assert (plan.data.colour, plan.data.channels, plan.data.pixels) == ("rgb", 3, "float")
    assert (plan.network.input_channels, plan.network.output_channels) == (3, 3)
    assert planned.reasons["data"] == "100 training cases, 400 × 300 px"
    assert planned.reasons["network.output_channels"] == "2 labels and the background: a softmax"
    several = make_plan(fingerprint(smallest=(100, 100)), Length()).reasons["data"]
    assert several == "100 training cases, median 400 × 300 px, of different sizes"


def test_the_classic_preset_is_the_keras_script() -> None:
    planned = make_plan(fingerprint(cases=80), Length(), preset="classic")
    plan = planned.plan
    assert plan.preprocessing == PreprocessingPlan(mode="whole", size=(128, 128), normalization="unit")
    assert plan.network == UNetSettings(input_channels=1, output_channels=1, widths=(32, 64, 128, 256, 512))
    assert parameter_count(UNet(plan.network)) == 7_759_521
    assert plan.loss == LossSettings(cross_entropy=1, dice=0)
    assert plan.augmentation == AugmentationSettings(
        geometry_probability=0.5,
        rotation_degrees=20,
        shift=0.1,
        shear_degrees=0.1,
        zoom=(0.9, 1.1),
        flip_horizontal=True,
        fill="nearest",
    )
    assert plan.training == TrainingPlan(
        steps=125,  # 50 · 80 / 32
        batch_size=32,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="constant",
        warmup=0,
    )
    assert (plan.prediction.threshold, plan.prediction.mirror) == (0.5, False)


def test_of_one_label_the_threshold_is_left_to_the_training() -> None:
    planned = make_plan(fingerprint(), Length())
    assert planned.plan.prediction.threshold is None
    assert planned.reasons["prediction.threshold"].startswith("half of the Dice reached in training")
    several = make_plan(fingerprint(labels=("a", "b")), Length())
    assert several.plan.prediction.threshold == 0.5
    assert "prediction.threshold" not in several.reasons


@pytest.mark.parametrize(("cases", "steps"), [(1, 2), (31, 49), (32, 50), (33, 52), (80, 125), (1000, 1563)])
def test_classic_epochs_in_steps(cases: int, steps: int) -> None:
    assert CLASSIC_EPOCHS == 50
    for length in (Length(), Length(epochs=50)):
        assert make_plan(fingerprint(cases=cases), length, preset="classic").plan.training.steps == steps


@pytest.mark.parametrize(
    ("colour", "channels", "read_as", "seen"), [("rgb", 3, "grey", 1), ("channels", 4, "channels", 4)]
)
def test_the_classic_net_sees_grey(colour: str, channels: int, read_as: str, seen: int) -> None:
    data = fingerprint(colour=colour, channels=channels, labels=("a", "b", "c"))
    plan = make_plan(data, Length(), preset="classic").plan
    assert (plan.data.colour, plan.data.channels, plan.network.input_channels) == (read_as, seen, seen)
    assert plan.network.output_channels == 4


def test_the_classic_net_cannot_scale_floats_by_their_range() -> None:
    planned = make_plan(fingerprint(pixels="float"), Length(), preset="classic")
    assert planned.plan.preprocessing.normalization == "image"
    assert "no range" in planned.reasons["preprocessing.normalization"]


@pytest.mark.parametrize("preset", ["auto", "classic"])
def test_length(preset: Preset) -> None:
    data = fingerprint(cases=100)
    timed = make_plan(data, Length(budget_s=90), preset=preset).plan.training
    assert (timed.steps, timed.budget_s) == (None, 90)
    counted = make_plan(data, Length(epochs=7), preset=preset).plan.training
    assert (counted.steps, counted.budget_s) == ({"auto": 44, "classic": 22}[preset], None)


def test_without_a_length() -> None:
    assert DEFAULT_BUDGET_S == 600
    training = make_plan(fingerprint(), Length()).plan.training
    assert (training.steps, training.budget_s) == (None, 600)
    timed = make_plan(fingerprint(), Length(budget_s=60), preset="classic").plan.training
    assert (timed.steps, timed.budget_s) == (None, 60)


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ({"budget_s": 60, "epochs": 5}, "either a budget or a number of epochs, not both"),
        ({"budget_s": 0}, "budget of 0 s cannot be kept: give from 1s to 800h"),
        ({"budget_s": -5}, "budget of -5 s"),
        ({"budget_s": 3_000_001}, r"budget of 3e\+06 s"),
        ({"budget_s": math.inf}, "budget of inf s"),
        ({"budget_s": math.nan}, "budget of nan s"),
        ({"epochs": 0}, "0 epochs are out of range: give a whole number, 1 to 100000"),
        ({"epochs": -1}, "-1 epochs"),
        ({"epochs": 100_001}, "100001 epochs"),
    ],
)
def test_lengths_that_cannot_be(length: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Length(**length)


@pytest.mark.parametrize("preset", ["auto", "classic"])
def test_what_no_plan_can_hold_is_named(preset: Preset) -> None:
    with pytest.raises(PlanError, match=r"training\.seed"):
        make_plan(fingerprint(), Length(), seed=-1, preset=preset)
    with pytest.raises(PlanError, match=r"channels"):
        make_plan(fingerprint(colour="channels", channels=65), Length(), preset=preset)
    with pytest.raises(PlanError, match=r"training\.steps"):
        make_plan(fingerprint(cases=10**7), Length(epochs=100_000), preset=preset)


@pytest.mark.parametrize("precision", ["auto", "bf16", "fp32"])
@pytest.mark.parametrize("preset", ["auto", "classic"])
def test_precision_is_passed_on(precision: Literal["auto", "bf16", "fp32"], preset: Preset) -> None:
    planned = make_plan(fingerprint(), Length(), precision=precision, preset=preset)
    assert planned.plan.training.precision == precision


ORGANS = {64: 0.9, 96: 0.95, 128: 0.98, 160: 0.991, 192: 0.992, 256: 0.996}


def test_several_labels_are_seen_in_larger_whole_images_before_patches() -> None:
    data = fingerprint(median=(512, 512), labels=("liver", "spleen", "left kidney"), side_ceiling=ORGANS)
    planned = make_plan(data, Length())
    assert (planned.plan.preprocessing.mode, planned.plan.preprocessing.size) == ("whole", (192, 192))
    assert planned.reasons["preprocessing.size"] == (
        "whole, since where a label lies may tell which it is, and no smaller, since at 128 × 128 masks "
        "would keep only 0.980"
    )
    one = make_plan(fingerprint(median=(512, 512), side_ceiling=ORGANS), Length()).plan.preprocessing
    small = fingerprint(
        median=(180, 180), labels=("a", "b"), side_ceiling=ORGANS
    )  # never larger than they are
    many = fingerprint(median=(512, 512), labels=tuple(f"label {n}" for n in range(17)), side_ceiling=ORGANS)
    for preprocessing in (one, *(make_plan(each, Length()).plan.preprocessing for each in (small, many))):
        assert preprocessing.mode == "patch"


@pytest.mark.parametrize(
    ("median", "options", "rotation"),
    [
        ((300, 400), {}, 180),
        ((300, 450), {}, 180),
        ((300, 451), {}, 15),
        ((451, 300), {}, 15),
        ((300, 3000), THIN, 180),  # square patches of long images
        ((40, 3000), THIN, 15),
    ],
)
def test_long_images_are_turned_little(
    median: tuple[int, int], options: dict[str, Any], rotation: float
) -> None:
    planned = make_plan(fingerprint(median=median, **options), Length())
    assert planned.plan.augmentation.rotation_degrees == rotation
    assert planned.plan.augmentation.flip_horizontal
    assert ("turned out of itself" in planned.reasons["augmentation.rotation_degrees"]) == (rotation == 15)


@pytest.mark.parametrize(
    ("cases", "share", "threshold"),
    [((33,), 0.5, 0.5), ((34,), 0.0, 0.5), ((49,), 0.0, 0.5), ((50,), 0.0, None)],
)
def test_half_of_the_images_are_drawn_for_a_rare_label(
    cases: tuple[int, ...], share: float, threshold: float | None
) -> None:
    planned = make_plan(fingerprint(label_cases=cases), Length())
    assert planned.plan.training.foreground_share == share
    assert planned.plan.prediction.threshold == threshold
    reason = planned.reasons.get("training.foreground_share")
    assert reason == ("half of the images are drawn for a label: lesion is in 33 of 100" if share else None)
    thin = make_plan(fingerprint(label_cases=cases, **THIN), Length()).plan
    assert thin.training.foreground_share == 0.5


def test_one_rare_label_of_several_is_drawn_for_too() -> None:
    data = fingerprint(labels=("liver", "tumour"), label_cases=(100, 20))
    assert make_plan(data, Length()).plan.training.foreground_share == 0.5


def test_a_label_that_no_case_has_is_not_drawn_for() -> None:
    data = fingerprint(labels=("liver", "tumour"), label_cases=(100, 0))
    assert make_plan(data, Length()).plan.training.foreground_share == 0


def test_stray_pixels_are_cut() -> None:
    ends = ((-0.01, 0.02),)
    few = make_plan(fingerprint(stray=ends), Length())
    assert (few.plan.preprocessing.normalization, few.plan.preprocessing.clip) == ("image", ends)
    much = make_plan(fingerprint(stray=ends, label_share=(0.5,)), Length())
    assert (much.plan.preprocessing.normalization, much.plan.preprocessing.clip) == ("dataset", ends)
    for planned in (few, much):
        assert "lie very far from all others" in planned.reasons["preprocessing.normalization"]


def test_images_seen_many_times_smaller_are_pointed_out() -> None:
    assert "preprocessing.size" not in make_plan(fingerprint(median=(1500, 1500)), Length()).reasons
    far = make_plan(fingerprint(median=(2048, 2048)), Length()).reasons["preprocessing.size"]
    assert far == (
        "images are seen 16 times smaller, which masks outlive; set a larger size where labels are told "
        "apart by finer texture"
    )
