"""`delineate import-keras`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from delineate.errors import UsageError

if TYPE_CHECKING:
    from delineate.jobs.import_keras import PixelRange


def import_keras(
    file: Annotated[
        Path, typer.Argument(help="What Keras saved: .keras, .h5 or .weights.h5.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="New model file, ending in .safetensors.", show_default=False)],
    labels: Annotated[
        str | None,
        typer.Option(
            help="Names of the labels, the background left out.", metavar="NAME,…", show_default="foreground"
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Height and width of the training's images, if the file does not say them.",
            metavar="HxW",
            show_default="the file's",
        ),
    ] = None,
    pixels: Annotated[
        str | None,
        typer.Option(
            "--range",
            help="What 8-bit pixels were brought to before they went in: 0..1, 0..255 or -1..1.",
            show_default="the file's, or 0..1",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="With one label: the least probability that is foreground.")
    ] = 0.5,
    logits: Annotated[
        bool, typer.Option("--logits", help="The outputs, without an activation, are logits.")
    ] = False,
    skips_first: Annotated[
        bool,
        typer.Option("--skips-first", help="Of weights alone: skipped channels come before enlarged ones."),
    ] = False,
    bgr: Annotated[
        bool, typer.Option("--bgr", help="The three channels are blue, green, red, as OpenCV reads.")
    ] = False,
) -> None:
    """Bring a U-Net that Keras trained into a model file, without TensorFlow and without running anything.

    Example:

      delineate import-keras unet.keras --out model.safetensors --labels kidney
    """
    from delineate.cli.console import ConsoleReporter, results  # noqa: PLC0415  quick --help
    from delineate.dataset.naming import printable  # noqa: PLC0415  likewise
    from delineate.jobs.import_keras import KerasWishes  # noqa: PLC0415  likewise
    from delineate.jobs.import_keras import import_keras as run  # noqa: PLC0415  likewise

    wishes = KerasWishes(
        labels=None if labels is None else tuple(name.strip() for name in labels.split(",")),
        size=None if size is None else _size(size),
        pixels=_pixels(pixels),
        threshold=threshold,
        logits=logits,
        skips_first=skips_first,
        bgr=bgr,
    )
    with ConsoleReporter() as reporter:
        card = run(file, out, wishes=wishes, reporter=reporter)
    network, seen = card.plan.network, card.plan.preprocessing.size
    widths = " – ".join(map(str, network.widths))
    labels = ", ".join(f"{each.value} {printable(each.name)}" for each in card.plan.data.label_set)
    results().print(
        f"{out}: a U-Net of {widths} channels for whole images brought to {seen[1]} × {seen[0]} px, "
        f"labels: {labels}. More: delineate info {shlex.quote(str(out))}",
        markup=False,
        soft_wrap=True,
    )


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text.strip().lower().replace("×", "x"))
    if not found:
        raise UsageError(f"--size {text} is no height and width: give them as in --size 128x128.")
    return int(found[1]), int(found[2])


def _pixels(text: str | None) -> PixelRange | None:
    ranges: dict[str, PixelRange] = {"0..1": "0..1", "0..255": "0..255", "-1..1": "-1..1"}
    if text is not None and text not in ranges:
        raise UsageError(f"There is no range {text!r}. Give one of {', '.join(ranges)}.")
    return None if text is None else ranges[text]
