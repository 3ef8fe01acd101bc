"""From a data set to a scored model in a run folder."""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from delineate.dataset.naming import counted
from delineate.dataset.pseudonyms import PRIVATE, TABLE, Pseudonyms, looks_identifying
from delineate.dataset.split import write_splits
from delineate.errors import DataError, Interrupted, OutputError, Stopped, UsageError
from delineate.evaluation.figures import CurvePoint
from delineate.evaluation.model_scores import model_scores
from delineate.files import PROBE, free_folder, new_folder, output_error, probe_writable, write_text
from delineate.formats import USUAL, Reading
from delineate.inference.model import MODEL_NAME, Model, load
from delineate.jobs.duration import parse_budget
from delineate.jobs.environment import NAME as ENVIRONMENT_NAME
from delineate.jobs.environment import (
    SOURCE_NAME,
    Environment,
    describe,
    read_environment,
    read_source,
    write_environment,
    write_source,
)
from delineate.jobs.expectation import look_ahead
from delineate.jobs.parts import Part
from delineate.jobs.reporter import Reporter
from delineate.jobs.scoring import Evaluation, Story, checked_tolerance, score_part, write_evaluation
from delineate.jobs.source import Facts, Log, Parts, Source, measured
from delineate.jobs.watching import Watchers
from delineate.jobs.wishes import Wishes, planned_for
from delineate.model_file import ModelCard, TrainingFacts, save_model, weights_sha256
from delineate.plan import Plan, from_yaml, read_plan, retold
from delineate.planner import Dims, Length, Precision, Preset
from delineate.planner.common import SIDED_LABELS
from delineate.threads import computing_threads, limiting_threads
from delineate.training.budget import Budget
from delineate.training.cache import CachedCase, Store, build_cache
from delineate.training.history import HistoryRow
from delineate.training.loop import Trained, fit, has_checkpoint
from delineate.training.speed import LEAST_STEPS
from delineate.training.trainer import precision_for

