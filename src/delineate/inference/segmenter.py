"""What every loaded model can do, whatever computes it; without torch."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from delineate.image import Image, LabelSet, Mask
from delineate.inference.found import Found, Progress, one_by_one
from delineate.inference.given import Given, image_for
from delineate.model_file import ModelCard
from delineate.plan import Plan


class Segmenter(ABC):
    """A trained segmentation model.

    Attributes:
        card: What the model is, was trained on, and scored.
    """

    card: ModelCard

    @property
    def plan(self) -> Plan:
        """The plan it was trained by."""
        return self.card.plan

    @property
    def labels(self) -> LabelSet:
        """Its labels and their values in the masks it makes."""
        return self.card.plan.data.label_set

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Trained numbers of its nets."""

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
            DataError: Its channels or values do not fit the model, or its pixels an exported file.
        """
        return self.predict_mask(image_for(self.plan, image)).values

    def predict_mask(self, image: Image) -> Mask:
        """Segment one image.

        Raises:
            DataError: As for `predict`.
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
            DataError: As for `predict`.
        """
        found = self.found_in(image_for(self.plan, image), keep_probabilities=True).probabilities
        if found is None:
            raise ValueError("probabilities were asked for, and none kept")
        return found

    @abstractmethod
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
            DataError: As for `predict`, or it is too large for the memory.
        """

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
        return one_by_one(functools.partial(self.found_in, keep_probabilities=keep_probabilities), pictures)
