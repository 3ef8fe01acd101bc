"""Batches: a function of seed and step alone, cut where asked, with nothing made up beyond need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from delineate.image import IGNORED
from delineate.plan import Plan
from delineate.training.batches import Batch, batch_at, part_of
from delineate.training.cache import CachedCase, places_of
from delineate.training.randomness import indices_at

PlanMaker = Callable[..., Plan]
CaseMaker = Callable[..., list[CachedCase]]
CPU = torch.device("cpu")
WILD: dict[str, Any] = {
    "rotation_degrees": 180,
    "shift": 0.2,
    "shear_degrees": 10,
    "zoom": [0.7, 1.4],
    "stretch": 0.3,
    "flip_horizontal": True,
    "brightness": 0.3,
    "contrast": 0.3,
    "gamma": 0.4,
    "noise": 0.1,
    "blur_sigma_px": 1.0,
}
PATCH: dict[str, Any] = {"mode": "patch", "size": [16, 16]}


def same(one: Batch, other: Batch) -> bool:
    return (
        one.names == other.names
        and torch.equal(one.images, other.images)
        and torch.equal(one.masks, other.masks)
    )


def numbered(height: int, width: int, labels: dict[tuple[int, int], int] | None = None) -> CachedCase:
    """A case whose two channels are its rows and columns; labelled at the given pixels."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    mask = torch.zeros(height, width, dtype=torch.uint8)
    for place, value in (labels or {}).items():
        mask[place] = value
    pixels = torch.stack([rows, columns]).float()
    return CachedCase("numbered", pixels, mask, torch.ones(2), torch.zeros(2), places_of(mask))


def corners(case: CachedCase, plan: Plan, steps: int) -> list[tuple[int, int]]:
    """The upper left pixels of the patches of these steps, each patch being checked to be a plain cut-out."""
    found = []
    height, width = plan.preprocessing.size[-2:]
    for step in range(steps):
        batch = batch_at(step, [case], plan, CPU)
        for image, mask in zip(batch.images, batch.masks, strict=True):
            top, left = int(image[0, 0, 0].round()), int(image[1, 0, 0].round())
            cut = (slice(top, top + height), slice(left, left + width))
            assert (image - case.pixels[:, *cut]).abs().max() < 1e-3
            assert torch.equal(mask, case.mask[cut])
            found.append((top, left))
    return found


@pytest.mark.parametrize("preprocessing", [{}, PATCH])
def test_a_batch_is_a_function_of_seed_and_step(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker, preprocessing: dict[str, Any]
) -> None:
    cases = tiny_cases(5, 16 if not preprocessing else 40)
    plan = tiny_plan(preprocessing=preprocessing, augmentation=WILD, training={"foreground_share": 0.5})
    before = [(case.pixels.clone(), case.mask.clone()) for case in cases]
    first = [batch_at(step, cases, plan, CPU) for step in range(4)]
    torch.manual_seed(123)
    again = [batch_at(step, cases, plan, CPU) for step in (3, 1, 0, 2)]
    for one, step in zip(again, (3, 1, 0, 2), strict=True):
        assert same(one, first[step])
    assert not torch.equal(first[0].images, first[1].images)
    other = tiny_plan(
        preprocessing=preprocessing, augmentation=WILD, training={"foreground_share": 0.5, "seed": 1}
    )
    assert not torch.equal(batch_at(0, cases, other, CPU).images, first[0].images)
    for case, (pixels, mask) in zip(cases, before, strict=True):
        assert torch.equal(case.pixels, pixels)
        assert torch.equal(case.mask, mask)


def test_whole_images_without_augmentation_are_the_cases_themselves(
    tiny_plan: PlanMaker, tiny_cases: CaseMaker
) -> None:
    cases, plan = tiny_cases(5), tiny_plan()
    for step in range(3):
        batch, chosen = batch_at(step, cases, plan, CPU), indices_at(0, step, 4, 5)
        assert batch.names == tuple(f"disc {index}" for index in chosen)
        assert torch.equal(batch.images, torch.stack([cases[i].normalized() for i in chosen]))
        assert torch.equal(batch.masks, torch.stack([cases[i].mask for i in chosen]))


