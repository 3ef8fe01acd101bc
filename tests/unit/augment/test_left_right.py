"""Labels of mirrored images: only the declared ones change, and only where mirrored."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from delineate.augment.left_right import LeftRight, swap_labels

PAIRS = st.lists(st.integers(1, 254), unique=True, max_size=20).map(
    lambda values: list(zip(values[::2], values[1::2], strict=False))
)


def test_pairs_are_exchanged_in_the_mirrored_masks_alone() -> None:
    masks = torch.tensor([[[0, 1, 2], [3, 4, 255]]], dtype=torch.uint8).repeat(2, 1, 1)
    before = masks.clone()
    swapped = swap_labels(masks, torch.tensor([False, True]), [(1, 4), (2, 3)])
    assert torch.equal(swapped[0], before[0])
    assert swapped[1].tolist() == [[0, 4, 3], [2, 1, 255]]
    assert torch.equal(masks, before)


@given(PAIRS, st.lists(st.booleans(), min_size=1, max_size=4), st.integers(0, 100))
def test_twice_is_as_it_was_and_once_is_the_pairs_partner(
    pairs: list[tuple[int, int]], mirrored: list[bool], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randint(0, 256, (len(mirrored), 3, 4, 5), dtype=torch.uint8, generator=generator)
    which = torch.tensor(mirrored)
    once = swap_labels(masks, which, pairs)
    partner = {value: value for value in range(256)} | dict(pairs) | {b: a for a, b in pairs}
    for mask, found, is_mirrored in zip(masks, once, mirrored, strict=True):
        expected = [partner[v] if is_mirrored else v for v in mask.flatten().tolist()]
        assert found.flatten().tolist() == expected
    assert torch.equal(swap_labels(once, which, pairs), masks)


@pytest.mark.parametrize(
    ("axis", "pairs", "message"),
    [
        (3, ((1, 2),), "axis must be 0, 1 or 2, not 3"),
        (-1, (), "axis must be 0, 1 or 2"),
        (0, ((0, 2),), "from 1 to 254"),
        (0, ((1, 255),), "from 1 to 254"),
        (2, ((1, 2), (2, 3)), "in one pair only"),
        (2, ((4, 4),), "in one pair only"),
    ],
)
def test_refuses_what_has_no_sides(axis: int, pairs: tuple[tuple[int, int], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LeftRight(axis, pairs)
