"""The model of a job, computed by the engine that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from delineate.errors import UsageError
from delineate.inference.engines.wish import EngineChoice, PrecisionChoice
from delineate.inference.loading import load_any

if TYPE_CHECKING:
    from delineate.inference.loading import AnyModel


def with_engine(
    model: AnyModel | str | Path, engine: EngineChoice | None, precision: PrecisionChoice | None
) -> AnyModel:
    """A loaded model.

    Args:
        model: A loaded model, a model file, a run folder or an exported file.
        engine: What shall compute it; None for the loaded model's own, of a file torch.
        precision: Likewise.

    Raises:
        UsageError: A loaded model is to get another engine, or there is no such engine here.
        ModelFileError: The model cannot be used.
    """
    if isinstance(model, str | Path):
        return load_any(model, engine=engine, precision=precision)
    if engine or precision:
        raise UsageError("This model is loaded already. Give its engine and precision to delineate.load.")
    return model
