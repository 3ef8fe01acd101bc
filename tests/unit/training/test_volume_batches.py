"""Batches of volumes: patches are the volume's voxels, move with their masks, change sides in the mirror."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from volume_cases import volume_plan

from delineate.image import IGNORED
from delineate.plan import Plan
from delineate.training.batches import Batch, batch_at
from delineate.training.cache import CachedCase, places_of

CPU = torch.device("cpu")
WILD: dict[str, Any] = {
    "rotation_degrees": 180,
    "tilt_degrees": 30,
    "shift": 0.2,
    "shear_degrees": 10,
    "zoom": [0.7, 1.4],
    "stretch": 0.3,
    "flip_depth": True,
    "flip_horizontal": True,
}
COLOURS: dict[str, Any] = {"brightness": 0.3, "contrast": 0.3, "gamma": 0.4, "noise": 0.1, "blur_sigma_px": 1}
SIZE = (4, 8, 8)


def plan_of(*, channels: int = 3, labels: int = 1, **sections: dict[str, Any]) -> Plan:
    sections["training"] = {"batch_size": 8} | sections.get("training", {})
    return volume_plan("volumes", channels=channels, labels=labels, **sections)


def numbered(*size: int, labels: dict[tuple[int, int, int], int] | None = None) -> CachedCase:
    """A case whose three channels are its slices, rows and columns; labelled at the given voxels."""
    pixels = torch.stack(torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")).float()
    mask = torch.zeros(size, dtype=torch.uint8)
    for place, value in (labels or {}).items():
        mask[place] = value
    return CachedCase("numbered", pixels, mask, torch.ones(3), torch.zeros(3), places_of(mask))


def of_mask(mask: Tensor, name: str = "mask") -> CachedCase:
    """A case whose image is its mask."""
    return CachedCase(name, mask[None].float(), mask, torch.ones(1), torch.zeros(1), places_of(mask))


def blocks(seed: int, side: int = 20) -> Tensor:
    """Two labels, each a block of its own."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(side, side, side, dtype=torch.uint8)
    for value in (1, 2):
        start = torch.randint(1, side - 9, (3,), generator=generator).tolist()
        mask[tuple(slice(at, at + 8) for at in start)] = value
    return mask


def batches(plan: Plan, cases: list[CachedCase], steps: int) -> list[Batch]:
    return [batch_at(step, cases, plan, CPU) for step in range(steps)]


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    cases = [of_mask(blocks(seed), f"case {seed}") for seed in range(4)]
    sections: dict[str, Any] = {"augmentation": WILD | COLOURS, "training": {"foreground_share": 0.5}}
    plan = plan_of(channels=1, labels=2, **sections)
    before = [(case.pixels.clone(), case.mask.clone()) for case in cases]
    first = batches(plan, cases, 3)
    torch.manual_seed(123)
    for step in (2, 0, 1):
        again = batch_at(step, cases, plan, CPU)
        assert again.names == first[step].names
        assert torch.equal(again.images, first[step].images)
        assert torch.equal(again.masks, first[step].masks)
    assert not torch.equal(first[0].images, first[1].images)
    sections["training"] |= {"seed": 1}
    other = batch_at(0, cases, plan_of(channels=1, labels=2, **sections), CPU)
    assert not torch.equal(other.images, first[0].images)
    for case, (pixels, mask) in zip(cases, before, strict=True):
        assert torch.equal(case.pixels, pixels)
        assert torch.equal(case.mask, mask)


@pytest.mark.parametrize("size", [(4, 8, 8), (3, 6, 10), (9, 12, 14), (1, 8, 6)])
@pytest.mark.parametrize("fill", ["nearest", "reflect"])
def test_an_unmoved_patch_is_cut_out_of_the_volume_from_edge_to_edge(
    size: tuple[int, int, int], fill: str
) -> None:
    plan = plan_of(preprocessing={"size": size}, augmentation={"fill": fill}, training={"batch_size": 16})
    case = numbered(9, 14, 19, labels={(3, 4, 5): 1, (8, 13, 18): 2})
    corners = []
    for batch in batches(plan, [case], 30):
        assert batch.images.shape == (16, 3, *size)
        for image, mask in zip(batch.images, batch.masks, strict=True):
            corner = [int(image[axis, 0, 0, 0].round()) for axis in range(3)]
            cut = tuple(slice(at, at + side) for at, side in zip(corner, size, strict=True))
            assert (image - case.pixels[:, *cut]).abs().max() < 1e-4
            assert torch.equal(mask, case.mask[cut])
            corners.append(corner)
    lowest, highest = torch.tensor(corners).amin(0).tolist(), torch.tensor(corners).amax(0).tolist()
    assert lowest == [0, 0, 0]
    assert highest == [own - side for own, side in zip((9, 14, 19), size, strict=True)]


