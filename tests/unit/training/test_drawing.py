"""Which cases a step learns from where cases lack labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from delineate.plan import Plan
from delineate.training.batches import batch_at
from delineate.training.cache import CachedCase, labels_of, places_of
from delineate.training.drawing import drawn_at, having
from delineate.training.randomness import indices_at

PlanMaker = Callable[..., Plan]
CPU = torch.device("cpu")


def case_with(name: str, *labels: int) -> CachedCase:
    """A case of 64 × 64 with a pixel of each of these labels, in the order of their values."""
    mask = torch.zeros(64, 64, dtype=torch.uint8)
    for at, label in enumerate(labels):
        mask[10 + 20 * at, 30] = label
    ones = torch.ones(1)
    return CachedCase(name, mask[None].float(), mask, ones, 0 * ones, places_of(mask), labels_of(mask))


def rare(cases: int, *, positive: int) -> list[CachedCase]:
    return [case_with(str(at), *([1] if at < positive else [])) for at in range(cases)]


def test_the_cases_of_each_label_are_known() -> None:
    cases = [case_with("a"), case_with("b", 2), case_with("c", 1, 2)]
    assert having(cases).by_label == {1: [2], 2: [1, 2]}
    assert [case.labels for case in cases] == [(), (2,), (1, 2)]
    assert having([case_with("a", 1, 3), case_with("b", 1, 3)]).by_label == {}  # any case will do
    assert having([case_with("a"), case_with("b")]).by_label == {}


def test_where_all_cases_have_all_labels_epochs_are_as_shuffled(tiny_plan: PlanMaker) -> None:
    training = tiny_plan(training={"batch_size": 4, "foreground_share": 0.5}).training
    cases = rare(7, positive=7)
    for step in range(8):
        drawn = drawn_at(step, cases, training)
        assert [each.case.name for each in drawn] == [str(at) for at in indices_at(training.seed, step, 4, 7)]
        assert {(each.foreground_share, each.label) for each in drawn} == {(0.5, None)}


def test_a_share_of_nothing_leaves_the_epochs_as_they_are(tiny_plan: PlanMaker) -> None:
    training = tiny_plan(training={"batch_size": 5, "foreground_share": 0}).training
    drawn = [each.case.name for step in range(4) for each in drawn_at(step, rare(20, positive=1), training)]
    assert sorted(drawn, key=int) == [str(at) for at in range(20)]


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_label_in_one_of_twenty_cases_is_in_its_share_of_every_batch(
    tiny_plan: PlanMaker, share: float
) -> None:
    training = tiny_plan(training={"batch_size": 20, "foreground_share": share}).training
    cases = rare(200, positive=10)
    for step in range(3):
        assert sum(each.label == 1 for each in drawn_at(step, cases, training)) == 20 * share
    drawn = [each for step in range(100) for each in drawn_at(step, cases, training)]
    assert all(bool(each.case.labels) for each in drawn if each.label == 1)
    assert {each.foreground_share for each in drawn if each.label is None} <= {0.0}


@pytest.mark.parametrize(("positive", "share"), [(1, 0.1), (2, 0.2), (5, 0.5), (50, 0.5)])
def test_no_case_is_shown_much_more_often_than_others(
    tiny_plan: PlanMaker, positive: int, share: float
) -> None:
    """One slip of the pen in 200 masks does not fill half of all batches."""
    training = tiny_plan(training={"batch_size": 10, "foreground_share": 0.5}).training
    cases = rare(200, positive=positive)
    drawn = [each for step in range(40) for each in drawn_at(step, cases, training)]
    assert sum(each.label == 1 for each in drawn) == 400 * share


def test_the_other_cases_are_epochs_in_shuffled_order(tiny_plan: PlanMaker) -> None:
    training = tiny_plan(training={"batch_size": 6, "foreground_share": 0.5, "seed": 3}).training
    cases = rare(30, positive=3)
    others = [
        each.case.name for step in range(30) for each in drawn_at(step, cases, training) if each.label is None
    ]
    assert others == [str(at) for at in indices_at(3, 0, 90, 30)]  # three epochs


def test_labels_are_drawn_by_the_root_of_the_number_of_cases_that_have_them(tiny_plan: PlanMaker) -> None:
    training = tiny_plan(labels=2, training={"batch_size": 20, "foreground_share": 1}).training
    cases = [case_with(str(at), *([1, 2] if at < 4 else [1])) for at in range(100)]
    drawn = [each for step in range(200) for each in drawn_at(step, cases, training)]
    found = Counter(each.label for each in drawn)
    assert found[2] / len(drawn) == pytest.approx(2 / 12, abs=0.025)  # √4 beside √100
    assert {each.case.name for each in drawn if each.label == 2} == {"0", "1", "2", "3"}


def test_patches_drawn_for_a_label_are_centred_on_it(tiny_plan: PlanMaker) -> None:
    sections: dict[str, Any] = {
        "preprocessing": {"mode": "patch", "size": [16, 16]},
        "augmentation": {},
        "training": {"batch_size": 16, "foreground_share": 1.0},
    }
    plan = tiny_plan(labels=3, **sections)
    cases = [case_with("a"), case_with("b", 1, 2), case_with("c", 2, 3)]
    shown = set()
    for step in range(8):
        drawn = drawn_at(step, cases, plan.training)
        masks = batch_at(step, cases, plan, CPU).masks
        for each, mask in zip(drawn, masks, strict=True):
            assert int(mask[8, 8]) == each.label
            assert int((mask > 0).sum()) == 1
            shown.add((each.case.name, each.label))
    assert shown == {("b", 1), ("b", 2), ("c", 2), ("c", 3)}


def test_whole_images_are_drawn_for_labels_too(tiny_plan: PlanMaker) -> None:
    plan = tiny_plan(
        preprocessing={"mode": "whole", "size": [64, 64]},
        training={"batch_size": 16, "foreground_share": 0.5},
    )
    cases = rare(50, positive=3)
    with_label = [
        bool((mask == 1).any()) for step in range(20) for mask in batch_at(step, cases, plan, CPU).masks
    ]
    assert sum(with_label) / len(with_label) == pytest.approx(0.5 + 0.5 * 3 / 50, abs=0.05)


def test_the_draw_is_a_function_of_seed_and_step(tiny_plan: PlanMaker) -> None:
    cases = rare(30, positive=3)

    def names(seed: int, step: int) -> list[tuple[str, int | None]]:
        training = tiny_plan(training={"batch_size": 16, "foreground_share": 0.5, "seed": seed}).training
        return [(each.case.name, each.label) for each in drawn_at(step, cases, training)]

    assert names(0, 3) == names(0, 3)
    assert len({tuple(names(seed, step)) for seed in range(3) for step in range(3)}) == 9
