from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from delineate.errors import PlanError, UsageError
from delineate.fingerprint import Fingerprint, measure
from delineate.geometry import Geometry
from delineate.image import Image, LabelSet, Mask
from delineate.jobs.source import Source
from delineate.jobs.wishes import Wishes, planned_for
from delineate.plan import Plan, read_plan, write_plan
from delineate.planner import Length, Seen, make_plan


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"preset": "huge"}, "auto, classic"),
        ({"precision": "fp64"}, "bf16"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 1.5}, "seed 1.5"),
        ({"seed": True}, "seed True"),
        ({"preset": "auto", "plan": Path("plan.yaml")}, "--plan or --preset"),
        ({"dims": 3, "plan": Path("plan.yaml")}, "says by itself what --dims and --left-right do"),
        ({"left_right": "a=b", "plan": Path("plan.yaml")}, "says by itself what --dims and --left-right do"),
        ({"dims": 4}, "no number of axes 4. Give one of 2, 3"),
        ({"encoder": "resnet18", "dims": 3}, "neither --dims 3 nor the classic preset"),
        ({"encoder": "resnet18", "preset": "classic"}, "neither --dims 3 nor the classic preset"),
        ({"left_right": ""}, "--left-right '' cannot be read: write pairs of labels"),
        ({"left_right": "left lung"}, "--left-right 'left lung' cannot be read"),
        ({"left_right": "left=right,"}, "cannot be read"),
        ({"left_right": "=right"}, "cannot be read"),
    ],
)
def test_wishes_that_cannot_be_met(wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Wishes(**wishes)


def test_a_missing_or_broken_plan_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        Wishes(plan=tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("training: {")
    with pytest.raises(PlanError, match="not YAML"):
        Wishes(plan=tmp_path / "broken.yaml")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"log": "wandb"}, "tensorboard"),
        ({"splits": Path("none.json")}, "none.json"),
        ({"split_seed": -1}, "-1"),
    ],
)
def test_sources_that_cannot_be(source: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        Source(tmp_path, **source)


SIDES, ONE = LabelSet.of("left lung", "right lung"), LabelSet.of("lesion")


def of_volumes(*, depth: int = 20, side: int = 32, pictures: bool = False) -> Fingerprint:
    """Three volumes, or pictures, with a label on each side."""
    size = (side, side) if pictures else (depth, side, side)
    mask = np.zeros(size, np.uint8)
    eighth = side // 8
    for value, start in ((1, eighth), (2, 5 * eighth)):
        mask[..., 2 * eighth : 6 * eighth, start : start + 2 * eighth] = value
    if not pictures:
        mask[3:] = 0  # six slices to learn from
    geometry = Geometry() if pictures else Geometry((1.0, 1.0, 1.0))
    image = Image(np.zeros((1, *size), np.int16), geometry, shares=False)
    return measure([(image, Mask(mask, SIDES, geometry))] * 3, SIDES, "grey")


def test_what_is_asked_of_volumes_is_in_the_plan() -> None:
    wishes = Wishes(dims=2, left_right=" left lung = right lung ", fourth_axis="channels")
    planned, text = planned_for(wishes, of_volumes())
    assert planned.plan.network.axes == 2
    assert planned.plan.data.left_right == (("left lung", "right lung"),)
    assert planned.plan.data.fourth_axis == "channels"
    assert "asked for" in text
    assert planned_for(Wishes(), of_volumes())[0].plan.network.axes == 3


def test_an_encoder_is_in_the_plan_and_fits_a_given_one(tmp_path: Path) -> None:
    planned, text = planned_for(Wishes(encoder="resnet18"), of_volumes())
    assert (planned.plan.network.encoder, planned.plan.network.axes) == ("resnet18", 2)
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    assert planned_for(Wishes(plan=path, encoder="resnet18"), of_volumes())[0].plan == planned.plan
    assert planned_for(Wishes(plan=path), of_volumes())[0].plan == planned.plan
    with pytest.raises(PlanError, match=r"network\.encoder resnet18, the weights are those of a resnet34"):
        Wishes(plan=path, encoder="resnet34")


def test_labels_that_there_are_not_cannot_be_paired() -> None:
    with pytest.raises(UsageError, match="names heart, but the labels are left lung, right lung"):
        planned_for(Wishes(left_right="left lung=heart"), of_volumes())


@pytest.mark.parametrize(("dims", "seen", "batch"), [(2, 3 * 6, 16), (3, 3, 4)])
def test_epochs_of_a_given_plan_count_what_its_net_sees(
    tmp_path: Path, dims: Any, seen: int, batch: int
) -> None:
    data = of_volumes()
    assert (data.slices, data.cases) == (18, 3)
    (tmp_path / "plan.yaml").write_text(planned_for(Wishes(dims=dims), data)[1], encoding="utf-8")
    wishes = Wishes(Length(epochs=8), plan=tmp_path / "plan.yaml")
    plan = planned_for(wishes, data)[0].plan
    assert plan.training.batch_size == batch
    assert plan.training.steps == -(-8 * seen // batch)
    assert plan.network == read_plan(tmp_path / "plan.yaml").network


@pytest.mark.parametrize(
    ("of", "given", "said"),
    [
        (False, True, "it is for volumes, the data are pictures"),
        (True, False, "it is for pictures, the data are volumes"),
    ],
)
def test_a_plan_for_volumes_is_none_for_pictures(tmp_path: Path, of: bool, given: bool, said: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(planned_for(Wishes(), of_volumes(pictures=of))[1], encoding="utf-8")
    with pytest.raises(PlanError, match=said):
        planned_for(Wishes(plan=path), of_volumes(pictures=given))


def test_another_length_of_a_given_plan_begins_without_its_shortenings(tmp_path: Path) -> None:
    fingerprint = of_volumes(pictures=True)
    planned, _ = planned_for(Wishes(Length(epochs=100)), fingerprint)
    adjusted = planned.plan.with_steps(100).with_adjusted(((50, 60),))
    write_plan(tmp_path / "plan.yaml", adjusted)
    for length, steps in ((Length(epochs=100), planned.plan.training.steps), (Length(budget_s=60), None)):
        found, text = planned_for(Wishes(length, plan=tmp_path / "plan.yaml"), fingerprint)
        assert (found.plan.training.steps, found.plan.training.adjusted) == (steps, ())
        assert "adjusted: []" in text
    same, _ = planned_for(Wishes(plan=tmp_path / "plan.yaml"), fingerprint)
    assert same.plan == adjusted


def of_large_pictures() -> Fingerprint:
    size = (600, 600)
    mask = np.zeros(size, np.uint8)
    mask[100:300, 200:500] = 1
    return measure([(Image(np.zeros((1, *size), np.uint8)), Mask(mask, ONE))] * 3, ONE, "grey")


@pytest.mark.parametrize(
    ("wishes", "timed", "side"),
    [
        ({"length": Length(budget_s=1000)}, 1, 128),  # 1000 / 0.401 s: not quite 2,500 steps
        ({"length": Length(budget_s=1003)}, 1, 192),
        ({}, 1, 128),  # ten minutes
        ({"length": Length(budget_s=59)}, 0, 128),  # not worth a look at the clock
        ({"length": Length(epochs=100_000)}, 0, 128),
        ({"length": Length(budget_s=1003), "preset": "classic"}, 0, 128),
        ({"length": Length(budget_s=1003), "encoder": "resnet18"}, 0, 128),
    ],
)
def test_images_are_seen_larger_where_the_budget_has_room(
    wishes: dict[str, Any], timed: int, side: int
) -> None:
    seen = []

    def step_seconds(plan: Plan) -> float:
        seen.append(plan.preprocessing.size)
        return 0.401

    planned, text = planned_for(Wishes(**wishes), of_large_pictures(), step_seconds=step_seconds)
    assert seen == [(128, 128)] * timed
    assert planned.plan.preprocessing.size == (side, side)
    assert ("# when this plan was made, about 2,500 steps at 128 × 128" in text) == (side == 192)


def never(plan: Plan) -> float:
    raise AssertionError(plan)


def test_where_room_changes_nothing_no_time_is_spent_on_it() -> None:
    for dims in (2, 3):
        planned_for(Wishes(dims=dims), of_volumes(), step_seconds=never)
    planned_for(Wishes(), of_volumes(pictures=True), step_seconds=never)


def took(seconds: float, plan: Plan) -> float:
    assert plan.preprocessing.size == (48, 48, 48)
    return seconds


def test_patches_of_volumes_are_larger_where_the_budget_has_room() -> None:
    thin = {"scale_ceiling": {1.0: 1.0, 0.75: 0.9, 0.5: 0.8, 0.375: 0.7, 0.25: 0.6}}
    data, wishes = of_volumes(depth=100, side=128).model_copy(update=thin), Wishes(Length(budget_s=1000))
    for step_seconds, side in ((1.0, 48), (0.142, 48), (0.140, 64), (0.0418, 64), (0.0416, 96)):
        planned, text = planned_for(wishes, data, step_seconds=partial(took, step_seconds))
        assert planned.plan.preprocessing.size == (side, side, side)
        assert ("fewer steps with larger patches show more" in text) == (side > 48)
    assert planned.plan.network.total_strides == (16, 16, 16)  # a level deeper than 48³
    planned, _ = planned_for(Wishes(Length(epochs=1)), data, step_seconds=never)
    assert planned.plan.network.total_strides == (8, 8, 8)


def test_slices_are_seen_larger_as_pictures_are() -> None:
    data, wishes = of_volumes(depth=4, side=200), Wishes(dims=2)
    slow, _ = planned_for(wishes, data, step_seconds=lambda _: 1.0)
    quick, _ = planned_for(wishes, data, step_seconds=lambda _: 0.01)
    assert slow.plan.preprocessing.size == (128, 128)
    assert quick.plan.preprocessing.size == (192, 192)


@pytest.mark.parametrize("side", [128, 192, 512])
def test_images_are_seen_as_large_as_the_model_to_start_from_saw_them(side: int) -> None:
    data = of_large_pictures()
    plan = make_plan(data, Length(epochs=1), seen=Seen(side**2, "", as_is=True)).plan
    assert plan.preprocessing.size == (side, side)
    card: Any = SimpleNamespace(plan=plan, weights_sha256="0123456789abcdef")
    for length in (Length(epochs=1), Length(budget_s=10**6)):
        planned, text = planned_for(Wishes(length), data, card, step_seconds=never)
        assert planned.plan.preprocessing.size == (side, side)
        told = f"about as large as the model to start from saw its own: {side} × {side}"
        assert (told in text) == (side != 128)
        assert planned.plan.training.batch_size == 16


def test_a_given_plan_is_not_made_larger(tmp_path: Path) -> None:
    path, data = tmp_path / "plan.yaml", of_large_pictures()
    path.write_text(planned_for(Wishes(Length(epochs=1)), data)[1], encoding="utf-8")
    wishes = Wishes(Length(budget_s=10**6), plan=path)
    planned, _ = planned_for(wishes, data, step_seconds=never)
    assert planned.plan.preprocessing.size == (128, 128)
