"""Cases of a data set that are read one after the other, with what their masks mean."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from delineate.dataset.case_files import CaseFiles
from delineate.dataset.cases import load_case
from delineate.dataset.check import check
from delineate.dataset.check_report import CheckReport, without_root
from delineate.dataset.mask_encoding import MaskEncoding
from delineate.dataset.naming import counted, listed, printable
from delineate.errors import DataError
from delineate.image import Image, LabelSet, Mask
from delineate.jobs.reporter import Reporter

TO_SCORE = frozenset({"no-training-cases", "too-few-cases", "one-group"})  # no errors where nothing is learnt
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
    """

    report: CheckReport
    files: tuple[CaseFiles, ...]
    encoding: MaskEncoding
    labels: LabelSet

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[LoadedCase]:
        """One case in memory at a time."""
        groups = self.report.case_groups()
        for files in self.files:
            case = load_case(files, self.encoding)
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
    forgiven: frozenset[str] = frozenset(),
) -> Part:
    """Check a data set and take all of its cases.

    Args:
        data: The folder or table.
        labels: The option `--labels`.
        group_regex: The option `--group-regex`.
        reporter: Told about it.
        expected: The labels of the model that the masks are to be compared with; None to take the data's own.
        forgiven: Codes of errors that do not matter here.

    Returns:
        All usable cases.

    Raises:
        UsageError: There is no such folder.
        DataError: The check found errors, or other labels than expected.
    """
    report = check(data, labels=labels, group_regex=group_regex, progress=reporter.stage)
    reporter.checked(report, data)
    errors = [
        problem for problem in report.problems if problem.level == "error" and problem.code not in forgiven
    ]
    if errors or report.encoding is None:
        found = "\n".join(f"- {without_root(problem.message, report.discovery.root)}" for problem in errors)
        raise DataError(f"{printable(data)} cannot be used as it is:\n{found}")
    encoding = report.encoding
    if expected is None:
        expected = encoding.labels
    if len(encoding.labels) != len(expected):
        raise DataError(
            f"The masks of {printable(data)} have {counted(len(encoding.labels), 'label')} "
            f"({', '.join(encoding.labels.names)}), but the model {len(expected)} "
            f"({', '.join(expected.names)}). Say which value is which label with --labels."
        )
    if set(encoding.labels.names) == set(expected.names) != set():
        order = [encoding.labels.names.index(name) for name in expected.names]
        if order != sorted(order):
            raise DataError(
                f"The masks of {printable(data)} name their labels in another order "
                f"({', '.join(encoding.labels.names)}) than the model ({', '.join(expected.names)}). "
                "Give the order with --labels."
            )
    elif encoding.labels.names != expected.names:
        reporter.warn(
            f"The labels {', '.join(encoding.labels.names)} of {printable(data)} stand, in this order, "
            f"for the model's {', '.join(expected.names)}. If that is wrong, say it with --labels."
        )
    return Part(report, report.cases, encoding, expected)


def pixel_digest(image: Image) -> str:
    """A short hash of an image's pixels, by which the same image is known again, and nothing else of it.

    Returns:
        16 hexadecimal digits.
    """
    pixels = np.ascontiguousarray(image.pixels)
    digest = hashlib.blake2b(f"{pixels.dtype} {pixels.shape}".encode(), digest_size=8)
    digest.update(pixels.tobytes())
    return digest.hexdigest()


def in_words(names: Sequence[str]) -> str:
    """So many cases, and the first of them by name."""
    return f"{counted(len(names), 'case')} ({listed(names)})"
