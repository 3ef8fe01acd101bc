"""What the terminal shows: bars while it works, tables of what was found."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from delineate.dataset.naming import counted, printable
from delineate.geometry import times
from delineate.jobs.duration import in_words
from delineate.jobs.reporter import Reporter

if TYPE_CHECKING:
    from delineate.dataset.check_report import CheckReport
    from delineate.evaluation.summary import Summary
    from delineate.planner import Planned
    from delineate.training.history import HistoryRow
    from delineate.training.loop import Progress as TrainingProgress

LINE_S = 60.0  # between the lines of a long stage, where no bar can be drawn
STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


class _Estimate(Protocol):
    """A mean with its interval, of an evaluation or of a model file."""

    @property
    def mean(self) -> float: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


class _Console(Console):
    """Leaves it to the caller what is done when the reader of the output has gone."""

    def on_broken_pipe(self) -> None:
        """Pass it on, where Rich would end the program with a code of its own."""
        raise BrokenPipeError


def results() -> Console:
    """Where results go: standard output."""
    return _Console(highlight=False)


def errors() -> Console:
    """Where troubles and progress go: standard error."""
    return _Console(stderr=True, highlight=False)


class ConsoleReporter(Reporter):
    """Shows a job in the terminal: bars where it is one, lines where the output goes to a file."""

    def __init__(self) -> None:
        self._results, self._errors = results(), errors()
        self._bar: Progress | None = None
        self._stage: str | None = None
        self._last_line = 0.0

    def __enter__(self) -> ConsoleReporter:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal in order."""
        self._clear()

    def say(self, text: str) -> None:
        """A sentence for the user."""
        self._clear()
        self._results.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """A sentence the user should not miss."""
        self._clear()
        self._errors.print(Text("Warning: ", "bold yellow"), end="")
        self._errors.print(text, markup=False, soft_wrap=True)

    def stage(self, name: str, done: int, total: int) -> None:
        """So much of a stage is done."""
        if not self._errors.is_terminal:
            return
        if self._stage != name:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            self._begin(name, Progress(*columns, console=self._errors, transient=True), total)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)
        if done >= total:
            self._clear()

    def _begin(self, name: str, bar: Progress, total: float) -> None:
        """Show this bar in place of the one before."""
        self._clear()
        self._bar, self._stage = bar, name
        bar.add_task(name, total=total, numbers="")
        bar.start()

    def megapixels(self, name: str, done: float, total: float, per_second: float) -> None:
        """So many millions of pixels of an image are done."""
        now = time.monotonic()
        numbers = f"{done:,.0f} of {total:,.0f} megapixels"
        if per_second > 0:
            left = in_words((total - done) / per_second)
            numbers += f", {per_second:.2f} a second, {left} left"
        if not self._errors.is_terminal:
            if now - self._last_line >= LINE_S:
                self._last_line = now
                self._errors.print(f"{name}: {numbers}", markup=False, soft_wrap=True)
            return
        if self._stage != name:
            bar = Progress(
                TextColumn("{task.description}", table_column=Column(no_wrap=True)),
                BarColumn(),
                TextColumn("{task.fields[numbers]}", table_column=Column(no_wrap=True)),
                console=self._errors,
                transient=True,
            )
            self._begin(name, bar, total)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, numbers=numbers)
        if done >= total:
            self._clear()

    def checked(self, report: CheckReport, data: Path) -> None:
        """A data set was checked."""
        self._clear()
        show_check(self._results, report, data, errors_too=False)  # the error that follows tells them

    def planned(self, planned: Planned, run: Path) -> None:
        """The plan stands."""
        plan = planned.plan
        self._clear()
        seen = times(plan.preprocessing.size)
        what = "slices" if plan.data.axes > plan.network.axes else "images"
        seen = f"whole {what} at {seen}" if plan.preprocessing.mode == "whole" else f"patches of {seen}"
        if plan.training.steps is None and plan.training.budget_s is not None:
            length = in_words(plan.training.budget_s)
        else:
            length = counted(plan.training.last_step or 0, "step")
        self._results.print(
            f"Training for {length} on {seen}, batches of {plan.training.batch_size}. "
            f"Every choice and its reason: {run / 'plan.yaml'}",
            markup=False,
            soft_wrap=True,
        )

    def trained(self, progress: TrainingProgress, row: HistoryRow | None) -> None:
        """A step was taken."""
        dice = "–" if progress.validation_dice is None else f"{progress.validation_dice:.3f}"
        if not self._errors.is_terminal:
            if row is not None:
                held_out = "" if row.validation_dice is None else f", validation Dice {dice}"
                self._errors.print(
                    f"step {row.step}/{progress.steps}  loss {row.train_loss:.3f}, Dice {row.train_dice:.3f}"
                    f"{held_out}, {progress.images_per_second:.0f} images/s, "
                    f"{in_words(progress.seconds_left)} left",
                    markup=False,
                    soft_wrap=True,
                )
            return
        now = time.monotonic()
        if self._stage != "training":
            bar = Progress(
                TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True)),
                BarColumn(bar_width=None, table_column=Column(ratio=1)),
                TextColumn("{task.fields[numbers]}", table_column=Column(no_wrap=True)),
                console=self._errors,
                expand=True,
                transient=True,
                auto_refresh=False,
            )
            self._begin("training", bar, progress.steps)
        if self._bar is not None and (now - self._last_line > 0.2 or row is not None):
            self._last_line = now
            numbers = (
                f"loss {progress.loss:.2f} · Dice {progress.train_dice:.3f} · validation {dice} · "
                f"{progress.images_per_second:.0f} img/s · {in_words(progress.seconds_left)} left"
            )
            self._bar.update(self._bar.task_ids[0], completed=progress.step, numbers=numbers, refresh=True)
        if progress.step >= progress.steps:
            self._clear()

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._stage = None, None


