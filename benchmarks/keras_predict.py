"""Masks by the script's net, as its users write it. Runs under the Keras interpreter.

    PYTHON -m benchmarks.keras_predict IMAGES OUT SIDE

Answers each line with a line of JSON: the seconds from the PNGs in IMAGES to the masks in OUT. The images are
reduced to SIDE², unless they have that size, and the masks brought back.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from benchmarks.keras_net import BATCH_SIZE, SIDE, classic_unet
from PIL import Image

EMPTY = -20.0  # the last layer's bias: the masks are empty, as in the other sides


def main() -> None:
    """Answer until the input ends."""
    images, out, side = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    keras.utils.set_random_seed(0)
    net = classic_unet(side=side)
    net.layers[-1].bias.assign([EMPTY])
    paths = sorted(images.glob("*.png"))
    for _ in sys.stdin:
        start = time.perf_counter()
        opened = [Image.open(path) for path in paths]
        small = [each if each.size == (side, side) else each.resize((side, side)) for each in opened]
        pixels = np.stack([np.asarray(each, dtype="float32") / 255 for each in small])[..., None]
        batch = max(1, BATCH_SIZE * SIDE**2 // side**2)
        found = net.predict(pixels, batch_size=batch, verbose=0)
        for path, picture, mask in zip(paths, opened, found[..., 0] > 0.5, strict=True):
            white = Image.fromarray(mask.astype("uint8") * 255)
            if white.size != picture.size:
                white = white.resize(picture.size, Image.Resampling.NEAREST)
            white.save(out / path.name)
        answer = {
            "seconds": time.perf_counter() - start,
            "masks": len(list(out.glob("*.png"))),
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