def test_each_case_is_normalized_by_its_own_gain(tiny_plan: PlanMaker) -> None:
    mask = torch.zeros(16, 16, dtype=torch.uint8)
    cases = [
        CachedCase(
            str(gain),
            torch.full((1, 16, 16), 100, dtype=torch.uint8),
            mask,
            torch.tensor([gain]),
            torch.ones(1),
        )
        for gain in (0.5, 2.0)
    ]
    batch = batch_at(0, cases, tiny_plan(training={"batch_size": 2}), CPU)
    for name, image in zip(batch.names, batch.images, strict=True):
        assert torch.equal(image, torch.full((1, 16, 16), 100 * float(name) + 1))


def test_image_and_mask_are_augmented_alike(tiny_plan: PlanMaker, tiny_cases: CaseMaker) -> None:
    # an image that is its mask: read bilinearly it stays on the mask's side of what half a pixel can do
    cases = [
        CachedCase(case.name, case.mask[None].float(), case.mask, torch.ones(1), torch.zeros(1))
        for case in tiny_cases(6, 32)
    ]
    moves = {name: WILD[name] for name in ("rotation_degrees", "shift", "shear_degrees", "zoom", "stretch")}
    for preprocessing in ({"size": [32, 32]}, PATCH):
        plan = tiny_plan(preprocessing=preprocessing, augmentation=moves)
        for step in range(5):
            batch = batch_at(step, cases, plan, CPU)
            assert 0 < int((batch.masks == 1).sum()) < batch.masks.numel()
            assert float(batch.images[:, 0][batch.masks == 1].min()) >= 0.25 - 1e-3
            assert float(batch.images[:, 0][batch.masks == 0].max()) <= 0.75 + 1e-3


@pytest.mark.parametrize("size", [(16, 16), (16, 24), (18, 22)])
@pytest.mark.parametrize("rotation_degrees", [0, 1e-6])  # the least turn is cut with room for all around it
def test_patches_are_cut_outs_inside_the_image_from_edge_to_edge(
    tiny_plan: PlanMaker, size: tuple[int, int], rotation_degrees: float
) -> None:
    plan = tiny_plan(
        channels=2,
        preprocessing={"mode": "patch", "size": size},
        augmentation={"rotation_degrees": rotation_degrees},
        training={"batch_size": 8},
    )
    found = corners(numbered(30, 41), plan, 60)
    tops, lefts = {top for top, _ in found}, {left for _, left in found}
    assert (min(tops), max(tops)) == (0, 30 - size[0])
    assert (min(lefts), max(lefts)) == (0, 41 - size[1])


def test_an_image_smaller_than_the_patch_is_filled_with_its_edge(tiny_plan: PlanMaker) -> None:
    plan = tiny_plan(channels=2, preprocessing=PATCH)
    case = numbered(6, 40, {(0, 3): 1})
    rows = (torch.arange(16) - 5).clamp(0, 5)  # its middle row, 3, on the patch's middle, 8
    for step in range(5):
        batch = batch_at(step, [case], plan, CPU)
        for image, mask in zip(batch.images, batch.masks, strict=True):
            left = int(image[1, 0, 0].round())
            assert (image - case.pixels[:, rows, left : left + 16]).abs().max() < 1e-3
            assert torch.equal(mask, case.mask[rows, left : left + 16])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_patches_show_a_label_as_often_as_asked(tiny_plan: PlanMaker, share: float) -> None:
    # one labelled pixel in 300 × 300: by chance alone a patch shows it once in three hundred times
    case = numbered(300, 300, {(290, 120): 1})
    plan = tiny_plan(channels=2, preprocessing=PATCH, training={"foreground_share": share, "batch_size": 50})
    shown = [bool((mask == 1).any()) for step in range(8) for mask in batch_at(step, [case], plan, CPU).masks]
    assert sum(shown) / len(shown) == pytest.approx(share, abs=0.01 if share in (0.0, 1.0) else 0.07)


def test_rare_labels_are_shown_as_often_as_common_ones(tiny_plan: PlanMaker) -> None:
    case = numbered(200, 200, {(20, 20): 2})
    case.mask[150:, 100:] = 1
    case.mask[:, :4] = IGNORED  # not a label
    case = replace(case, places=places_of(case.mask))
    plan = tiny_plan(
        labels=2, channels=2, preprocessing=PATCH, training={"foreground_share": 1.0, "batch_size": 50}
    )
    masks = [mask for step in range(8) for mask in batch_at(step, [case], plan, CPU).masks]
    rare, common = (sum(bool((mask == value).any()) for mask in masks) for value in (2, 1))
    assert rare + common == len(masks)
    assert rare / len(masks) == pytest.approx(0.5, abs=0.07)


