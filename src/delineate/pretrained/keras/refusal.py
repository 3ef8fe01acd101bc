"""Why a file is not imported, told without its name: `read_keras` puts that before it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

SHOWN = 6
SAVE_WHOLE = "Save the whole model instead, with its graph: model.save('model.keras')"


class Refusal(Exception):  # noqa: N818  no fault of the program
    """What does not fit, as a sentence that can stand after a colon."""


def all_of(faults: Sequence[str]) -> Refusal:
    """All that is wrong, the first few of many."""
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return Refusal("; ".join(faults[:SHOWN]) + more)


def shown(value: object) -> str:
    """Something a stranger's file says, fit for a line of text."""
    text = value[:80] if isinstance(value, str) else repr(value)[:80]
    return text if text.isprintable() else ascii(text)


@contextlib.contextmanager
def damage_told() -> Iterator[None]:
    """What a damaged file leads libraries to, as a `Refusal`."""
    try:
        yield
    except Refusal:
        raise
    except MemoryError as error:
        raise Refusal("it is damaged, or larger than the memory of this machine") from error
    except Exception as error:
        reason = shown(" ".join(str(error).split())) or type(error).__name__
        raise Refusal(f"it is damaged: {reason}. Copy it again") from error
