"""A loaded model: the object people predict with."""

from __future__ import annotations

import copy
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from delineate.errors import DelineateWarning
from delineate.image import Image, LabelSet, Mask
from delineate.inference.engines import Engine
from delineate.inference.engines.choice import asked_for, choose
from delineate.inference.engines.making import Net
from delineate.inference.engines.wish import EngineChoice, PrecisionChoice, checked_choice
from delineate.inference.found import Found, Progress, label_probabilities, one_by_one
from delineate.inference.given import Given, image_for
from delineate.inference.mirroring import with_mirroring
from delineate.inference.predict import decide, probabilities
from delineate.inference.together import Together, windows_at_once
from delineate.inference.volumes import predict_volume
from delineate.model_file import MODEL_NAME, ModelCard, apart, load_model, model_path
from delineate.networks.unet import UNet
from delineate.plan import Plan


class Model:
    """A trained segmentation model.

    Args:
        card: What it says about itself.
        weights: As the plan's network names them, of several nets as the model file does.
        engine: What computes it, see `load`.
        precision: In which numbers, see `load`.

    Attributes:
        card: What the model is, was trained on, and scored.
        network: The net, in evaluation mode; of several a list, whose probabilities are averaged.
        net: The same with what engines are made from it need.
        engine: What computes it.
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
            self.engine: Engine = asked_for(self.net, name, precision)
            return
        chosen = choose(self.net, precision)
        self.engine = chosen.engine
        for each in chosen.passed_over:
            warnings.warn(f"The engine {each}. It is passed over.", DelineateWarning, stacklevel=2)

    @property
    def plan(self) -> Plan:
        """The plan it was trained by."""
        return self.card.plan

    @property
    def labels(self) -> LabelSet:
        """Its labels and their values in the masks it makes."""
        return self.card.plan.data.label_set

    @property
    def parameters(self) -> int:
        """Trained numbers of its nets."""
        return sum(each.numel() for each in self.network.parameters())

    def predict(self, image: Given) -> npt.NDArray[np.uint8]:
        """Segment one image.

        Args:
            image: A path, of a folder with one DICOM series too; a PIL image; an array `(H, W)` or
                `(H, W, C)`, uint8, uint16, bool, or float (in [0, 1] if the model was trained on integer
                images); for a model of volumes an array `(D, H, W)` or `(D, H, W, C)` in the units and the
                spacing of its training images, or an `Image` that says its own.

        Returns:
            `(H, W)` or `(D, H, W)` uint8 on the image's own grid: 0 background, 1…n the labels.

        Raises:
            ImageError: The file cannot be read.
            DataError: Its channels or values do not fit the model.
        """
        return self.predict_mask(image_for(self.plan, image)).values

    def predict_mask(self, image: Image) -> Mask:
        """Segment one image.

        Raises:
            DataError: Its channels or values do not fit the model.
        """
        return self.found_in(image).mask

    def probabilities(self, image: Given) -> npt.NDArray[np.floating]:
        """The probability of each label at each pixel.

        Args:
            image: As for `predict`.

        Returns:
            `(n, H, W)` float32 or `(n, D, H, W)` float16 in [0, 1], the labels in the order of their values.

        Raises:
            ImageError: The file cannot be read.
            DataError: Its channels or values do not fit the model.
        """
        found = self.found_in(image_for(self.plan, image), keep_probabilities=True).probabilities
        if found is None:
            raise ValueError("probabilities were asked for, and none kept")
        return found

    def found_in(
        self,
        image: Image,
        *,
        keep_probabilities: bool = False,
        memory_bytes: int | None = None,
        progress: Progress = lambda *_: None,
    ) -> Found:
        """The mask and, if wanted, the probabilities it was decided from, in one pass.

        Args:
            image: A picture or a volume.
            keep_probabilities: Whether they are wanted.
            memory_bytes: That may be used in all for a volume; None for what is free.
            progress: Of a volume: told the steps done and their number.

        Raises:
            DataError: Its channels or values do not fit the model, or it is too large for the memory.
        """
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
        """What is found in each of many pictures, several at a time where that is faster.

        Args:
            pictures: Of two axes; taken only as they are needed.
            keep_probabilities: Whether they are wanted.

        Yields:
            For each, in order, the same as `found_in` gives for it alone, or the error that it raises.
        """
        at_once = windows_at_once(self.engine, self.plan)
        if at_once == 1:
            yield from one_by_one(
                lambda picture: self.found_in(picture, keep_probabilities=keep_probabilities), pictures
            )
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

    def with_mirroring(self, mirror: bool) -> Model:
        """The same model, which averages over mirrored images or does not."""
        other = copy.copy(self)
        other.card = self.card.model_copy(update={"plan": with_mirroring(self.plan, mirror)})
        return other


def _net(plan: Plan, weights: dict[str, torch.Tensor]) -> UNet:
    """A net of these weights, in evaluation mode, where it computes fastest."""
    with torch.device("meta"):  # no weights are drawn that the given ones would replace
        network = UNet(plan.network)
    network.load_state_dict(weights, assign=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
        UsageError: There is no such engine or precision here, or its package is not installed.
        ModelFileError: There is none, it is damaged, or is no model file of ours.
    """
    engine, precision = checked_choice(engine, precision)  # before the weights are read
    return Model(*load_model(model_path(Path(path))), engine=engine, precision=precision)


__all__ = ["MODEL_NAME", "Model", "load", "model_path"]
