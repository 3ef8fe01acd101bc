"""From a data set to a scored model in a run folder."""

from __future__ import annotations

import contextlib
import shlex
import signal
from dataclasses import replace
from pathlib import Path

from delineate.choices import SPLIT_SEED
from delineate.dataset.folds import checked_number, write_folds
from delineate.dataset.pseudonyms import PRIVATE, TABLE, Pseudonyms
from delineate.dataset.split import write_splits
from delineate.errors import DataError, Interrupted, OutputError, Stopped, TooLittleMemoryError, UsageError
from delineate.files import (
    LOCK,
    as_path,
    is_file,
    is_folder,
    probe_writable,
    remove_unfinished,
    sole_new_folder,
    sole_use,
    write_text,
)
from delineate.formats import USUAL, Reading
from delineate.inference.model import Model
from delineate.jobs.ancestor import Ancestor, folds_with_leaks_of, with_leaks_of
from delineate.jobs.codes import write_codes
from delineate.jobs.cross_validation import FOLDS, CrossValidation, refuse_too_many
from delineate.jobs.duration import parse_budget
from delineate.jobs.encoder import start_from_encoder
from delineate.jobs.environment import NAME as ENVIRONMENT_NAME
from delineate.jobs.environment import (
    SOURCE_NAME,
    Environment,
    describe,
    differences,
    read_environment,
    read_source,
    write_environment,
    write_source,
)
from delineate.jobs.fold_parts import FoldParts
from delineate.jobs.imported import UNKNOWN_START
from delineate.jobs.job import PLAN_NAME, SPLITS_NAME, Job, Run
from delineate.jobs.reporter import Reporter
from delineate.jobs.scoring import checked_tolerance
from delineate.jobs.source import Log, Parts, Source, folder_named_after, measured
from delineate.jobs.watching import Watchers
from delineate.jobs.wishes import Wishes, planned_for
from delineate.plan import Plan, read_plan
from delineate.planner import Dims, Length, Precision, Preset
from delineate.planner.common import SIDED_LABELS
from delineate.pretrained.resnet import PretrainedEncoder, read_encoder
from delineate.threads import computing_threads, limiting_threads
from delineate.training.checkpoint import FOLDER as CHECKPOINTS
from delineate.training.start import Start, read_start, remove_start, write_start
from delineate.training.trainer import precision_for


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
    split_seed: int = SPLIT_SEED,
    dims: Dims | None = None,
    left_right: str | None = None,
    reading: Reading = USUAL,
    anonymous: bool = False,
    tolerance_mm: float | None = None,
    folds: int | None = None,
    ensemble: bool = False,
    start_from: Model | str | Path | None = None,
    encoder: str | Path | None = None,
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
        folds: Of a cross-validation: so many nets are trained, each scored on a fold that it did not learn
            from, then one of all cases; `budget` is the length of each training. None holds out one part.
        ensemble: Whether the nets of the folds, their probabilities averaged, are the model, instead of one
            more.
        start_from: A loaded model, a model file or a run folder, whose network and weights the training
            starts from; the weights are random otherwise. Its labels and channels may be others.
        encoder: A file of pretrained weights for the net's way down: a ResNet-18, -34 or -50 as torchvision
            and timm have them, `.pth` or `.safetensors`; random ones by default.
        log: "tensorboard" keeps its log in the run as well.
        threads: To compute with; None for PyTorch's number. The caller's own holds again afterwards.
        reporter: Told how it goes.

    Returns:
        The finished run.

    Raises:
        UsageError: The options contradict each other, or a folder is missing or in use.
        DataError: The data cannot be trained on; all errors are named.
        PlanError: The plan cannot be used for these data.
        ModelFileError: The model to start from, or the encoder's file, cannot be used.
        TrainingError: The loss is not a number.
        Interrupted: SIGINT or SIGTERM; go on with `resume`.
    """
    reporter = reporter or Reporter()
    source = Source(
        as_path(data),
        as_path(test) if test is not None else None,
        labels=labels,
        group_regex=group_regex,
        log=log,
        splits=as_path(splits) if splits is not None else None,
        split_seed=split_seed,
        reading=reading,
        pseudonyms=Pseudonyms(all_names=anonymous),
        tolerance_mm=checked_tolerance(tolerance_mm),
        folds=0 if folds is None else checked_number(folds),
        ensemble=ensemble,
        start_from=as_path(start_from) if isinstance(start_from, str | Path) else None,
    )
    if start_from is not None and encoder is not None:
        raise UsageError("Give either --from or --encoder: a model brings its own encoder's weights.")
    pretrained = read_encoder(as_path(encoder)) if encoder is not None else None
    wishes = Wishes(
        Length(parse_budget(budget) if budget is not None else None, epochs),
        preset=preset,
        seed=seed,
        precision=precision,
        plan=as_path(plan) if plan is not None else None,
        dims=dims,
        left_right=left_right,
        fourth_axis=reading.fourth_axis,
        encoder=pretrained.architecture if pretrained else "plain",
    )
    ancestor = Ancestor.of(start_from) if start_from is not None else None
    folder = _run_folder(as_path(out) if out is not None else None, source.data)
    try:
        with sole_new_folder(folder, "the run"):
            try:
                return _begun(folder, source, wishes, reporter, ancestor=ancestor, pretrained=pretrained)
            finally:
                _remove_unbegun(folder)
    except KeyboardInterrupt as stop:
        raise _interrupted(folder, stop) from stop


def resume(
    run: str | Path,
    *,
    data: str | Path | None = None,
    test: str | Path | None = None,
    threads: int | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Go on with a run that was stopped, to the same result as if it had not been.

    Args:
        run: Its folder.
        data: Where its data lie now, if they were moved; noted in the run.
        test: Likewise the data set that is scored, of a run that was begun with one.
        threads: To compute with; None for as many as the run was begun with. With another number the result
            may be another, which is told.
        reporter: Told how it goes.

    Returns:
        The finished run.

    Raises:
        UsageError: There is no such folder, or its data are not where they should be.
        DataError: It is no run, or its data are no longer what they were.
        ModelFileError: Its checkpoint is damaged or belongs to another plan.
        Interrupted: SIGINT or SIGTERM again.
    """
    reporter = reporter or Reporter()
    folder = as_path(run)
    if not folder.is_dir():
        raise UsageError(f"{folder} is no run folder. Give the folder that delineate train wrote.")
    whole = folder.absolute().parent.parent
    if folder.absolute().parent.name == FOLDS and (whole / ENVIRONMENT_NAME).is_file():
        raise UsageError(f"{folder} is a fold of the run {whole}. Go on with that one.")
    environment = read_environment(folder)
    if not (folder / PLAN_NAME).is_file():
        raise UsageError(
            f"{folder} was stopped before its training began, so that there is nothing to go on with. "
            "Remove it and train anew."
        )
    plan = read_plan(folder / PLAN_NAME)
    probe_writable(folder)
    own = environment.threads  # for the same bits
    with sole_use(folder), computing_threads(own if threads is None else threads):
        if threads not in (None, own):
            reporter.warn(
                f"The run was begun with {own} threads and goes on with {threads}, which rounds sums "
                "otherwise: its result may be another."
            )
        remove_unfinished(folder)
        known = read_source(folder, environment)
        moved = (None if each is None else as_path(each) for each in (data, test))
        source = _found(known, folder, *moved)
        return _gone_on_with(folder, environment, source, plan, reporter, moved=source != known)


