"""`delineate predict`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate.cli.engine import EngineOption, PrecisionOption
from delineate.cli.train import (
    AnonymousOption,
    FourthAxisForModelOption,
    MegapixelsOption,
    ThreadsOption,
    reading,
)
from delineate.errors import UsageError


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
        bool, typer.Option("--probabilities", help="Write each label's probability too.")
    ] = False,
    mask_format: Annotated[
        Literal["auto", "nifti", "png"],
        typer.Option("--format", help="Of the masks; 'auto' is the image's own kind."),
    ] = "auto",
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory that an image may take in all, 0.6 GB for the program itself with it: 4GB.",
            show_default="what is free",
            metavar="SIZE",
        ),
    ] = None,
    fourth_axis: FourthAxisForModelOption = None,
    max_megapixels: MegapixelsOption = None,
    anonymous: AnonymousOption = False,
    threads: ThreadsOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            help="Threads that read ahead, and as many that write behind; 0 does all in one thread.",
            show_default="1",
            metavar="N",
        ),
    ] = None,
    tta: Annotated[
        bool | None,
        typer.Option(
            "--tta/--no-tta",
            help="Average over mirrored images, as far as the training mirrored them, or do not.",
            show_default="as the model's plan says",
        ),
    ] = None,
) -> None:
    """Write a mask for every image, each on its image's own grid.

    Example:

      delineate predict runs/data new-images --out masks --overlay
    """
    from delineate.cli.console import ConsoleReporter, errors, results  # noqa: PLC0415  quick --help
    from delineate.jobs import prediction  # noqa: PLC0415  likewise
    from delineate.jobs.manifest import MANIFEST  # noqa: PLC0415  likewise

    with ConsoleReporter() as reporter:
        made = prediction.predict(
            model,
            inputs,
            out,
            overlay=overlay,
            probabilities=probabilities,
            mask_format=mask_format,
            reading=reading(max_megapixels, fourth_axis),
            memory_bytes=parse_memory(memory) if memory is not None else None,
            anonymous=anonymous,
            threads=threads,
            engine=engine,
            precision=precision,
            workers=workers,
            tta=tta,
            reporter=reporter,
        )
    for message in made.messages:
        errors().print(f"Failed: {message}", markup=False, soft_wrap=True, style="red")
    done, failed = len(made.done), len(made.failed)
    results().print(
        f"{done} mask{'s' * (done != 1)} in {made.folder}"
        + (f", {failed} input{'s' * (failed != 1)} failed: see {made.folder / MANIFEST}" if failed else ""),
        markup=False,
        soft_wrap=True,
    )
    if any(file.mask is not None and file.mask.endswith(".dcm") for file in made.done):
        results().print(
            "DICOM segmentations carry the patient's name and number, as their standard demands: treat them "
            "like the images.",
            markup=False,
            soft_wrap=True,
        )
    if failed:
        raise typer.Exit(1)


def parse_memory(text: str) -> int:
    """Bytes of "4GB", "800 MB" or a number of bytes.

    Raises:
        UsageError: It is no amount of memory.
    """
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    size = 0
    if match:
        size = int(float(match[1]) * (1024 if match[3] else 1000) ** "\0kmgt".index(match[2] or "\0"))
    if size < 1:
        raise UsageError(f"--memory {text!r} is no amount of memory. Write for example 4GB or 800MB.")
    return size
