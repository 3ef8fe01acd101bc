"""The widely copied Keras script's net and augmentation. Runs under the Keras interpreter."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

SIDE = 128
BATCH_SIZE = 32
WIDTHS = (32, 64, 128, 256)
BOTTLENECK = 512
AUGMENTATION: dict[str, Any] = {
    "rotation_range": 20,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "shear_range": 0.1,
    "zoom_range": 0.1,
    "horizontal_flip": True,
    "fill_mode": "nearest",
}


def classic_unet(outputs: int = 1, *, side: int = SIDE) -> Any:
    """The U-Net: 7,759,521 parameters with one output.

    Args:
        outputs: 1 with a sigmoid, or labels and background with a softmax.
        side: Of its images.
    """
    picture = layers.Input((side, side, 1))
    x, skipped = picture, []
    for width in WIDTHS:
        x = _two_convolutions(x, width)
        skipped.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = _two_convolutions(x, BOTTLENECK)
    for width, skip in zip(reversed(WIDTHS), reversed(skipped), strict=True):
        x = layers.Conv2DTranspose(width, 2, strides=2, padding="same")(x)
        x = _two_convolutions(layers.concatenate([x, skip]), width)
    activation = "sigmoid" if outputs == 1 else "softmax"
    return keras.Model(picture, layers.Conv2D(outputs, 1, activation=activation, dtype="float32")(x))


def compiled(outputs: int = 1, *, jit: bool = False) -> Any:
    """The net with the script's optimizer, loss and metric."""
    net = classic_unet(outputs)
    net.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="binary_crossentropy" if outputs == 1 else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=jit,
    )
    return net


def _two_convolutions(x: Any, width: int) -> Any:
    for _ in range(2):
        x = layers.Conv2D(width, 3, activation="relu", padding="same")(x)
    return x
