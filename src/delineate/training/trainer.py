"""A network with its optimizer, ready to take steps."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor

from delineate.choices import FloatPrecision
from delineate.image import IGNORED
from delineate.inference.hardware import computing_device, has_fast_bf16
from delineate.inference.windows import predict_windows, slabs_of_windows
from delineate.losses.segmentation import segmentation_loss
from delineate.networks.unet import UNet
from delineate.plan import Plan
from delineate.training.batches import Batch, batch_at
from delineate.training.cache import CachedCase
from delineate.training.drawing import having
from delineate.training.history import HistoryRow
from delineate.training.memory import keep_freed_memory
from delineate.training.optimization import build_optimizer, learning_rate_at
from delineate.training.reports import STEPS_AHEAD, Reports, dice_of, overlap_counts
from delineate.training.schedule import Schedule

LAST_STEPS = 100  # whose Dice sets the threshold


@dataclass
class State:
    """Everything that changes while training, in one place.

    Losses and dices (of batches with a label, or one found) are those since the last row of the history,
    pixels those of the last `LAST_STEPS` steps as their reports have them.
    """

    network: UNet
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    history: list[HistoryRow] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    dices: list[float] = field(default_factory=list)
    pixels: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=LAST_STEPS))

    @property
    def dice(self) -> float | None:
        """Over all pixels of the last `LAST_STEPS` batches, in [0, 1]; None where none had a label."""
        together = sum(each for each, _ in self.pixels)
        return 2 * sum(both for _, both in self.pixels) / together if together else None


def precision_for(plan: Plan) -> FloatPrecision:
    """The precision that the plan means on this machine."""
    if plan.training.precision == "auto":
        return "bf16" if has_fast_bf16() else "fp32"
    return plan.training.precision


class Trainer:
    """A network with its optimizer on a device, ready to take steps.

    Args:
        plan: With its number of steps settled.
        cases: The training cases.
        start: Weights to start from; None for those that the seed gives.
    """

    def __init__(
        self,
        plan: Plan,
        cases: Sequence[CachedCase],
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        if plan.training.steps is None:
            raise ValueError("the plan's steps are not settled; see training.speed.measure_steps")
        self.plan, self.cases, self._having = plan, cases, having(cases)
        self.schedule = Schedule(plan.training.steps, plan.training.adjusted)
        self.precision = precision_for(plan)
        keep_freed_memory()
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        device = computing_device()
        self._fabric = Fabric(
            accelerator=device,
            devices=1 if device == "cpu" else [torch.cuda.current_device()],  # what prediction takes, too
            precision="bf16-mixed" if self.precision == "bf16" else "32-true",
            plugins=LightningEnvironment(),  # one process, also in a job of SLURM with tasks
        )
        torch.manual_seed(plan.training.seed)
        network = UNet(plan.network)
        if start is not None:
            network.load_state_dict(start)
        self._layout = network.memory_format
        network = network.to(memory_format=self._layout)  # type: ignore[call-overload]  # torch's stubs miss this form
        optimizer = build_optimizer(network, plan.training)
        wrapped, self._optimizer = self._fabric.setup(network, optimizer)
        self._wrapped = wrapped
        self.state = State(network, optimizer)
        self.reports = Reports(STEPS_AHEAD if self._fabric.device.type == "cuda" else 0)

    @property
    def steps(self) -> int:
        """How many steps are taken in all."""
        return self.schedule.last_step

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        return learning_rate_at(self.schedule.position(step), self.schedule.steps, self.plan.training)

    def adjust(self, steps: int) -> None:
        """From here on take so many steps in all; the plan says so, too."""
        self.plan = self.plan.with_adjusted((*self.plan.training.adjusted, (self.state.step, steps)))
        self.schedule = Schedule(self.schedule.steps, self.plan.training.adjusted)

    def batch(self) -> Batch:
        """The batch of the next step."""
        return batch_at(self.state.step, self.cases, self.plan, self._fabric.device, self._having)

    def take_step(self) -> None:
        """Learn from the next batch, and note the loss and the Dice of each step whose report has come.

        Raises:
            TrainingError: A loss or its gradient is not a number; step and cases are named. Where reports are
                read at once, the weights are not touched.
        """
        state = self.state
        batch = self.batch()
        images = batch.images.contiguous(memory_format=self._layout)
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate(state.step)
        logits = cast(Tensor, self._wrapped(images))
        loss = segmentation_loss(logits, batch.masks, self.plan.loss)
        self._optimizer.zero_grad(set_to_none=True)
        self._fabric.backward(loss)
        counts = overlap_counts(logits.detach(), batch.masks)
        self.reports.add(state.step + 1, batch.names, loss.detach(), _is_finite(state.network), counts)
        self._read()
        self._optimizer.step()
        state.step += 1

    def settle(self) -> None:
        """Note what all steps taken report.

        Raises:
            TrainingError: As `take_step`.
        """
        self._read(all_of_them=True)

    def _read(self, *, all_of_them: bool = False) -> None:
        for report in self.reports.read(all_of_them=all_of_them):
            self.state.losses.append(report.loss)
            if report.dice is not None:
                self.state.dices.append(report.dice)
            self.state.pixels.append(report.pixels)

    def validation_dice(self, cases: Sequence[CachedCase]) -> float | None:
        """Mean Dice at the working size, unmirrored, decided at 0.5; None where no case has a label."""
        network = self.state.network.eval()

        def predictor(batch: Tensor) -> Tensor:
            with self._fabric.autocast():
                logits: Tensor = network(batch.contiguous(memory_format=self._layout))
            return logits.float()

        scores = []
        with torch.inference_mode():
            for case in cases:
                image, counts = case.normalized().to(self._fabric.device), None
                mask, begin = case.mask.to(image.device), 0
                for logits in self._slabs(predictor, image):  # never the logits of a whole volume at once
                    part = mask[begin : begin + logits.shape[1]] if mask.ndim == 3 else mask
                    found = overlap_counts(logits[None], part[None])
                    counts = found if counts is None else counts + found
                    begin += logits.shape[1]
                dice = dice_of(counts) if counts is not None else None
                if dice is not None and bool(((case.mask != 0) & (case.mask != IGNORED)).any()):
                    scores.append(dice)
        network.train()
        return sum(scores) / len(scores) if scores else None

    def _slabs(self, predictor: Callable[[Tensor], Tensor], image: Tensor) -> Iterator[Tensor]:
        """Logits `(K, d, H, W)` of a volume, first slices first, or `(K, H, W)` of a picture."""
        size, overlap = self.plan.window, self.plan.prediction.overlap
        if self.plan.preprocessing.mode == "whole":
            yield predictor(image[None])[0]
        elif len(size) == 3:
            yield from slabs_of_windows(predictor, image, size, overlap)
        else:
            yield predict_windows(predictor, image, size, overlap)


def _is_finite(network: UNet) -> Tensor:
    """Whether gradients, with their squares as optimizers take them, and running statistics are numbers."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    return torch.stack([tensor.norm() for tensor in gradients + statistics]).isfinite().all()
