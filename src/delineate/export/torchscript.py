"""A model as a TorchScript file: torch alone runs it, from a raw image to labels and probabilities."""

import io
import json
import warnings
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from delineate.errors import DataError
from delineate.export.agreement import Agreement, compare, refuse_disagreement
from delineate.export.archive import without_places
from delineate.export.graph_intensities import GREATEST
from delineate.export.order import Form, Order
from delineate.export.scripted_model import scripted_model
from delineate.files import write_with
from delineate.image import Image, Mask, turn_of
from delineate.inference.exported import pixels_for
from delineate.inference.fitting import prepared
from delineate.inference.found import Found
from delineate.inference.model import Model
from delineate.inference.onnx_file import CHANNELS, LABEL_NAMES, PIXELS
from delineate.model_file import ENTRY, ModelCard
from delineate.plan import Plan


class RawModel(nn.Module):
    """From stored pixels to labels; made to be compiled by `torch.jit.script`.

    Args:
        plan: The model's.
        form: In which it takes its images.
        network: `ScriptedModel`, compiled: a batch of float images to probabilities.
    """

    last: Final[bool]
    greatest: Final[float]
    single: Final[bool]
    threshold: Final[float]

    def __init__(self, plan: Plan, form: Form, network: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.network = network
        self.last = form.channels == "last"
        self.greatest = GREATEST.get(form.pixels, 1.0)
        self.single = plan.network.output_channels == 1
        self.threshold = plan.threshold

    def forward(self, image: Tensor, spacing_mm: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Segment one image.

        Args:
            image: `(H, W, C)`, or `(C, H, W)` where it was exported so; of volumes with a depth before H.
            spacing_mm: `(3,)`, of a volume whose plan has a spacing.

        Returns:
            The labels, uint8 of the spatial size, and their probabilities `(n, …)` float32.
        """
        pixels = image.movedim(-1, 0) if self.last else image
        units = pixels.to(torch.float32) / self.greatest
        steps = spacing_mm
        if steps is not None:
            steps = steps.unsqueeze(0)
        found: Tensor = self.network(units.unsqueeze(0), steps)[0]
        if self.single:
            return (found[0] >= self.threshold).to(torch.uint8), found
        return found.argmax(0).to(torch.uint8), found[1:]


def torchscript_model(model: Model, form: Form) -> bytes:
    """A model as a TorchScript file.

    Args:
        model: The model, on the processor.
        form: In which the file takes its images.

    Returns:
        What `torch.jit.load` reads; its extra files are the model's card, its labels and the form.
    """
    plan = model.plan
    told = {
        ENTRY: model.card.model_dump_json(),
        LABEL_NAMES: json.dumps(list(plan.data.labels), ensure_ascii=False),
        CHANNELS: form.channels,
        PIXELS: form.pixels,
    }
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch: that TorchScript is old
        network = torch.jit.load(io.BytesIO(scripted_model(model.network, plan, reversed_axes=False)))  # type: ignore[no-untyped-call]  # torch's
        compiled = torch.jit.script(RawModel(plan, form, network).eval())
        torch.jit.save(compiled, stream, _extra_files={name: text.encode() for name, text in told.items()})
    return without_places(stream.getvalue())


class TorchScriptModel:
    """A TorchScript file, run as a user of torch alone runs it.

    Args:
        content: Of the file.
        card: Of the model.
        form: In which it takes its images.
    """

    def __init__(self, content: bytes, card: ModelCard, form: Form) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch: that TorchScript is old
            self._module = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]  # torch's
        self._card, self._form = card, form

    def found_in(self, image: Image, *, keep_probabilities: bool = False) -> Found:
        """The mask of an image, and the probabilities of its labels.

        Raises:
            DataError: It does not fit the model, or has other pixels than the file takes.
        """
        plan = self._card.plan
        if len(image.size) != plan.data.axes:
            raise DataError(f"the exported file takes images of {plan.data.axes} axes alone")
        turned = prepared(image, plan)
        pixels = torch.from_numpy(pixels_for(turned, plan, self._form.pixels, self._form.channels))
        spacing = turned.geometry.spacing_mm if plan.preprocessing.spacing_mm is not None else None
        with torch.inference_mode():
            given = (pixels,) if spacing is None else (pixels, torch.tensor(spacing, dtype=torch.float64))
            labels, found = (each.numpy() for each in self._module(*given))
        if (
            turn := turn_of(image.geometry, 3, plan.preprocessing.orientation)
        ) is not None and plan.data.axes == 3:
            labels, found = turn.undo(labels), turn.undo(found)
        kept = found.astype(np.float16) if plan.data.axes == 3 else found
        mask = Mask(np.ascontiguousarray(labels), plan.data.label_set, image.geometry)
        return Found(mask, kept if keep_probabilities else None)


def export_torchscript(order: Order, path: Path) -> Agreement:
    """Write a model as a TorchScript file, and compare what it says with what the model says.

    Args:
        order: What is asked for.
        path: Of the file.

    Raises:
        ExportError: They do not agree.
        OutputError: The place cannot be written.
    """
    content = torchscript_model(order.model, order.form)
    write_with(path, lambda stream: stream.write(content))
    written = TorchScriptModel(path.read_bytes(), order.model.card, order.form)
    return refuse_disagreement(compare(order.model, written, order.images), "The TorchScript file")
