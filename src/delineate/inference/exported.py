"""A model from an exported ONNX file: it predicts as the model itself does, and needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError, ModelFileError, UsageError
from delineate.fingerprint import dividing
from delineate.image import Image, Mask, turn_of
from delineate.inference.engines.packages import optional_package
from delineate.inference.fitting import (
    admitted,
    brought_to_shares,
    prepared,
    refuse_by_spacing,
    sampled,
    units_of,
)
from delineate.inference.found import Found, Progress
from delineate.inference.memory import lacking
from delineate.inference.mirroring import mirrored_axes, trained_axes
from delineate.inference.onnx_file import (
    GIVEN,
    IMAGE,
    LABELS,
    PROBABILITIES,
    SPACING,
    Channels,
    OnnxFile,
    Pixels,
)
from delineate.inference.segmenter import Segmenter
from delineate.plan import Plan
from delineate.threads import at_most, usual_threads

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Numbers = npt.NDArray[np.generic]
PROGRAM_BYTES = 150 << 20  # Python and ONNX Runtime
ELEMENTS = {"uint8": "tensor(uint8)", "uint16": "tensor(uint16)", "float32": "tensor(float)"}
ONE_MORE_BYTE = 257  # 65535 / 255: the same share of the range of 16 bit


@dataclass(frozen=True)
class Device:
    """Where a graph is computed."""

    type: Literal["cpu"] = "cpu"


@dataclass(frozen=True)
class Computation:
    """What computes a graph, in the words of `Engine`."""

    name: Literal["onnxruntime"] = "onnxruntime"
    precision: Literal["fp32"] = "fp32"
    device: Device = Device()


class ExportedModel(Segmenter):
    """A trained segmentation model, as `delineate export` wrote it.

    Args:
        file: The file, read and checked.

    Attributes:
        engine: What computes it.

    Raises:
        UsageError: ONNX Runtime is not installed.
        ModelFileError: The graph cannot be run, or takes or gives something else than the card says.
    """

    def __init__(self, file: OnnxFile) -> None:
        self.card = file.card
        self.engine = Computation()
        self._file = file
        self._session = _session(file)
        _refuse_other_graphs(file, self._session)

    @property
    def parameters(self) -> int:
        """Trained numbers of its nets."""
        return self._file.parameters

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
            if self.plan.data.axes == 3:
                raise DataError(
                    "it is one slice, but this exported model takes volumes: give the whole volume"
                )
            labels, probabilities = self._run(self._pixels(image))
            return Found(Mask(labels, self.labels, image.geometry), probabilities)
        self._refuse_by_memory(image, memory_bytes)
        turned = prepared(image, self.plan)
        if self.plan.data.axes == 2:
            labels, probabilities = self._by_slices(turned, keep_probabilities, progress)
        else:
            refuse_by_spacing(turned, self.plan)
            labels, probabilities = self._run(self._pixels(turned), turned.geometry.spacing_mm)
            progress(1, 1)
        if (turn := turn_of(image.geometry, 3, self.plan.preprocessing.orientation)) is not None:
            labels, probabilities = turn.undo(labels), turn.undo(probabilities)
        kept = probabilities.astype(np.float16) if keep_probabilities else None
        if labels.shape != image.size:
            raise ModelFileError(f"{self._file.path} makes masks of another size than its images.")
        return Found(Mask(np.ascontiguousarray(labels), self.labels, image.geometry), kept)

    def with_mirroring(self, mirror: bool) -> ExportedModel:
        """The same model: whether it averages over mirrored images was settled when it was exported.

        Raises:
            UsageError: It was settled otherwise.
        """
        if mirror != bool(mirrored_axes(self.plan)) and trained_axes(self.plan):
            raise UsageError(
                f"{self._file.path} averages over {'' if not mirror else 'no '}mirrored images, which was "
                "settled when it was exported: omit --tta and --no-tta, or predict with the model file."
            )
        return self

    def _by_slices(self, image: Image, keep: bool, progress: Progress) -> tuple[Any, Any]:
        """Of a volume, by a graph of pictures, which knows no intensities of a whole volume."""
        image = brought_to_shares(image, self.plan)
        given = self._intensities(image)
        pixels = self._pixels(image)
        axis = 0 if self._file.channels == "last" else 1
        depth = image.size[0]
        labels = np.empty(image.size, np.uint8)
        kept = np.empty((len(self.labels), *image.size), np.float32) if keep else np.empty(0, np.float32)
        for at in range(depth):
            labels[at], found = self._run(pixels[at] if axis == 0 else pixels[:, at], given=given)
            if keep:
                kept[:, at] = found
            progress(at + 1, depth)
        return labels, kept

    def _intensities(self, image: Image) -> Numbers | None:
        """Gain and offset `(2, C)` of a volume that is normalized by its own numbers."""
        if self.plan.preprocessing.normalization != "image":
            return None
        units = units_of(sampled(image), self.plan)
        flat = units.reshape(units.shape[0], -1)
        mean = flat.mean(1, dtype=np.float64)
        deviation = dividing(flat.std(1, dtype=np.float64), mean)
        return np.stack([1 / deviation, -mean / deviation]).astype(np.float32)

    def _pixels(self, image: Image) -> Numbers:
        return pixels_for(image, self.plan, self._file.pixels, self._file.channels)

    def _run(
        self, pixels: Numbers, spacing_mm: tuple[float, ...] | None = None, given: Numbers | None = None
    ) -> tuple[Any, Any]:
        """Labels and probabilities."""
        feed: dict[str, Numbers] = {IMAGE: pixels}
        if (wanted := self.plan.preprocessing.spacing_mm) is not None:
            feed[SPACING] = np.array(spacing_mm or wanted, np.float64)
        if given is not None:
            feed[GIVEN] = given
        try:
            labels, probabilities = self._session.run([LABELS, PROBABILITIES], feed)
        except Exception as error:  # its errors have no common class but this
            raise RuntimeError(f"ONNX Runtime failed: {' '.join(str(error).split())[:300]}") from error
        return labels, probabilities

    def _refuse_by_memory(self, image: Image, memory_bytes: int | None) -> None:
        voxels, classes = math.prod(image.size), self.plan.network.output_channels
        held = 4 * (4 * classes + 3 * self.plan.data.channels) + 1
        whole = voxels * held if self.plan.data.axes == 3 else voxels * (4 * len(self.labels) + 5)
        if shortage := lacking(PROGRAM_BYTES + len(self._file.content) * 3 + whole, memory_bytes):
            raise DataError(
                f"it would take about {shortage}. The model file itself predicts volumes with less memory"
            )


def pixels_for(image: Image, plan: Plan, kind: Pixels, channels: Channels) -> Numbers:
    """The image as an exported file takes it.

    Args:
        image: Turned as the plan says already.
        plan: Of the model.
        kind: Of the pixels that the file takes; integers are shares of their range.
        channels: Where their axis stands.

    Raises:
        DataError: It does not fit the model, or has pixels that `kind` cannot hold.
    """
    pixels = _typed(admitted(image, plan), kind)
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1) if channels == "last" else pixels)


def _typed(image: Image, kind: Pixels) -> Numbers:
    if kind == "float32":
        return image.units()
    own = image.pixels.dtype
    if not image.in_own_units:
        if own == kind:
            return image.pixels
        if own == np.uint8:
            return image.pixels.astype(np.uint16) * np.uint16(ONE_MORE_BYTE)
    raise DataError(
        f"its pixels are {own}, but the exported file takes {kind} alone: export the model again with "
        "--pixels float32, which takes all"
    )


def _session(file: OnnxFile) -> InferenceSession:
    runtime = optional_package("onnxruntime", "An exported ONNX file")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, too
    options.intra_op_num_threads = at_most(usual_threads())
    # between two images its threads sleep, so that others can read and write files meanwhile
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return runtime.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class but this
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{file.path} holds a graph that cannot be run: {reason}") from error


def _refuse_other_graphs(file: OnnxFile, session: InferenceSession) -> None:
    """Compare what the graph takes and gives with what its description says."""
    plan, axes = file.card.plan, file.card.plan.data.axes
    inputs = {each.name: (each.type, len(each.shape)) for each in session.get_inputs()}
    outputs = {each.name: (each.type, len(each.shape)) for each in session.get_outputs()}
    expected = {IMAGE: (ELEMENTS[file.pixels], axes + 1)}
    if plan.preprocessing.spacing_mm is not None:
        expected[SPACING] = ("tensor(double)", 1)
    found = {LABELS: ("tensor(uint8)", axes), PROBABILITIES: ("tensor(float)", axes + 1)}
    if inputs != expected or outputs != found:
        raise ModelFileError(f"{file.path} is damaged: its graph does not fit what it says of itself.")
