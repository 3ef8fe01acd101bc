"""One training, from its parts to a scored model, and what is left of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from delineate.dataset.naming import counted
from delineate.errors import TooLittleMemoryError
from delineate.evaluation.figures import CurvePoint
from delineate.evaluation.model_scores import model_scores
from delineate.files import made_folder, write_text
from delineate.inference.model import MODEL_NAME, Model, load
from delineate.jobs.environment import Environment, write_environment
from delineate.jobs.expectation import look_ahead
from delineate.jobs.parts import Part, name_of
from delineate.jobs.reporter import Reporter
from delineate.jobs.scoring import Evaluation, Story, score_part, write_evaluation
from delineate.jobs.scoring_cost import ToScore
from delineate.jobs.source import Facts, Parts
from delineate.jobs.watching import Watchers
from delineate.model_file import ModelCard, TrainingFacts, save_model, weights_sha256
from delineate.plan import LEAST_DICE, Plan, from_yaml, retold
from delineate.training.budget import Budget
from delineate.training.cache import CachedCase, Store, build_cache
from delineate.training.history import HistoryRow
from delineate.training.loop import Trained, fit, has_checkpoint
from delineate.training.speed import LEAST_STEPS
from delineate.training.start import Start

PLAN_NAME, SPLITS_NAME, EVALUATION = "plan.yaml", "splits.json", "evaluation"
NOTHING_CHOSEN = (
    "Nothing was chosen by it: the plan was made from the training part alone, the weights are those of the "
    "last step, and the threshold follows from the training."
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
        evaluation: What its model scored on the held-out part; after a cross-validation, what the nets of the
            folds scored on the cases that they did not learn from.
        test: What the model of a cross-validation scored on the test part, if there is one.
        folds: Of the cross-validation; 0 without one.
    """

    folder: Path
    plan: Plan
    evaluation: Evaluation
    test: Evaluation | None = None
    folds: int = 0

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


