"""`delineate segments`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delineate.cli.train import MegapixelsOption, reading


def segments(
    segmentation: Annotated[
        Path, typer.Argument(help="A DICOM segmentation (DICOM SEG).", metavar="FILE", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="New folder for the masks.", show_default=False)],
    max_megapixels: MegapixelsOption = None,
) -> None:
    """Write every segment of a DICOM segmentation as a mask of its own, for segments that overlap.

    Example:

      delineate segments seg.dcm --out masks
    """
    from delineate.cli.console import ConsoleReporter, results  # noqa: PLC0415  quick --help
    from delineate.jobs.segments import write_segments  # noqa: PLC0415  likewise

    with ConsoleReporter() as reporter:
        written = write_segments(segmentation, out, reading=reading(max_megapixels, None), reporter=reporter)
    for segment in written:
        results().print(
            f"{segment.number}  {segment.name}: {segment.voxels} voxels in {segment.path}",
            markup=False,
            soft_wrap=True,
        )
