"""Scoring a model on cases with references, and the folder that tells of it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from delineate.dataset.check_report import CheckReport, without_root
from delineate.dataset.naming import counted
from delineate.dataset.placing import size_in_words
from delineate.dataset.pseudonyms import Pseudonyms
from delineate.errors import DataError, TooLittleMemoryError, UsageError
from delineate.evaluation.figures import CurvePoint
from delineate.evaluation.overlays import draw_overlay, encode_png
from delineate.evaluation.report import Finding, Overlay, Report, Table, choose_cases, render_report
from delineate.evaluation.scores import CaseScore, score_case
from delineate.evaluation.summary import Summary, summarise
from delineate.evaluation.tables import write_cases_csv, write_summary_json
from delineate.files import as_path, made_folder, sole_new_folder, write_text, write_with
from delineate.formats import Reading
from delineate.image import Mask
from delineate.inference.engines.wish import EngineChoice, PrecisionChoice
from delineate.jobs.codes import write_codes
from delineate.jobs.duration import in_words
from delineate.jobs.engines import Wish
from delineate.jobs.imported import caution_of, imported_in_words
from delineate.jobs.parts import (
    TO_SCORE,
    LoadedCase,
    Part,
    checked_part,
    learned_of,
    name_of,
    seen,
)
from delineate.jobs.reading import reading_for
from delineate.jobs.reporter import Reporter
from delineate.jobs.software import software_versions
from delineate.jobs.tolerance import tolerance_cautions
from delineate.model_file import ModelCard
from delineate.plan import to_yaml
from delineate.threads import limiting_threads

if TYPE_CHECKING:
    from delineate.inference.loading import AnyModel

OVERLAY_PX = 720


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        summary: Means, intervals, counts.
        scores: One a case and label.
        folder: Where `cases.csv`, `summary.json`, `report.html` and `overlays/` lie; None where not written.
    """

    summary: Summary
    scores: tuple[CaseScore, ...]
    folder: Path | None = None

    @property
    def dice(self) -> float | None:
        """The headline: mean Dice over cases within each label, then over labels; None without any."""
        return self.summary.mean_dice.mean if self.summary.mean_dice else None

    @property
    def report(self) -> Path | None:
        """The page to look at."""
        return self.folder / "report.html" if self.folder else None


@dataclass(frozen=True)
class Story:
    """What the report tells besides the scores.

    Attributes:
        title: The page's.
        scored_part: To stand in a sentence: "the validation part of this run".
        used_to_choose: A sentence.
        cautions: What may inflate the scores, or is to be known of them, to stand beside them.
        curves: Of the training, if it is known.
        plan_yaml: The plan as it lies in the run, with its comments; None to write it from the model.
        curves_note: Whose curves they are, if not the model's.
        by_fold: The scores of each fold of a cross-validation.
    """

    title: str
    scored_part: str
    used_to_choose: str
    cautions: Sequence[str] = ()
    curves: Sequence[CurvePoint] | None = None
    plan_yaml: str | None = None
    curves_note: str = ""
    by_fold: Table | None = None