def test_a_case_without_labels_is_cut_anywhere(tiny_plan: PlanMaker) -> None:
    plan = tiny_plan(channels=2, preprocessing=PATCH, training={"foreground_share": 1.0, "batch_size": 8})
    tops = {top for top, _ in corners(numbered(40, 40), plan, 20)}
    assert len(tops) > 15


@pytest.mark.parametrize("size", [(16, 16), (16, 32)])
@pytest.mark.parametrize(
    "augmentation",
    [
        {"rotation_degrees": 180, "shift": 0.5, "zoom": [0.5, 0.5], "stretch": 0.5},
        {"rotation_degrees": 180, "shift": 0.5, "shear_degrees": 45},
        {"zoom": [0.5, 0.5], "shift": 0.5, "stretch": 0.5},
        {"zoom": [2, 2], "shift": 0.1},
    ],
)
def test_a_moved_patch_shows_the_image_and_no_fill(
    tiny_plan: PlanMaker, size: tuple[int, int], augmentation: dict[str, Any]
) -> None:
    # far from the image's edge every movement shows true pixels, so rows and columns stay straight ramps
    case = numbered(501, 501, {(250, 250): 1})
    plan = tiny_plan(
        channels=2,
        preprocessing={"mode": "patch", "size": size},
        augmentation=augmentation,
        training={"foreground_share": 1.0, "batch_size": 50},
    )
    for step in range(3):
        images = batch_at(step, [case], plan, CPU).images
        for dim in (2, 3):
            assert float(images.diff(n=2, dim=dim).abs().max()) < 0.02


@pytest.mark.parametrize(("fill", "mode"), [("nearest", "edge"), ("reflect", "symmetric")])
def test_beyond_the_edge_a_patch_shows_what_fill_says(tiny_plan: PlanMaker, fill: str, mode: str) -> None:
    """A corner of the image in the middle of the patch, half a patch beyond the edge on both sides."""
    case = numbered(40, 30, {(0, 0): 1})
    plan = tiny_plan(
        channels=2,
        preprocessing=PATCH,
        augmentation={"fill": fill, "shift": 0.4},
        training={"foreground_share": 1.0, "batch_size": 40},
    )
    batch = batch_at(0, [case], plan, CPU)
    beyond = np.pad(case.pixels.numpy(), ((0, 0), (9, 9), (9, 9)), mode=mode)  # type: ignore[call-overload]
    labels = np.pad(case.mask.numpy(), 9, mode=mode)  # type: ignore[call-overload]
    compared = 0
    for image, mask in zip(batch.images.numpy(), batch.masks.numpy(), strict=True):
        found = [
            (top, left)
            for top in range(beyond.shape[1] - 15)
            for left in range(beyond.shape[2] - 15)
            if np.abs(image - beyond[:, top : top + 16, left : left + 16]).max()
            <= 0.51  # within half a pixel
            and (mask == labels[top : top + 16, left : left + 16]).all()
        ]
        compared += bool(found)
    assert compared == len(batch.masks)


@given(st.integers(1, 12), st.sampled_from([-2, -1]), st.integers(-30, 30), st.integers(1, 25))
def test_a_part_mirrors_the_image_beyond_its_edge(length: int, axis: int, start: int, side: int) -> None:
    values = torch.arange(3 * length * length).view(3, length, length)
    there = [(0, 0)] * 3
    there[axis] = (60, 60)
    mirrored = torch.from_numpy(np.pad(values.numpy(), there, mode="symmetric"))
    assert torch.equal(part_of(values, axis, start, side, "reflect"), mirrored.narrow(axis, start + 60, side))


@given(st.integers(1, 12), st.sampled_from([-2, -1]), st.integers(-30, 30), st.integers(1, 25))
def test_a_part_repeats_the_edge_beyond_it(length: int, axis: int, start: int, side: int) -> None:
    values = torch.arange(3 * length * length).view(3, length, length)
    places = torch.arange(start, start + side).clamp(0, length - 1)
    found = part_of(values, axis, start, side)
    assert torch.equal(found, values.index_select(axis, places))
    if start >= 0 and start + side <= length:  # nothing is copied
        assert found.untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
