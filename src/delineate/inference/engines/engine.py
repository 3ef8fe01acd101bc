"""What every engine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

EngineName = Literal["torch", "onnxruntime", "openvino"]
Precision = Literal["fp32", "bf16", "int8"]


class Engine(Protocol):
    """A trained net, or an ensemble of them, ready to compute.

    Attributes:
        name: Of the program that computes.
        precision: Of its arithmetic.
        device: Where it wants its batches.
        members: Nets whose probabilities it averages.
    """

    @property
    def name(self) -> EngineName: ...  # noqa: D102  told above

    @property
    def precision(self) -> Precision: ...  # noqa: D102

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    @property
    def members(self) -> int: ...  # noqa: D102

    def __call__(self, batch: Tensor) -> Tensor:
        """The probabilities of normalized images.

        Args:
            batch: `(N, C, …)` float32 on `device`; of the plan's `window`.

        Returns:
            `(N, K, …)` float32 in [0, 1]: the foreground's, K = 1, for one label; else the background's and
            each label's.
        """
        ...