PLAN_NAME, SPLITS_NAME = "plan.yaml", "splits.json"
NOTHING_CHOSEN = (
    "Nothing was chosen by it: the plan was made from the training part alone, the weights are those of the "
    "last step, and the threshold was set beforehand."
)
PLAN_GIVEN = (
    "Delineate chose nothing by it. The plan was given by hand; whether it was made by looking at this part "
    "only its author can say."
)


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: Where everything lies.
        plan: By which it was trained.
        evaluation: What its model scored on the held-out part.
    """

    folder: Path
    plan: Plan
    evaluation: Evaluation

    @property
    def model_path(self) -> Path:
        """The model file."""
        return self.folder / MODEL_NAME

    @property
    def dice(self) -> float | None:
        """Mean Dice on the held-out part."""
        return self.evaluation.dice

    def load(self) -> Model:
        """The model, ready to predict."""
        return load(self.model_path)


@limiting_threads
def train(
    data: str | Path,
    *,
    out: str | Path | None = None,
    budget: str | float | None = None,
    epochs: int | None = None,
    preset: Preset | None = None,
    test: str | Path | None = None,
    seed: int | None = None,
    plan: str | Path | None = None,
    splits: str | Path | None = None,
    labels: str | None = None,
    group_regex: str | None = None,
    precision: Precision | None = None,
    split_seed: int = 42,
    dims: Dims | None = None,
    left_right: str | None = None,
    reading: Reading = USUAL,
    anonymous: bool = False,
    tolerance_mm: float | None = None,
    log: Log | None = None,
    threads: int | None = None,  # noqa: ARG001  the decorator reads it
    reporter: Reporter | None = None,
) -> Run:
    """Train a model on a data set and score it on a held-out part.

    Args:
        data: A folder of images and masks, or a CSV table with columns image and mask.
        out: A new folder for the run; by default one below `runs` named after the data.
        budget: Wall-clock time to train: "10m", "1h30m", or seconds. By default ten minutes.
        epochs: How often every training case is seen, instead of a budget.
        preset: "auto" (the default) fits the data; "classic" is the widely copied Keras script's job.
        test: Another data set to be scored; all of `data` is then trained on, but for cases that the data
            themselves mark as validation or test.
        seed: Of weights, order and augmentation; 0 by default.
        plan: A plan file to train by.
        splits: A `splits.json` that says which case is in which part.
        labels: What the mask values mean, where that is to be decided by hand.
        group_regex: Finds what must not be split, such as the patient, in a case's name.
        precision: "bf16" or "fp32"; by default what this machine is good at.
        split_seed: Of drawing the held-out part; apart from `seed`, so that runs stay comparable.
        dims: 2 to see volumes slice by slice, 3 as volumes; by default what suits them.
        left_right: Pairs of labels that change places when an image is mirrored: "left lung=right lung,…".
        reading: How files are read where they leave a choice.
        anonymous: Whether to write codes in place of all cases' names; else of those that look as if they
            told who a patient is. `private/names.csv` in the run says which is which.
        tolerance_mm: Of the normalised surface Dice in the evaluation, in millimetres; None for 2 mm of
            volumes and 2 pixels of pictures.
        log: "tensorboard" keeps its log in the run as well.
        threads: To compute with; None for PyTorch's number. The caller's own holds again afterwards.
        reporter: Told how it goes.

    Returns:
        The finished run.

    Raises:
        UsageError: The options contradict each other, or a folder is missing or in use.
        DataError: The data cannot be trained on; all errors are named.
        PlanError: The plan cannot be used for these data.
        TrainingError: The loss is not a number.
        Interrupted: SIGINT or SIGTERM; go on with `resume`.
    """
    reporter = reporter or Reporter()
    source = Source(
        Path(data),
        Path(test) if test is not None else None,
        labels,
        group_regex,
        log,
        Path(splits) if splits is not None else None,
        split_seed,
        reading,
        Pseudonyms(all_names=anonymous),
        checked_tolerance(tolerance_mm),
    )
    wishes = Wishes(
        Length(parse_budget(budget) if budget is not None else None, epochs),
        preset,
        seed,
        precision,
        Path(plan) if plan is not None else None,
        dims,
        left_right,
        reading.fourth_axis,
    )
    watchers = Watchers(source.log, reporter)
    folder = _run_folder(Path(out) if out is not None else None, source.data)
    was_there = folder.exists()
    try:
        new_folder(folder, "the run")
        parts = Parts.read(source, reporter)
        facts = measured(parts.train, reporter)
        planned, text = planned_for(wishes, facts.fingerprint)
        reporter.planned(planned, folder)
        if SIDED_LABELS in planned.reasons.values():
            reporter.say(f"Images are not mirrored left to right: {SIDED_LABELS}.")
        write_splits(folder / SPLITS_NAME, parts.splits)
        environment = describe(
            source,
            data_sha256=facts.sha256,
            precision=precision_for(planned.plan),
            plan_given=wishes.plan is not None,
        )
        write_source(folder, source)
        source.pseudonyms.write_table(folder)
        write_environment(folder, environment)
        write_text(folder / PLAN_NAME, text)
        job = _Job(folder, parts, facts, environment, reporter, watchers, source.tolerance_mm)
        return job.go(planned.plan)
    except KeyboardInterrupt as stop:
        raise _interrupted(folder, stop) from stop
    finally:
        _remove_unbegun(folder, folder_too=not was_there)


def resume(run: str | Path, *, reporter: Reporter | None = None) -> Run:
    """Go on with a run that was stopped, to the same result as if it had not been.

    Args:
        run: Its folder.
        reporter: Told how it goes.

    Returns:
        The finished run.

    Raises:
        UsageError: There is no such folder.
        DataError: It is no run, or its data are no longer what they were.
        ModelFileError: Its checkpoint is damaged or belongs to another plan.
        Interrupted: SIGINT or SIGTERM again.
    """
    reporter = reporter or Reporter()
    folder = Path(run)
    if not folder.is_dir():
        raise UsageError(f"{folder} is no run folder. Give the folder that delineate train wrote.")
    environment = read_environment(folder)
    plan = read_plan(folder / PLAN_NAME)
    probe_writable(folder)
    source = replace(read_source(folder, environment), splits=folder / SPLITS_NAME)
    watchers = Watchers(source.log, reporter)
    try:
        parts = Parts.read(source, reporter)
        facts = measured(parts.train, reporter)
        reporter.say(f"Going on with the run in {folder}.")
        if facts.sha256 != environment.data_sha256:
            raise DataError(
                f"The training images or masks in {source.data} are not those that this run was begun with. "
                "Put them back, or train anew in another folder."
            )
        job = _Job(folder, parts, facts, environment, reporter, watchers, source.tolerance_mm)
        with computing_threads(environment.threads):  # for the same bits
            return job.go(plan, resumed=True)
    except KeyboardInterrupt as stop:
        raise _interrupted(folder, stop) from stop


@dataclass(frozen=True)
class _Job:
    """One training, with everything about it at hand."""

    folder: Path
    parts: Parts
    facts: Facts
    environment: Environment
    reporter: Reporter
    watchers: Watchers
    tolerance_mm: float | None = None

    def go(self, plan: Plan, *, resumed: bool = False) -> Run:
        """Train to the end, keep the model, score it."""
        labels = plan.data.label_set  # a plan may name them anew
        if labels != self.parts.train.labels:
            return replace(self, parts=self.parts.relabelled(labels)).go(plan, resumed=resumed)
        trained = self._trained(plan, resumed=resumed)
        plan = trained.plan
        card = self._card(plan, trained)
        save_model(self.folder / MODEL_NAME, card, trained.weights)
        evaluation, story = self._evaluated(Model(card, trained.weights), trained.history)
        scores = model_scores(
            evaluation.summary, part=self.parts.scored_kind, used_to_choose=story.used_to_choose
        )
        save_model(self.folder / MODEL_NAME, card.model_copy(update={"scores": scores}), trained.weights)
        return Run(self.folder, plan, evaluation)

    def _trained(self, plan: Plan, *, resumed: bool) -> Trained:
        store = Store(self.folder)
        cases = self._cached(self.parts.train, plan, store, "preparing")
        validation = self._cached(self.parts.validation, plan, store, "preparing the validation part")
        budget = None
        if plan.training.steps is None or not (resumed and has_checkpoint(self.folder)):
            plan, budget = self._settled(plan, cases, validation)
        with self.watchers.open(self.folder):
            return fit(
                plan,
                cases,
                validation,
                self.folder,
                resume=resumed,
                watcher=self.watchers,
                budget=budget,
            )

    def _cached(self, part: Part, plan: Plan, store: Store, stage: str) -> list[CachedCase]:
        cases = ((case.name, case.image, case.mask) for case in part.tell(self.reporter, stage))
        return build_cache(cases, plan, store)

    def _settled(
        self, plan: Plan, cases: Sequence[CachedCase], validation: Sequence[CachedCase]
    ) -> tuple[Plan, Budget | None]:
        """The plan with its steps, and the budget if they were measured now; what is to come is told."""
        outlook = look_ahead(plan, cases, validation, self.parts.scored)
        speed, expectation = outlook.speed, outlook.expectation
        write_environment(self.folder, self.environment.model_copy(update={"expected": expectation}))
        self.reporter.say(expectation.sentence())
        if warning := expectation.warning():
            self.reporter.warn(warning)
        if plan.training.steps is not None:
            return plan, None
        if speed.steps <= LEAST_STEPS:
            self.reporter.warn("So few steps teach a net next to nothing: give a longer --budget.")
        settled = plan.with_steps(speed.steps, speed.evaluations)
        self._rewrite(settled)
        left_s = (plan.training.budget_s or 0.0) - speed.seconds
        return settled, Budget(max(left_s, expectation.training_seconds), self._shortened)

    def _shortened(self, plan: Plan) -> None:
        """Note that steps were taken off."""
        self._rewrite(plan)
        at, steps = plan.training.shortened[-1]
        self.reporter.say(
            f"The machine has become busier: to end in time, the training is shortened to {steps} steps, "
            f"noted at step {at} in {self.folder / PLAN_NAME}."
        )

    def _rewrite(self, plan: Plan) -> None:
        """Bring the changes of a plan's steps into `plan.yaml`, comments kept."""
        path = self.folder / PLAN_NAME
        text = path.read_text(encoding="utf-8")
        write_text(path, retold(text, from_yaml(text), plan))

    def _card(self, plan: Plan, trained: Trained) -> ModelCard:
        return ModelCard(
            weights_sha256=weights_sha256(trained.weights),
            plan=plan,
            fingerprint=self.facts.fingerprint,
            training=TrainingFacts(
                cases=len(self.parts.train),
                steps=plan.training.last_step or 0,
                seconds=round(trained.seconds, 1),
                precision=trained.precision,
                seed=plan.training.seed,
                case_digests=self.facts.digests,
            ),
            software=self.environment.software,
        )

    def _named(self, path: Path) -> str:
        return self.parts.train.report.pseudonyms.redacted(path.absolute().name)

    def _used_to_choose(self) -> str:
        chosen = PLAN_GIVEN if self.environment.plan_given else NOTHING_CHOSEN
        return " ".join((*self.parts.leaks, chosen))

    def _evaluated(self, model: Model, history: Sequence[HistoryRow]) -> tuple[Evaluation, Story]:
        folder = self.folder / "evaluation"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise output_error(folder, error) from error
        scored = self.parts.scored
        story = Story(
            title=f"A model for {self._named(self.parts.train.report.discovery.root)}",
            scored_part=f"{self.parts.scored_name} of {counted(len(scored), 'case')}",
            used_to_choose=self._used_to_choose(),
            cautions=(*self.parts.cautions, *scored.notes),
            curves=[_point(row) for row in history],
            plan_yaml=(self.folder / PLAN_NAME).read_text(encoding="utf-8"),
        )
        scores = score_part(model, scored, self.reporter, tolerance_mm=self.tolerance_mm)
        return write_evaluation(folder, model, scored, scores, story), story


