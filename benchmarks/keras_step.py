"""Timed training steps of the Keras net. Runs under the Keras interpreter.

Reads lines `VARIANT STEPS` and answers each with a line of JSON: the seconds of each step. Variants: fp32,
fp32-jit (compiled by XLA), bf16 (mixed precision), generator (no step: only the augmented images of one).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from benchmarks.keras_net import AUGMENTATION, BATCH_SIZE, SIDE, compiled
from tensorflow.keras.preprocessing.image import ImageDataGenerator

POLICIES = {"fp32": "float32", "fp32-jit": "float32", "bf16": "mixed_bfloat16"}


Step = Callable[[], object]


def _step(variant: str) -> Step:
    random = np.random.default_rng(0)
    levels = random.integers(0, 256, (BATCH_SIZE, SIDE, SIDE, 1))
    images, masks = (levels / 255).astype("float32"), (levels > 128).astype("float32")
    if variant == "generator":
        flow = ImageDataGenerator(**AUGMENTATION).flow(images, masks, batch_size=BATCH_SIZE)
        return lambda: next(flow)
    keras.utils.set_random_seed(0)
    keras.mixed_precision.set_global_policy(POLICIES[variant])
    net = compiled(jit=variant.endswith("jit"))
    return lambda: net.train_on_batch(images, masks)


def main() -> None:
    """Answer until the input ends."""
    steps: dict[str, Step] = {}
    for line in sys.stdin:
        variant, count = line.split()
        if variant not in steps:
            steps[variant] = _step(variant)
        seconds = []
        for _ in range(int(count)):
            start = time.perf_counter()
            steps[variant]()
            seconds.append(time.perf_counter() - start)
        versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
        print(json.dumps({"seconds": seconds, "versions": versions}), flush=True)


if __name__ == "__main__":
    main()
