"""`delineate predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[Path, typer.Argument(help="Model file or run folder.", show_default=False)],
    inputs: Annotated[
        list[Path], typer.Argument(help="Images, or folders of images.", metavar="INPUT…", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="New folder for the masks.", show_default=False)],
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw the outlines over each image too.")
    ] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write each label's probability too, as a float TIFF.")
    ] = False,
) -> None:
    """Write a mask for every image, each on its image's own grid.

    Example:

      delineate predict runs/data new-images --out masks --overlay
    """
    from delineate.cli.console import ConsoleReporter, errors, results  # noqa: PLC0415  quick --help
    from delineate.jobs import prediction  # noqa: PLC0415  likewise

    with ConsoleReporter() as reporter:
        made = prediction.predict(
            model, inputs, out, overlay=overlay, probabilities=probabilities, reporter=reporter
        )
    for message in made.messages:
        errors().print(f"Failed: {message}", markup=False, soft_wrap=True, style="red")
    done, failed = len(made.done), len(made.failed)
    results().print(
        f"{done} mask{'s' * (done != 1)} in {made.folder}"
        + (
            f", {failed} input{'s' * (failed != 1)} failed: see {made.folder / prediction.MANIFEST}"
            if failed
            else ""
        ),
        markup=False,
        soft_wrap=True,
    )
    if failed:
        raise typer.Exit(1)
