"""Those who watch a training: the reporter, and TensorBoard where it was asked for."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.errors import UsageError
from delineate.extras import installing
from delineate.jobs.reporter import Reporter
from delineate.jobs.source import Log
from delineate.training.history import HistoryRow
from delineate.training.loop import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

EVERY = 10  # steps between TensorBoard's points of the loss


class Watchers:
    """Passes on each step.

    Args:
        log: A further log to keep.
        reporter: Told of every step.

    Raises:
        UsageError: A log was asked for whose package is not installed.
    """

    def __init__(self, log: Log | None, reporter: Reporter) -> None:
        self._reporter = reporter
        self._tensorboard = log == "tensorboard"
        self._writer: SummaryWriter | None = None
        if self._tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise UsageError(f"--log tensorboard needs the package tensorboard: {installing('tensorboard')}")

    @contextlib.contextmanager
    def open(self, folder: Path) -> Iterator[None]:
        """Keep the log below `folder` while the block runs."""
        if not self._tensorboard:
            yield
            return
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  an extra

        self._writer = SummaryWriter(str(folder / "tensorboard"))
        try:
            yield
        finally:
            self._writer.close()
            self._writer = None

    def __call__(self, progress: Progress, row: HistoryRow | None) -> None:
        """Be told of a step."""
        self._reporter.trained(progress, row)
        if self._writer is None:
            return
        points: dict[str, float | None] = {}
        if progress.step % EVERY == 0:
            points = {"training/loss": progress.loss, "training/Dice": progress.train_dice}
        if row is not None:
            points |= {"validation/Dice": row.validation_dice, "learning rate": row.learning_rate}
        for name, value in points.items():
            if value is not None:
                self._writer.add_scalar(name, value, progress.step)
