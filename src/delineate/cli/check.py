"""`delineate check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delineate.cli.train import GroupOption, LabelsOption


def check(
    data: Annotated[
        Path, typer.Argument(help="Folder of images and masks, or a CSV table.", show_default=False)
    ],
    labels: LabelsOption = None,
    group_regex: GroupOption = None,
) -> None:
    """Say what was found in DATA, what it means and what is wrong; exit code 1 where it cannot be trained on.

    Example:

      delineate check data
    """
    from delineate.cli.console import ConsoleReporter, results, show_check  # noqa: PLC0415  quick --help
    from delineate.dataset import check as checking  # noqa: PLC0415  likewise

    with ConsoleReporter() as reporter:
        report = checking.check(data, labels=labels, group_regex=group_regex, progress=reporter.stage)
    errors = sum(problem.level == "error" for problem in report.problems)
    warnings = sum(problem.level == "warning" for problem in report.problems)
    console = results()
    show_check(console, report, data)
    if errors:
        console.print(f"[bold red]Not ready to train: {errors} error{'s' * (errors > 1)}.[/]")
        raise typer.Exit(1)
    said = f", {warnings} warning{'s' * (warnings > 1)}" if warnings else ""
    console.print(f"[bold green]Ready to train[/]{said}.")
