"""The widely copied Keras script's own job, done as it does it. Runs under the Keras interpreter.

    PYTHON -m benchmarks.keras_original [EPOCHS]

Noise images and their masks are written and read back, split, augmented (the images alone: the script's masks
stay where they are), learned and scored. The last line of output is a record of what came of it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from benchmarks.keras_net import AUGMENTATION, BATCH_SIZE, SIDE, compiled
from PIL import Image
from tensorflow.keras.preprocessing.image import ImageDataGenerator

COUNT, VALIDATION, SEED, EPOCHS = 100, 20, 42, 50


def main() -> None:
    """Do the job, and print what came of it."""
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else EPOCHS
    keras.utils.set_random_seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder))
        images, masks = _read(Path(folder))
    order = np.random.RandomState(SEED).permutation(COUNT)
    held_out, kept = order[:VALIDATION], order[VALIDATION:]
    generator = ImageDataGenerator(**AUGMENTATION)
    generator.fit(images[kept])
    net = compiled()
    start = time.monotonic()
    history = net.fit(
        generator.flow(images[kept], masks[kept], batch_size=BATCH_SIZE),
        validation_data=(images[held_out], masks[held_out]),
        epochs=epochs,
        verbose=0,
    ).history
    trained = time.monotonic() - start
    found = net.predict(images[held_out], verbose=0) > 0.5
    record: dict[str, Any] = {
        "epochs": epochs,
        "train_seconds": round(trained, 2),
        "pixel_accuracy": float(np.mean(found == (masks[held_out] > 0.5))),
        "loss_first_epoch": history["loss"][0],
        "loss_last_epoch": history["loss"][-1],
        "parameters": net.count_params(),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }
    print(json.dumps(record))


def _write(folder: Path) -> None:
    random = np.random.default_rng(SEED)
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for number in range(COUNT):
        noise = random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        bright = (noise > 128).astype(np.uint8) * np.uint8(255)
        Image.fromarray(noise).save(folder / "images" / f"image_{number}.png")
        Image.fromarray(bright).save(folder / "masks" / f"mask_{number}.png")


def _read(folder: Path) -> tuple[Any, Any]:
    """Images and masks, each `(N, SIDE, SIDE, 1)` float32 in [0, 1]."""
    paths = [folder / "images" / f"image_{number}.png" for number in range(COUNT)]
    beside = [folder / "masks" / path.name.replace("image", "mask") for path in paths]
    return _stack(paths), _stack(beside)


def _stack(paths: list[Path]) -> Any:
    pictures = [np.asarray(Image.open(path).convert("L").resize((SIDE, SIDE))) for path in paths]
    return np.stack(pictures)[..., None].astype("float32") / 255


if __name__ == "__main__":
    main()
