"""The training loop. Read it from `fit` downwards."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Literal, Protocol, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from delineate.errors import Interrupted, TrainingError
from delineate.files import output_error
from delineate.image import IGNORED
from delineate.inference.hardware import has_fast_bf16
from delineate.inference.windows import predict_windows
from delineate.losses.segmentation import segmentation_loss
from delineate.networks.unet import UNet
from delineate.plan import Plan
from delineate.training.batches import Batch, batch_at
from delineate.training.cache import CachedCase
from delineate.training.checkpoint import NAME, load_checkpoint, save_checkpoint
from delineate.training.history import HistoryRow, write_history
from delineate.training.interruption import StopRequest, stop_requests
from delineate.training.memory import keep_freed_memory
from delineate.training.optimization import build_optimizer, learning_rate_at

CHECKPOINT_SECONDS = 60.0
WATCHED_CASES = 32
RECENT = 20  # steps that the progress shows the mean of


@dataclass(frozen=True)
class Progress:
    """Where the training stands, for whoever watches it.

    Attributes:
        step: Steps done.
        steps: Of the whole run.
        loss: Mean of the last steps.
        train_dice: Likewise, over the batches.
        validation_dice: The last looked at; None before the first, or without a validation part.
        images_per_second: Since the start.
        seconds_left: Expected.
    """

    step: int
    steps: int
    loss: float
    train_dice: float
    validation_dice: float | None
    images_per_second: float
    seconds_left: float


class Watcher(Protocol):
    """Whoever watches: a progress bar, a TensorBoard writer."""

    def __call__(self, progress: Progress, row: HistoryRow | None) -> None:
        """Be told after each step; `row` when the history has grown."""


@dataclass
class State:
    """Everything that changes while training, in one place; losses and dices are those since the last row."""

    network: UNet
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    history: list[HistoryRow] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    dices: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """What a finished training leaves.

    Attributes:
        weights: Of the model.
        history: The learning curves.
        seconds: Training time.
        precision: The net was trained in.
    """

    weights: dict[str, Tensor]
    history: tuple[HistoryRow, ...]
    seconds: float
    precision: Literal["bf16", "fp32"]


def precision_for(plan: Plan) -> Literal["bf16", "fp32"]:
    """The precision that the plan means on this machine."""
    if plan.training.precision == "auto":
        return "bf16" if has_fast_bf16() else "fp32"
    return plan.training.precision


class Trainer:
    """A network with its optimizer on a device, ready to take steps.

    Args:
        plan: With its number of steps settled, or the steps given here.
        cases: The training cases.
        steps: Length of the schedule.
    """

    def __init__(self, plan: Plan, cases: Sequence[CachedCase], steps: int) -> None:
        self.plan, self.cases, self.steps = plan, cases, steps
        self.precision = precision_for(plan)
        keep_freed_memory()
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self._fabric = Fabric(
            accelerator="auto",
            devices=1,
            precision="bf16-mixed" if self.precision == "bf16" else "32-true",
        )
        torch.manual_seed(plan.training.seed)
        network = UNet(plan.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs miss this form
        optimizer = build_optimizer(network, plan.training)
        wrapped, self._optimizer = self._fabric.setup(network, optimizer)
        self._wrapped = wrapped
        self.state = State(network, optimizer)

    def batch(self) -> Batch:
        """The batch of the next step."""
        return batch_at(self.state.step, self.cases, self.plan, self._fabric.device)

    def take_step(self) -> tuple[float, float]:
        """Learn from the next batch.

        Returns:
            The loss, and the Dice of the batch over foreground pixels.

        Raises:
            TrainingError: The loss or its gradient is not a number; step and cases are named, the weights
                not touched.
        """
        state, training = self.state, self.plan.training
        batch = self.batch()
        images = batch.images.contiguous(memory_format=torch.channels_last)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate_at(state.step, self.steps, training)
        logits = cast(Tensor, self._wrapped(images))
        loss = segmentation_loss(logits, batch.masks, self.plan.loss)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._nonsense(f"The loss is {value}", batch)
        self._optimizer.zero_grad(set_to_none=True)
        self._fabric.backward(loss)
        if not _is_finite(state.network):
            raise self._nonsense("The net's gradients or statistics overflow", batch)
        self._optimizer.step()
        state.step += 1
        return value, hard_dice(logits.detach(), batch.masks)

    def _nonsense(self, what: str, batch: Batch) -> TrainingError:
        return TrainingError(
            f"{what} at step {self.state.step + 1}, on the batch of {', '.join(batch.names)}. "
            "The last checkpoint is kept. Look at these images for extreme values, or lower "
            "training.learning_rate in a copy of plan.yaml and train with --plan."
        )

    def validation_dice(self, cases: Sequence[CachedCase]) -> float | None:
        """Mean Dice of the model-to-be at the working size; None where no case has a labelled pixel."""
        network = self.state.network.eval()

        def predictor(batch: Tensor) -> Tensor:
            with self._fabric.autocast():
                logits: Tensor = network(batch.contiguous(memory_format=torch.channels_last))
            return logits.float()

        scores = []
        with torch.inference_mode():
            for case in cases:
                image = case.normalized().to(self._fabric.device)
                if self.plan.preprocessing.mode == "whole":
                    logits = predictor(image[None])
                else:
                    size, overlap = self.plan.preprocessing.size, self.plan.prediction.overlap
                    logits = predict_windows(predictor, image, size, overlap)[None]
                if bool(((case.mask != 0) & (case.mask != IGNORED)).any()):
                    scores.append(hard_dice(logits, case.mask[None].to(logits.device)))
        network.train()
        return sum(scores) / len(scores) if scores else None


def _is_finite(network: UNet) -> bool:
    """Whether gradients, with their squares as optimizers take them, and running statistics are numbers."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    return bool(torch.stack([tensor.norm() for tensor in gradients + statistics]).isfinite().all())


