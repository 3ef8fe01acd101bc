"""From a file that Keras saved to a net in our form."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from delineate.errors import ModelFileError, UsageError
from delineate.extras import installing
from delineate.pretrained.keras.archive import open_keras, read_content
from delineate.pretrained.keras.found import Hints, ImportedNet
from delineate.pretrained.keras.graph import read_graph
from delineate.pretrained.keras.mapping import settings_of, weights_of
from delineate.pretrained.keras.options import check_options
from delineate.pretrained.keras.refusal import Refusal
from delineate.pretrained.keras.shapes import find_by_shapes, layers_of
from delineate.pretrained.keras.walk import find_unet
from delineate.pretrained.keras.weights import Weights


def read_keras(path: Path, hints: Hints | None = None) -> ImportedNet:
    """Read a U-Net that Keras saved.

    Args:
        path: A `.keras` file, a whole model as `.h5`, or weights alone as `.weights.h5` or `.h5`; which of
            them it is, is seen from its content.
        hints: What a file without a graph does not say.

    Raises:
        UsageError: There is no such file, or h5py is missing.
        ModelFileError: It is damaged, larger than is read, or no U-Net that ours can be.
    """
    if find_spec("h5py") is None:
        raise UsageError(f"Reading files of Keras needs h5py. Install it with: {installing('keras')}")
    try:
        content = read_content(path)
        file = open_keras(content)
        if file.config is None:
            skip_first = (hints or Hints()).skip_first
            found = find_by_shapes(layers_of(file.weights, file.layout), skip_first=skip_first)
        else:
            graph = read_graph(file.config)
            check_options(graph)
            found = find_unet(graph, Weights(file.weights, file.layout))
        settings = settings_of(found)
        weights = weights_of(found)
    except Refusal as refusal:
        raise ModelFileError(f"{path} cannot be imported: {refusal}.") from refusal
    digest = hashlib.sha256(content).hexdigest()
    return ImportedNet(found, settings, weights, file.config is not None, file.version, digest)