@pytest.mark.parametrize("fill", ["nearest", "reflect"])
def test_a_volume_smaller_than_the_patch_is_filled_alike_in_image_and_mask(fill: str) -> None:
    case = numbered(2, 5, 30)
    case = CachedCase(
        case.name, case.pixels, (case.pixels.sum(0) % 2).to(torch.uint8), case.gain, case.offset
    )
    plan = plan_of(augmentation={"fill": fill})
    for batch in batches(plan, [case], 5):
        for image, mask in zip(batch.images, batch.masks, strict=True):
            rows, slices = image[1, 0, :, 0].round().tolist(), image[0, :, 0, 0].round().tolist()
            # its middle voxel, 1 of 2 and 2 of 5, on the patch's, 2 of 4 and 4 of 8
            if fill == "nearest":
                assert (slices, rows) == ([0, 0, 1, 1], [0, 0, 0, 1, 2, 3, 4, 4])
            else:
                assert (slices, rows) == ([0, 0, 1, 1], [1, 0, 0, 1, 2, 3, 4, 4])
            assert torch.equal(mask.float(), image.round().sum(0) % 2)


def test_an_unmoved_patch_is_normalized() -> None:
    case = numbered(6, 10, 10)
    gain, offset = torch.tensor([2.0, 0.5, 1.0]), torch.tensor([1.0, 0.0, -3.0])
    scaled = CachedCase("scaled", case.pixels, case.mask, gain, offset)
    for plain, normalized in zip(batches(plan_of(), [case], 3), batches(plan_of(), [scaled], 3), strict=True):
        expected = plain.images * gain.view(1, 3, 1, 1, 1) + offset.view(1, 3, 1, 1, 1)
        assert torch.allclose(normalized.images, expected, atol=1e-5)


def test_eight_bit_volumes_are_moved_as_float_ones() -> None:
    mask = blocks(1)
    pixels = (mask * 100)[None]
    gain, offset = torch.tensor([1 / 255]), torch.tensor([-0.3])
    cases = [CachedCase("a", kind, mask, gain, offset, places_of(mask)) for kind in (pixels, pixels.float())]
    plan = plan_of(channels=1, augmentation=WILD)
    one, other = (batch_at(0, [case], plan, CPU) for case in cases)
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.masks, other.masks)


@pytest.mark.parametrize("spacing_mm", [None, [3.0, 1.0, 0.7]])
def test_image_and_mask_move_alike(spacing_mm: list[float] | None) -> None:
    # an image that is its mask: read linearly it stays on the mask's side of what half a voxel can do
    cases = [of_mask((blocks(seed) > 0).to(torch.uint8)) for seed in range(4)]
    plan = plan_of(
        channels=1,
        preprocessing={"size": [8, 12, 12], "spacing_mm": spacing_mm},
        augmentation=WILD,
        training={"foreground_share": 1.0},
    )
    for batch in batches(plan, cases, 5):
        assert 0 < int((batch.masks == 1).sum()) < batch.masks.numel()
        assert float(batch.images[:, 0][batch.masks == 1].min()) >= 0.125 - 1e-3
        assert float(batch.images[:, 0][batch.masks == 0].max()) <= 0.875 + 1e-3
        clear = (batch.images[:, 0] - 0.5).abs() > 0.45
        assert torch.equal(batch.images[:, 0][clear].round(), batch.masks[clear].float())


def test_a_moved_patch_shows_the_volume_and_no_fill() -> None:
    # far from the edge every movement shows true voxels, so that slices, rows and columns stay straight ramps
    case = numbered(80, 80, 80, labels={(40, 40, 40): 1})
    moves = WILD | {"zoom": [0.6, 0.6], "shift": 0.5, "fill": "nearest"}
    plan = plan_of(augmentation=moves, training={"foreground_share": 1.0, "batch_size": 32})
    for batch in batches(plan, [case], 3):
        for dim in (2, 3, 4):
            assert float(batch.images.diff(n=2, dim=dim).abs().max()) < 0.01


def test_what_turns_keeps_its_shape_in_millimetres() -> None:
    # slices 4 mm apart, voxels of 1 mm: neighbours along any way of the patch stay as far apart as they were
    spacing = torch.tensor([4.0, 1.0, 1.0])
    case = numbered(60, 200, 200, labels={(30, 100, 100): 1})
    plan = plan_of(
        preprocessing={"spacing_mm": spacing.tolist()},
        augmentation={"rotation_degrees": 180, "tilt_degrees": 90},
        training={"foreground_share": 1.0},
    )
    batch = batch_at(0, [case], plan, CPU)
    for axis in range(3):
        apart = batch.images.diff(dim=axis + 2) * spacing.view(1, 3, 1, 1, 1)
        length = apart.square().sum(1).sqrt()
        assert torch.allclose(length, spacing[axis].expand_as(length), rtol=1e-3)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_patches_show_a_label_as_often_as_asked(share: float) -> None:
    # one labelled voxel in 60³: by chance a patch of 4 × 8 × 8 shows it once in a thousand times
    case = numbered(60, 60, 60, labels={(50, 12, 57): 1})
    plan = plan_of(training={"foreground_share": share, "batch_size": 50})
    shown = [bool((mask == 1).any()) for batch in batches(plan, [case], 8) for mask in batch.masks]
    assert sum(shown) / len(shown) == pytest.approx(share, abs=0.01 if share in (0.0, 1.0) else 0.07)


