"""Reading the tensors of a stranger's weight file: `.safetensors`, or torch's `.pth` with tensors alone.

Nothing in a file is run: of pickles only what builds tensors, numbers and dictionaries is read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.errors import ModelFileError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

MAXIMUM_BYTES = 1 << 30
MAXIMUM_PICKLE_BYTES = 16 << 20  # of names and shapes; that of a ResNet-50 has 20 KB
OURS = "delineate"  # entry in the header of a model file
WRAPPINGS = ("state_dict", "model_state_dict", "model")
_TAR_MAGIC = slice(257, 262)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by their names.

    Args:
        path: A `.safetensors` file, or what `torch.save` wrote of a state dict since torch 1.6, by itself or
            as one of the `WRAPPINGS` of a larger dictionary.

    Returns:
        All tensors, in the file's order.

    Raises:
        UsageError: There is no such file.
        ModelFileError: It is too large, damaged, of another kind, or holds more than tensors.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"{path} {what}. Give the file of the encoder's weights.")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    if size > MAXIMUM_BYTES:
        raise ModelFileError(f"{path} has {size:,} bytes; at most {MAXIMUM_BYTES:,} are read.")
    if start.startswith(b"PK\x03\x04"):
        return _of_torch(path)
    if start[8:9] == b"{":
        return _of_safetensors(path)
    if start[_TAR_MAGIC] == b"ustar" or start.startswith(b"\x80\x02"):
        raise ModelFileError(
            f"{path} has the form that torch wrote before version 1.6, which is not read. Bring it to the "
            "present one where you trust it: torch.save(torch.load(OLD, weights_only=True), NEW)"
        )
    raise ModelFileError(f"{path} is neither a .safetensors file nor a state dict that torch saved.")


def _of_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415  heavy
    from safetensors.torch import load_file  # noqa: PLC0415  heavy

    try:
        with safe_open(path, framework="pt") as stream:
            ours = OURS in (stream.metadata() or {})
        if ours:  # it would come without the hashes of the images it learned from
            raise ModelFileError(f"{path} is a model of Delineate: give it with --from instead of --encoder.")
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def _of_torch(path: Path) -> dict[str, Tensor]:
    import pickle  # noqa: PLC0415  for its error alone

    import torch  # noqa: PLC0415  heavy

    try:
        _refuse_inflated(path)
        found: object = torch.load(path, map_location="cpu", weights_only=True)
    except ModelFileError:
        raise
    except pickle.UnpicklingError as error:
        raise ModelFileError(
            f"{path} holds more than tensors, and what else it holds could run, so it was not read. Save the "
            "state dict alone where you trust it: torch.save(model.state_dict(), NEW)"
        ) from error
    except Exception as error:  # whatever a damaged or forged file leads the reader to
        raise _damaged(path, error) from error
    for _ in WRAPPINGS:
        inside = [found[name] for name in WRAPPINGS if name in found] if isinstance(found, dict) else []
        if not inside:
            break
        found = inside[0]
    if not isinstance(found, Mapping):
        raise ModelFileError(f"{path} holds no state dict, but {type(found).__name__}.")
    return {
        name: value
        for name, value in found.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor)
    }


def _refuse_inflated(path: Path) -> None:
    """Refuse archives that would grow when read: torch stores, and never compresses."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if not any(entry.filename.endswith("/data.pkl") for entry in entries):
        raise ModelFileError(
            f"{path} is an archive, but none that torch.save wrote. Give the .pth file itself."
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ModelFileError(
            f"{path} is a compressed archive, as torch writes none. Give the .pth file itself."
        )
    if sum(entry.file_size for entry in entries) > MAXIMUM_BYTES or any(
        entry.filename.endswith(".pkl") and entry.file_size > MAXIMUM_PICKLE_BYTES for entry in entries
    ):
        raise ModelFileError(f"{path} is larger inside than any encoder; it was not read.")


def _damaged(path: Path, error: Exception) -> ModelFileError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ModelFileError(f"{path} is damaged: {reason}. Copy or download it again.")
