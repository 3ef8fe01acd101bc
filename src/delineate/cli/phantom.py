"""`delineate phantom`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from delineate.errors import UsageError


def phantom(
    kind: Annotated[
        str, typer.Argument(help="noise, ultrasound, nuclei, vessels or organs.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(help="New folder for images and masks.", show_default=False)],
    count: Annotated[int, typer.Option(help="How many.")] = 100,
    size: Annotated[
        str | None, typer.Option(help="Height and width.", show_default="the kind's own", metavar="HxW")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    contrast: Annotated[float, typer.Option(help="Above 1 easier, below 1 harder.")] = 1.0,
    noise: Annotated[float, typer.Option(help="Above 1 noisier, 0 for none.")] = 1.0,
) -> None:
    """Draw synthetic images with exact masks into OUT.

    Example:

      delineate phantom ultrasound data --count 60 --size 256x256
    """
    from delineate import phantoms  # noqa: PLC0415  quick --help
    from delineate.cli.console import ConsoleReporter, results  # noqa: PLC0415  likewise
    from delineate.dataset.naming import counted  # noqa: PLC0415  likewise

    with ConsoleReporter() as reporter:
        folder = phantoms.write(
            kind,
            out,
            count=count,
            size=_parsed(size),
            seed=seed,
            contrast=contrast,
            noise=noise,
            progress=lambda done: reporter.stage("drawing", done, count),
        )
    results().print(
        f"{counted(count, f'{kind} phantom')}: {folder / 'images'}, {folder / 'masks'}",
        markup=False,
        soft_wrap=True,
    )


def _parsed(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    found = re.fullmatch(r"(\d{1,5})\s*[x×]\s*(\d{1,5})", size.strip().lower())
    if not found:
        raise UsageError(f"--size {size!r} is no size: write height x width, for example 256x256.")
    return int(found[1]), int(found[2])