def test_rare_labels_are_shown_as_often_as_common_ones() -> None:
    mask = torch.zeros(40, 40, 40, dtype=torch.uint8)
    mask[5, 5, 5], mask[30:], mask[:, :, :2] = 2, 1, IGNORED
    plan = plan_of(channels=1, labels=2, training={"foreground_share": 1.0, "batch_size": 50})
    masks = [mask for batch in batches(plan, [of_mask(mask)], 8) for mask in batch.masks]
    rare, common = (sum(bool((mask == value).any()) for mask in masks) for value in (2, 1))
    assert rare + common == len(masks)
    assert rare / len(masks) == pytest.approx(0.5, abs=0.07)


def two_sides(axis: int) -> Tensor:
    """Label 1 where an axis is low, label 3 where it is high, and 2 in a stripe that is no side."""
    mask = torch.ones(20, 20, 20, dtype=torch.uint8)
    mask.narrow(axis, 10, 10).fill_(3)
    mask.narrow((axis + 1) % 3, 0, 3).fill_(2)
    return mask


@pytest.mark.parametrize(
    ("orientation", "across"), [("SPL", 2), ("LSP", 0), ("SRA", 1), (None, 2), ("PIR", 2)]
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_labels_change_sides_only_where_left_and_right_are_mirrored(
    orientation: str | None, across: int, axis: int
) -> None:
    flip = ("flip_depth", "flip_vertical", "flip_horizontal")[axis]
    plan = plan_of(
        channels=1,
        labels=3,
        data={"left_right": [["label 1", "label 3"]]},
        preprocessing={"orientation": orientation, "size": [20, 20, 20]},
        augmentation={flip: True},
    )
    mask = two_sides(axis)
    mirrored = mask.flip(axis)
    swapped = torch.tensor([0, 3, 2, 1], dtype=torch.uint8)[mirrored.int()]
    seen = {"as it is": 0, "mirrored": 0}
    for batch in batches(plan, [of_mask(mask)], 3):
        for image, found in zip(batch.images[:, 0].round().to(torch.uint8), batch.masks, strict=True):
            if torch.equal(image, mask):
                assert torch.equal(found, mask)
                seen["as it is"] += 1
            else:  # the image shows what was there, the mask calls it by its new side
                assert torch.equal(image, mirrored)
                assert torch.equal(found, swapped if axis == across else mirrored)
                seen["mirrored"] += 1
    assert min(seen.values()) > 3


@pytest.mark.parametrize(("orientation", "across"), [("SPL", 1), ("SRA", 0), ("LSP", None), (None, 1)])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("mode", ["whole", "patch"])
def test_labels_of_slices_change_sides(
    mode: str, orientation: str | None, across: int | None, axis: int
) -> None:
    plan = volume_plan(
        "whole slices" if mode == "whole" else "slices",
        labels=3,
        data={"left_right": [["label 1", "label 3"]]},
        preprocessing={"orientation": orientation, "size": [20, 20]},
        augmentation={("flip_vertical", "flip_horizontal")[axis]: True},
        training={"batch_size": 8},
    )
    mask = two_sides(axis + 1)[5]
    mirrored = mask.flip(axis)
    swapped = torch.tensor([0, 3, 2, 1], dtype=torch.uint8)[mirrored.int()]
    seen = 0
    for batch in batches(plan, [of_mask(mask)], 5):
        for image, found in zip(batch.images[:, 0].round().to(torch.uint8), batch.masks, strict=True):
            if not torch.equal(image, mask):
                assert torch.equal(found, swapped if axis == across else mirrored)
                seen += 1
    assert seen > 3


def test_blur_reaches_as_far_in_millimetres_along_each_axis() -> None:
    point = torch.zeros(20, 20, 20)
    point[10, 10, 10] = 1000.0
    case = CachedCase("point", point[None], torch.zeros(20, 20, 20).byte(), torch.ones(1), torch.zeros(1))
    spacing_mm = [3.0, 1.0, 2.0]
    plan = plan_of(
        channels=1,
        preprocessing={"size": [20, 20, 20], "spacing_mm": spacing_mm},
        augmentation={"blur_sigma_px": 3.0},
    )
    compared = 0
    for batch in batches(plan, [case], 6):
        for image in batch.images[:, 0] / 1000:
            variances = []
            for axis, step in enumerate(spacing_mm):
                along = image.sum([other for other in range(3) if other != axis])
                variances.append(float((along * ((torch.arange(20) - 10) * step).square()).sum()))
            if variances[1] > 3:
                assert variances == pytest.approx([variances[1]] * 3, rel=0.1)
                compared += 1
    assert compared > 3
