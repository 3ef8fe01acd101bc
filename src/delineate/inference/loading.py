"""Loading a model, whatever kind of file holds it; torch is imported only for one that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from delineate.errors import ModelFileError, UsageError
from delineate.files import as_path
from delineate.inference.ir_file import ir_path
from delineate.inference.onnx_file import SUFFIX

if TYPE_CHECKING:
    from delineate.inference.engines.wish import EngineChoice, PrecisionChoice
    from delineate.inference.exported import ExportedModel
    from delineate.inference.ir_model import IrModel
    from delineate.inference.model import Model
    from delineate.inference.segmenter import Segmenter

    AnyModel: TypeAlias = Model | IrModel | ExportedModel

TORCHSCRIPT = (".pt", ".ts")  # suffixes of what is written for torch, and not read again


def is_exported(path: str | Path) -> bool:
    """Whether a path is of an exported ONNX file, by its name."""
    return Path(path).suffix.lower() == SUFFIX


def refuse_exported(model: Segmenter | str | Path, verb: str) -> None:
    """Refuse what was exported, where the model file itself is needed.

    Args:
        model: A path, or a loaded model other than `Model`.
        verb: What an exported model cannot do: "learn".

    Raises:
        ModelFileError: It was exported.
    """
    if not isinstance(model, str | Path):
        raise ModelFileError(f"An exported model cannot {verb}. Give the model file that it was made of.")
    path = model
    if is_exported(path) or ir_path(path) is not None or Path(path).suffix.lower() in TORCHSCRIPT:
        raise ModelFileError(
            f"{path} is an exported model, which cannot {verb}. Give the model file that it was made of."
        )


def load_any(
    path: str | Path, *, engine: EngineChoice | None = None, precision: PrecisionChoice | None = None
) -> AnyModel:
    """Load a model.

    Args:
        path: The model file, the run folder that holds it, or what was exported: an ONNX file, or the folder
            of an OpenVINO IR or a MONAI bundle.
        engine: What computes it: "torch", "onnxruntime" or "openvino"; None for torch, ONNX Runtime for an
            exported file, which knows no other.
        precision: In which numbers: "fp32", "bf16", or "auto" for those of its training; an exported file
            computes in that which it was exported in.

    Returns:
        The model, ready to predict.

    Raises:
        UsageError: There is none, its engine cannot compute it, or a package is missing that it needs.
        ModelFileError: It is damaged, or is no model file of ours.
    """
    if as_path(path).suffix.lower() in TORCHSCRIPT:
        refuse_exported(path, "be read again: TorchScript is written for torch alone")
    if is_exported(path):
        if engine not in (None, "auto", "onnxruntime") or precision not in (None, "auto", "fp32"):
            raise UsageError(
                f"{path} is computed by ONNX Runtime in fp32: omit the engine and the precision, "
                "or give the model file it was made of."
            )
        from delineate.inference.exported import ExportedModel  # noqa: PLC0415  needs no torch, the other does
        from delineate.inference.onnx_file import read_onnx  # noqa: PLC0415  likewise

        return ExportedModel(read_onnx(Path(path)))
    if (graph := ir_path(path)) is not None:
        from delineate.inference.ir_model import load_ir  # noqa: PLC0415  imports torch

        return load_ir(graph, engine=engine or "auto", precision=precision or "auto")
    from delineate.inference.model import load  # noqa: PLC0415  imports torch

    return load(path, engine=engine or "torch", precision=precision or "auto")
