"""Order and seeds as functions of their place."""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from delineate.training.randomness import BATCH, ORDER, generator_at, indices_at


@given(st.integers(0, 2**31 - 1), st.integers(1, 12), st.integers(1, 17))
def test_each_case_comes_once_an_epoch(seed: int, batch_size: int, cases: int) -> None:
    steps = 4 * cases  # at least four epochs of any batch size
    order = [index for step in range(steps) for index in indices_at(seed, step, batch_size, cases)]
    assert len(order) == steps * batch_size
    for start in range(0, len(order) - cases + 1, cases):
        assert sorted(order[start : start + cases]) == list(range(cases))


@given(st.integers(0, 2**31 - 1), st.integers(0, 10**7), st.integers(1, 40), st.integers(1, 30))
def test_a_step_does_not_depend_on_what_was_asked_before(
    seed: int, step: int, batch_size: int, cases: int
) -> None:
    first = indices_at(seed, step, batch_size, cases)
    torch.rand(3)
    indices_at(seed + 1, step + 1, batch_size, cases)
    assert indices_at(seed, step, batch_size, cases) == first
    assert len(first) == batch_size
    # a batch larger than the data holds every case as often as every other, give or take one
    counts = Counter(first)
    assert max(counts.values()) - min(counts[case] for case in range(cases)) <= 2


def test_a_batch_of_two_halves_is_their_sum() -> None:
    whole = [index for step in range(6) for index in indices_at(3, step, 10, 7)]
    halves = [index for step in range(12) for index in indices_at(3, step, 5, 7)]
    assert whole == halves


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    epochs = [tuple(indices_at(0, epoch, 20, 20)) for epoch in range(5)]
    assert len(set(epochs)) == 5
    assert len({tuple(indices_at(seed, 0, 20, 20)) for seed in range(5)}) == 5
    # over many seeds every case comes first about as often
    firsts = Counter(indices_at(seed, 0, 1, 4)[0] for seed in range(400))
    assert sorted(firsts) == [0, 1, 2, 3]
    assert all(70 <= count <= 130 for count in firsts.values())


def test_generators_differ_by_each_argument_and_by_nothing_else() -> None:
    def first(seed: int, purpose: int, position: int) -> float:
        return float(torch.rand((), generator=generator_at(seed, purpose, position), dtype=torch.float64))

    places = [
        (0, ORDER, 0),
        (0, BATCH, 0),
        (0, BATCH, 1),
        (1, BATCH, 0),
        (1, ORDER, 0),
        (2**31 - 1, BATCH, 10**7),
    ]
    values = [first(*place) for place in places]
    assert len(set(values)) == len(values)
    torch.manual_seed(7)
    assert [first(*place) for place in places] == values
    # the first epoch's order is what this generator shuffles
    assert torch.randperm(8, generator=generator_at(0, ORDER, 0)).tolist() == indices_at(0, 0, 8, 8)
