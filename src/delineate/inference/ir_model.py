"""A model from an exported OpenVINO IR: its net computed by OpenVINO, all else as for the model itself."""

from __future__ import annotations

from pathlib import Path

from delineate.errors import UsageError
from delineate.inference.engines.graph_engine import GraphEngine
from delineate.inference.engines.openvino import OpenVinoSession
from delineate.inference.engines.wish import EngineChoice, PrecisionChoice
from delineate.inference.ir_file import IrFile, read_ir
from delineate.inference.model import ComputedModel


class IrModel(ComputedModel):
    """See `Segmenter`; it has no weights that could be trained further, or exported again.

    Args:
        file: The IR, read and checked.
    """

    def __init__(self, file: IrFile) -> None:
        self.card = file.card
        self._parameters = file.parameters
        plan = file.card.plan
        shape = (plan.data.channels, *plan.window)

        def open_session(threads: int) -> OpenVinoSession:
            return OpenVinoSession(file.graph, shape, precision="fp32", threads=threads, weights=file.weights)

        self.engine = GraphEngine(
            "openvino",
            file.precision,
            members=file.card.members,
            classes=plan.network.output_channels,
            open_session=open_session,
        )

    @property
    def parameters(self) -> int:
        """Trained numbers of its nets."""
        return self._parameters


def load_ir(path: Path, *, engine: EngineChoice = "auto", precision: PrecisionChoice = "auto") -> IrModel:
    """Load an exported IR.

    Args:
        path: Its XML file.
        engine: "openvino", which alone computes it, or "auto".
        precision: That which it was exported in, or "auto".

    Raises:
        UsageError: It is to be computed otherwise, or OpenVINO is not installed.
        ModelFileError: It cannot be read, is none of ours, or is damaged.
    """
    if engine not in ("auto", "openvino"):
        raise UsageError(f"{path} is an OpenVINO IR, which {engine} does not compute. Omit --engine.")
    file = read_ir(path)
    if precision not in ("auto", file.precision):
        raise UsageError(
            f"{path} was exported in {file.precision}, not in {precision}. Omit --precision, or "
            "give the model file."
        )
    return IrModel(file)