@limiting_threads
def evaluate(
    model: AnyModel | str | Path,
    data: str | Path,
    *,
    out: str | Path | None = None,
    labels: str | None = None,
    group_regex: str | None = None,
    tolerance_mm: float | None = None,
    reading: Reading | None = None,
    anonymous: bool = False,
    threads: int | None = None,  # noqa: ARG001  the decorator reads it
    engine: EngineChoice | None = None,
    precision: PrecisionChoice | None = None,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score a model on a data set.

    Args:
        model: A loaded model, a model file or a run folder.
        data: A folder of images and masks, or a CSV table, as for training.
        out: A new folder for the scores, the report and its pictures; None writes nothing.
        labels: What the mask values mean, where that is to be decided by hand.
        group_regex: Finds the group in a case's name.
        tolerance_mm: Of the normalised surface Dice, in millimetres; None for 2 mm of volumes and 2 pixels of
            pictures.
        reading: How files are read where they leave a choice; a fourth axis for channels where the model's
            training data had it so.
        anonymous: Whether to write codes in place of all cases' names; else of those that look as if they
            told who a patient is. `private/names.csv` in `out` says which is which.
        threads: To compute with; None for PyTorch's number. The caller's own holds again afterwards.
        engine: What computes the net, see `load`; None for that of a loaded model, else "torch".
        precision: In which numbers, likewise.
        reporter: Told how it goes.

    Returns:
        The scores.

    Raises:
        UsageError: There is no such data set, or the output folder is in use.
        DataError: The data cannot be scored; all errors are named.
        ModelFileError: The model cannot be used.
    """
    reporter = reporter or Reporter()
    wish = Wish(engine, precision)
    loaded = wish.model(model)
    folder = as_path(out) if out is not None else None
    with sole_new_folder(folder, "the evaluation") if folder is not None else contextlib.nullcontext():
        part = checked_part(
            as_path(data),
            labels=labels,
            group_regex=group_regex,
            reporter=reporter,
            expected=loaded.labels,
            reading=reading_for(loaded.plan, reading),
            pseudonyms=Pseudonyms(all_names=anonymous),
            forgiven=TO_SCORE,
            order=loaded.card.training.structures,
        )
        learned = learned_from(loaded, part)
        caution = seen(learned, part) if learned else caution_of(loaded.card)
        if caution:
            reporter.warn(caution)
        cautions = tolerance_cautions(part, checked_tolerance(tolerance_mm), reporter)
        wish.settle_for_part(loaded, part, reporter)
        scores = score_part(loaded, part, reporter, tolerance_mm=tolerance_mm)
        name = part.report.pseudonyms.redacted(name_of(Path(data)))
        story = Story(
            title=f"Evaluation on {name}",
            scored_part=f"the data set {name}",
            used_to_choose=caution
            or "The model did not learn from any of these images (their pixels were compared), "
            "and nothing was chosen by them.",
            cautions=(*part.notes, *cautions),
        )
        if folder is None:
            return Evaluation(summarise(scores, loaded.labels), scores)
        write_codes(part.report.pseudonyms, folder, reporter)
        return write_evaluation(folder, loaded, part, scores, story)


def score_part(
    model: AnyModel, part: Part, reporter: Reporter, *, tolerance_mm: float | None = None
) -> tuple[CaseScore, ...]:
    """Predict and score every case.

    Args:
        model: That predicts.
        part: The cases.
        reporter: Told how it goes.
        tolerance_mm: Of the normalised surface Dice; None for the usual one.

    Raises:
        DataError: A case does not fit the model; it is named.
    """
    scores: list[CaseScore] = []
    for case in part.tell(reporter, "scoring"):
        found = predicted(model, case)
        scores += score_case(case.name, case.group, case.mask, found, tolerance_mm=tolerance_mm)
    return tuple(scores)


def checked_tolerance(tolerance_mm: float | None) -> float | None:
    """The tolerance, if it is one.

    Raises:
        UsageError: It is negative or no number.
    """
    if tolerance_mm is not None and not 0 <= tolerance_mm < float("inf"):
        raise UsageError(f"The tolerance {tolerance_mm} is no distance: give millimetres, 0 or more.")
    return tolerance_mm


def write_evaluation(
    folder: Path,
    model: AnyModel,
    part: Part,
    scores: tuple[CaseScore, ...],
    story: Story,
    *,
    predict: Callable[[LoadedCase], Mask] | None = None,
    fold_of: Mapping[str, int] | None = None,
) -> Evaluation:
    """Write the tables, the pictures and the report.

    Args:
        folder: An existing one.
        model: That was scored.
        part: On these cases.
        scores: With this result.
        story: What else there is to tell.
        predict: Makes the masks that are drawn; None for the model.
        fold_of: For each case the fold that held it out, in a cross-validation.

    Raises:
        OutputError: The place cannot be written.
    """
    summary = summarise(scores, model.labels)
    write_cases_csv(folder / "cases.csv", scores, fold_of)
    write_summary_json(folder / "summary.json", summary)
    overlays = _draw(folder / "overlays", predict or functools.partial(predicted, model), part, scores)
    card = model.card
    report = Report(
        title=story.title,
        summary=summary,
        scores=scores,
        scored_part=story.scored_part,
        used_to_choose=story.used_to_choose,
        cautions=tuple(without_root(caution, part.report.discovery.root) for caution in story.cautions),
        overlays=overlays,
        curves=story.curves,
        curves_note=story.curves_note,
        by_fold=story.by_fold,
        findings=findings(part.report),
        tables=tables(part.report),
        plan_yaml=story.plan_yaml or to_yaml(card.plan),
        software=software_versions(),
        model={
            "labels": ", ".join(model.labels.names),
            **({"nets, their probabilities averaged": f"{card.members}"} if card.members > 1 else {}),
            **(_training_in_words(card) if card.imported is None else imported_in_words(card.imported)),
            "parameters": f"{model.parameters:,}",
            "weights (SHA-256)": card.weights_sha256,
        },
    )
    write_text(folder / "report.html", render_report(report))
    return Evaluation(summary, scores, folder)


def _training_in_words(card: ModelCard) -> dict[str, str]:
    """How the weights came about."""
    training = card.training
    return {
        "trained on": counted(training.cases or 0, "case"),
        "trained for": f"{training.steps} steps{' each' if card.members > 1 else ''}, "
        f"{in_words(training.seconds or 0)}, in {training.precision}",
        "started from": f"the weights (SHA-256) {training.started_from}"
        if training.started_from
        else f"an encoder's file of weights (SHA-256) {training.encoder_sha256}"
        if training.encoder_sha256
        else "random weights",
    }


def findings(report: CheckReport) -> list[Finding]:
    """What a check noticed, without the path to the data."""
    return [
        Finding(
            problem.level,
            without_root(problem.message, report.discovery.root),
            tuple(report.shown(path) for path in problem.paths),
        )
        for problem in report.problems
    ]


def tables(report: CheckReport) -> list[Table]:
    """What a check understood: the masks' values, the images' sizes and intensities."""
    found = [
        Table(
            "What the mask values mean",
            ("value", "label", "share of pixels", "masks"),
            tuple(
                (row.value, row.label or "background", f"{row.share:.2%}", str(row.cases))
                for row in report.label_rows
            ),
        )
    ]
    sizes = report.sizes
    if sizes is not None:
        rows = tuple(
            (name, size_in_words(size))
            for name, size in (
                ("smallest", sizes.smallest),
                ("median", sizes.median),
                ("largest", sizes.largest),
            )
        )
        if sizes.distinct == 1:
            rows = (("all", size_in_words(sizes.median)),)
        heading = "width × height" if len(sizes.median) == 2 else "width × height × depth"
        different = f"{sizes.distinct} different" if sizes.distinct > 1 else ""
        found.append(Table("Image sizes", (different, heading), rows))
    found.append(
        Table(
            "Intensities",
            ("channel", "minimum", "mean", "standard deviation", "maximum"),
            tuple(
                (
                    channel.name,
                    f"{channel.minimum:.4g}",
                    f"{channel.mean:.4g}",
                    f"{channel.standard_deviation:.4g}",
                    f"{channel.maximum:.4g}",
                )
                for channel in report.intensities
            ),
        )
    )
    return found


def learned_from(model: AnyModel, part: Part) -> list[str]:
    """The cases whose pixels are those of an image that the model was trained on."""
    return learned_of(part, model.card.training.case_digests)


def predicted(model: AnyModel, case: LoadedCase) -> Mask:
    """The model's mask of a case.

    Raises:
        DataError: The case does not fit the model, or takes too much memory; it is named.
    """
    with naming(case):
        return model.predict_mask(case.image)


@contextlib.contextmanager
def naming(case: LoadedCase) -> Iterator[None]:
    """Name the case that is predicted in the block, where that fails.

    Raises:
        DataError: The case does not fit the model, or takes too much memory.
    """
    try:
        yield
    except TooLittleMemoryError as error:
        raise TooLittleMemoryError(
            f"Case {case.name} cannot be scored: it would take about {error.shortage}. Close other programs, "
            "or take a machine with more memory.",
            error.shortage,
        ) from error
    except DataError as error:
        raise DataError(f"Case {case.name} does not fit the model: {error}.") from error


def _draw(
    folder: Path, predict: Callable[[LoadedCase], Mask], part: Part, scores: Sequence[CaseScore]
) -> list[Overlay]:
    """The worst, median and best cases, drawn, written and kept for the report."""
    made_folder(folder)
    chosen = choose_cases(scores)
    ranks = {name: (dice, rank) for name, dice, rank in chosen}
    drawn: dict[str, Overlay] = {}
    for case in part.of([name for name, _, _ in chosen]):
        dice, rank = ranks[case.name]
        png = encode_png(draw_overlay(case.image, case.mask, predict(case)), longest_px=OVERLAY_PX)
        write_with(folder / f"{case.name}.png", functools.partial(_write, content=png))
        drawn[case.name] = Overlay(case.name, dice, rank, png)
    return [drawn[name] for name, _, _ in chosen]


def _write(stream: IO[bytes], content: bytes) -> None:
    stream.write(content)
