"""The optimizers and their learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

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
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if group["orthogonal"]:
                    self._orthogonal_step(parameter, group["lr"], group["weight_decay"], group["momentum"])
                else:
                    self._adam_step(parameter, group["lr"] * group["share"])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch does, but for the counts of steps, which stay where reading them makes no device wait."""
        super().load_state_dict(state_dict)
        for moments in self.state.values():
            if "count" in moments:
                moments["count"] = moments["count"].cpu()

    def _orthogonal_step(
        self, parameter: Tensor, learning_rate: float, weight_decay: float, momentum: float
    ) -> None:
        state, gradient = self.state[parameter], _given(parameter.grad)
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        mean = state["momentum"].lerp_(gradient, 1 - momentum)
        matrix = gradient.lerp(mean, momentum).flatten(1)
        direction = orthogonalize(matrix) * (0.2 * math.sqrt(max(matrix.shape)))
        parameter.mul_(1 - learning_rate * weight_decay)
        parameter.add_(direction.view(parameter.shape), alpha=-learning_rate)

    def _adam_step(
        self, parameter: Tensor, learning_rate: float, beta1: float = 0.9, beta2: float = 0.999
    ) -> None:
        state, gradient = self.state[parameter], _given(parameter.grad)
        if not state:
            state["count"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["count"] += 1
        count = int(state["count"])
        mean = state["mean"].lerp_(gradient, 1 - beta1) / (1 - beta1**count)
        square = state["square"].lerp_(gradient.square(), 1 - beta2) / (1 - beta2**count)
        parameter.sub_(mean / (square.sqrt() + 1e-8), alpha=learning_rate)


def orthogonalize(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values about one (0.7 to 1.2).

    Each iteration multiplies the matrix X by a polynomial of its Gram matrix X Xᵀ, and the next Gram matrix
    is this one times the polynomial's square. So the iterations run on the small square Gram matrix, and X
    is multiplied once, by the product of the polynomials.

    Args:
        matrix: `(rows, columns)` float32.

    Returns:
        Of the same shape and type.

    Source:
        Jordan et al. 2024: a quintic Newton-Schulz iteration.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    product = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for _ in range(NEWTON_SCHULZ_STEPS):
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal().add_(a)
        gram = polynomial @ (polynomial @ gram)
        product = polynomial @ product
    found: Tensor = product @ x
    return found.T if tall else found


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


def _given(gradient: Tensor | None) -> Tensor:
    if gradient is None:
        raise ValueError("a parameter without a gradient takes no step")
    return gradient
