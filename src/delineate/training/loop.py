"""The training loop. Read it from `fit` downwards."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from torch import Tensor

from delineate.choices import FloatPrecision
from delineate.errors import Interrupted, ModelFileError
from delineate.files import made_folder
from delineate.interruption import StopRequest, stop_requests
from delineate.plan import Plan
from delineate.training.budget import Budget, Pace, checks, fitting_steps
from delineate.training.cache import CachedCase
from delineate.training.checkpoint import FOLDER, NAME, load_checkpoint, other_plan, save_checkpoint
from delineate.training.history import HistoryRow, write_history
from delineate.training.reports import mean_dice
from delineate.training.trainer import State, Trainer

CHECKPOINT_SECONDS = 60.0
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
        """Be told after each step whose loss is known; `row` when the history has grown."""


@dataclass(frozen=True)
class Trained:
    """What a finished training leaves.

    Attributes:
        weights: Of the model.
        history: The learning curves.
        seconds: Training time.
        precision: The net was trained in.
        plan: With the steps as they were taken.
        dice: Of the last batches, see `State.dice`.
    """

    weights: dict[str, Tensor]
    history: tuple[HistoryRow, ...]
    seconds: float
    precision: FloatPrecision
    plan: Plan
    dice: float | None = None


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has a state to go on from."""
    return (folder / FOLDER / NAME).exists()


