"""`delineate export --precision int8`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from delineate.errors import UsageError
from delineate.formats import Reading


def export_int8(
    model: Path,
    to: str,
    out: Path,
    images: Sequence[Path],
    data: Path | None,
    max_dice_loss: float | None,
    reading: Reading | None,
    threads: int | None,
) -> None:
    """Write MODEL in int8, and tell what it costs.

    Raises:
        UsageError: It is to become something that has no int8.
    """
    from delineate.cli.console import ConsoleReporter, results  # noqa: PLC0415  quick --help
    from delineate.jobs import export_int8 as job  # noqa: PLC0415  likewise

    if to != "openvino":
        raise UsageError(f"--precision int8 is for --to openvino; {to} has fp32 alone.")
    with ConsoleReporter() as reporter:
        made = job.export_int8(
            model,
            out,
            images=images,
            data=data,
            max_dice_loss=job.MAXIMUM_DICE_LOSS if max_dice_loss is None else max_dice_loss,
            reading=reading,
            threads=threads,
            reporter=reporter,
        )
    count = f"{made.images} image{'s' * (made.images != 1)}"
    for line in (
        f"{made.path}: int8, for OpenVINO, calibrated on {made.windows} windows of {count}",
        f"{made.in_words()}.",
        *([] if made.labelled else ["To measure on labelled data: --data FOLDER"]),
    ):
        results().print(line, markup=False, soft_wrap=True)
