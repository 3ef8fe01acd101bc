"""`delineate check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delineate.cli.train import (
    AnonymousOption,
    FourthAxisOption,
    GroupOption,
    LabelsOption,
    MegapixelsOption,
    ResampleOption,
    reading,
)


def check(
    data: Annotated[
        Path, typer.Argument(help="Folder of images and masks, or a CSV table.", show_default=False)
    ],
    labels: LabelsOption = None,
    group_regex: GroupOption = None,
    fourth_axis: FourthAxisOption = None,
    resample_masks: ResampleOption = False,
    max_megapixels: MegapixelsOption = None,
    anonymous: AnonymousOption = False,
    names: Annotated[
        Path | None,
        typer.Option(help="New folder for a table of the files that codes stand for.", show_default=False),
    ] = None,
) -> None:
    """Say what was found in DATA, what it means and what is wrong; exit code 1 where it cannot be trained on.

    Example:

      delineate check data
    """
    from delineate.cli.console import ConsoleReporter, results, show_check  # noqa: PLC0415  quick --help
    from delineate.dataset import check as checking  # noqa: PLC0415  likewise
    from delineate.dataset.pseudonyms import Pseudonyms  # noqa: PLC0415  likewise
    from delineate.files import new_folder  # noqa: PLC0415  likewise

    what = "the table of names"
    if names is not None and names.exists():
        new_folder(names, what)  # refused before the work, if it is not empty
    with ConsoleReporter() as reporter:
        report = checking.check(
            data,
            labels=labels,
            group_regex=group_regex,
            reading=reading(max_megapixels, fourth_axis, resample_masks=resample_masks),
            pseudonyms=Pseudonyms(all_names=anonymous),
            progress=reporter.stage,
        )
    hidden = bool(report.pseudonyms.table)
    if names is not None and hidden:
        report.pseudonyms.write_table(new_folder(names, what))
    errors = sum(problem.level == "error" for problem in report.problems)
    warnings = sum(problem.level == "warning" for problem in report.problems)
    console = results()
    show_check(console, report, data)
    if names is not None and not hidden:
        console.print("[dim]No name is shown as a code, so there is no table for --names.[/]")
    if hidden and names is None:
        console.print(
            "[dim]Names that may tell who a patient is are shown as codes; --names FOLDER writes which is "
            "which.[/]"
        )
    if errors:
        console.print(f"[bold red]Not ready to train: {errors} error{'s' * (errors > 1)}.[/]")
        raise typer.Exit(1)
    said = f", {warnings} warning{'s' * (warnings > 1)}" if warnings else ""
    console.print(f"[bold green]Ready to train[/]{said}.")
