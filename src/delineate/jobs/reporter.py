"""Who is told how a job goes. The base says nothing; the command line draws bars and tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from delineate.dataset.check_report import CheckReport
    from delineate.planner import Planned
    from delineate.training.history import HistoryRow
    from delineate.training.loop import Progress


class Reporter:
    """Told what happens; every method may be overridden, none has to be."""

    def say(self, text: str) -> None:
        """A sentence for the user."""

    def warn(self, text: str) -> None:
        """A sentence the user should not miss."""

    def stage(self, name: str, done: int, total: int) -> None:
        """So much of a stage is done; the last call has `done == total`."""

    def megapixels(self, name: str, done: float, total: float, per_second: float) -> None:
        """So many millions of pixels of an image are done, at that speed; 0 where it is not known yet.

        The last call has all of them.
        """

    def checked(self, report: CheckReport, data: Path) -> None:
        """A data set was checked, well or not."""

    def planned(self, planned: Planned, run: Path) -> None:
        """The plan stands; its steps may still have to be measured."""

    def trained(self, progress: Progress, row: HistoryRow | None) -> None:
        """A step was taken."""
