"""The data of a cross-validation: the folds, and what is only scored at the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from delineate.dataset.folds import Folds, draw_folds, read_folds
from delineate.dataset.naming import counted, listed
from delineate.image import LabelSet
from delineate.jobs.imported import UNKNOWN_START
from delineate.jobs.parts import Part
from delineate.jobs.reporter import Reporter
from delineate.jobs.source import Parts, Source, checked_whole, flattering, separate_test
from delineate.jobs.tolerance import tolerance_cautions


@dataclass(frozen=True)
class FoldParts:
    """What is learnt from and scored in a cross-validation.

    Attributes:
        whole: All cases of the folds, in natural order.
        test: What only the final model is scored on; may be empty.
        test_name: What that is, to stand in a sentence.
        folds: Which case is in which fold.
        cautions: What may inflate the scores of the folds, or is to be known of their tolerance.
        test_cautions: Likewise of the test part.
        leaks: What of the test part was met in training.
        known: Names of the cases that the model started from had learned from.
        unknown_images: Whether it may have learned from others of them, too.
    """

    whole: Part
    test: Part
    test_name: str
    folds: Folds
    cautions: tuple[str, ...] = ()
    test_cautions: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    unknown_images: bool = False

    @classmethod
    def read(
        cls, source: Source, number: int, reporter: Reporter, *, stored: Path | None = None
    ) -> FoldParts:
        """Check the data and divide them.

        Args:
            source: Where they lie.
            number: Of folds.
            reporter: Told how it goes.
            stored: The `splits.json` of a cross-validation that goes on; None to draw the folds.

        Raises:
            UsageError: There is no such data set.
            DataError: It cannot be trained on, has fewer groups than folds, or does not fit the file.
        """
        data = checked_whole(source, reporter)
        if stored is not None:
            folds = read_folds(stored, data.report.case_groups())
        else:
            folds = draw_folds(
                data.files,
                data.report.case_groups(),
                number,
                seed=source.split_seed,
                labels_by_case=data.report.labels_by_case,
                test_elsewhere=source.test is not None,
            )
        if folds.left_out:
            left = counted(len(folds.left_out), "case")
            why = "that the data mark as test" if stored is None else "that the run was begun without"
            reporter.warn(f"{left} {why} left aside: {listed(folds.left_out)}.")
        if marked := sum(files.split == "validation" for files in data.of(folds.cases).files):
            are = "is" if marked == 1 else "are"
            reporter.say(
                f"{counted(marked, 'case')} that the data mark as validation {are} drawn into folds like all "
                "others: nets learn from them, too."
            )
        whole, test = data.of(folds.cases), data.of(folds.test)
        name, leaks = "the test part", tuple[str, ...]()
        of_folds = flattering(data, drawn=True, by_marks=False)
        of_test = flattering(data, drawn=False, by_marks=True)
        if source.test is not None:
            test, name, leaks = separate_test(source, data, whole, reporter)
            of_test = ()
        of_folds += tolerance_cautions(whole, source.tolerance_mm, reporter)
        of_test += tolerance_cautions(test, source.tolerance_mm, reporter)
        return cls(whole, test, name, folds, of_folds, of_test, leaks)

    def of_fold(self, number: int) -> Parts:
        """What the net of a fold learns from, and what it is scored on.

        Args:
            number: Of the fold, from 1.
        """
        splits = self.folds.splits(number)
        train, held_out = self.whole.of(splits.train), self.whole.of(splits.validation)
        name = f"the part that fold {number} holds out"
        leaks = self.leaks_in(held_out)
        return Parts(train, held_out, held_out, name, "validation", splits, self.cautions, leaks)

    def leaks_in(self, part: Part) -> tuple[str, ...]:
        """What is to be said of the scores on a part of the folds, if the model started from had seen it."""
        unknown = (UNKNOWN_START,) if self.unknown_images else ()
        learned = [files.name for files in part.files if files.name in self.known]
        if not learned:
            return unknown
        return (
            f"The model that the training started from learned from {len(learned)} of the "
            f"{counted(len(part), 'case')} that are held out in turn: there the scores are better than on "
            "new images, so this is no test of it.",
            *unknown,
        )

    def final(self) -> Parts:
        """What the final model learns from, and what it is scored on."""
        nothing = self.whole.of(())
        splits = self.folds.whole()
        return Parts(
            self.whole, nothing, self.test, self.test_name, "test", splits, self.test_cautions, self.leaks
        )

    def relabelled(self, labels: LabelSet) -> FoldParts:
        """The same with the labels called otherwise."""
        whole, test = (replace(part, labels=labels) for part in (self.whole, self.test))
        return replace(self, whole=whole, test=test)
