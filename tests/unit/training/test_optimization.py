"""Optimizers beside torch's and a step by hand; the schedule's values."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from delineate.networks.unet import UNet
from delineate.plan import Plan, TrainingPlan
from delineate.training.optimization import Muon, build_optimizer, learning_rate_at
from delineate.training.optimization import orthogonalize as orthogonalize_all

PlanMaker = Callable[..., Plan]
SHAPES = [(1, 9), (4, 36), (36, 4), (16, 16), (64, 576), (128, 3), (3, 128), (5, 1)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def orthogonalize(matrix: Tensor) -> Tensor:
    (found,) = orthogonalize_all([matrix])
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_singular_values_become_about_one(shape: tuple[int, int], scale: float) -> None:
    # well conditioned: singular values from 1 to 1/3
    short = min(shape)
    left, _ = torch.linalg.qr(noise(shape[0], short))
    right, _ = torch.linalg.qr(noise(shape[1], short, seed=1))
    matrix = scale * left @ torch.linspace(1, 1 / 3, short).diag() @ right.T
    found = orthogonalize(matrix)
    assert found.dtype == torch.float32
    values = torch.linalg.svdvals(found)
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3
    # the nearest such matrix has the same singular vectors
    alike = (left.T @ found @ right).diag()
    assert float(alike.min()) > 0.6


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 1000))
@settings(max_examples=30)
def test_no_direction_is_blown_up_or_turned(rows: int, columns: int, seed: int) -> None:
    matrix = noise(rows, columns, seed=seed)
    found = orthogonalize(matrix)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    assert float(torch.linalg.svdvals(found).max()) < 1.3
    strong = values > values.max() / 20  # five iterations lift what is not all but lost
    kept = (left.T @ found @ right.T).diag()[strong]
    assert float(kept.min()) > 0.6
    assert torch.allclose(orthogonalize(matrix.T), found.T, atol=0.05)


@pytest.mark.parametrize("shape", [(3, 40), (128, 1152), (512, 600)])
@pytest.mark.parametrize("rank", [1, 2, 17])
def test_directions_that_are_lost_to_rounding_are_not_blown_up(shape: tuple[int, int], rank: int) -> None:
    matrix = noise(shape[0], rank) @ noise(rank, shape[1], seed=1) * 1e-3
    values = torch.linalg.svdvals(orthogonalize(matrix))
    assert float(values.max()) < 1.3
    assert int((values > 0.6).sum()) == min(rank, *shape)
    assert int((values > 0.3).sum()) == min(rank, *shape)


def test_the_iteration_is_that_of_the_source() -> None:
    """One matrix multiplied step by step, in float64."""
    matrix = noise(20, 90)
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    assert torch.allclose(orthogonalize(matrix).double(), x, atol=1e-5)


def test_matrices_together_become_what_each_becomes_alone() -> None:
    shapes = [(16, 90), (90, 16), (16, 16), (1, 9), (5, 40), (16, 33)]
    matrices = [10.0**at * noise(*shape, seed=at) for at, shape in enumerate(shapes)]
    together = orthogonalize_all(matrices)
    assert [tuple(each.shape) for each in together] == shapes
    for matrix, found in zip(matrices, together, strict=True):
        assert torch.allclose(found, orthogonalize(matrix), atol=1e-5)
    assert orthogonalize_all([]) == []


def test_gradients_in_another_order_in_memory_give_the_same_step() -> None:
    weights = noise(4, 3, 3, 3)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        parameter = nn.Parameter(weights.clone(memory_format=torch.channels_last))
        optimizer = Muon([], [parameter], learning_rate=0.1, weight_decay=0.0)
        parameter.grad = noise(4, 3, 3, 3, seed=1).contiguous(memory_format=layout)
        optimizer.step()
        results.append(parameter.detach().clone())
    assert torch.equal(*results)
    assert not torch.equal(results[0], weights)


def test_moments_that_were_stored_in_another_order_in_memory_go_on_alike() -> None:
    """As those of a ResNet encoder, whose weights lie channels last and whose checkpoint does not."""

    def steps(optimizer: Muon, parameter: nn.Parameter, seeds: tuple[int, ...]) -> None:
        for seed in seeds:
            parameter.grad = torch.empty_like(parameter).copy_(noise(4, 3, 3, 3, seed=seed))
            optimizer.step()

    def begun() -> tuple[Muon, nn.Parameter]:
        parameter = nn.Parameter(noise(4, 3, 3, 3).contiguous(memory_format=torch.channels_last))
        return Muon([], [], 0.1, 0.0, encoder=[parameter]), parameter

    whole, expected = begun()
    steps(whole, expected, (1, 2, 3, 4))
    first, parameter = begun()
    steps(first, parameter, (1, 2))
    stored = copy.deepcopy(first.state_dict())
    for moments in stored["state"].values():
        moments |= {name: each.contiguous() for name, each in moments.items()}
    second, found = begun()
    with torch.no_grad():
        found.copy_(parameter)
    second.load_state_dict(stored)
    steps(second, found, (3, 4))
    assert torch.equal(found, expected)


def test_orthogonalize_of_nothing_is_nothing() -> None:
    assert torch.equal(orthogonalize(torch.zeros(3, 5)), torch.zeros(3, 5))


def test_two_muon_steps_by_hand() -> None:
    weight = nn.Parameter(noise(4, 2, 3, 3))
    optimizer = Muon([weight], [], learning_rate=0.1, weight_decay=0.5, momentum=0.9)
    expected, mean = weight.detach().clone(), torch.zeros(4, 18)
    for step in range(2):
        gradient = noise(4, 2, 3, 3, seed=step + 1)
        weight.grad = gradient.clone()
        optimizer.step()
        mean = 0.9 * mean + 0.1 * gradient.view(4, 18)
        ahead = 0.1 * gradient.view(4, 18) + 0.9 * mean  # Nesterov's
        u, _, v = torch.linalg.svd(ahead, full_matrices=False)
        before = expected.clone()
        expected = 0.95 * expected - 0.1 * 0.2 * math.sqrt(18) * orthogonalize(ahead).view(4, 2, 3, 3)
        assert torch.allclose(weight, expected, atol=1e-6)
        assert torch.equal(weight.grad, gradient)
        # along the true polar factor, with a root mean square near 0.2 of the rate
        change = ((weight.detach() - 0.95 * before) / -0.1).view(4, 18)
        assert float(torch.cosine_similarity(change.flatten(), (u @ v).flatten(), dim=0)) > 0.95
        assert float(change.square().mean().sqrt()) == pytest.approx(0.2, rel=0.2)


def test_muon_decays_the_convolutions_alone() -> None:
    filters, bias = nn.Parameter(noise(3, 2, 3, 3)), nn.Parameter(noise(3))
    before = filters.detach().clone(), bias.detach().clone()
    optimizer = Muon([filters], [bias], learning_rate=0.1, weight_decay=0.2)
    filters.grad, bias.grad = torch.zeros_like(filters), torch.zeros_like(bias)
    for _ in range(3):
        optimizer.step()
    assert torch.allclose(filters, before[0] * 0.98**3)
    assert torch.equal(bias, before[1])


def test_the_other_parameters_take_adamws_steps() -> None:
    mine, theirs = (nn.ParameterList([noise(5), noise(2, 3, 1, 1, seed=1)]) for _ in range(2))
    optimizer = Muon([], list(mine), learning_rate=0.02, weight_decay=0.3)
    peer = torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.0)
    for step in range(6):
        for one, other in zip(mine, theirs, strict=True):
            one.grad = noise(*one.shape, seed=10 + step) * 10.0 ** (step - 3)
            other.grad = one.grad.clone()
        optimizer.step()
        peer.step()
        for one, other in zip(mine, theirs, strict=True):
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)


def test_the_plan_says_how_fast_they_learn(tiny_plan: PlanMaker) -> None:
    torch.manual_seed(2)
    networks = [UNet(tiny_plan().network) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    before = {name: tensor.clone() for name, tensor in networks[0].state_dict().items()}
    for network, share in zip(networks, (0.5, 2.0), strict=True):
        optimizer = build_optimizer(network, tiny_plan(training={"adam_share": share}).training)
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    once, fourfold = (network.state_dict() for network in networks)
    steps = [state["head.weight"] - before["head.weight"] for state in (once, fourfold)]
    assert torch.allclose(4 * steps[0], steps[1], atol=1e-6)
    assert torch.equal(once["encoders.0.convolutions.0.weight"], fourfold["encoders.0.convolutions.0.weight"])


def test_a_parameter_without_a_gradient_stays() -> None:
    weight = nn.Parameter(noise(3, 4))
    before = weight.detach().clone()
    Muon([weight], [], learning_rate=0.1, weight_decay=0.5).step()
    assert torch.equal(weight, before)


def test_the_head_and_all_vectors_go_to_adam(tiny_plan: PlanMaker) -> None:
    plan = tiny_plan(training={"weight_decay": 0.05})
    network = UNet(plan.network)
    optimizer = build_optimizer(network, plan.training)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    filters, others = ([names[id(p)] for p in group["params"]] for group in optimizer.param_groups)
    assert sorted(filters + others) == sorted(names.values())
    assert {"head.weight", "head.bias"} <= set(others)
    for name, parameter in network.named_parameters():
        assert (name in filters) == (parameter.ndim == 4 and not name.startswith("head")), name
    assert [group["lr"] for group in optimizer.param_groups] == [5e-3, 5e-3]
    assert optimizer.param_groups[0]["weight_decay"] == 0.05


def test_an_encoder_of_its_own_rate_takes_adamws_steps(tiny_plan: PlanMaker) -> None:
    plan = tiny_plan(
        network={"encoder": "resnet18", "widths": [2, 2, 2, 2, 2]},
        preprocessing={"size": [32, 32]},
        training={"encoder_learning_rate": 1e-4},
    )
    networks = [UNet(plan.network) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    mine, theirs = (dict(network.encoder.named_parameters()) for network in networks)
    optimizer = build_optimizer(networks[0], plan.training)
    peer = torch.optim.AdamW(theirs.values(), lr=1e-4, weight_decay=0.0)
    for step in range(2):
        for number, (name, parameter) in enumerate(mine.items()):
            parameter.grad = noise(*parameter.shape, seed=100 * step + number)
            theirs[name].grad = parameter.grad.clone()
        optimizer.step()
        peer.step()
    for name, parameter in mine.items():
        assert torch.allclose(parameter, theirs[name], rtol=1e-5, atol=1e-7), name
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in networks[0].parameters())
    alike = build_optimizer(networks[0], plan.training.model_copy(update={"encoder_learning_rate": None}))
    filters = {id(p) for p in alike.param_groups[0]["params"]}
    assert {id(p) for p in mine.values() if p.ndim > 1} <= filters


def test_adam_has_kerass_numbers(tiny_plan: PlanMaker) -> None:
    plan = tiny_plan(training={"optimizer": "adam", "learning_rate": 1e-3})
    network = UNet(plan.network)
    optimizer = build_optimizer(network, plan.training)
    assert type(optimizer) is torch.optim.Adam
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (1e-3, (0.9, 0.999), 1e-7, 0)
    assert sum(p.numel() for p in group["params"]) == sum(p.numel() for p in network.parameters())


def training(**changes: object) -> TrainingPlan:
    return TrainingPlan.model_validate({"steps": 1, "batch_size": 1, "learning_rate": 0.4} | changes)


def test_one_cycle_by_hand() -> None:
    # two steps up, then half a cosine over the eight that are left
    rates = [learning_rate_at(step, 10, training(warmup=0.2)) for step in range(10)]
    down = [0.2 * (1 + math.cos(math.pi * way / 8)) for way in range(8)]
    assert rates == pytest.approx([0.2, 0.4, *down])
    assert down[0] == 0.4
    assert down[4] == pytest.approx(0.2)


def test_constant_is_constant() -> None:
    assert {learning_rate_at(step, 10, training(schedule="constant")) for step in range(10)} == {0.4}


@given(st.integers(1, 5000), st.floats(0, 0.9))
def test_rates_rise_then_fall_and_are_never_zero(steps: int, warmup: float) -> None:
    plan = training(warmup=warmup)
    rates = [learning_rate_at(step, steps, plan) for step in range(steps)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.4)
    assert min(rates) > 0
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a >= b for a, b in pairwise(rates[top:]))
    assert rates[max(1, round(warmup * steps)) - 1] == pytest.approx(0.4)
