"""What the user sees when something goes wrong: one paragraph and an exit code, never a traceback."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import ParamSpec, TypeVar

import typer

from delineate.errors import DelineateError, Stopped, is_out_of_memory

P = ParamSpec("P")
R = TypeVar("R")
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
TRACEBACK = "DELINEATE_TRACEBACK"
OUT_OF_MEMORY = (
    "The memory of this machine, or of its GPU, does not suffice. Close other programs, use smaller images, "
    "or train by a copy of plan.yaml with a smaller training.batch_size or preprocessing.size (--plan)."
)
OF_THE_DISK = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EIO,
    errno.ESTALE,
    errno.ENAMETOOLONG,
)
"""Of an error that names a file: no fault of the program's."""


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """The command with its troubles told to the user, and its exit code set."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        signal.signal(signal.SIGTERM, _terminated)
        warnings.showwarning = _show_warning
        try:
            return command(*args, **kwargs)
        except DelineateError as error:
            tell(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as stop:
            tell("Stopped.")
            number = stop.signal_number if isinstance(stop, Stopped) else signal.SIGINT
            raise typer.Exit(128 + number) from stop
        except BrokenPipeError as stop:  # the reader has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(128 + signal.SIGPIPE) from stop
        except MemoryError as error:
            tell(OUT_OF_MEMORY)
            raise typer.Exit(1) from error
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if "KeyboardInterrupt" in str(error):  # a library that was loading has wrapped it
                tell("Stopped.")
                raise typer.Exit(128 + signal.SIGINT) from error
            if os.environ.get(TRACEBACK):
                raise
            if is_out_of_memory(error):
                tell(OUT_OF_MEMORY)
                raise typer.Exit(1) from error
            if isinstance(error, OSError) and error.filename is not None and error.errno in OF_THE_DISK:
                tell(f"{error.filename}: {error.strerror}. Check the name, its permissions and the disk.")
                raise typer.Exit(1) from error
            tell(
                f"Delineate has a fault here: {type(error).__name__}: {error}\nPlease report it, with what "
                f"is printed when the command is run again with {TRACEBACK}=1 set."
            )
            raise typer.Exit(INTERNAL_ERROR) from error

    return wrapped


def tell(message: str) -> None:
    """An error, in a paragraph of its own."""
    from delineate.cli.console import errors  # noqa: PLC0415  Rich is imported where it is used

    console = errors()
    with contextlib.suppress(BrokenPipeError):  # nobody listens; the exit code still says it
        console.print("[bold red]Error:[/] ", end="")
        console.print(message, markup=False, highlight=False, soft_wrap=True)


def _terminated(number: int, _: FrameType | None) -> None:
    raise Stopped(number)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if issubclass(category, UserWarning) and category.__module__.startswith("delineate"):
        _warn(str(message))


def _warn(message: str) -> None:
    from delineate.cli.console import errors  # noqa: PLC0415  likewise

    console = errors()
    console.print("[bold yellow]Warning:[/] ", end="")
    console.print(message, markup=False, highlight=False, soft_wrap=True)
