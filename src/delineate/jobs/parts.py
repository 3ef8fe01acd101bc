"""Cases of a data set that are read one after the other, with what their masks mean."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from delineate.dataset.case_files import CaseFiles
from delineate.dataset.cases import load_case
from delineate.dataset.check import check
from delineate.dataset.check_report import CheckReport, without_root
from delineate.dataset.mask_encoding import MaskEncoding
from delineate.dataset.naming import counted, printable
from delineate.dataset.pixel_digests import pixel_digest, stored_digest
from delineate.dataset.pseudonyms import Pseudonyms
from delineate.dataset.structure_check import OVERLAPPING
from delineate.errors import DataError
from delineate.formats import USUAL, Reading
from delineate.image import Image, LabelSet, Mask
from delineate.jobs.codes import explained
from delineate.jobs.reporter import Reporter

TO_SCORE = frozenset({"no-training-cases", "too-few-cases", "one-group"})  # no errors where nothing is learnt
GENERATED = re.compile(r"foreground|label \S+")  # names that the data did not give
NO_SPLIT = frozenset({"too-few-cases", "one-group"})  # no errors where nothing is held out


@dataclass(frozen=True)
class LoadedCase:
    """A case in memory, its mask in the labels that were asked for."""

    name: str
    group: str
    image: Image
    mask: Mask


@dataclass(frozen=True)
class Part:
    """Some cases of a data set.

    Attributes:
        report: Of the check of the whole set.
        files: The cases.
        encoding: What their masks mean.
        labels: What the masks' values shall be called.
        notes: What was taken for granted about the labels, to stand beside the scores.
    """

    report: CheckReport
    files: tuple[CaseFiles, ...]
    encoding: MaskEncoding
    labels: LabelSet
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[LoadedCase]:
        """One case in memory at a time."""
        groups = self.report.case_groups()
        for files in self.files:
            try:
                case = load_case(files, self.encoding, self.report.reading)
            except DataError as error:
                raise DataError(self.report.pseudonyms.redacted(str(error))) from error
            assert case.mask is not None  # noqa: S101  checked cases have one
            mask = replace(case.mask, labels=self.labels)
            yield LoadedCase(case.name, groups[case.name], case.image, mask)

    def of(self, names: Sequence[str]) -> Part:
        """The cases of these names, in this order."""
        by_name: Mapping[str, CaseFiles] = {files.name: files for files in self.files}
        return replace(self, files=tuple(by_name[name] for name in names))

    def tell(self, reporter: Reporter, stage: str) -> Iterator[LoadedCase]:
        """As iterating, with a reporter told how far it is."""
        for done, case in enumerate(self, start=1):
            yield case
            reporter.stage(stage, done, len(self))


def checked_part(
    data: Path,
    *,
    labels: str | None,
    group_regex: str | None,
    reporter: Reporter,
    expected: LabelSet | None = None,
    encoding: MaskEncoding | None = None,
    reading: Reading = USUAL,
    pseudonyms: Pseudonyms | None = None,
    forgiven: frozenset[str] = frozenset(),
    pooled: bool = False,
    order: Sequence[str] = (),
) -> Part:
    """Check a data set and take all of its cases.

    Args:
        data: The folder or table.
        labels: The option `--labels`.
        group_regex: The option `--group-regex`.
        reporter: Told about it.
        expected: The labels of the model that the masks are to be compared with; None to take the data's own.
        encoding: Of the training masks, by which these are read where they do not say enough themselves.
        reading: How the files are to be read.
        pseudonyms: Codes for names that tell too much; None for new ones.
        forgiven: Codes of errors that do not matter here.
        pooled: Whether folds are drawn from all cases but those marked as test.
        order: Of the structures of the training data's joined masks; see `check`.

    Returns:
        All usable cases.

    Raises:
        UsageError: There is no such folder.
        DataError: The check found errors, or other labels than expected.
    """
    report = check(
        data,
        labels=labels,
        group_regex=group_regex,
        expected=expected,
        reading=reading,
        pseudonyms=pseudonyms,
        pooled=pooled,
        order=order,
        progress=reporter.stage,
    )
    if report.encoding is None and encoding is not None and labels is None:
        report = check(
            data,
            group_regex=group_regex,
            encoding=encoding,
            reading=reading,
            pseudonyms=pseudonyms,
            pooled=pooled,
            order=order,
            progress=reporter.stage,
        )
    reporter.checked(report, data)
    errors = [
        problem for problem in report.problems if problem.level == "error" and problem.code not in forgiven
    ]
    if errors or report.encoding is None:
        found = "\n".join(f"- {without_root(problem.message, report.discovery.root)}" for problem in errors)
        command = f"delineate check {shlex.quote(printable(data))}"
        for option, value in (("--labels", labels), ("--group-regex", group_regex)):
            command += f" {option} {shlex.quote(value)}" if value is not None else ""
        command += " --names FOLDER"
        raise DataError(explained(f"{printable(data)} cannot be used as it is:\n{found}", command))
    own = report.encoding.labels
    doubts = tuple(found.message for found in report.problems if found.code == OVERLAPPING)
    if expected is None or own == expected:
        return Part(report, report.cases, report.encoding, own, doubts)
    if len(own) > 1 and not all(GENERATED.fullmatch(name) for name in own.names):
        raise DataError(
            f"The masks of {printable(data)} have the labels {', '.join(own.names)}, the model "
            f"{', '.join(expected.names)}. Say which value is which of the model's labels with --labels."
        )
    called = report.pseudonyms.redacted(printable(name_of(data)))
    note = (
        f"The labels {', '.join(own.names)} of {called} stand, in this order, for the model's "
        f"{', '.join(expected.names)}. If that is wrong, say it with --labels."
    )
    reporter.warn(note)
    return Part(report, report.cases, report.encoding, expected, notes=(*doubts, note))


def name_of(data: Path) -> str:
    """What a folder or table of data is called, also one given as `..`; may be empty."""
    return Path(os.path.abspath(data)).name  # noqa: PTH100  `..` has to go, links have to stay


def learned_of(part: Part, digests: Collection[str]) -> list[str]:
    """The cases whose pixels are those of an image that was learned from.

    Args:
        part: The cases.
        digests: Of the images that were learned from, also such as older models hold.
    """
    known = set(digests)
    if not known:
        return []
    return [
        case.name for case in part if pixel_digest(case.image) in known or stored_digest(case.image) in known
    ]


def seen(learned: Sequence[str], part: Part, who: str = "The model") -> str:
    """That a model learned from some of the cases it is scored on."""
    return (
        f"{who} learned from {len(learned)} of these {counted(len(part), 'case')}: there its "
        "scores are better than on new images, so this is no test of it."
    )
