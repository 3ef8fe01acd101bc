"""`delineate export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate.cli.train import FourthAxisOption, MegapixelsOption, ThreadsOption, reading


def export(
    model: Annotated[Path, typer.Argument(help="Model file or run folder.", show_default=False)],
    to: Annotated[Literal["onnx"], typer.Option(help="What it is to become.", show_default=False)],
    out: Annotated[Path, typer.Option(help="New file for it.", show_default=False)],
    images: Annotated[
        list[Path] | None,
        typer.Option(
            help="Image or folder of images on which it is compared with the model; may be repeated.",
            metavar="INPUT",
            show_default="synthetic images",
        ),
    ] = None,
    channels: Annotated[
        Literal["last", "first"],
        typer.Option(help="Where the channels stand in the images it takes: (H, W, C) or (C, H, W)."),
    ] = "last",
    pixels: Annotated[
        Literal["uint8", "uint16", "float32"] | None,
        typer.Option(help="Type of their pixels.", show_default="uint8, or float32 as in the training"),
    ] = None,
    fourth_axis: FourthAxisOption = None,
    max_megapixels: MegapixelsOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write MODEL as a file that other programs run, and compare the two.

    Example:

      delineate export runs/data --to onnx --out model.onnx --images new-images
    """
    from delineate.cli.console import ConsoleReporter, results  # noqa: PLC0415  quick --help
    from delineate.jobs import export as job  # noqa: PLC0415  likewise

    with ConsoleReporter() as reporter:
        made = job.export(
            model,
            to,
            out,
            channels=channels,
            pixels=pixels,
            images=images or (),
            reading=reading(max_megapixels, fourth_axis),
            threads=threads,
            reporter=reporter,
        )
    count = made.agreement.images
    on = f"{count} synthetic images, made from what the model says of its training's images"
    if made.given:
        on = f"{count} image{'s' * (count != 1)}" + (f" of {made.given}" if made.given > count else "")
    for line in (
        f"{made.path}: takes {made.form.pixels} pixels, channels {made.form.channels}",
        f"Compared with the model on {on}: {made.agreement.in_words()}.",
        *([] if made.given else ["To compare on your own: --images FOLDER"]),
    ):
        results().print(line, markup=False, soft_wrap=True)
