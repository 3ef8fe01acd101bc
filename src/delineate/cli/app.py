"""`delineate` and its commands, one file each."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from delineate import __version__
from delineate.cli.check import check
from delineate.cli.demo import demo
from delineate.cli.evaluate import evaluate
from delineate.cli.export import export
from delineate.cli.import_keras import import_keras
from delineate.cli.info import info
from delineate.cli.phantom import phantom
from delineate.cli.predict import predict
from delineate.cli.segments import segments
from delineate.cli.train import train
from delineate.cli.trouble import guarded, tell
from delineate.errors import UsageError

app = typer.Typer(
    name="delineate",
    help="From a folder of medical images and hand-drawn masks to a model one can trust and use.",
    epilog="Start with: delineate demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (demo, phantom, check, train, evaluate, predict, export, info, segments, import_keras):
    app.command()(guarded(_command))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"delineate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # what its encoding lacks is written as an escape
        sys.stdout.reconfigure(errors="backslashreplace")
    if any(map(_is_empty, sys.argv[1:])):  # later, an empty path cannot be told from the current folder
        tell("One of the arguments is empty, as of a variable that is not set. The current folder is '.'.")
        sys.exit(UsageError.exit_code)
    app()


def _is_empty(argument: str) -> bool:
    name, equals, value = argument.partition("=")
    return not argument or (name.startswith("--") and bool(equals) and not value)
