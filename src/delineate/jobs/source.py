"""The data of a run: what is learnt from, what is watched, what is scored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from delineate.choices import SPLIT_SEED
from delineate.dataset.folds import checked_number
from delineate.dataset.mask_encoding import MaskEncoding
from delineate.dataset.naming import counted, listed, printable
from delineate.dataset.pixel_digests import pixel_digest, stored_digest
from delineate.dataset.pseudonyms import Pseudonyms, looks_identifying
from delineate.dataset.split import Splits, read_splits, split
from delineate.dataset.structure_names import alike
from delineate.errors import DataError, UsageError
from delineate.files import free_folder
from delineate.fingerprint import Fingerprint, measure
from delineate.formats import USUAL, Reading
from delineate.image import Image, LabelSet, Mask
from delineate.jobs.parts import NO_SPLIT, TO_SCORE, Part, checked_part, learned_of, name_of, seen
from delineate.jobs.reporter import Reporter
from delineate.jobs.tolerance import tolerance_cautions

Log = Literal["tensorboard"]
FLATTERING = frozenset({"divided-patients", "copies-by-name"})  # belong beside any score
IN_DRAWING = frozenset({"sequence", "shared-folders"})  # unless it is of a marked part
ACROSS_MARKS = frozenset(
    {"near-duplicate-across-split", "groups-named-alike", "folders-across-split"}
)  # if so


def folder_named_after(data: Path, parent: str) -> Path:
    """A folder below `parent` that is not there yet, with the data's name, unless that may tell a patient's.

    Args:
        data: A folder or a table.
        parent: Of the folder; need not be there.
    """
    name = Path(name_of(data)).stem if data.is_file() else name_of(data)
    return free_folder(Path(parent) / ("data" if not name or looks_identifying(name) else name))


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Source:
    """The data of a run and how they are to be read.

    Attributes:
        data: The data set.
        test: Another one to be scored; None to hold out a part of `data`.
        labels: What the mask values mean, where that is decided by hand.
        group_regex: Finds the group in a case's name.
        log: A further log to keep.
        splits: A `splits.json` to divide the data by; None to draw the parts.
        split_seed: By which they are drawn.
        reading: How the files are to be read.
        pseudonyms: Codes for names that tell too much.
        tolerance_mm: Of the evaluation's surface Dice.
        folds: Of a cross-validation; 0 for one held-out part.
        ensemble: Whether the nets of the folds are the model.
        start_from: The model whose weights the training starts from; None for random ones, or those of one
            that is in memory.

    Raises:
        UsageError: The log is none that there is, the split's seed or file is none, or the folds cannot be.
    """

    data: Path
    test: Path | None = None
    _: KW_ONLY
    labels: str | None = None
    group_regex: str | None = None
    log: Log | None = None
    splits: Path | None = None
    split_seed: int = SPLIT_SEED
    reading: Reading = USUAL
    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)
    tolerance_mm: float | None = None
    folds: int = 0
    ensemble: bool = False
    start_from: Path | None = None

    def __post_init__(self) -> None:
        for path in filter(None, (self.data, self.test)):
            if not _is_text(path.absolute()):
                raise UsageError(
                    f"{printable(path)}: this path has bytes that are no UTF-8, so that no file can name it. "
                    "Rename its folders."
                )
        if self.log is not None and self.log not in get_args(Log):
            raise UsageError(f"There is no log {self.log!r}. Give one of {', '.join(get_args(Log))}.")
        if self.splits is not None and not self.splits.is_file():
            raise UsageError(f"There is no file {self.splits}. Give a splits.json, or omit --splits.")
        if type(self.split_seed) is not int or self.split_seed < 0:
            raise UsageError(f"The split's seed {self.split_seed!r} is out of range: give 0 or more.")
        if self.folds != 0:
            checked_number(self.folds)
        elif self.ensemble:
            raise UsageError(
                "--ensemble makes a model of the nets of the folds: give --folds, such as --folds 5."
            )
        if self.folds and self.splits is not None:
            raise UsageError(
                "Give either --folds or --splits: folds are drawn from all cases, the same ones by the same "
                "--split-seed."
            )


@dataclass(frozen=True)
class Parts:
    """What is learnt from, watched and scored.

    Attributes:
        train: What is learnt from.
        validation: Looked at on the way.
        scored: The held-out part.
        scored_name: What it is, to stand in a sentence.
        scored_kind: Whether it was looked at on the way.
        splits: The division of the data.
        cautions: What may inflate the score, or is to be known of its tolerance.
        leaks: What of the scored part was met in training.
    """

    train: Part
    validation: Part
    scored: Part
    scored_name: str
    scored_kind: Literal["validation", "test"]
    splits: Splits
    cautions: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()

    @classmethod
    def read(
        cls, source: Source, reporter: Reporter, *, stored: Path | None = None, drawn: bool = False
    ) -> Parts:
        """Check the data and divide them.

        Args:
            source: Where they lie, and how they are divided.
            reporter: Told how it goes.
            stored: The `splits.json` of a run that goes on, which holds the division once more.
            drawn: Whether the run has drawn that division, or found it in the data.

        Raises:
            UsageError: There is no such data set.
            DataError: It cannot be trained on, or does not fit the split.
        """
        if stored is not None:
            source = replace(source, splits=stored)
        whole = checked_whole(source, reporter)
        try:
            splits = divided(whole, source)
        except DataError as error:
            if stored is None:
                raise
            raise DataError(
                f"The cases in {source.data} are not those that this run was begun with, or this version "
                f"calls them otherwise. Put them back, or train anew in another folder. {error}"
            ) from error
        if drawn:
            splits = replace(splits, warnings=())  # those are of a file that the user has written
        if source.test is not None and splits.test:
            beside = (
                f"{counted(len(splits.test), 'case')} that the split calls test left aside, since another "
            )
            reporter.warn(f"{beside}data set is scored: {listed(splits.test)}.")
        for warning in splits.warnings:
            reporter.warn(warning)
        if splits.left_out:
            left = counted(len(splits.left_out), "case")
            reporter.warn(f"{left} in no part of the split, and left aside: {listed(splits.left_out)}.")
        leaks: tuple[str, ...] = ()
        train, validation, test = (
            whole.of(names) for names in (splits.train, splits.validation, splits.test)
        )
        if source.test is not None:
            scored, name, leaks = separate_test(source, whole, train, reporter)
        elif len(test):
            scored, name = test, "the test part"
        else:
            scored, name = validation, "the validation part"
        kind: Literal["validation", "test"] = "validation" if scored is validation else "test"
        cautions = splits.warnings
        if source.test is None:
            by_marks = source.splits is None or drawn
            nothing_marked = not any(files.held_out for files in whole.files)
            cautions += flattering(whole, drawn=by_marks and nothing_marked, by_marks=by_marks)
        cautions += tolerance_cautions(scored, source.tolerance_mm, reporter)
        return cls(train, validation, scored, name, kind, splits, cautions, leaks)

    def relabelled(self, labels: LabelSet) -> Parts:
        """The same with the labels called otherwise."""
        train, validation, scored = (
            replace(part, labels=labels) for part in (self.train, self.validation, self.scored)
        )
        return replace(self, train=train, validation=validation, scored=scored)


def checked_whole(source: Source, reporter: Reporter) -> Part:
    """The whole data set of a run, checked.

    Raises:
        UsageError: There is no such data set.
        DataError: It cannot be trained on.
    """
    divided_already = source.test is not None or source.splits is not None
    forgiven = NO_SPLIT if divided_already else frozenset()
    return _checked(source, source.data, reporter, forgiven=forgiven, pooled=source.folds > 0)


def separate_test(
    source: Source, whole: Part, train: Part, reporter: Reporter
) -> tuple[Part, str, tuple[str, ...]]:
    """The other data set that is scored, what it is called, and what of it was met in training.

    Raises:
        UsageError: There is none.
        DataError: It cannot be scored.
    """
    if source.test is None:
        raise ValueError("there is no separate test set")
    reporter.say("The test set:")
    scored = _checked(
        source,
        source.test,
        reporter,
        forgiven=TO_SCORE,
        expected=whole.labels,
        encoding=None if _joined(whole) else whole.encoding,  # other masks do not have the values given here
        order=whole.report.order,
    )
    if source.labels is not None and (_joined(whole) or _joined(scored)):
        _check_alike(whole, scored)
    name = f"the separate test set {source.pseudonyms.redacted(name_of(source.test))}"
    return scored, name, _shared(train, scored, reporter)


def _joined(part: Part) -> bool:
    """Whether masks are joined of several files, and numbered by the names of these."""
    return any(files.structures for files in part.files)


def _check_alike(whole: Part, scored: Part) -> None:
    """Refuse a --labels whose numbers mean other structures in the test set."""
    here, there = (part.report.discovery.label_names or {} for part in (whole, scored))
    alike_here, alike_there = ({at: alike(each) for at, each in names.items()} for names in (here, there))
    if alike_here != alike_there:
        ours, theirs = (listed(f"{value} {name}" for value, name in names.items()) for names in (here, there))
        raise DataError(
            f"--labels means the numbers of structures, which are {ours or 'not named'} in the data and "
            f"{theirs or 'not named'} in the test set. Lay both out with masks of the same structures, or "
            "train without --test and score the model by `delineate evaluate` with a --labels for that set."
        )


def _checked(
    source: Source,
    data: Path,
    reporter: Reporter,
    *,
    forgiven: frozenset[str],
    expected: LabelSet | None = None,
    encoding: MaskEncoding | None = None,
    pooled: bool = False,
    order: Sequence[str] = (),
) -> Part:
    """A data set read as the source says; see `checked_part`."""
    return checked_part(
        data,
        labels=source.labels,
        group_regex=source.group_regex,
        reporter=reporter,
        expected=expected,
        encoding=encoding,
        reading=source.reading,
        pseudonyms=source.pseudonyms,
        forgiven=forgiven,
        pooled=pooled,
        order=order,
    )


def flattering(whole: Part, *, drawn: bool, by_marks: bool) -> tuple[str, ...]:
    """What was found that may inflate a score on a part of the data.

    Args:
        whole: All of them.
        drawn: Whether the scored part is drawn, which divides near copies that are not kept together.
        by_marks: Whether it is what the data mark, where they mark parts.
    """
    codes = FLATTERING
    if drawn or not by_marks:
        codes |= IN_DRAWING
    if by_marks:
        codes |= ACROSS_MARKS
    if drawn and not whole.report.keep_near_together:
        codes |= {"near-duplicate"}
    return tuple(found.message for found in whole.report.problems if found.code in codes)


@dataclass(frozen=True)
class Facts:
    """What was measured over the training part.

    Attributes:
        fingerprint: For the planner.
        digests: Of each image's pixels.
        sha256: Of all images and masks in order, as they are stored.
    """

    fingerprint: Fingerprint
    digests: tuple[str, ...]
    sha256: str


def measured(train: Part, reporter: Reporter) -> Facts:
    """Measure the training part in one pass."""
    digests: list[str] = []
    whole = hashlib.sha256()

    def noted() -> Iterator[tuple[Image, Mask]]:
        for case in train.tell(reporter, "measuring"):
            digests.append(pixel_digest(case.image))
            whole.update(stored_digest(case.image).encode())
            whole.update(case.mask.values.tobytes())
            where = case.image.geometry.spacing_mm, case.image.geometry.directions
            if any(where):
                whole.update(repr(where).encode())
            yield case.image, case.mask

    fingerprint = measure(noted(), train.labels, train.report.colour, train.report.orientation)
    return Facts(fingerprint, tuple(digests), whole.hexdigest())


def divided(whole: Part, source: Source) -> Splits:
    """Divide a data set: by the file, as the data say, or by drawing.

    With a separate test set all cases are trained on, but for those that the data themselves mark otherwise.

    Args:
        whole: All of it.
        source: Says how.

    Raises:
        DataError: The file does not fit the data, or there are not two groups.
    """
    if source.splits is not None:
        return read_splits(
            source.splits,
            whole.report.strict_groups(),
            near=whole.report.near_duplicate_groups,
            held_out_elsewhere=source.test is not None,
        )
    groups = whole.report.case_groups()
    if source.test is None:
        return split(whole.files, groups, seed=source.split_seed, labels_by_case=whole.report.labels_by_case)
    by_part: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for files in whole.files:
        by_part[files.split or "train"].append(files.name)
    return Splits(
        train=tuple(by_part["train"]),
        validation=tuple(by_part["validation"]),
        test=(),
        seed=0,
        how="all to train but what the data mark otherwise; a separate test set is scored",
        groups=groups,
        left_out=tuple(by_part["test"]),
    )


def _named_groups(part: Part) -> set[str]:
    """Groups by names that mean the same in another data set."""
    numbered = {name for name in part.report.subjects if name in part.report.groups}
    groups = part.report.groups.items()
    return {group for name, group in groups if group is not None and name not in numbered}


def _shared(train: Part, test: Part, reporter: Reporter) -> tuple[str, ...]:
    """What of a test set was met in training: images, and groups by their stated names."""
    cautions = []
    learned = learned_of(test, {pixel_digest(case.image) for case in train})
    if learned:
        cautions.append(seen(learned, test))
    here, there = (set(part.report.subjects.values()) for part in (train, test))
    if known_again := here & there:
        cautions.append(
            f"{counted(len(known_again), 'patient')} of the test set also in the training data, as the files "
            "say: the score is better than on new ones."
        )
    ours, theirs = (_named_groups(part) for part in (train, test))
    if both := sorted(ours & theirs):
        cautions.append(
            f"{counted(len(both), 'group')} of the test set also in the training data: {listed(both)}. "
            "If they are the same patients, the score is better than on new ones."
        )
    for caution in cautions:
        reporter.warn(caution)
    return tuple(cautions)
