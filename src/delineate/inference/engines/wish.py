"""What a user may ask for: an engine and a precision."""

from __future__ import annotations

from typing import Literal, get_args

from delineate.errors import UsageError

EngineChoice = Literal["auto", "torch", "onnxruntime", "openvino"]
PrecisionChoice = Literal["auto", "fp32", "bf16", "int8"]


def checked_choice(engine: str, precision: str) -> tuple[EngineChoice, PrecisionChoice]:
    """The names, if they are names of an engine and a precision.

    Raises:
        UsageError: They are not.
    """
    engines, precisions = get_args(EngineChoice), get_args(PrecisionChoice)
    for name, known, option in ((engine, engines, "engine"), (precision, precisions, "precision")):
        if name not in known:
            raise UsageError(f"There is no {option} {name!r}: give one of {', '.join(known)}.")
    return engines[engines.index(engine)], precisions[precisions.index(precision)]