def _gone_on_with(
    folder: Path, environment: Environment, source: Source, plan: Plan, reporter: Reporter, *, moved: bool
) -> Run:
    """The run read back and trained to its end."""
    stored = folder / SPLITS_NAME
    watchers = Watchers(source.log, reporter)
    try:
        folded = FoldParts.read(source, source.folds, reporter, stored=stored) if source.folds else None
        parts = (
            folded.final()
            if folded
            else Parts.read(source, reporter, stored=stored, drawn=not environment.splits_given)
        )
        facts = measured(parts.train, reporter)
        reporter.say(f"Going on with the run in {folder}.")
        if facts.sha256 != environment.data_sha256:
            raise DataError(
                f"The training images or masks in {source.data} are not those that this run was begun with. "
                "Put them back, or train anew in another folder."
            )
        if moved:
            write_source(folder, source)
            source.pseudonyms.write_table(folder)
        for difference in differences(environment, precision_for(plan)):
            reporter.warn(difference)
        given = environment.started_from is not None or environment.encoder_sha256 is not None
        start = read_start(folder, plan.network) if given else None
        if start is not None:
            parts, folded = _with_leaks_of(start, parts, folded, reporter)
        job = Job(folder, parts, facts, environment, reporter, watchers, source.tolerance_mm, start)
        return _gone(job, folded, source, plan, resumed=True)
    except KeyboardInterrupt as stop:
        raise _interrupted(folder, stop) from stop


def _found(source: Source, folder: Path, data: Path | None, test: Path | None) -> Source:
    """The data of a run, where they lie now.

    Args:
        source: As it was stored.
        folder: Of the run.
        data: Where the data were moved to, if they were.
        test: Likewise the test set.

    Raises:
        UsageError: They do not lie there, or there is no test set.
    """
    if test is not None and source.test is None:
        raise UsageError(f"The run {folder} was begun without --test. Omit it.")
    source = replace(source, data=data or source.data, test=test or source.test)
    run = shlex.quote(str(folder))
    for path, command in (
        (source.data, f"delineate train DATA --resume {run}"),
        (source.test, f"delineate train {shlex.quote(str(source.data))} --resume {run} --test DATA"),
    ):
        if path is not None and not (is_folder(path) or is_file(path)):
            raise UsageError(
                f"The run's data were not found at {path}. If they were moved, say where they lie now: "
                f"{command}"
            )
    return source