def hard_dice(logits: Tensor, masks: Tensor) -> float:
    """Dice of decided pixels over the whole batch, mean over the labels that occur; 1 where none does.

    Args:
        logits: `(N, K, H, W)`.
        masks: `(N, H, W)` uint8.

    Returns:
        In [0, 1].
    """
    scored = masks != IGNORED
    found = (logits[:, 0] > 0).to(masks.dtype) if logits.shape[1] == 1 else logits.argmax(1).to(masks.dtype)
    labels = max(1, logits.shape[1] - 1)
    dice = []
    for value in range(1, labels + 1):
        reference, prediction = masks == value, (found == value) & scored
        total = int(reference.sum()) + int(prediction.sum())
        if total:
            dice.append(2 * int((reference & prediction).sum()) / total)
    return sum(dice) / len(dice) if dice else 1.0


def fit(
    plan: Plan,
    cases: Sequence[CachedCase],
    validation: Sequence[CachedCase],
    folder: Path,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train to the plan's last step.

    Args:
        plan: With its number of steps settled.
        cases: The training cases.
        validation: Looked at on the way, never learned from and never used to choose; may be empty.
        folder: The run's; `metrics.csv` and `checkpoints/` are written there.
        resume: Go on from the checkpoint if there is one.
        watcher: Told after each step, if any.
        clock: Seconds.

    Returns:
        The weights and the history.

    Raises:
        TrainingError: The loss is not a number.
        Interrupted: SIGINT or SIGTERM; a checkpoint is written.
        ModelFileError: The checkpoint cannot be used.
        OutputError: The folder cannot be written.
    """
    if plan.training.steps is None:
        raise ValueError("the plan's steps are not settled; see training.speed.measure_steps")
    trainer = Trainer(plan, cases, plan.training.steps)
    checkpoint = folder / "checkpoints" / NAME
    try:
        checkpoint.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise output_error(checkpoint.parent, error) from error
    if resume and checkpoint.exists():
        facts = load_checkpoint(checkpoint, trainer.state.network, trainer.state.optimizer, plan.sha256())
        trainer.state.step, trainer.state.seconds = facts["step"], facts["seconds"]
        trainer.state.history = [HistoryRow(**row) for row in facts["history"]]
        trainer.state.losses, trainer.state.dices = facts["losses"], facts["dices"]
    with stop_requests() as request:
        _run(trainer, _watched(validation), folder, request=request, watcher=watcher, clock=clock)
    state = trainer.state
    return Trained(
        {name: tensor.detach().clone() for name, tensor in state.network.state_dict().items()},
        tuple(state.history),
        state.seconds,
        trainer.precision,
    )


def _run(
    trainer: Trainer,
    validation: Sequence[CachedCase],
    folder: Path,
    *,
    request: StopRequest,
    watcher: Watcher | None,
    clock: Callable[[], float],
) -> None:
    state, training = trainer.state, trainer.plan.training
    looks = {round(trainer.steps * (i + 1) / training.evaluations) for i in range(training.evaluations)}
    before, start, first = state.seconds, clock(), state.step
    last_saved = start
    while state.step < trainer.steps:
        loss, dice = trainer.take_step()
        state.losses.append(loss)
        state.dices.append(dice)
        recent = fmean(state.losses[-RECENT:]), fmean(state.dices[-RECENT:])
        row = None
        if state.step in looks:
            row = HistoryRow(
                step=state.step,
                seconds=round(before + clock() - start, 3),
                learning_rate=learning_rate_at(state.step - 1, trainer.steps, training),
                train_loss=fmean(state.losses),
                train_dice=fmean(state.dices),
                validation_dice=trainer.validation_dice(validation),
            )
            state.history.append(row)
            state.losses, state.dices = [], []
            write_history(folder / "metrics.csv", state.history)
        now = clock()
        state.seconds = before + now - start
        rate = (state.step - first) / max(now - start, 1e-9)
        if watcher is not None:
            progress = Progress(
                step=state.step,
                steps=trainer.steps,
                loss=recent[0],
                train_dice=recent[1],
                validation_dice=state.history[-1].validation_dice if state.history else None,
                images_per_second=rate * training.batch_size,
                seconds_left=(trainer.steps - state.step) / rate,
            )
            watcher(progress, row)
        if request.signal_number is not None or now - last_saved >= CHECKPOINT_SECONDS:
            _save(trainer, folder)
            last_saved = clock()
        if request.signal_number is not None and state.step < trainer.steps:
            raise Interrupted(
                f"Stopped after step {state.step} of {trainer.steps}; everything so far is saved. "
                f"Go on with: delineate train --resume {folder}",
                request.signal_number,
            )
    _save(trainer, folder)


def _save(trainer: Trainer, folder: Path) -> None:
    state = trainer.state
    facts = {
        "plan_sha256": trainer.plan.sha256(),
        "step": state.step,
        "seconds": state.seconds,
        "history": [asdict(row) for row in state.history],
        "losses": state.losses,
        "dices": state.dices,
    }
    save_checkpoint(folder / "checkpoints" / NAME, state.network, state.optimizer, facts)


def _watched(validation: Sequence[CachedCase]) -> Sequence[CachedCase]:
    """At most `WATCHED_CASES` of the validation part, spread evenly."""
    if len(validation) <= WATCHED_CASES:
        return validation
    return [validation[i * len(validation) // WATCHED_CASES] for i in range(WATCHED_CASES)]
