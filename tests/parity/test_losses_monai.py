"""The losses beside MONAI's, by hand, and where pixels are not scored."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from delineate.image import IGNORED
from delineate.losses import LossSettings
from delineate.losses.segmentation import cross_entropy, segmentation_loss, soft_dice

monai_losses = pytest.importorskip("monai.losses")

CROSS_ENTROPY = LossSettings(cross_entropy=1, dice=0)
DICE = LossSettings(cross_entropy=0, dice=1)
DICE_PER_IMAGE = LossSettings(cross_entropy=0, dice=1, dice_per_image=True)
BOTH = LossSettings()
ALL = [CROSS_ENTROPY, DICE, DICE_PER_IMAGE, BOTH]


IMAGE, VOLUME = (6, 5), (4, 6, 5)


def drawn(labels: int, count: int = 3, seed: int = 0, size: tuple[int, ...] = IMAGE) -> tuple[Tensor, Tensor]:
    """Logits and masks of `labels` labels, none ignored."""
    generator = torch.Generator().manual_seed(seed)
    channels = 1 if labels == 1 else labels + 1
    logits = 3 * torch.randn(count, channels, *size, generator=generator)
    return logits, torch.randint(0, labels + 1, (count, *size), generator=generator, dtype=torch.uint8)


def decided(mask: Tensor, labels: int, sure: float = 30.0) -> Tensor:
    """Logits that say exactly the mask."""
    if labels == 1:
        return torch.where(mask[:, None] == 1, sure, -sure)
    return sure * functional.one_hot(mask.long(), labels + 1).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("labels", [1, 2, 5])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.3, 2.0)])
@pytest.mark.parametrize("size", [IMAGE, VOLUME], ids=["image", "volume"])
def test_equals_monai_in_value_and_gradient(
    labels: int, per_image: bool, weights: tuple[float, float], size: tuple[int, ...]
) -> None:
    logits, mask = drawn(labels, size=size)
    mask.flatten(1)[:, :labels] = torch.arange(1, labels + 1, dtype=torch.uint8)  # all of them in each image
    if not per_image:
        mask[1] = 0  # one image without any label
    settings = LossSettings(cross_entropy=weights[0], dice=weights[1], dice_per_image=per_image)
    activation = {"sigmoid": True} if labels == 1 else {"softmax": True, "to_onehot_y": True}
    peer = monai_losses.DiceCELoss(
        include_background=labels == 1,
        smooth_nr=1.0,
        smooth_dr=1.0,
        batch=not per_image,
        lambda_ce=weights[0],
        lambda_dice=weights[1],
        **activation,
    )
    mine, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss, expected = segmentation_loss(mine, mask, settings), peer(theirs, mask[:, None].float())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    ours, wanted = torch.autograd.grad(loss, mine)[0], torch.autograd.grad(expected, theirs)[0]
    assert wanted.abs().max() > 0
    assert torch.allclose(ours, wanted, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("size", [IMAGE, VOLUME], ids=["image", "volume"])
def test_dice_equals_monai_also_where_pixels_are_ignored(
    labels: int, per_image: bool, size: tuple[int, ...]
) -> None:
    logits, mask = drawn(labels, seed=2, size=size)
    probability = logits.sigmoid() if labels == 1 else logits.softmax(1)[:, 1:]
    left_out = torch.rand(mask.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    target = functional.one_hot(mask.long(), labels + 1)[..., 1:].movedim(-1, 1).float()
    # MONAI's masked Dice, told the same pixels by a mask of its own
    peer = monai_losses.MaskedDiceLoss(smooth_nr=1.0, smooth_dr=1.0, batch=not per_image)
    expected = peer(probability, target, (~left_out)[:, None].float())
    settings = DICE_PER_IMAGE if per_image else DICE
    loss = segmentation_loss(logits, mask.masked_fill(left_out, IGNORED), settings)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_one_label_by_hand() -> None:
    # p = 3/4, 1/2, 1/4, 1/2 against 1, 1, 0, 0: cross-entropy -(2 ln 3/4 + 2 ln 1/2) / 4
    logits = torch.tensor([math.log(3), 0, -math.log(3), 0]).view(1, 1, 2, 2)
    mask = torch.tensor([[[1, 1], [0, 0]]], dtype=torch.uint8)
    entropy = -(2 * math.log(0.75) + 2 * math.log(0.5)) / 4
    # overlap 3/4 + 1/2, sums 2 and 2: (2 · 1.25 + 1) / (4 + 1)
    assert segmentation_loss(logits, mask, CROSS_ENTROPY).item() == pytest.approx(entropy)
    assert segmentation_loss(logits, mask, DICE).item() == pytest.approx(1 - 3.5 / 5)
    weighted = LossSettings(cross_entropy=2, dice=0.5)
    assert segmentation_loss(logits, mask, weighted).item() == pytest.approx(2 * entropy + 0.5 * 1.5 / 5)
    # the second pixel not scored: the mean of three; overlap 3/4, sums 3/2 and 1
    mask[0, 0, 1] = IGNORED
    entropy = -(2 * math.log(0.75) + math.log(0.5)) / 3
    assert segmentation_loss(logits, mask, CROSS_ENTROPY).item() == pytest.approx(entropy)
    assert segmentation_loss(logits, mask, DICE).item() == pytest.approx(1 - 2.5 / 3.5)


def test_two_labels_by_hand() -> None:
    # probabilities (1/2, 1/4, 1/4) and (1/5, 1/5, 3/5) of two pixels that are label 1 and label 2
    logits = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]).log().T.reshape(1, 3, 1, 2)
    mask = torch.tensor([[[1, 2]]], dtype=torch.uint8)
    entropy = -(math.log(0.25) + math.log(0.6)) / 2
    first, second = (2 * 0.25 + 1) / (0.45 + 1 + 1), (2 * 0.6 + 1) / (0.85 + 1 + 1)
    assert segmentation_loss(logits, mask, CROSS_ENTROPY).item() == pytest.approx(entropy)
    assert segmentation_loss(logits, mask, DICE).item() == pytest.approx(1 - (first + second) / 2)


def test_dice_of_the_batch_is_not_the_mean_of_the_images() -> None:
    # one image all found, one all missed; sizes 4 and 4, no probability anywhere in the second
    mask = torch.ones(2, 2, 2, dtype=torch.uint8)
    logits = torch.stack([torch.full((1, 2, 2), 100.0), torch.full((1, 2, 2), -100.0)])
    scored = mask != IGNORED
    assert soft_dice(logits, mask, scored, per_image=False, absent=True).item() == pytest.approx(9 / 13)
    assert soft_dice(logits, mask, scored, per_image=True, absent=True).item() == pytest.approx(
        (1 + 1 / 5) / 2
    )


@pytest.mark.parametrize("labels", [1, 2, 4])
@pytest.mark.parametrize("settings", ALL)
def test_a_perfect_prediction_costs_nothing_and_its_opposite_much(
    labels: int, settings: LossSettings
) -> None:
    _, mask = drawn(labels)
    assert segmentation_loss(decided(mask, labels), mask, settings).item() == pytest.approx(0, abs=1e-6)
    opposite = decided((mask + 1) % (labels + 1), labels)
    assert segmentation_loss(opposite, mask, settings).item() > 0.8


@pytest.mark.parametrize("settings", ALL)
def test_an_empty_mask_met_by_an_empty_prediction_costs_nothing(settings: LossSettings) -> None:
    mask = torch.zeros(2, 4, 4, dtype=torch.uint8)
    assert segmentation_loss(decided(mask, 1), mask, settings).item() == pytest.approx(0, abs=1e-6)
    assert segmentation_loss(decided(mask, 3), mask, settings).item() == pytest.approx(0, abs=1e-6)


def test_a_label_without_a_pixel_counts_for_nothing_in_dice() -> None:
    logits, mask = drawn(3)
    mask[mask == 2] = 1
    shown = mask != IGNORED
    probability = logits.softmax(1)
    by_hand = [
        (2 * probability[:, value][mask == value].sum() + 1)
        / (probability[:, value].sum() + (mask == value).sum() + 1)
        for value in (1, 3)
    ]
    found = soft_dice(logits, mask, shown, per_image=False, absent=False)
    assert found.item() == pytest.approx((by_hand[0] + by_hand[1]).item() / 2, rel=1e-6)


def test_where_no_label_has_a_pixel_cross_entropy_alone_speaks_if_there_is_one() -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.uint8)
    logits = torch.full((1, 1, 4, 4), 3.0, requires_grad=True)
    pushes = [
        torch.autograd.grad(segmentation_loss(logits, mask, settings), logits)[0]
        for settings in (BOTH, CROSS_ENTROPY, DICE)
    ]
    assert torch.equal(pushes[0], pushes[1])
    assert all(push.min() > 0 for push in pushes)


def test_dice_alone_still_speaks_against_what_is_found_in_an_empty_image() -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.uint8)
    loss = segmentation_loss(torch.full((1, 1, 4, 4), 100.0), mask, DICE)
    assert loss.item() == pytest.approx(1 - 1 / 17)


@pytest.mark.parametrize("share", [1e-3, 1e-4, 1e-5])
def test_a_batch_without_a_label_pushes_it_down_less_than_one_with_it_pulls_it_up(share: float) -> None:
    rare = torch.zeros(4, 32, 32, dtype=torch.uint8)
    rare[0, :5, :6] = 1
    pushes = []
    for mask in (torch.zeros_like(rare), rare):
        bias = torch.tensor(math.log(share / (1 - share)), requires_grad=True)
        loss = segmentation_loss(bias.expand(4, 1, 32, 32), mask, BOTH)
        pushes.append(torch.autograd.grad(loss, bias)[0].item())
    assert pushes[0] > 0 > pushes[1]
    assert pushes[0] < -pushes[1]


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("settings", ALL)
def test_ignored_pixels_count_neither_in_value_nor_in_gradient(labels: int, settings: LossSettings) -> None:
    logits, mask = drawn(labels)
    mask[:, 2:4] = IGNORED
    wild = logits.clone()
    wild[:, :, 2:4] = 1e4 * torch.randn(wild[:, :, 2:4].shape, generator=torch.Generator().manual_seed(3))
    wild.requires_grad_()
    kept = [0, 1, 4, 5]
    # the same as images from which those rows were cut
    cut = logits[:, :, kept].clone().requires_grad_()
    loss, expected = segmentation_loss(wild, mask, settings), segmentation_loss(cut, mask[:, kept], settings)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    gradient, wanted = torch.autograd.grad(loss, wild)[0], torch.autograd.grad(expected, cut)[0]
    assert gradient[:, :, 2:4].abs().max() == 0
    assert torch.allclose(gradient[:, :, kept], wanted, atol=1e-8)


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("settings", ALL)
def test_all_ignored_is_zero_with_a_zero_gradient(labels: int, settings: LossSettings) -> None:
    logits, mask = drawn(labels)
    logits.requires_grad_()
    loss = segmentation_loss(logits, torch.full_like(mask, IGNORED), settings)
    assert loss.item() == 0
    assert torch.equal(torch.autograd.grad(loss, logits)[0], torch.zeros_like(logits))


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("settings", ALL)
def test_a_volume_is_scored_as_the_image_of_all_its_slices(labels: int, settings: LossSettings) -> None:
    logits, mask = drawn(labels, size=VOLUME)
    mask[:, 1, 2:4] = IGNORED
    mine, flat = logits.clone().requires_grad_(), logits.flatten(2, 3).requires_grad_()
    loss, expected = (
        segmentation_loss(mine, mask, settings),
        segmentation_loss(flat, mask.flatten(1, 2), settings),
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    gradient, wanted = torch.autograd.grad(loss, mine)[0], torch.autograd.grad(expected, flat)[0]
    assert torch.allclose(gradient.flatten(2, 3), wanted, atol=1e-8)
    assert gradient[:, :, 1, 2:4].abs().max() == 0


def test_no_weights_no_loss() -> None:
    logits, mask = drawn(1)
    assert segmentation_loss(logits, mask, LossSettings(cross_entropy=0, dice=0)).item() == 0


def test_half_precision_logits_are_summed_in_float32() -> None:
    # 1024² pixels: bfloat16 sums would stop growing at a few hundred
    mask = torch.zeros(1, 1024, 1024, dtype=torch.uint8)
    mask[:, :512] = 1
    logits = torch.where(mask[:, None] == 1, 2.0, -2.0).bfloat16()
    loss = segmentation_loss(logits, mask, BOTH)
    entropy = math.log1p(math.exp(-2))
    p = 1 / (1 + math.exp(-2))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(entropy + 1 - p, rel=1e-4)


@given(st.integers(0, 1000), st.sampled_from([1, 2, 4]), st.booleans())
def test_ranges_and_the_order_of_images(seed: int, labels: int, per_image: bool) -> None:
    logits, mask = drawn(labels, seed=seed)
    mask[:, 0] = IGNORED
    scored = mask != IGNORED
    dice = soft_dice(logits, mask, scored, per_image=per_image, absent=True)
    entropy = cross_entropy(logits, mask, scored)
    assert 0 < dice < 1
    assert entropy > 0
    order = [2, 0, 1]
    turned = soft_dice(logits[order], mask[order], scored[order], per_image=per_image, absent=True)
    assert turned.item() == pytest.approx(dice.item(), rel=1e-5)
    assert cross_entropy(logits[order], mask[order], scored[order]).item() == pytest.approx(
        entropy.item(), rel=1e-5
    )
