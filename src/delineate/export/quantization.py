"""An OpenVINO IR in int8: activations are calibrated on images, and what it costs is measured.

Source: Jacob et al.: Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference, CVPR 2018; done by Intel's NNCF.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from delineate.errors import UsageError
from delineate.export.agreement import Finds
from delineate.export.openvino import converted, write_ir
from delineate.extras import installing
from delineate.image import Image
from delineate.inference.engines import Engine
from delineate.inference.engines.engine import EngineName, Precision
from delineate.inference.engines.packages import optional_package, refuse_telemetry
from delineate.inference.model import Model
from delineate.metrics.overlap import overlap

if TYPE_CHECKING:
    from openvino import Model as Graph

MOST_SAMPLES = 300  # as many as NNCF takes by default
Numbers = npt.NDArray[np.float32]


@dataclass
class RecordingEngine:
    """An engine that keeps a random sample of what it was given, the same whenever it is given the same.

    Attributes:
        engine: That computes.
        samples: `(1, C, …)`, at most `MOST_SAMPLES`.
    """

    engine: Engine
    samples: list[Numbers] = field(default_factory=list)
    _seen: int = 0
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @property
    def name(self) -> EngineName:
        """See `Engine`."""
        return self.engine.name

    @property
    def precision(self) -> Precision:
        """See `Engine`."""
        return self.engine.precision

    @property
    def device(self) -> torch.device:
        """See `Engine`."""
        return self.engine.device

    @property
    def members(self) -> int:
        """See `Engine`."""
        return self.engine.members

    def __call__(self, batch: Tensor) -> Tensor:
        """See `Engine`."""
        for image in batch:
            self._seen += 1
            place = (
                len(self.samples) if self._seen <= MOST_SAMPLES else int(self._random.integers(self._seen))
            )
            if place < MOST_SAMPLES:
                self.samples[place : place + 1] = [image[None].cpu().numpy().copy()]
        return self.engine(batch)


def export_int8(model: Model, images: Iterable[Image], place: Path) -> int:
    """Write a model's net as an IR in int8.

    Args:
        model: Computed by torch in fp32.
        images: To calibrate with.
        place: A new folder.

    Returns:
        How many windows were calibrated with.

    Raises:
        UsageError: OpenVINO or NNCF is not installed, or there is no image.
        ExportError: OpenVINO cannot compute the net on this machine.
        DataError: An image does not fit the model.
    """
    graph = converted(model)
    samples = seen_in(model, images)
    if not samples:
        raise UsageError("int8 needs images to calibrate with: --images FOLDER.")
    write_ir(place, quantized(graph, samples), model, "int8")
    return len(samples)


def seen_in(model: Model, images: Iterable[Image]) -> Sequence[Numbers]:
    """What the net sees of images: `(1, C, *size)` normalized, some of them chosen at random."""
    recording, watched = RecordingEngine(model.engine), copy.copy(model)
    watched.engine = recording
    for image in images:
        watched.found_in(image)
    return recording.samples


def quantized(graph: Graph, samples: Sequence[Numbers]) -> Graph:
    """A graph whose convolutions are computed in int8.

    Args:
        graph: In fp32.
        samples: `(1, C, *size)` that it is likely to see.

    Raises:
        UsageError: NNCF is not installed.
    """
    optional_package("openvino", "--precision int8")
    refuse_telemetry()  # NNCF would tell its makers, too
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import nncf  # noqa: PLC0415  an extra, and slow to import
    except ImportError as error:
        raise UsageError(f"--precision int8 needs the package nncf: {installing('openvino')}") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # its bars
        made: Graph = nncf.quantize(
            graph,
            nncf.Dataset(samples),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
        )
    return made


def mask_dice(model: Finds, other: Finds, images: Iterable[Image], labels: int) -> float | None:
    """The Dice of one model's masks against another's.

    Args:
        model: Whose masks are taken for right.
        other: Whose are not.
        images: That fit both.
        labels: Number of labels.

    Returns:
        The mean over the images in which a label is in either mask, then over the labels; None without any.
    """
    found: list[list[float]] = [[] for _ in range(labels)]
    for image in images:
        theirs, ours = (each.found_in(image).mask.values for each in (other, model))
        for at in range(labels):
            dice = overlap(ours == at + 1, theirs == at + 1).dice
            if dice is not None:
                found[at].append(dice)
    means = [float(np.mean(each)) for each in found if each]
    return float(np.mean(means)) if means else None
