"""`delineate demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    classic: Annotated[
        bool,
        typer.Option("--classic", help="The old Keras script's own job: noise images, its net, 50 epochs."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="New folder for everything.", show_default="delineate-demo")
    ] = None,
) -> None:
    """Phantoms, check, training, scores, masks for new images and a report, in one go.

    Example:

      delineate demo --out demo
    """
    from delineate.cli.console import ConsoleReporter, results, show_summary  # noqa: PLC0415  quick --help
    from delineate.jobs.demonstration import demonstrate  # noqa: PLC0415  likewise

    with ConsoleReporter() as reporter:
        made = demonstrate(out, classic=classic, reporter=reporter)
    console = results()
    show_summary(console, made.run.evaluation.summary)
    for name, path in (
        ("Model: ", made.run.model_path),
        ("Masks: ", made.prediction.folder),
        ("Report:", made.run.evaluation.report),
    ):
        console.print(f"{name} {path}", markup=False, soft_wrap=True)
