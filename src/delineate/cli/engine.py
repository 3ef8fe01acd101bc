"""The options that say what computes a net."""

from __future__ import annotations

from typing import Annotated

import typer

from delineate.inference.engines.wish import EngineChoice, PrecisionChoice

EngineOption = Annotated[
    EngineChoice,
    typer.Option(help="What computes the net; 'auto' is the fastest here that agrees with torch."),
]
ScoringEngineOption = Annotated[
    EngineChoice | None,
    typer.Option(help="What computes the net.", show_default="torch"),
]
PrecisionOption = Annotated[
    PrecisionChoice,
    typer.Option(
        help="Number format to compute in; 'auto' uses that of the training if the engine supports it."
    ),
]