def fit(
    plan: Plan,
    cases: Sequence[CachedCase],
    validation: Sequence[CachedCase],
    folder: Path,
    *,
    resume: bool = False,
    start: Mapping[str, Tensor] | None = None,
    watcher: Watcher | None = None,
    budget: Budget | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train to the plan's last step.

    Args:
        plan: With its number of steps settled.
        cases: The training cases.
        validation: Looked at on the way, never learned from and never used to choose; may be empty.
        folder: The run's; `metrics.csv` and `checkpoints/` are written there.
        resume: Go on from the checkpoint if there is one.
        start: Weights to start from; None for those that the seed gives.
        watcher: Told after each step, if any.
        budget: Steps are taken off or added so that it is kept; None takes the plan's steps, however long.
        clock: Seconds.

    Returns:
        The weights and the history.

    Raises:
        TrainingError: The loss is not a number.
        Interrupted: SIGINT or SIGTERM; a checkpoint is written.
        ModelFileError: The checkpoint cannot be used.
        OutputError: The folder cannot be written.
    """
    trainer = Trainer(plan, cases, start)
    checkpoint = folder / FOLDER / NAME
    made_folder(checkpoint.parent)
    if resume and checkpoint.exists():
        state, begun = trainer.state, plan.with_adjusted(())
        facts = load_checkpoint(checkpoint, state.network, state.optimizer, begun.sha256())
        known = _restore(state, facts, checkpoint)
        _refuse_other_steps(plan, known, state.step, checkpoint)
    with stop_requests() as request:
        _run(
            trainer,
            _watched(validation, plan.training.watched_cases),
            folder,
            request=request,
            watcher=watcher,
            budget=budget,
            clock=clock,
        )
    state = trainer.state
    return Trained(
        {name: tensor.detach().clone() for name, tensor in state.network.state_dict().items()},
        tuple(state.history),
        state.seconds,
        trainer.precision,
        trainer.plan,
        state.dice,
    )


def _run(
    trainer: Trainer,
    validation: Sequence[CachedCase],
    folder: Path,
    *,
    request: StopRequest,
    watcher: Watcher | None,
    budget: Budget | None,
    clock: Callable[[], float],
) -> None:
    state, training = trainer.state, trainer.plan.training
    looks = trainer.schedule.marks(training.evaluations)
    pace = Pace(budget.look_seconds if budget is not None else 0.0)
    before, start, first = state.seconds, clock(), state.step
    last_saved = last = start
    recent: tuple[float, float] | None = None
    while state.step < trainer.steps:
        trainer.take_step()
        look = state.step in looks
        if look:
            trainer.settle()
        if state.losses:
            recent = fmean(state.losses[-RECENT:]), mean_dice(state.dices[-RECENT:])
        row = stepped = None
        if look:
            stepped = clock()
            row = HistoryRow(
                step=state.step,
                seconds=round(before + stepped - start, 3),
                learning_rate=trainer.learning_rate(state.step - 1),
                train_loss=fmean(state.losses),
                train_dice=mean_dice(state.dices),
                validation_dice=trainer.validation_dice(validation),
            )
            state.history.append(row)
            state.losses, state.dices = [], []
            write_history(folder / "metrics.csv", state.history)
        now = clock()
        state.seconds = before + now - start
        pace.note(last, stepped, now)
        if budget is not None and _adjusted(trainer, pace, budget):
            looks = trainer.schedule.marks(training.evaluations)
        last = now
        rate = (state.step - first) / max(now - start, 1e-9)
        if watcher is not None and recent is not None:
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
            last_saved = last = clock()
        if request.signal_number is not None and state.step < trainer.steps:
            raise Interrupted(
                f"Stopped after step {state.step} of {trainer.steps}; everything so far is saved. "
                f"Go on with: delineate train --resume {shlex.quote(str(folder))}",
                request.signal_number,
            )
    _save(trainer, folder)
    if request.signal_number is not None:  # by now there is nothing left to train
        raise Interrupted(
            f"Stopped after the last of {trainer.steps} steps; everything is saved. "
            f"Score it with: delineate train --resume {shlex.quote(str(folder))}",
            request.signal_number,
        )


def _adjusted(trainer: Trainer, pace: Pace, budget: Budget) -> bool:
    """Whether steps were taken off or added, so that the training ends with its budget."""
    schedule, step = trainer.schedule, trainer.state.step
    if step >= trainer.steps or step not in checks(schedule):
        return False
    if (step_s := pace.close_window()) is None:
        return False
    looks = sum(mark > step for mark in set(schedule.marks(trainer.plan.training.evaluations)))
    steps = fitting_steps(
        schedule,
        step,
        budget_s=budget.seconds,
        left_s=budget.seconds - trainer.state.seconds,
        step_s=step_s,
        looks_s=looks * pace.look_seconds,
    )
    if steps is None:
        return False
    trainer.adjust(steps)
    budget.keep(trainer.plan)  # before a step is taken by it
    return True


def _refuse_other_steps(plan: Plan, known: tuple[tuple[int, int], ...], step: int, checkpoint: Path) -> None:
    """Since the checkpoint the plan may have been adjusted, but not changed in what was done by it."""
    before, later = plan.training.adjusted[: len(known)], plan.training.adjusted[len(known) :]
    if before != known or any(at < step for at, _ in later):
        raise other_plan(checkpoint)


def _restore(state: State, facts: dict[str, Any], checkpoint: Path) -> tuple[tuple[int, int], ...]:
    """Put the facts into the state; returns how the plan was adjusted by then."""
    try:
        state.step, state.seconds = int(facts["step"]), float(facts["seconds"])
        state.history = [HistoryRow(**row) for row in facts["history"]]
        state.losses, state.dices = list(facts["losses"]), list(facts["dices"])
        state.pixels.extend((int(each), int(both)) for each, both in facts.get("pixels", ()))
        return tuple((int(at), int(steps)) for at, steps in facts["adjusted"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"The checkpoint {checkpoint} is damaged. Start the training anew in another folder."
        ) from error


def _save(trainer: Trainer, folder: Path) -> None:
    trainer.settle()  # what is not sound is not saved
    state = trainer.state
    facts = {
        "plan_sha256": trainer.plan.with_adjusted(()).sha256(),
        "adjusted": trainer.plan.training.adjusted,
        "step": state.step,
        "seconds": state.seconds,
        "history": [asdict(row) for row in state.history],
        "losses": state.losses,
        "dices": state.dices,
        "pixels": list(state.pixels),
    }
    save_checkpoint(folder / FOLDER / NAME, state.network, state.optimizer, facts)


def _watched(validation: Sequence[CachedCase], most: int) -> Sequence[CachedCase]:
    """At most so many of the validation part, spread evenly."""
    if len(validation) <= most:
        return validation
    return [validation[i * len(validation) // most] for i in range(most)]
