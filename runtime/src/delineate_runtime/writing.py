"""Masks as PNG, whole or not at all."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from delineate_runtime.errors import OutputError

_READING_UMASK = threading.Lock()

WHITE = 255


def write_mask(path: str | Path, mask: npt.NDArray[np.uint8], labels: int) -> None:
    """Write a mask as an 8-bit grey PNG, as Delineate writes it; never over another file.

    Args:
        path: Where to; its folder exists, and it does not.
        mask: `(H, W)`, 0 background, 1…n the labels.
        labels: n. With one its pixels become 255, so that people see them; with several the values stay 1…n.

    Raises:
        OutputError: There is a file already, or the place cannot be written.
    """
    place = Path(path)
    picture = Pillow.fromarray(mask * np.uint8(WHITE) if labels == 1 else mask)
    try:
        if place.exists():
            raise OutputError(f"{place} exists already, and was not touched.")
        with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".part", delete=False) as stream:
            beside = Path(stream.name)
            try:
                picture.save(stream, format="PNG")
                stream.flush()
                os.fsync(stream.fileno())
            except BaseException:
                stream.close()  # Windows neither removes nor renames what is open
                beside.unlink(missing_ok=True)
                raise
        try:
            beside.chmod(0o666 & ~_umask())
            beside.replace(place)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise output_error(place, error) from error


def new_folder(path: Path) -> Path:
    """Make a folder for the masks, or take one that is empty.

    Raises:
        OutputError: It holds something already, is a file, or cannot be made.
    """
    try:
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path} is a file. Give a new folder.")
        if path.is_dir() and any(path.iterdir()):
            raise OutputError(f"{path} is not empty. Nothing was touched. Give a new folder.")
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    return path


def output_error(path: Path, error: OSError) -> OutputError:
    """The OSError of a write, said for the user."""
    return OutputError(f"Cannot write {path}: {error.strerror or error}. Give another folder.")


def _umask() -> int:
    """The process's umask; reading it means setting it for an instant, one thread at a time."""
    with _READING_UMASK:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask
