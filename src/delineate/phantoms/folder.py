"""Writing phantoms as a data set on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from delineate.files import new_folder, write_text, write_with
from delineate.phantoms.catalogue import find_kind, generate

FOREGROUND_OF_ONE_LABEL = 255


def write(
    kind: str,
    out: Path,
    *,
    count: int = 100,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    contrast: float = 1.0,
    noise: float = 1.0,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write phantoms as `images/image_0.png`, `masks/mask_0.png`, … and a `dataset.json` that describes them.

    Masks of a kind with one label hold 0 and 255, of several labels 0…n; `dataset.json` names the values as
    they stand in the files. It is written last, so that a folder without it is unfinished.

    Args:
        kind: One of `KINDS`.
        out: A folder that is new or empty.
        count: How many, 1 or more.
        size: `(H, W)`, each 16…4096; by default the kind's own.
        seed: 0 or more.
        contrast: As for `generate`.
        noise: As for `generate`.
        progress: Called with the number written so far after each.

    Returns:
        `out`.

    Raises:
        UsageError: The kind is unknown or an argument lies out of its range; nothing was written.
        OutputError: The folder holds something, cannot be written, or the disk is full.
    """
    chosen = find_kind(kind)
    phantoms = generate(kind, count, size=size, seed=seed, contrast=contrast, noise=noise)
    new_folder(out, "the phantoms")
    images, masks = (new_folder(out / name, "the phantoms") for name in ("images", "masks"))
    step = FOREGROUND_OF_ONE_LABEL if len(chosen.labels) == 1 else 1
    for number, phantom in enumerate(phantoms):
        _write_png(images / f"image_{number}.png", phantom.image)
        _write_png(masks / f"mask_{number}.png", phantom.mask * np.uint8(step))
        if progress is not None:
            progress(number + 1)
    description = {
        "labels": {"background": 0} | {label.name: label.value * step for label in chosen.labels},
        "phantom": {
            "kind": kind,
            "seed": seed,
            "count": count,
            "size": list(size or chosen.size),
            "contrast": contrast,
            "noise": noise,
        },
    }
    write_text(out / "dataset.json", json.dumps(description, indent=2) + "\n")
    return out


def _write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write a grey or RGB PNG, whole or not at all."""
    from PIL import Image  # noqa: PLC0415  the catalogue stays quick to import

    write_with(path, lambda stream: Image.fromarray(pixels).save(stream, format="PNG"))
