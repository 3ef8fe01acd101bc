"""The Keras script's net on given images for a time, masks moved too. Runs under the Keras interpreter.

    PYTHON -m benchmarks.keras_budget IN.npz OUT SECONDS[,SECONDS…] SEED

Its learning rate does not depend on the length of the training, so that a long one passes through what the
shorter ones reach: of several times, in ascending order, each has its probabilities.

IN holds `images` `(N, 128, 128)` uint8, `masks` alike with 0 background and 1…n the labels, `held_out`
images, and `labels`, their number. The folder OUT receives an `.npz` a time, named by its seconds, with
`probabilities` `(held out, K, 128, 128)` float32. The last line of output is a list of records of the
training, one a time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from benchmarks.keras_net import AUGMENTATION, BATCH_SIZE, SIDE, compiled
from tensorflow.keras.preprocessing.image import ImageDataGenerator


def main() -> None:
    """Train until each time is over, then predict."""
    given, out, times = np.load(sys.argv[1], allow_pickle=False), Path(sys.argv[2]), sys.argv[3]
    labels = int(given["labels"])
    keras.utils.set_random_seed(int(sys.argv[4]))
    images = _units(given["images"])
    batches = moved_together(images, given["masks"][..., None].astype("float32"))
    net = compiled(1 if labels == 1 else labels + 1)
    out.mkdir()
    losses: list[float] = []
    records, trained = [], 0.0
    for name in times.split(","):
        begun, start = trained, time.monotonic()
        while trained < float(name):
            loss, _ = net.train_on_batch(*next(batches))
            losses.append(float(loss))
            trained = begun + time.monotonic() - start
        start = time.monotonic()
        found = net.predict(_units(given["held_out"]), batch_size=BATCH_SIZE, verbose=0)
        np.savez(out / f"{name}.npz", probabilities=np.moveaxis(found, -1, 1).astype("float32"))
        record = {
            "steps": len(losses),
            "train_seconds": round(trained, 2),
            "preprocessing_seconds": 0.0,
            "prediction_seconds": round(time.monotonic() - start, 2),
            "loss": float(np.mean(losses[-20:])),
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        }
        records.append(record)
    print(json.dumps(records))


def moved_together(images: Any, masks: Any) -> Iterator[tuple[Any, Any]]:
    """Batches without end: the script's augmentation, each mask by its image's draw, to the nearest pixel."""
    of_images = ImageDataGenerator(**AUGMENTATION)
    of_masks = ImageDataGenerator(**AUGMENTATION, interpolation_order=0)
    while True:
        order = np.random.permutation(len(images))  # noqa: NPY002  the generator draws from the same source
        for first in range(0, len(images), BATCH_SIZE):
            chosen = order[first : first + BATCH_SIZE]
            moves = [of_images.get_random_transform((SIDE, SIDE, 1)) for _ in chosen]
            pairs = list(zip(chosen, moves, strict=True))
            yield (
                np.stack([of_images.apply_transform(images[i], move) for i, move in pairs]),
                np.stack([of_masks.apply_transform(masks[i], move) for i, move in pairs]),
            )


def _units(levels: Any) -> Any:
    return levels[..., None].astype("float32") / 255


if __name__ == "__main__":
    main()