@dataclass(frozen=True)
class Job:
    """One training, with everything about it at hand."""

    folder: Path
    parts: Parts
    facts: Facts
    environment: Environment
    reporter: Reporter
    watchers: Watchers
    tolerance_mm: float | None = None
    start: Start | None = None

    def go(self, plan: Plan, *, resumed: bool = False) -> Run:
        """Train to the end, keep the model, score it."""
        labels = plan.data.label_set  # a plan may name them anew
        if labels != self.parts.train.labels:
            return replace(self, parts=self.parts.relabelled(labels)).go(plan, resumed=resumed)
        store = Store(self.folder)
        cases = self.cached(self.parts.train, plan, store, "preparing")
        validation = self.cached(self.parts.validation, plan, store, "preparing the validation part")
        budget = None
        if plan.training.steps is None or not (resumed and has_checkpoint(self.folder)):
            plan, budget = self.settled(plan, cases, validation)
        trained = self.trained(plan, cases, validation, resumed=resumed, budget=budget)
        plan = trained.plan
        card = self.card(plan, trained)
        if card.plan.prediction != plan.prediction and len(plan.data.labels) == 1:
            self.reporter.say(threshold_sentence(card.plan.threshold, trained.dice))
        save_model(self.folder / MODEL_NAME, card, trained.weights)
        evaluation, scored = self.evaluated(Model(card, trained.weights), trained.history)
        save_model(self.folder / MODEL_NAME, scored, trained.weights)
        return Run(self.folder, plan, evaluation)

    def cached(self, part: Part, plan: Plan, store: Store, stage: str) -> list[CachedCase]:
        """Cases at their working size."""
        cases = ((case.name, case.image, case.mask) for case in part.tell(self.reporter, stage))
        return build_cache(cases, plan, store)

    def trained(
        self,
        plan: Plan,
        cases: Sequence[CachedCase],
        validation: Sequence[CachedCase],
        *,
        resumed: bool,
        budget: Budget | None = None,
    ) -> Trained:
        """The weights after the plan's last step, or an earlier one where the budget would be overrun."""
        with self.watchers.open(self.folder):
            return fit(
                plan,
                cases,
                validation,
                self.folder,
                resume=resumed,
                start=self.start.weights if self.start else None,
                watcher=self.watchers,
                budget=budget,
            )

    def settled(
        self,
        plan: Plan,
        cases: Sequence[CachedCase],
        validation: Sequence[CachedCase],
        *,
        to_score: Sequence[ToScore] | None = None,
        trainings: int = 1,
    ) -> tuple[Plan, Budget | None]:
        """The plan with its steps, and the budget if they were measured now; what is to come is told.

        Args:
            plan: With its steps, or a budget for them.
            cases: The training cases.
            validation: Looked at on the way.
            to_score: All that the run scores; None for the scored part alone.
            trainings: How many there will be that take as much.

        Raises:
            TooLittleMemoryError: A cross-validation could not be scored with the memory that there is.
        """
        outlook = look_ahead(plan, cases, validation, to_score or (ToScore(self.parts.scored),), trainings)
        speed, expectation = outlook.speed, outlook.expectation
        write_environment(self.folder, self.environment.model_copy(update={"expected": expectation}))
        self.reporter.say(expectation.sentence())
        if outlook.shortage:
            self._tell_shortage(outlook.shortage, trainings)
        elif warning := expectation.warning():
            self.reporter.warn(warning)
        if plan.training.steps is not None:
            return plan, None
        if speed.steps <= LEAST_STEPS:
            self.reporter.warn(
                f"So few steps teach a net next to nothing, and at least {LEAST_STEPS} are taken even if the "
                "budget ends before: give a longer one with --budget."
            )
        settled = plan.with_steps(speed.steps, speed.evaluations, speed.watched_cases)
        self._rewrite(settled)
        left_s = (plan.training.budget_s or 0.0) - speed.seconds
        allowed_s = max(left_s, expectation.training_seconds)
        return settled, Budget(allowed_s, self._adjusted, speed.look_seconds)

    def _tell_shortage(self, shortage: str, trainings: int) -> None:
        """Warn that the run will end without scores; refuse a cross-validation, which is nothing else."""
        remedy = (
            "Close other programs, or train by a copy of plan.yaml with a coarser preprocessing.spacing_mm "
            "(--plan), or by slices (--dims 2)."
        )
        if trainings > 1:
            raise TooLittleMemoryError(
                f"To be scored, {shortage}. The cross-validation could not go on after that, so it is not "
                f"begun. {remedy}",
                shortage,
            )
        self.reporter.warn(
            f"To be scored, {shortage}. If that is still so after the training, the run ends with a model "
            f"that has no scores, until it is gone on with where there is more memory. {remedy}"
        )

    def _adjusted(self, plan: Plan) -> None:
        """Note that steps were taken off or added; the first time, and where that turns, it is told."""
        self._rewrite(plan)
        lengths = [plan.training.steps or 0, *(steps for _, steps in plan.training.adjusted)]
        *earlier, before, now = told_lengths(lengths)
        if told_lengths(lengths[:-1]) == [*earlier, before, now]:
            return
        if now < before:
            cause = "Steps take longer again" if earlier else "The machine has become busier"
            change = f"{cause}: to end in time, the training is shortened"
        else:
            cause = f"Steps take less time than {'before' if earlier else 'was measured'}"
            change = f"{cause}: the training is lengthened"
        if earlier:
            self.reporter.say(f"{change} to {now} steps in place of the {before} told before.")
            return
        noted = f"this and later changes are noted in {self.folder / PLAN_NAME}"
        self.reporter.say(f"{change} to {now} steps in place of {before}; {noted}.")

    def _rewrite(self, plan: Plan) -> None:
        """Bring the changes of a plan's steps into `plan.yaml`, comments kept."""
        path = self.folder / PLAN_NAME
        text = path.read_text(encoding="utf-8")
        write_text(path, retold(text, from_yaml(text), plan))

    def card(self, plan: Plan, trained: Trained) -> ModelCard:
        """What the model file says of the model, but its scores."""
        return ModelCard(
            weights_sha256=weights_sha256(trained.weights),
            plan=plan.with_threshold(trained.dice),
            fingerprint=self.facts.fingerprint,
            training=TrainingFacts(
                cases=len(self.parts.train),
                steps=plan.training.last_step or 0,
                seconds=round(trained.seconds, 1),
                precision=trained.precision,
                seed=plan.training.seed,
                case_digests=self.digests,
                started_from=self.environment.started_from,
                encoder_sha256=self.environment.encoder_sha256,
                unknown_images=self.start is not None and self.start.unknown_images,
                structures=self.parts.train.report.order,
            ),
            software=self.environment.software,
        )

    def plan_yaml(self, model: Model) -> str:
        """The plan as it lies in the run, with its comments, and the threshold that the model was given."""
        text = (self.folder / PLAN_NAME).read_text(encoding="utf-8")
        plan = from_yaml(text)
        return retold(text, plan, plan.with_threshold_of(model.plan))

    @property
    def digests(self) -> tuple[str, ...]:
        """Of all images that the model learned from, those of the model it started from among them."""
        before = self.start.case_digests if self.start else ()
        return tuple(dict.fromkeys((*self.facts.digests, *before)))

    @property
    def title(self) -> str:
        """Of the report."""
        root = self.parts.train.report.discovery.root
        return f"A model for {self.parts.train.report.pseudonyms.redacted(name_of(root))}"

    @property
    def chosen(self) -> str:
        """Whether the scored part was used to choose anything."""
        return PLAN_GIVEN if self.environment.plan_given else NOTHING_CHOSEN

    def evaluated(
        self, model: Model, history: Sequence[HistoryRow], below: str = EVALUATION
    ) -> tuple[Evaluation, ModelCard]:
        """What the model scores on the scored part, and its card with these scores.

        Args:
            model: The trained one.
            history: Of its training; may be empty.
            below: The name of the folder in the run.
        """
        folder = made_folder(self.folder / below)
        scored = self.parts.scored
        story = Story(
            title=self.title,
            scored_part=f"{self.parts.scored_name} of {counted(len(scored), 'case')}",
            used_to_choose=" ".join((*self.parts.leaks, self.chosen)),
            cautions=(*self.parts.cautions, *scored.notes),
            curves=[curve_point(row) for row in history],
            plan_yaml=self.plan_yaml(model),
        )
        scores = score_part(model, scored, self.reporter, tolerance_mm=self.tolerance_mm)
        evaluation = write_evaluation(folder, model, scored, scores, story)
        found = model_scores(
            evaluation.summary, part=self.parts.scored_kind, used_to_choose=story.used_to_choose
        )
        return evaluation, model.card.model_copy(update={"scores": found})


def told_lengths(lengths: Sequence[int]) -> list[int]:
    """Of the steps that a training was to take, one after another, those that its user is told.

    Args:
        lengths: As planned at first, then as adjusted.

    Returns:
        The first; the second; and each later one that lies on the other side of the last told than the one
        before it did: so "shortened" and "lengthened" hold against what was told.
    """
    told = list(lengths[:2])
    for length in lengths[2:]:
        before, last = told[-2:]
        if (length - last) * (last - before) < 0:
            told.append(length)
    return told


def threshold_sentence(threshold: float, dice: float | None) -> str:
    """What to tell of a threshold that a training has set by the Dice that it reached."""
    if dice is None:
        why = "no labelled pixel was met in training"
    elif dice < LEAST_DICE:
        why = f"the training reached a Dice of {dice:.2f} only"
    else:
        why = f"half of the Dice of {dice:.2f} that the training reached"
    return f"Pixels with a probability of at least {threshold:g} count as foreground: {why}."


def curve_point(row: HistoryRow) -> CurvePoint:
    """A row of the history as the report draws it."""
    return CurvePoint(row.step, row.train_loss, row.train_dice, row.validation_dice, row.learning_rate)
