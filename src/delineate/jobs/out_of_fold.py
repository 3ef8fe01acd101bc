"""Scores and masks of the cases that a fold holds out, by its net, and the page about those of all folds."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from delineate import formats
from delineate.dataset.naming import counted
from delineate.errors import DataError
from delineate.evaluation.figures import CurvePoint
from delineate.evaluation.report import Table
from delineate.evaluation.scores import CaseScore, score_case
from delineate.evaluation.summary import Summary
from delineate.files import sha256
from delineate.image import LabelSet, Mask
from delineate.inference.found import Found
from delineate.inference.model import Model, load
from delineate.jobs.manifest import MANIFEST, Predicted, record, write_manifest
from delineate.jobs.parts import LoadedCase, Part
from delineate.jobs.reporter import Reporter
from delineate.jobs.scoring import predicted
from delineate.jobs.writing import Results, Wanted
from delineate.training.history import HistoryRow


@dataclass
class Masks:
    """The masks of all cases, each by a net that did not learn from it, as `delineate predict` writes them.

    Attributes:
        folder: Where they and their manifest lie.
        labels: Of the nets.
        files: What was written so far, by the name of the mask's file.
        weights: Of the net of each fold so far, as hashes.
        seconds: That predicting took so far.
        known: Names of the cases that the model started from had learned from.
    """

    folder: Path
    labels: LabelSet
    files: dict[str, Predicted] = field(default_factory=dict)
    weights: list[str] = field(default_factory=list)
    seconds: float = 0.0
    known: frozenset[str] = frozenset()

    def go_on(self) -> None:
        """Take over what the manifest of a stopped run says.

        Raises:
            DataError: It is damaged.
        """
        path = self.folder / MANIFEST
        if not path.is_file():
            return
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self.seconds = float(content["seconds"])
            for entry in content["files"]:
                self.files[str(entry["mask"])] = Predicted(**entry)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged. Train anew in another folder.") from error

    def hold(self, part: Part) -> bool:
        """Whether all masks of a part are written and told."""
        told = {formats.stem_of(Path(name)) for name in self.files if (self.folder / name).is_file()}
        return told >= {files.name for files in part.files}

    def score(
        self, model: Model, part: Part, fold: int, reporter: Reporter, tolerance_mm: float | None
    ) -> tuple[CaseScore, ...]:
        """Predict, score and write the cases that a fold holds out.

        Args:
            model: The fold's, which did not learn from them.
            part: These cases.
            fold: Its number.
            reporter: Told how it goes.
            tolerance_mm: Of the normalised surface Dice.

        Raises:
            DataError: A case does not fit the model.
            OutputError: The folder cannot be written.
        """
        start = time.monotonic()
        scores: list[CaseScore] = []
        hide = part.report.pseudonyms.redacted
        wanted = Wanted(weights_sha256=model.card.weights_sha256)
        for files, case in zip(part.files, part.tell(reporter, f"scoring fold {fold}"), strict=True):
            mask = predicted(model, case)
            scores += score_case(case.name, case.group, case.mask, mask, tolerance_mm=tolerance_mm)
            results = Results(case.name, self.folder, case.image, files.image)
            path = results.write(Found(mask, None), wanted)
            told = (files.image[0].parent,) if files.stack else files.image
            origin = f"predicted by the net of fold {fold}, which did not learn from it"
            if case.name in self.known:
                origin += ", but started from a model that did"
            self.files[path.name] = record(
                tuple(each.name for each in told),
                tuple(sha256(each) for each in files.image if not each.is_dir()),
                image=case.image,
                results=results,
                mask=mask,
                path=path,
                plan=model.plan,
                notes=(origin,),
            ).hidden(hide)
        self.weights.append(model.card.weights_sha256)
        self.seconds += time.monotonic() - start
        return tuple(scores)

    def write(self, *, complete: bool) -> None:
        """Write the manifest.

        Raises:
            OutputError: The place cannot be written.
        """
        write_manifest(
            self.folder,
            self.weights,
            self.labels,
            list(self.files.values()),
            complete=complete,
            seconds=self.seconds,
        )


class FoldNets:
    """The net that did not learn from a case; one of them in memory at a time.

    Args:
        folders: Of the folds.
        fold_of: For each case the number of its fold, from 1.
    """

    def __init__(self, folders: Sequence[Path], fold_of: dict[str, int]) -> None:
        self._folders, self._fold_of = folders, fold_of
        self._held: tuple[int, Model] | None = None

    def __call__(self, case: LoadedCase) -> Mask:
        """Its mask of the case."""
        fold = self._fold_of[case.name]
        if self._held is None or self._held[0] != fold:
            self._held = (fold, load(self._folders[fold - 1]))
        return predicted(self._held[1], case)


def in_order(scores: Sequence[CaseScore], part: Part) -> tuple[CaseScore, ...]:
    """Scores in the order of the part's cases."""
    place = {files.name: at for at, files in enumerate(part.files)}
    return tuple(sorted(scores, key=lambda score: place[score.case]))


def table_by_fold(summaries: Sequence[Summary]) -> Table:
    """How each fold's net did."""
    labels = [label.name for label in summaries[0].labels]
    header = ["fold", "cases held out", *(f"Dice, {name}" for name in labels)]
    if len(labels) > 1:
        header.append("mean Dice")
    rows = []
    for number, summary in enumerate(summaries, start=1):
        dices = [label.metrics["dice"] for label in summary.labels]
        found = [None if dice is None else dice.mean for dice in dices]
        if len(labels) > 1:
            found.append(None if summary.mean_dice is None else summary.mean_dice.mean)
        shown = ("–" if value is None else f"{value:.3f}" for value in found)
        rows.append((str(number), str(summary.cases), *shown))
    return Table("By fold", tuple(header), tuple(rows))


def mean_curves(histories: Sequence[Sequence[HistoryRow]]) -> list[CurvePoint]:
    """The mean of the folds' curves, step by step; they have one plan and so the same steps."""
    points = []
    for rows in zip(*histories, strict=False):
        dices = [row.validation_dice for row in rows if row.validation_dice is not None]
        points.append(
            CurvePoint(
                rows[0].step,
                fmean(row.train_loss for row in rows),
                fmean(row.train_dice for row in rows),
                fmean(dices) if dices else None,
                rows[0].learning_rate,
            )
        )
    return points


def nothing_chosen(*, plan_given: bool) -> str:
    """Whether the cases that are scored in folds were used to choose anything."""
    plan = (
        "The plan was given by hand; whether it was made by looking at these cases only its author can say."
        if plan_given
        else "The plan was made once for all folds, from sizes, spacings, intensities and shapes of the "
        "labels in all cases, the held-out ones included."
    )
    return f"{plan} Nothing else was chosen by them: the weights are those of the last step."


def how_scored(folds: int, cases: int, *, ensemble: bool, plan_given: bool) -> str:
    """How the scores of all folds came about, and what they say of the model."""
    shares = (
        "This is a cross-validation: each case was predicted by a net that learned from the other folds "
        f"alone, about {folds - 1} in {folds} of the cases, by the same plan; no group is in two folds."
    )
    model = (
        f"The model is these {folds} nets together, their probabilities averaged. As a whole it is not "
        "scored here, since each case was learned from by all nets but one."
        if ensemble
        else f"The model itself learned from all {counted(cases, 'case')} by that plan; it is not scored "
        "here, and the scores of these nets, which had less to learn from, stand for it."
    )
    return f"{shares} {model} {nothing_chosen(plan_given=plan_given)}"
