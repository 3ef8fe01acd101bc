"""The sides that are compared: each learns a division's cases for a time and finds the held-out masks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from benchmarks import handing_over
from benchmarks.handing_over import Labelled
from benchmarks.held_out import Divided
from benchmarks.processes import run_process, run_train
from benchmarks.reporting import Record

from delineate.image import IGNORED
from delineate.inference.model import load
from delineate.metrics.overlap import overlap
from delineate.plan import read_plan


@dataclass(frozen=True)
class Task:
    """One training.

    Attributes:
        divided: What is learned from, and what is held out.
        budgets_s: Of the training, ascending; several only of a side in `PASSING`.
        seed: Of its chance.
        folder: Empty; for what is handed over, and thrown away afterwards.
        runs: Where our run is kept.
        pythons: The other sides' interpreters.
        nnunet_memory_gb: That nnU-Net plans for.
    """

    divided: Divided
    budgets_s: tuple[float, ...]
    seed: int
    folder: Path
    runs: Path
    pythons: Mapping[str, Path]
    nnunet_memory_gb: float

    @property
    def length(self) -> tuple[str, str]:
        """Budgets and seed as the scripts take them."""
        return ",".join(map(str, self.budgets_s)), str(self.seed)


FOLDS = 5  # of the ensemble
Found = tuple[Record, list[Labelled]]
"""Facts of a training of one budget, and the held-out masks it ends with."""


def ours(task: Task) -> list[Found]:
    """By the command line, as a user does; the held-out part is not looked at on the way."""
    (budget_s,) = task.budgets_s
    return _ours(task, budget_s)


def ensemble(task: Task) -> list[Found]:
    """Ours as well: nets of five folds, a fifth of the time each, that predict together."""
    (budget_s,) = task.budgets_s
    return _ours(task, budget_s / FOLDS, "--folds", str(FOLDS), "--ensemble")


def _ours(task: Task, budget_s: float, *more: str) -> list[Found]:
    task.runs.mkdir(parents=True, exist_ok=True)
    run = task.runs / time.strftime(f"%Y%m%d-%H%M%S-{os.getpid()}")
    train, held_out = handing_over.write_tables(task.folder, task.divided)
    options: list[str | Path] = [
        *more,
        "--out",
        run,
        "--budget",
        f"{budget_s:g}s",
        "--seed",
        str(task.seed),
        "--test",
        held_out,
    ]
    if task.divided.option is not None:
        options += ["--labels", task.divided.option]
    start = time.time()
    done = run_train(train, *options)
    model = load(run)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    masks, seconds = [], 0.0
    for image, _ in task.divided.cases(task.divided.held_out):
        before = time.monotonic()
        masks.append(model.predict_mask(image).values)
        seconds += time.monotonic() - before
    training = model.card.training
    facts = {
        "plan_sha256": read_plan(run / "plan.yaml").sha256(),
        "steps": (training.steps or 0) * model.card.members,
        "train_seconds": round(training.seconds or 0.0, 2),
        "preprocessing_seconds": round((run / "environment.json").stat().st_mtime - start, 2),
        "prediction_seconds": round(seconds, 2),
        "precision": training.precision,
        "size": list(model.plan.preprocessing.size),
        "batch_size": model.plan.training.batch_size,
        "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        "versions": dict(model.card.software),
    }
    return [(done.facts() | facts, masks)]


def keras(task: Task) -> list[Found]:
    """The script's net and recipe, its masks moved with its images."""
    given, found = task.folder / "given.npz", task.folder / "found"
    handing_over.write_for_keras(given, task.divided)
    done = run_process([task.pythons["keras"], "-m", "benchmarks.keras_budget", given, found, *task.length])
    sizes = [mask.values.shape for _, mask in task.divided.cases(task.divided.held_out)]
    return [
        (done.facts() | record, list(handing_over.read_from_keras(found / f"{budget_s}.npz", sizes)))
        for budget_s, record in zip(task.budgets_s, done.answers(), strict=True)
    ]


def monai(task: Task) -> list[Found]:
    """As its tutorials have it."""
    given, found = task.folder / "given", task.folder / "found"
    handing_over.write_for_monai(given, task.divided)
    done = run_process([task.pythons["monai"], "-m", "benchmarks.monai_budget", given, found, *task.length])
    count = len(task.divided.held_out)
    return [
        (done.facts() | record, list(handing_over.read_from_monai(found / str(budget_s), count)))
        for budget_s, record in zip(task.budgets_s, done.answers(), strict=True)
    ]


def nnunet(task: Task) -> list[Found]:
    """Its own planner, preprocessing and trainer."""
    handing_over.write_for_nnunet(task.folder / "raw" / "Dataset001_peer", task.divided)
    options = (*task.length, str(task.nnunet_memory_gb))
    done = run_process([task.pythons["nnunet"], "-m", "benchmarks.nnunet_budget", task.folder, *options])
    masks = handing_over.read_from_nnunet(task.folder / "found", task.divided)
    return [(done.facts() | done.answer(), list(masks))]


SIDES: Mapping[str, Callable[[Task], list[Found]]] = {
    "ours": ours,
    "ensemble": ensemble,
    "keras": keras,
    "monai": monai,
    "nnunet": nnunet,
}
OURS = ("ours", "ensemble")
PEERS = tuple(side for side in SIDES if side not in OURS)
PASSING = ("keras", "monai")  # their long trainings pass through what shorter ones reach


def scores(divided: Divided, masks: list[Labelled]) -> Record:
    """Dice of each held-out case and label on the case's own grid; where neither mask has the label, none.

    Raises:
        SystemExit: A side has left a mask out.
    """
    by_label: dict[str, list[float]] = {name: [] for name in divided.labels.names}
    if len(masks) != len(divided.held_out):
        raise SystemExit(f"{len(masks)} masks were found for {len(divided.held_out)} cases.")
    cases = divided.cases(divided.held_out)
    for (_, reference), found in zip(cases, masks, strict=True):
        counted = reference.values != IGNORED
        for label in divided.labels:
            dice = overlap(reference.values == label.value, (found == label.value) & counted).dice
            if dice is not None:
                by_label[label.name].append(dice)
    means = {name: fmean(values) for name, values in by_label.items() if values}
    return {
        "dice": round(fmean(means.values()), 5),
        "dice_by_label": {name: round(value, 5) for name, value in means.items()},
        "cases_by_label": {name: len(values) for name, values in by_label.items()},
    }
