"""An exported model, ready to predict."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
import numpy.typing as npt

from delineate_runtime.description import Description, described
from delineate_runtime.errors import ImageError, ModelError, UsageError
from delineate_runtime.graph import graph_sha256
from delineate_runtime.pictures import Array, check_numbers, of_picture, read

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from PIL.Image import Image as Picture

Given = Union[str, Path, "Picture", npt.ArrayLike]
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
GREATEST = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
MOST_CHANNELS = 64
_WEIGHTS_ELSEWHERE = "session.model_external_initializers_file_folder_path"


class Model:
    """A segmentation model that Delineate exported.

    Args:
        description: What the file says of itself.
        session: ONNX Runtime's, of its graph.
    """

    def __init__(self, description: Description, session: InferenceSession) -> None:
        self.description = description
        self._session = session

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, in the order of their values 1, 2, …."""
        return self.description.labels

    def predict(self, image: Given) -> npt.NDArray[np.uint8]:
        """Segment one picture.

        Args:
            image: A path, a Pillow image, or an array `(H, W)` or `(H, W, C)`: uint8, uint16, bool, or floats
                (in [0, 1] if the model was trained on integer images).

        Returns:
            `(H, W)` uint8 on its own grid: 0 background, 1…n the labels.

        Raises:
            ImageError: It cannot be read, or does not fit the model.
        """
        return self._run("labels", image).astype(np.uint8, copy=False)

    def probabilities(self, image: Given) -> npt.NDArray[np.float32]:
        """The probability of each label at each pixel.

        Args:
            image: As for `predict`.

        Returns:
            `(n, H, W)` float32 in [0, 1], in the order of the labels.

        Raises:
            ImageError: As for `predict`.
        """
        return self._run("probabilities", image).astype(np.float32, copy=False)

    def _run(self, output: str, image: Given) -> Array:
        pixels = as_taken(as_array(image), self.description)
        try:
            found: Array = self._session.run([output], {"image": pixels})[0]
        except Exception as error:  # its errors have no common class but this
            raise ImageError(f"ONNX Runtime failed: {' '.join(str(error).split())[:300]}") from error
        return found


def load(path: str | Path, *, threads: int | None = None) -> Model:
    """Load an exported model.

    Args:
        path: What `delineate export --to onnx` wrote.
        threads: To compute with; None for ONNX Runtime's choice.

    Raises:
        UsageError: There is no such file, or it is a model of volumes.
        ModelError: It is damaged, foreign, or of a newer version.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"There is no model at {file}. Give a file that delineate export --to onnx wrote.")
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # or its import would write events into the user's cache
    import onnxruntime  # noqa: PLC0415  here alone, so that the package is imported at once

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, too
    options.add_session_config_entry(_WEIGHTS_ELSEWHERE, os.devnull)  # no other file is ever opened
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelError(f"The model {file} cannot be read: {error.strerror or error}.") from error
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class but this
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{file} is no ONNX file, or is damaged: {reason}") from error
    metadata = session.get_modelmeta().custom_metadata_map
    description = described(str(file), metadata)
    if graph_sha256(content) != metadata.get("graph_sha256"):
        raise ModelError(f"{file} is damaged: its graph is not the one it was saved with. Copy it again.")
    return Model(description, session)


def as_array(image: Given) -> Array:
    """`(C, H, W)` of whatever people hold in their hands.

    Raises:
        ImageError: It cannot be read, or an array's shape or type has no clear meaning.
    """
    if isinstance(image, (str, Path)):
        return read(Path(image))
    from PIL.Image import Image as Picture  # noqa: PLC0415  beside those that need it

    if isinstance(image, Picture):
        return of_picture(image)
    array = np.asarray(image)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ImageError(f"an image is an array (H, W) or (H, W, C), not one of shape {array.shape}")
    if array.ndim == 3 and array.shape[2] > MOST_CHANNELS >= array.shape[0]:
        raise ImageError(f"an array of shape {array.shape} has its channels first; give (H, W, C)")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def as_taken(pixels: Array, description: Description) -> Array:
    """The pixels as the graph takes them.

    Args:
        pixels: `(C, H, W)`.
        description: Of the model.

    Raises:
        ImageError: Their number of channels, type or values do not fit.
    """
    if pixels.dtype.kind == "f":
        pixels = pixels.astype(np.float32)
        check_numbers(pixels)
        low, high = float(pixels.min()), float(pixels.max())
        if description.shares and not 0 <= low <= high <= 1:
            raise ImageError(
                f"it has float pixels from {low:.4g} to {high:.4g}, but the model was trained on integer "
                "images: scale floats to 0…1, or save the image as 8 or 16 bit"
            )
    elif pixels.dtype not in GREATEST:
        raise ImageError(f"pixels of type {pixels.dtype} have no known range: give uint8, uint16 or floats")
    elif not description.takes_integers:
        raise ImageError("it has integer pixels, but the model was trained on floats in units of their own")
    pixels = _typed(_coloured(pixels, description), description)
    if description.layout == "last":
        pixels = np.moveaxis(pixels, 0, -1)
    return np.ascontiguousarray(pixels)


def _coloured(pixels: Array, description: Description) -> Array:
    """With the channels that the model takes: a grey one repeated, colours as their luminance."""
    if description.colour == "rgb" and len(pixels) == 1:
        pixels = np.repeat(pixels, 3, axis=0)
    if description.colour == "grey" and len(pixels) == 3:
        if (pixels == pixels[:1]).all():
            pixels = pixels[:1]
        else:
            luminance = np.tensordot(np.array(LUMINANCE), pixels.astype(np.float64), axes=1)
            integers = pixels.dtype in GREATEST
            pixels = (luminance.round() if integers else luminance)[None].astype(pixels.dtype)
    if len(pixels) != description.channels:
        raise ImageError(f"it has {len(pixels)} channels, but the model takes {description.channels}")
    return pixels


def _typed(pixels: Array, description: Description) -> Array:
    """In the number type that the graph takes."""
    if pixels.dtype == description.pixels:
        return pixels
    if description.pixels == "float32":
        return pixels.astype(np.float32) / np.float32(GREATEST[pixels.dtype])
    if description.pixels == "uint16" and pixels.dtype == np.uint8:
        return pixels.astype(np.uint16) * np.uint16(257)  # the same share of the range
    raise ImageError(
        f"its pixels are {pixels.dtype}, but the file takes {description.pixels} alone: export the model "
        "again with --pixels float32, which takes all"
    )
