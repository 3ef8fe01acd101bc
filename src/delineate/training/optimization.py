"""The optimizers and their learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from delineate.networks.unet import UNet
from delineate.plan import TrainingPlan

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made nearly orthogonal, for convolutions taken as matrices (output, the rest).

    The step has a root mean square of 0.2 of the learning rate, so that AdamW's rates and decays carry over.

    Args:
        convolutions: Weights of two and more dimensions.
        others: Biases, normalizations and the head: AdamW at `adam_share` of the rate, without decay.
        learning_rate: Of the convolutions.
        weight_decay: Of the convolutions, times the learning rate a step.
        momentum: In [0, 1).
        adam_share: AdamW's learning rate in shares of the convolutions'.
        encoder: Parameters of a pretrained encoder: AdamW at `encoder_share` of the rate, without decay.
        encoder_share: Above 0.

    Source:
        Jordan et al.: Muon, 2024; its scale from Liu et al.: Muon is scalable for LLM training, 2025.
    """

    def __init__(
        self,
        convolutions: list[nn.Parameter],
        others: list[nn.Parameter],
        learning_rate: float,
        weight_decay: float,
        momentum: float = 0.95,
        *,
        adam_share: float = 0.5,
        encoder: Sequence[nn.Parameter] = (),
        encoder_share: float = 1.0,
    ) -> None:
        groups = [
            {"params": convolutions, "orthogonal": True, "share": 1.0},
            {"params": others, "orthogonal": False, "share": adam_share},
            {"params": list(encoder), "orthogonal": False, "share": encoder_share},
        ]
        defaults = {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002  closures have no use here
        """Take one step along the gradients."""
        for group in self.param_groups:
            learning = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["orthogonal"]:
                self._orthogonal_step(learning, group["lr"], group["weight_decay"], group["momentum"])
            elif learning:
                self._adam_step(learning, group["lr"] * group["share"])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch does, but moments lie as their parameters do, and counts where reading them is quick."""
        super().load_state_dict(state_dict)
        for parameter, moments in self.state.items():
            if "count" in moments:
                moments["count"] = moments["count"].cpu()
                moments["mean"] = _laid_as(parameter, moments["mean"])
                moments["square"] = _laid_as(parameter, moments["square"])

    def _orthogonal_step(
        self, parameters: list[nn.Parameter], learning_rate: float, weight_decay: float, momentum: float
    ) -> None:
        ahead = []
        for parameter in parameters:
            state, gradient = self.state[parameter], _given(parameter.grad)
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            mean = state["momentum"].lerp_(gradient, 1 - momentum)
            ahead.append(gradient.lerp(mean, momentum).flatten(1))
        for parameter, direction in zip(parameters, orthogonalize(ahead), strict=True):
            scale = 0.2 * math.sqrt(max(direction.shape))
            parameter.mul_(1 - learning_rate * weight_decay)
            parameter.add_(direction.view(parameter.shape), alpha=-learning_rate * scale)

    def _adam_step(self, parameters: list[nn.Parameter], learning_rate: float) -> None:
        states = [self.state[parameter] for parameter in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["count"] = torch.zeros(())
                state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        on_processor = all(parameter.device.type == "cpu" for parameter in parameters)
        adamw(
            cast(list[Tensor], parameters),
            [_laid_as(parameter, _given(parameter.grad)) for parameter in parameters],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["count"] for state in states],
            foreach=not on_processor,
            fused=on_processor,  # elsewhere it would want the counts on the device
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


def orthogonalize(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Of each matrix the nearest one with singular values about one (0.7 to 1.2).

    Each iteration multiplies the matrix X by a polynomial of its Gram matrix X Xᵀ, and the next Gram matrix
    is this one times the polynomial's square. So the iterations run on the small square Gram matrix, and X
    is multiplied once, by the product of the polynomials. Gram matrices of one size are iterated together.

    Args:
        matrices: Each `(rows, columns)` float32.

    Returns:
        As many of the same shapes and type.

    Source:
        Jordan et al. 2024: a quintic Newton-Schulz iteration.
    """
    wide = [matrix.T if matrix.shape[0] > matrix.shape[1] else matrix for matrix in matrices]
    wide = [x / (x.norm() + 1e-7) for x in wide]
    found: list[Tensor] = list(matrices)
    for side in sorted({len(x) for x in wide}):
        members = [at for at, x in enumerate(wide) if len(x) == side]
        products = _newton_schulz(torch.stack([wide[at] @ wide[at].T for at in members]))
        for at, product in zip(members, products, strict=True):
            x = product @ wide[at]
            found[at] = x if x.shape == matrices[at].shape else x.T
    return found


def _newton_schulz(gram: Tensor) -> Tensor:
    """What matrices with these Gram matrices `(N, side, side)` are to be multiplied by, of the same shape."""
    a, b, c = NEWTON_SCHULZ

    def polynomial_of(gram: Tensor) -> Tensor:
        found = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        found.diagonal(dim1=1, dim2=2).add_(a)
        return found

    polynomial = product = polynomial_of(gram)
    for _ in range(NEWTON_SCHULZ_STEPS - 1):
        gram = polynomial @ (polynomial @ gram)
        polynomial = polynomial_of(gram)
        product = polynomial @ product
    return product


def build_optimizer(network: UNet, training: TrainingPlan) -> torch.optim.Optimizer:
    """The plan's optimizer for a network."""
    if training.optimizer == "adam":  # with Keras's epsilon
        return torch.optim.Adam(network.parameters(), lr=training.learning_rate, eps=1e-7, fused=True)
    encoder_rate = training.encoder_learning_rate
    encoder = [] if encoder_rate is None else list(network.encoder.parameters())
    apart = {id(parameter) for parameter in (*network.head.parameters(), *encoder)}
    filters = [p for p in network.parameters() if p.ndim > 1 and id(p) not in apart]
    chosen = {id(p) for p in (*filters, *encoder)}
    others = [p for p in network.parameters() if id(p) not in chosen]
    return Muon(
        filters,
        others,
        training.learning_rate,
        training.weight_decay,
        adam_share=training.adam_share,
        encoder=encoder,
        encoder_share=(encoder_rate or 0.0) / training.learning_rate,
    )


def learning_rate_at(step: float, steps: int, training: TrainingPlan) -> float:
    """The learning rate of a step.

    Args:
        step: From 0; between two where the training was adjusted, see `training.schedule`.
        steps: Of the whole run.
        training: The schedule.

    Returns:
        At most `training.learning_rate`, above 0.

    Source:
        Smith, Topin: Super-convergence, 2017 (one-cycle), with a cosine on the way down.
    """
    if training.schedule == "constant":
        return training.learning_rate
    warmup = max(1, round(training.warmup * steps))
    if step < warmup:
        return training.learning_rate * min(step + 1, warmup) / warmup
    way = (step - warmup) / max(1, steps - warmup)
    return training.learning_rate * max(1e-4, 0.5 * (1 + math.cos(math.pi * way)))


def _laid_as(parameter: Tensor, values: Tensor) -> Tensor:
    """Values in the parameter's order in memory, which torch's fused kernel takes for granted."""
    return values if values.stride() == parameter.stride() else torch.empty_like(parameter).copy_(values)


def _given(gradient: Tensor | None) -> Tensor:
    if gradient is None:
        raise ValueError("a parameter without a gradient takes no step")
    return gradient
