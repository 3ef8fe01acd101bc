"""Saying where it is written which file a code stands for, so that a file can be found and put right."""

from __future__ import annotations

from pathlib import Path

from delineate.dataset.pseudonyms import PRIVATE, TABLE, Pseudonyms, holds_codes
from delineate.jobs.reporter import Reporter

SHOWN = "Names that may tell who a patient is are shown as codes"


def write_codes(pseudonyms: Pseudonyms, folder: Path, reporter: Reporter) -> None:
    """Write which code stands for which files, and say where, if there are codes.

    Args:
        pseudonyms: The codes.
        folder: Of results.
        reporter: Told.

    Raises:
        OutputError: The place cannot be written.
    """
    pseudonyms.write_table(folder)
    if pseudonyms.table:
        reporter.say(f"{SHOWN}; {folder / PRIVATE / TABLE} says which is which.")


def explained(message: str, command: str) -> str:
    """An error after which no results are kept, and with them no table of codes: how to have one written.

    Args:
        message: The error's.
        command: That finds the same, and writes the table.
    """
    if not holds_codes(message):
        return message
    return (
        f"{message}\n{SHOWN}. To find the files: {command} shows the same and writes which file each code "
        "stands for."
    )
