"""Loading a model, whatever kind of file holds it; torch is imported only for one that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

from delineate.inference.onnx_file import SUFFIX

if TYPE_CHECKING:
    from delineate.inference.exported import ExportedModel
    from delineate.inference.model import Model

AnyModel: TypeAlias = Union["Model", "ExportedModel"]


def is_exported(path: str | Path) -> bool:
    """Whether a path is of an exported ONNX file, by its name."""
    return Path(path).suffix.lower() == SUFFIX


def load_any(path: str | Path) -> AnyModel:
    """Load a model.

    Args:
        path: The model file, the run folder that holds it, or an exported ONNX file.

    Returns:
        The model, ready to predict.

    Raises:
        UsageError: There is none, or a package is missing that it needs.
        ModelFileError: It is damaged, or is no model file of ours.
    """
    if is_exported(path):
        from delineate.inference.exported import ExportedModel  # noqa: PLC0415  needs no torch, the other does
        from delineate.inference.onnx_file import read_onnx  # noqa: PLC0415  likewise

        return ExportedModel(read_onnx(Path(path)))
    from delineate.inference.model import load  # noqa: PLC0415  imports torch

    return load(path)
