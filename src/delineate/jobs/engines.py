"""The model of a job, computed by the engine that is asked for."""

from __future__ import annotations

from pathlib import Path

from delineate.errors import UsageError
from delineate.inference.engines.wish import EngineChoice, PrecisionChoice
from delineate.inference.model import Model, load


def with_engine(
    model: Model | str | Path, engine: EngineChoice | None, precision: PrecisionChoice | None
) -> Model:
    """A loaded model.

    Args:
        model: A loaded model, a model file or a run folder.
        engine: What shall compute it; None for the loaded model's own, of a file torch.
        precision: Likewise.

    Raises:
        UsageError: A loaded model is to get another engine, or there is no such engine here.
        ModelFileError: The model cannot be used.
    """
    if not isinstance(model, Model):
        return load(model, engine=engine or "torch", precision=precision or "auto")
    if engine or precision:
        raise UsageError("This model is loaded already. Give its engine and precision to delineate.load.")
    return model
