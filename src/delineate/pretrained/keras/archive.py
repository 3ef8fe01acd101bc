"""The three kinds of file that Keras saves a net in, opened."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from delineate.errors import UsageError
from delineate.pretrained.keras.hdf5 import MAGIC, MAXIMUM_TEXT, Group, open_content
from delineate.pretrained.keras.refusal import Refusal, damage_told, shown

MAXIMUM_BYTES = 2 << 30
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # of layers, the second before Keras 2.14
_BACKENDS = (None, "tensorflow", "jax", "torch", "numpy", "openvino")

Json = dict[str, object]
Layout = Literal["by path", "by name"]


@dataclass(frozen=True)
class KerasFile:
    """A file that Keras saved.

    Attributes:
        config: The model's, if the file has its graph.
        weights: The group that holds them.
        layout: Whether they lie by path, as Keras stores them since 2.12, or by the layers' names as before.
        version: Of Keras, if the file says it.
    """

    config: Json | None
    weights: Group
    layout: Layout
    version: str | None


def read_content(path: Path) -> bytes:
    """The whole file.

    Raises:
        UsageError: There is no such file.
        Refusal: It is too large.
    """
    if path.is_dir():
        raise UsageError(
            f"{path} is a folder, such as TensorFlow's SavedModel, which is not read. Save the model as one "
            "file with Keras: model.save('model.keras')"
        )
    if not path.is_file():
        raise UsageError(f"There is no file {path}. Give a .keras, .h5 or .weights.h5 file.")
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise Refusal(f"it has {path.stat().st_size:,} bytes; at most {MAXIMUM_BYTES:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error


def open_keras(content: bytes) -> KerasFile:
    """Open what Keras saved, whichever of its kinds it is.

    Raises:
        Refusal: It is none, damaged, or holds what could run.
    """
    if content.startswith(b"PK\x03\x04"):
        return _of_archive(content)
    if not content.startswith(MAGIC):
        raise Refusal("it is no file that Keras saved: neither a .keras archive nor HDF5")
    root = open_content(content)
    if root.has("model_config"):
        weights = root.group("model_weights")
        if weights is None:
            raise Refusal("it has no group model_weights: it is damaged, or no model that Keras saved")
        config, version = _parsed(root.text("model_config") or "", "model_config"), root.text("keras_version")
        _refuse_other_backends(weights)
        return KerasFile(config, weights, "by name", _version(version))
    if root.has("layer_names") or root.has("layer_names0"):
        _refuse_other_backends(root)
        return KerasFile(None, root, "by name", _version(root.text("keras_version")))
    if any(root.group(name) for name in CONTAINERS):
        return KerasFile(None, root, "by path", None)
    raise Refusal("it is an HDF5 file, but holds no net or weights as Keras saves them")


def _of_archive(content: bytes) -> KerasFile:
    with damage_told(), zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [entry.filename for entry in archive.infolist()]
        if any(names.count(name) > 1 for name in (CONFIG, METADATA, WEIGHTS)):
            raise Refusal("it is an archive that holds a file twice")
        if missing := [name for name in (CONFIG, WEIGHTS) if name not in names]:
            raise Refusal(f"it is an archive, but no .keras file: it has no {' and no '.join(missing)}")
        config = _parsed(_stored(archive, CONFIG, MAXIMUM_TEXT).decode("utf-8"), CONFIG)
        version: object = None
        if METADATA in names:
            version = _parsed(_stored(archive, METADATA, 1 << 20).decode("utf-8"), METADATA).get(
                "keras_version"
            )
        weights = open_content(_stored(archive, WEIGHTS, MAXIMUM_BYTES))
    return KerasFile(config, weights, "by path", _version(version))


def _stored(archive: zipfile.ZipFile, name: str, maximum: int) -> bytes:
    """A file of the archive, which is no larger inside than outside."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise Refusal(f"its {name} is compressed or encrypted, as Keras writes none")
    if entry.file_size > maximum:
        raise Refusal(f"its {name} has {entry.file_size:,} bytes; at most {maximum:,} are read")
    return archive.read(entry)  # its checksum is compared


def _parsed(text: str, name: str) -> Json:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"its {name} is no JSON: it is damaged. Copy it again") from error
    if not isinstance(found, dict):
        raise Refusal(f"its {name} describes no model")
    return found


def _version(value: object) -> str | None:
    return shown(value)[:40] if isinstance(value, str) else None


def _refuse_other_backends(weights: Group) -> None:
    """Theano's kernels are mirrored."""
    backend = weights.text("backend")
    if backend not in _BACKENDS:
        raise Refusal(f"its weights come from the backend {shown(backend)}; those of tensorflow are read")