def show_check(console: Console, report: CheckReport, data: Path, *, errors_too: bool = True) -> None:
    """What a check found, what it means, and what is wrong."""
    console.print(Text(str(data), "bold"), soft_wrap=True)
    console.print(f"  {report.discovery.layout}", markup=False, soft_wrap=True)
    sizes = report.sizes
    facts = [counted(len(report.cases), "case")]
    if sizes is not None:
        low, high = (times(size) for size in (sizes.smallest, sizes.largest))
        unit = "px" if report.axes == 2 else "voxels"
        facts.append(f"{low} {unit}" if low == high else f"{low} to {high} {unit}")
        if sizes.spacing_mm is not None:
            facts.append(f"{times(sizes.spacing_mm)} mm apart")
        facts.append({"grey": "grey", "rgb": "colour"}.get(report.colour, f"{report.channels} channels"))
    groups = len(set(report.case_groups().values()))
    if groups != len(report.cases):
        facts.append(counted(groups, "group"))
    console.print(f"  {', '.join(facts)}", markup=False, soft_wrap=True)
    if report.label_rows:
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for heading, justify in (
            ("value", "right"),
            ("label", "left"),
            ("pixels", "right"),
            ("masks", "right"),
        ):
            table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # one of Rich's literals
        for row in report.label_rows:
            table.add_row(
                row.value, Text(printable(row.label or "background")), f"{row.share:.2%}", str(row.cases)
            )
        console.print(table)
    for problem in report.problems:
        if problem.level == "error" and not errors_too:
            continue
        console.print(Text(f"  {problem.level}: ", STYLES[problem.level]), end="")
        console.print(problem.message, markup=False, soft_wrap=True)


def show_summary(console: Console, summary: Summary) -> None:
    """The scores: a line a label, then the headline; the report has the rest."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("label", overflow="fold")
    unit = "mm" if summary.in_millimetres else "px"
    surface_heading = f"NSD {summary.tolerance_text}" if summary.nsd_tolerance else "NSD"
    for heading in ("Dice (95 % interval)", f"HD95 {unit}", surface_heading, "missed", "false alarms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for label in summary.labels:
        dice, surface = label.metrics["dice"], label.metrics["nsd"]
        distance = label.metrics["hd95_mm" if summary.in_millimetres else "hd95_px"]
        table.add_row(
            Text(printable(label.name)),
            estimate_text(dice),
            mean_distance_text(distance),
            mean_text(surface),
            str(label.missed),
            str(label.false_alarms),
        )
    console.print(table)
    accuracy = "" if summary.pixel_accuracy is None else f", pixel accuracy {summary.pixel_accuracy.mean:.4f}"
    for label in summary.labels:
        if label.volumes is not None:
            signed, apart = label.volumes.difference_ml.mean, label.volumes.absolute_difference_ml.mean
            console.print(
                f"Volume of {printable(label.name)}: {signed:+.3g} ml on average, "
                f"{apart:.3g} ml without the sign",
                markup=False,
                soft_wrap=True,
            )
    headline, cases = summary.mean_dice, counted(summary.cases, "case")
    if headline is None:
        console.print(f"There was nothing to find in {cases}, so there is no Dice{accuracy}.")
    else:
        console.print(
            Text(f"Mean Dice {estimate_text(headline)}{accuracy}, on {cases}", "bold"),
            soft_wrap=True,
        )
    for label in summary.labels:
        present = label.valid - label.false_alarms
        if present and label.missed == present:
            warning = (
                f"{printable(label.name)} was found in none of {counted(present, 'case')}: train longer."
            )
            console.print(Text(warning, "yellow"), soft_wrap=True)
    if summary.interval_note:
        console.print(Text(summary.interval_note, "dim"), soft_wrap=True)


def estimate_text(found: _Estimate | None) -> str:
    """A mean and its interval, or a dash."""
    if found is None or found.low is None:
        return mean_text(found)
    return f"{found.mean:.3f} ({found.low:.3f} – {found.high:.3f})"


def mean_text(found: _Estimate | None) -> str:
    """A mean alone, or a dash."""
    return "–" if found is None else f"{found.mean:.3f}"


def mean_distance_text(found: _Estimate | None) -> str:
    """A mean distance, or a dash."""
    from delineate.evaluation.digits import distance_text  # noqa: PLC0415  quick --help

    return "–" if found is None else distance_text(found.mean)