def _point(row: HistoryRow) -> CurvePoint:
    return CurvePoint(row.step, row.train_loss, row.train_dice, row.validation_dice, row.learning_rate)


def _run_folder(out: Path | None, data: Path) -> Path:
    """Where the run shall be: the folder asked for, or the next free one below `runs`."""
    if out is None:
        name = data.absolute().name or "data"
        name = "data" if looks_identifying(name) else name
        out = free_folder(Path("runs") / (Path(name).stem if data.is_file() else name))
    if (out / PLAN_NAME).is_file():
        raise OutputError(
            f"{out} holds another run. Nothing was touched. Give a new folder, or go on with that "
            f"run: delineate train --resume {shlex.quote(str(out))}"
        )
    return out


def _remove_unbegun(folder: Path, *, folder_too: bool) -> None:
    """Remove what was made of a run that came to nothing before its plan was written."""
    with contextlib.suppress(OSError):
        for probe in folder.glob(f"{PROBE}*"):  # stopped while it was written
            probe.unlink()
        begun = (SPLITS_NAME, ENVIRONMENT_NAME, PRIVATE)
        if not any(path.name not in begun for path in folder.iterdir()):
            for name in (SPLITS_NAME, ENVIRONMENT_NAME, f"{PRIVATE}/{SOURCE_NAME}", f"{PRIVATE}/{TABLE}"):
                (folder / name).unlink(missing_ok=True)
            if (folder / PRIVATE).is_dir():
                (folder / PRIVATE).rmdir()
            if folder_too:
                folder.rmdir()


def _interrupted(folder: Path, stop: KeyboardInterrupt) -> Interrupted:
    if (folder / PLAN_NAME).is_file():
        message = f"Stopped. Go on with: delineate train --resume {shlex.quote(str(folder))}"
    else:
        message = "Stopped before the training began."
    return Interrupted(message, stop.signal_number if isinstance(stop, Stopped) else signal.SIGINT)
