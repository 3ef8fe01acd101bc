"""`delineate export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from delineate.cli.train import FourthAxisForModelOption, MegapixelsOption, ThreadsOption, reading
from delineate.errors import UsageError


def export(
    model: Annotated[Path, typer.Argument(help="Model file or run folder.", show_default=False)],
    to: Annotated[
        Literal["onnx", "openvino", "torchscript", "monai-bundle"],
        typer.Option(help="What it is to become.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="New file for it, or new folder.", show_default=False)],
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
    precision: Annotated[
        Literal["fp32", "int8"],
        typer.Option(help="Of OpenVINO's arithmetic; int8 is calibrated on the images of --images."),
    ] = "fp32",
    data: Annotated[
        Path | None,
        typer.Option(
            help="With int8: labelled data set on which the Dice that it costs is measured.",
            show_default="measured against fp32's masks",
        ),
    ] = None,
    max_dice_loss: Annotated[
        float | None,
        typer.Option(help="With int8: more is refused.", metavar="DICE", show_default="0.005"),
    ] = None,
    fourth_axis: FourthAxisForModelOption = None,
    max_megapixels: MegapixelsOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write MODEL as a file that other programs run, and compare the two.

    Example:

      delineate export runs/data --to onnx --out model.onnx --images new-images
    """
    from delineate.cli.console import ConsoleReporter, results  # noqa: PLC0415  quick --help
    from delineate.jobs import export as job  # noqa: PLC0415  likewise

    if precision == "int8":
        from delineate.cli.export_int8 import export_int8  # noqa: PLC0415  likewise

        if channels != "last" or pixels is not None:
            raise UsageError("--channels and --pixels have no meaning with int8. Omit them.")
        given = reading(max_megapixels, fourth_axis)
        export_int8(model, to, out, images or (), data, max_dice_loss, given, threads)
        return
    for option, value in (("--data", data), ("--max-dice-loss", max_dice_loss)):
        if value is not None:
            raise UsageError(f"{option} is for --precision int8 alone: omit it.")
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
        f"{made.path}: takes {made.form.pixels} pixels, channels {made.form.channels}"
        if job.TARGETS[to].formed
        else f"{made.path}: for {to}",
        f"Compared with the model on {on}: {made.agreement.in_words()}.",
        *([] if made.given else ["To compare on your own: --images FOLDER"]),
    ):
        results().print(line, markup=False, soft_wrap=True)
