"""Cross-validation: a net a fold, scored on what it did not learn from, and a final model of all cases."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from torch import Tensor

from delineate.dataset.naming import counted
from delineate.dataset.split import write_splits
from delineate.errors import Interrupted, ModelFileError, PlanError
from delineate.evaluation.model_scores import model_scores
from delineate.evaluation.summary import summarise
from delineate.evaluation.tables import (
    read_cases_csv,
    read_summary_json,
    write_cases_csv,
    write_summary_json,
)
from delineate.files import made_folder, write_text
from delineate.inference.model import MODEL_NAME, Model
from delineate.jobs.duration import in_words
from delineate.jobs.fold_parts import FoldParts
from delineate.jobs.job import EVALUATION, PLAN_NAME, SPLITS_NAME, Job, Run
from delineate.jobs.out_of_fold import (
    FoldNets,
    Masks,
    how_scored,
    in_order,
    mean_curves,
    nothing_chosen,
    table_by_fold,
)
from delineate.jobs.scoring import Evaluation, Story, write_evaluation
from delineate.jobs.scoring_cost import ToScore
from delineate.model_file import (
    OF_SEVERAL,
    ModelCard,
    Scores,
    load_model,
    read_card,
    save_model,
    together,
    weights_sha256,
)
from delineate.plan import Plan, members_error, read_plan
from delineate.training.cache import CachedCase, Store, build_cache
from delineate.training.history import HistoryRow, read_history
from delineate.training.loop import Trained

FOLDS, PREDICTIONS, TEST = "folds", "predictions", "test"
CROSS_VALIDATION = "cross-validation"
Cached = Mapping[str, list[CachedCase]]


def joint_threshold(thresholds: Sequence[float]) -> float:
    """Of nets that predict together: the one that all have, as where the plan gave it; else their mean."""
    return thresholds[0] if len(set(thresholds)) == 1 else round(fmean(thresholds), 3)


def refuse_too_many(plan: Plan, members: int) -> None:
    """Refuse an ensemble that no model file could hold, before it is trained.

    Raises:
        PlanError: It would have too many parameters.
    """
    if fault := members_error(plan, members):
        raise PlanError(f"{fault}: omit --ensemble, or give fewer folds or smaller network.widths.")


@dataclass(frozen=True)
class CrossValidation:
    """All trainings of a run with folds.

    Attributes:
        job: The final training, of all cases; its folder is the run's.
        parts: The folds.
        ensemble: Whether the nets of the folds are the model, and no other is trained.
    """

    job: Job
    parts: FoldParts
    ensemble: bool

    def go(self, plan: Plan, *, resumed: bool = False) -> Run:
        """Train and score a net a fold, make the final model, tell how well it may do."""
        labels = plan.data.label_set  # a plan may name them anew
        if labels != self.parts.whole.labels:
            parts = self.parts.relabelled(labels)
            job = replace(self.job, parts=self.job.parts.relabelled(labels))
            return replace(self, job=job, parts=parts).go(plan, resumed=resumed)
        job = self.job
        if not resumed:
            job.reporter.say(self._outlook(plan))
        cached = self._cached(plan)
        if plan.training.steps is None or not (resumed and self._folders[0].is_dir()):
            first = replace(job, parts=self.parts.of_fold(1))
            train, validation = first.parts.splits.train, first.parts.splits.validation
            plan, _ = first.settled(
                plan,
                _of(cached, train),
                _of(cached, validation),
                to_score=self._to_score,
                trainings=self._trainings,
            )
        masks = Masks(made_folder(job.folder / PREDICTIONS), labels, known=self.parts.known)
        if resumed:
            masks.go_on()
        for number in range(1, len(self.parts.folds) + 1):
            self._fold(number, plan, cached, masks, resumed=resumed)
        masks.write(complete=True)
        if any(name.endswith(".dcm") for name in masks.files):
            job.reporter.warn(
                f"The masks in {masks.folder} are DICOM segmentations, which name their patients: keep that "
                "folder back when you pass the run on."
            )
        self.parts.whole.report.pseudonyms.write_table(job.folder)  # with codes that the masks brought
        if self.ensemble:
            card, weights = self._joined()
            history: Sequence[HistoryRow] = ()
        else:
            everyone = f"The net of all {counted(len(self.parts.whole), 'case')}"
            job.reporter.say(f"{everyone}.")
            trained = self._trained(job, plan, cached, everyone, resumed=resumed)
            card, weights, history = job.card(plan, trained), trained.weights, trained.history
        save_model(job.folder / MODEL_NAME, card, weights)
        model = Model(card, weights)
        evaluation, scores = self._out_of_fold(model)
        test = None
        if len(self.parts.test):
            test, scored = job.evaluated(model, history, TEST)
            scores = _with_both(scored.scores, scores)
        save_model(job.folder / MODEL_NAME, card.model_copy(update={"scores": scores}), weights)
        return Run(job.folder, plan, evaluation, test, len(self.parts.folds))

    @property
    def _folders(self) -> list[Path]:
        return [self.job.folder / FOLDS / str(at + 1) for at in range(len(self.parts.folds))]

    @property
    def _trainings(self) -> int:
        return len(self.parts.folds) + (not self.ensemble)

    @property
    def _to_score(self) -> tuple[ToScore, ...]:
        """Each case of the folds once, by one net, and the test part by the model."""
        test = ToScore(self.parts.test, len(self.parts.folds) if self.ensemble else 1)
        return (ToScore(self.parts.whole), *([test] if len(test.part) else []))

    def _outlook(self, plan: Plan) -> str:
        """How many trainings there will be, and for how long."""
        folds, trainings = len(self.parts.folds), self._trainings
        steps, budget_s = plan.training.last_step, plan.training.budget_s
        if steps is None and budget_s is not None:
            each, total = in_words(budget_s), in_words(trainings * budget_s)
        else:
            each, total = (counted(number, "step") for number in (steps or 0, trainings * (steps or 0)))
        last = "whose nets together are the model" if self.ensemble else "then a net of all cases"
        return f"{folds} folds, {last}: {trainings} trainings of {each}, {total} in all."

    def _cached(self, plan: Plan) -> Cached:
        """All cases at their working size, by their names."""
        store = Store(self.job.folder)
        return {
            case.name: build_cache([(case.name, case.image, case.mask)], plan, store)
            for case in self.parts.whole.tell(self.job.reporter, "preparing")
        }

    def _fold(self, number: int, plan: Plan, cached: Cached, masks: Masks, *, resumed: bool) -> None:
        """Train the net of a fold, keep it, and score it on what it did not learn from."""
        folder, parts, reporter = self._folders[number - 1], self.parts.of_fold(number), self.job.reporter
        name = f"Fold {number} of {len(self.parts.folds)}"
        if resumed and (finished := _finished(folder, plan)) and masks.hold(parts.scored):
            masks.weights.append(finished.weights_sha256)
            reporter.say(f"{name} is finished.")
            return
        reporter.say(
            f"{name}: learning from {counted(len(parts.train), 'case')}, {len(parts.scored)} held out."
        )
        made_folder(folder)
        write_text(folder / PLAN_NAME, (self.job.folder / PLAN_NAME).read_text(encoding="utf-8"))
        write_splits(folder / SPLITS_NAME, parts.splits)
        learned = dict(zip(self.parts.folds.cases, self.job.facts.digests, strict=True))
        digests = tuple(learned[case] for case in parts.splits.train)
        facts = replace(self.job.facts, digests=digests)
        job = replace(self.job, folder=folder, parts=parts, facts=facts)
        trained = self._trained(job, plan, cached, name, resumed=resumed)
        card = job.card(plan, trained)
        save_model(folder / MODEL_NAME, card, trained.weights)
        model = Model(card, trained.weights)
        scores = masks.score(model, parts.scored, number, reporter, job.tolerance_mm)
        masks.write(complete=False)
        summary = summarise(scores, model.labels)
        write_cases_csv(made_folder(folder / EVALUATION) / "cases.csv", scores)
        write_summary_json(folder / EVALUATION / "summary.json", summary)
        if summary.mean_dice is not None:
            reporter.say(f"{name}: mean Dice {summary.mean_dice.mean:.3f} on what it holds out.")
        chosen = (*parts.leaks, nothing_chosen(plan_given=job.environment.plan_given))
        found = model_scores(summary, part=parts.scored_kind, used_to_choose=" ".join(chosen))
        save_model(folder / MODEL_NAME, card.model_copy(update={"scores": found}), trained.weights)

    def _trained(self, job: Job, plan: Plan, cached: Cached, name: str, *, resumed: bool) -> Trained:
        train, validation = job.parts.splits.train, job.parts.splits.validation
        try:
            return job.trained(plan, _of(cached, train), _of(cached, validation), resumed=resumed)
        except Interrupted as stop:
            raise Interrupted(
                f"Stopped: {name} is not finished; everything so far is saved. "
                f"Go on with: delineate train --resume {shlex.quote(str(self.job.folder))}",
                stop.exit_code - 128,
            ) from stop

    def _joined(self) -> tuple[ModelCard, dict[str, Tensor]]:
        """The nets of all folds as one model."""
        loaded = [load_model(folder / MODEL_NAME) for folder in self._folders]
        weights = together([held for _, held in loaded])
        first, _ = loaded[0]
        facts = {
            "cases": len(self.parts.whole),
            "seconds": round(sum(card.training.seconds or 0 for card, _ in loaded), 1),
            "case_digests": self.job.digests,
        }
        threshold = joint_threshold([card.plan.threshold for card, _ in loaded])
        prediction = first.plan.prediction.model_copy(update={"threshold": threshold})
        changed = {
            "plan": first.plan.model_copy(update={"prediction": prediction}),
            "format_version": OF_SEVERAL,
            "members": len(loaded),
            "weights_sha256": weights_sha256(weights),
            "training": first.training.model_copy(update=facts),
            "scores": None,
        }
        return first.model_copy(update=changed), weights

    def _out_of_fold(self, model: Model) -> tuple[Evaluation, Scores]:
        """The scores of all cases, each by the net of its fold."""
        folds, whole = self.parts.folds, self.parts.whole
        tables = [folder / EVALUATION for folder in self._folders]
        scores = in_order([each for table in tables for each in read_cases_csv(table / "cases.csv")], whole)
        which = " outside the test part" if folds.test else ""
        final = "" if self.ensemble else "; the net of all cases has no validation part"
        story = Story(
            title=self.job.title,
            scored_part=f"all {counted(len(whole), 'case')}{which}, in {len(folds)} folds",
            used_to_choose=" ".join(
                (
                    *self.parts.leaks_in(whole),
                    how_scored(
                        len(folds),
                        len(whole),
                        ensemble=self.ensemble,
                        plan_given=self.job.environment.plan_given,
                    ),
                )
            ),
            cautions=(*self.parts.cautions, *whole.notes),
            curves=mean_curves([read_history(folder / "metrics.csv") for folder in self._folders]),
            curves_note=f"These are the means over the nets of the folds{final}.",
            plan_yaml=self.job.plan_yaml(model),
            by_fold=table_by_fold([read_summary_json(table / "summary.json") for table in tables]),
        )
        evaluation = write_evaluation(
            made_folder(self.job.folder / EVALUATION),
            model,
            whole,
            scores,
            story,
            predict=FoldNets(self._folders, folds.fold_of),
            fold_of=folds.fold_of,
        )
        found = model_scores(evaluation.summary, part=CROSS_VALIDATION, used_to_choose=story.used_to_choose)
        return evaluation, found


def _of(cached: Cached, names: Sequence[str]) -> list[CachedCase]:
    return [each for name in names for each in cached[name]]


def _finished(folder: Path, plan: Plan) -> ModelCard | None:
    """What the model of a fold says, if it was trained and scored to the end.

    Raises:
        ModelFileError: It is damaged, or was made by another plan.
    """
    path = folder / MODEL_NAME
    if not path.is_file():
        return None
    card, begun = read_card(path), read_plan(folder / PLAN_NAME)
    if begun.prediction != plan.prediction or card.plan != plan.with_threshold_of(card.plan):
        raise ModelFileError(
            f"{path} was made by another plan than the plan.yaml of the run. Put that plan back, or train "
            "with the changed one in a new folder: delineate train DATA --plan plan.yaml"
        )
    return card if card.scores is not None else None


def _with_both(test: Scores | None, folds: Scores) -> Scores:
    """The scores on the test part, with the headline of the cross-validation beside them."""
    if test is None or folds.dice is None:
        return test or folds
    beside = (
        f"Cross-validation on {counted(folds.cases, 'other case')} gave a mean Dice of {folds.dice.mean:.3f}."
    )
    return test.model_copy(update={"used_to_choose": f"{test.used_to_choose} {beside}"})
