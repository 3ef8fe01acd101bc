"""`delineate evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delineate.cli.engine import PrecisionOption, ScoringEngineOption
from delineate.cli.train import (
    AnonymousOption,
    FourthAxisForModelOption,
    GroupOption,
    LabelsOption,
    MegapixelsOption,
    ResampleOption,
    ThreadsOption,
    ToleranceOption,
    reading,
)


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model file or run folder.", show_default=False)],
    data: Annotated[
        Path, typer.Argument(help="Folder of images and masks, or a CSV table.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="New folder for scores and report.", show_default="evaluations/NAME")
    ] = None,
    labels: LabelsOption = None,
    group_regex: GroupOption = None,
    fourth_axis: FourthAxisForModelOption = None,
    resample_masks: ResampleOption = False,
    max_megapixels: MegapixelsOption = None,
    anonymous: AnonymousOption = False,
    tolerance: ToleranceOption = None,
    threads: ThreadsOption = None,
    engine: ScoringEngineOption = None,
    precision: PrecisionOption = "auto",
) -> None:
    """Score MODEL on DATA: per case and label, with intervals, as tables and a report.

    Example:

      delineate evaluate runs/data other-hospital --out scores
    """
    from delineate.cli.console import ConsoleReporter, results, show_summary  # noqa: PLC0415  quick --help
    from delineate.jobs import scoring  # noqa: PLC0415  likewise
    from delineate.jobs.source import folder_named_after  # noqa: PLC0415  likewise

    with ConsoleReporter() as reporter:
        found = scoring.evaluate(
            model,
            data,
            out=out or folder_named_after(data, "evaluations"),
            labels=labels,
            group_regex=group_regex,
            reading=reading(max_megapixels, fourth_axis, resample_masks=resample_masks),
            tolerance_mm=tolerance,
            anonymous=anonymous,
            threads=threads,
            engine=engine,
            precision=precision,
            reporter=reporter,
        )
    console = results()
    show_summary(console, found.summary)
    console.print(f"Report: {found.report}", markup=False, soft_wrap=True)
