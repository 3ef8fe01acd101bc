"""A loaded model: the object people predict with."""

from __future__ import annotations

import copy
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from delineate.errors import DelineateWarning, UsageError
from delineate.files import as_path
from delineate.image import Image, Mask
from delineate.inference.engines import Engine
from delineate.inference.engines.choice import asked_for, choose
from delineate.inference.engines.making import Net
from delineate.inference.engines.wish import EngineChoice, PrecisionChoice, checked_choice
from delineate.inference.found import Found, Progress, label_probabilities
from delineate.inference.hardware import computing_device
from delineate.inference.loading import is_exported
from delineate.inference.mirroring import with_mirroring
from delineate.inference.predict import decide, probabilities
from delineate.inference.segmenter import Segmenter
from delineate.inference.together import Together, windows_at_once
from delineate.inference.volumes import predict_volume
from delineate.model_file import MODEL_NAME, ModelCard, apart, load_model, model_path
from delineate.networks.unet import UNet
from delineate.plan import Plan


class ComputedModel(Segmenter):
    """A model whose net an engine computes, and all else this package.

    Attributes:
        engine: What computes it.
    """

    engine: Engine

    def found_in(
        self,
        image: Image,
        *,
        keep_probabilities: bool = False,
        memory_bytes: int | None = None,
        progress: Progress = lambda *_: None,
    ) -> Found:
        """See `Segmenter`."""
        if len(image.size) == 2:
            found = probabilities(self.engine, self.plan, image)
            return self._decided(found, image)
        volume = predict_volume(
            self.engine,
            self.plan,
            image,
            keep_probabilities=keep_probabilities,
            memory_bytes=memory_bytes,
            progress=progress,
        )
        return Found(Mask(volume.values, self.labels, image.geometry), volume.probabilities)

    def found_in_each(
        self, pictures: Iterable[Image], *, keep_probabilities: bool = False
    ) -> Iterator[Found | Exception]:
        """See `Segmenter`."""
        at_once = windows_at_once(self.engine, self.plan)
        if at_once == 1:
            yield from super().found_in_each(pictures, keep_probabilities=keep_probabilities)
            return
        waiting: deque[Image] = deque()

        def noted() -> Iterator[Image]:
            for picture in pictures:
                waiting.append(picture)
                yield picture

        for found in Together(self.engine, self.plan, at_once).probabilities(noted()):
            picture = waiting.popleft()
            yield found if isinstance(found, Exception) else self._decided(found, picture)

    def _decided(self, found: Tensor, image: Image) -> Found:
        mask = Mask(decide(found, self.plan), self.labels, image.geometry)
        return Found(mask, label_probabilities(found.numpy()))

    def with_mirroring(self, mirror: bool) -> Self:
        """The same model, which averages over mirrored images or does not."""
        other = copy.copy(self)
        other.card = self.card.model_copy(update={"plan": with_mirroring(self.plan, mirror)})
        return other


class Model(ComputedModel):
    """A trained segmentation model.

    Args:
        card: What it says about itself.
        weights: As the plan's network names them, of several nets as the model file does.
        engine: What computes it, see `load`.
        precision: In which numbers, see `load`.

    Attributes:
        network: The net, in evaluation mode; of several a list, whose probabilities are averaged.
        net: The same with what engines are made from it need.
    """

    def __init__(
        self,
        card: ModelCard,
        weights: dict[str, torch.Tensor],
        *,
        engine: EngineChoice = "torch",
        precision: PrecisionChoice = "auto",
    ) -> None:
        self.card = card
        nets = [_net(card.plan, member) for member in apart(weights, card.members)]
        self.network: nn.Module = nets[0] if len(nets) == 1 else nn.ModuleList(nets).eval()
        self.net = Net(self.network, card.plan, card.members, card.training.precision, card.weights_sha256)
        name, precision = checked_choice(engine, precision)
        if name != "auto":
            self.engine = asked_for(self.net, name, precision)
            return
        chosen = choose(self.net, precision)
        self.engine = chosen.engine
        for each in chosen.passed_over:
            warnings.warn(f"The engine {each}. It is skipped.", DelineateWarning, stacklevel=2)

    @property
    def parameters(self) -> int:
        """Trained numbers of its nets."""
        return sum(each.numel() for each in self.network.parameters())


def _net(plan: Plan, weights: dict[str, torch.Tensor]) -> UNet:
    """A net of these weights, in evaluation mode, where it computes fastest."""
    with torch.device("meta"):  # no weights are drawn that the given ones would replace
        network = UNet(plan.network)
    network.load_state_dict(weights, assign=True)
    device = torch.device(computing_device())
    moved: UNet = network.to(device, memory_format=network.memory_format).eval()  # type: ignore[call-overload]  # torch's stubs miss this form
    return moved


def load(path: str | Path, *, engine: EngineChoice = "torch", precision: PrecisionChoice = "auto") -> Model:
    """Load a model.

    Args:
        path: The model file, or the run folder that holds it.
        engine: What computes it: "torch", "onnxruntime", "openvino", or "auto" for the fastest here. That is
            measured once for a model and a machine, in some seconds, and remembered in the user's cache.
        precision: In which numbers: "fp32", "bf16", or "auto" for those of its training where this machine is
            fast at them.

    Returns:
        The model, ready to predict.

    Raises:
        UsageError: There is no such engine or precision here, its package is not installed, or the path is of
            an exported file.
        ModelFileError: There is none, it is damaged, or is no model file of ours.
    """
    if is_exported(path):
        raise UsageError(
            f"{path} is an exported file, which predicts and is scored, but holds no net to go on from. Give "
            "the model file or run folder that it was made of."
        )
    engine, precision = checked_choice(engine, precision)  # before the weights are read
    return Model(*load_model(model_path(as_path(path))), engine=engine, precision=precision)


__all__ = ["MODEL_NAME", "Model", "load", "model_path"]