def _begun(
    folder: Path,
    source: Source,
    wishes: Wishes,
    reporter: Reporter,
    *,
    ancestor: Ancestor | None,
    pretrained: PretrainedEncoder | None,
) -> Run:
    """The run planned, written down and trained."""
    watchers = Watchers(source.log, reporter)
    folded = FoldParts.read(source, source.folds, reporter) if source.folds else None
    parts = folded.final() if folded else Parts.read(source, reporter)
    facts = measured(parts.train, reporter)
    planned, text = planned_for(wishes, facts.fingerprint, ancestor.card if ancestor else None)
    reporter.planned(planned, folder)
    start = ancestor.start_of(planned.plan, reporter) if ancestor else None
    if pretrained is not None:
        start = start_from_encoder(pretrained, planned.plan)
    if start is not None:
        parts, folded = _with_leaks_of(start, parts, folded, reporter)
    elif planned.plan.network.encoder != "plain":
        reporter.warn("The plan's encoder starts from random weights: give a file of them with --encoder.")
    if SIDED_LABELS in planned.reasons.values():
        reporter.say(f"Images are not mirrored left to right: {SIDED_LABELS}.")
    if source.ensemble:
        refuse_too_many(planned.plan, source.folds)
    if folded:
        write_folds(folder / SPLITS_NAME, folded.folds)
    else:
        write_splits(folder / SPLITS_NAME, parts.splits)
    environment = describe(
        source,
        data_sha256=facts.sha256,
        precision=precision_for(planned.plan),
        plan_given=wishes.plan is not None,
        started_from=start.started_from if start else None,
        encoder_sha256=start.encoder_sha256 if start else None,
    )
    write_source(folder, source)
    write_codes(source.pseudonyms, folder, reporter)
    write_environment(folder, environment)
    if start is not None:
        write_start(folder, start)
    write_text(folder / PLAN_NAME, text)
    job = Job(folder, parts, facts, environment, reporter, watchers, source.tolerance_mm, start)
    return _gone(job, folded, source, planned.plan)


def _with_leaks_of(
    start: Start, parts: Parts, folded: FoldParts | None, reporter: Reporter
) -> tuple[Parts, FoldParts | None]:
    """Both with a caution where the model started from has seen, or may have seen, what they score."""
    if start.unknown_images:
        reporter.warn(UNKNOWN_START)
    parts = with_leaks_of(start, parts, reporter)
    return parts, folds_with_leaks_of(start, folded, reporter) if folded else None


def _gone(job: Job, folded: FoldParts | None, source: Source, plan: Plan, *, resumed: bool = False) -> Run:
    """The job done: a training, or all those of a cross-validation.

    Raises:
        TooLittleMemoryError: What is to be scored takes more memory than there is; all else is kept.
    """
    try:
        if folded:
            return CrossValidation(job, folded, source.ensemble).go(plan, resumed=resumed)
        return job.go(plan, resumed=resumed)
    except TooLittleMemoryError as error:
        go_on = f"delineate train --resume {shlex.quote(str(job.folder))}"
        raise TooLittleMemoryError(
            f"{error} All that was done so far is kept. When there is more memory, go on with: {go_on}",
            error.shortage,
        ) from error


def _run_folder(out: Path | None, data: Path) -> Path:
    """Where the run shall be: the folder asked for, or the next free one below `runs`."""
    out = out or folder_named_after(data, "runs")
    if (out / PLAN_NAME).is_file():
        raise OutputError(
            f"{out} holds another run. Nothing was touched. Give a new folder, or go on with that "
            f"run: delineate train --resume {shlex.quote(str(out))}"
        )
    return out


def _remove_unbegun(folder: Path) -> None:
    """Remove what was made of a run that came to nothing before its plan was written."""
    with contextlib.suppress(OSError):
        begun = (SPLITS_NAME, ENVIRONMENT_NAME, PRIVATE, CHECKPOINTS, LOCK)
        if not any(path.name not in begun for path in folder.iterdir()):
            for name in (SPLITS_NAME, ENVIRONMENT_NAME, f"{PRIVATE}/{SOURCE_NAME}", f"{PRIVATE}/{TABLE}"):
                (folder / name).unlink(missing_ok=True)
            remove_start(folder)
            if (folder / PRIVATE).is_dir():
                (folder / PRIVATE).rmdir()


def _interrupted(folder: Path, stop: KeyboardInterrupt) -> Interrupted:
    if (folder / PLAN_NAME).is_file():
        message = f"Stopped. Go on with: delineate train --resume {shlex.quote(str(folder))}"
    else:
        message = "Stopped before the training began."
    return Interrupted(message, stop.signal_number if isinstance(stop, Stopped) else signal.SIGINT)
