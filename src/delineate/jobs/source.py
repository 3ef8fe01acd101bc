"""The data of a run: what is learnt from, what is watched, what is scored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from delineate.dataset.split import Splits, read_splits, split
from delineate.fingerprint import Fingerprint, measure
from delineate.image import Image, Mask
from delineate.jobs.parts import NO_SPLIT, TO_SCORE, Part, checked_part, pixel_digest
from delineate.jobs.reporter import Reporter

Log = Literal["tensorboard"]


@dataclass(frozen=True)
class Source:
    """The data of a run and how they are to be read.

    Attributes:
        data: The data set.
        test: Another one to be scored; None to hold out a part of `data`.
        labels: What the mask values mean, where that is decided by hand.
        group_regex: Finds the group in a case's name.
        log: A further log to keep.
    """

    data: Path
    test: Path | None = None
    labels: str | None = None
    group_regex: str | None = None
    log: Log | None = None


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
    """

    train: Part
    validation: Part
    scored: Part
    scored_name: str
    scored_kind: Literal["validation", "test"]
    splits: Splits

    @classmethod
    def read(cls, source: Source, splits_path: Path | None, reporter: Reporter) -> Parts:
        """Check the data and divide them.

        Args:
            source: Where they lie.
            splits_path: A `splits.json` to divide them by; None to draw the parts.
            reporter: Told how it goes.

        Raises:
            UsageError: There is no such data set.
            DataError: It cannot be trained on, or does not fit the split.
        """
        forgiven = NO_SPLIT if source.test is not None or splits_path is not None else frozenset[str]()
        whole = checked_part(
            source.data,
            labels=source.labels,
            group_regex=source.group_regex,
            reporter=reporter,
            forgiven=forgiven,
        )
        splits = divided(whole, splits_path, all_to_train=source.test is not None)
        if splits.left_out:
            reporter.warn(f"{len(splits.left_out)} cases are in no part of {splits_path} and are left aside.")
        train, validation, test = (
            whole.of(names) for names in (splits.train, splits.validation, splits.test)
        )
        if source.test is not None:
            reporter.say("The test set:")
            scored = checked_part(
                source.test,
                labels=source.labels,
                group_regex=source.group_regex,
                reporter=reporter,
                expected=whole.labels,
                forgiven=TO_SCORE,
            )
            name = f"the separate test set {source.test.absolute().name}"
        elif len(test):
            scored, name = test, "the test part"
        else:
            scored, name = validation, "the validation part"
        kind: Literal["validation", "test"] = "validation" if scored is validation else "test"
        return cls(train, validation, scored, name, kind, splits)


@dataclass(frozen=True)
class Facts:
    """What was measured over the training part.

    Attributes:
        fingerprint: For the planner.
        digests: Of each image's pixels.
        sha256: Of all images and masks in order.
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
            whole.update(digests[-1].encode())
            whole.update(case.mask.values.tobytes())
            yield case.image, case.mask

    fingerprint = measure(noted(), train.labels, train.report.colour)
    return Facts(fingerprint, tuple(digests), whole.hexdigest())


def divided(whole: Part, path: Path | None, *, all_to_train: bool) -> Splits:
    """Divide a data set: by the file, as the data say, or by drawing.

    Args:
        whole: All of it.
        path: A `splits.json`; None for none.
        all_to_train: Whether nothing has to be held out, unless the data say so.

    Raises:
        DataError: The file does not fit the data, or there are not two groups.
    """
    groups = whole.report.case_groups()
    if path is not None:
        return read_splits(path, groups, held_out_elsewhere=all_to_train)
    stated = any(files.split not in (None, "train") for files in whole.files)
    if all_to_train and not stated:
        names = tuple(files.name for files in whole.files)
        return Splits(names, (), (), 0, "all to train, a separate test set is scored", groups)
    return split(whole.files, groups, labels_by_case=whole.report.labels_by_case)
