"""How much memory an image takes that is predicted without being held."""

from __future__ import annotations

import math

from delineate.inference.large.predict import LargeImage
from delineate.inference.large.working import BLOCK_BYTES
from delineate.inference.memory import PROGRAM_BYTES
from delineate.inference.volumes import ACTIVATION_COPIES

BLOCKS = 4  # being read, waiting, in use, and being resized
ROWS_OF_TILES = 3  # being filled, waiting and being written


def needed_bytes(image: LargeImage, tile_rows: int, *, keep_probabilities: bool) -> int:
    """About how much memory its prediction takes in all: it grows with the width, not with the height.

    Args:
        image: The image, with the model.
        tile_rows: Rows that are written at once.
        keep_probabilities: Whether they are written too.
    """
    plan, regions = image.plan, image.regions
    width, channels, classes = regions.size[1], plan.data.channels, plan.network.output_channels
    working = image.working.size
    window = (plan.window[-2], plan.window[-1])
    written = ROWS_OF_TILES * tile_rows * width * (1 + 4 * len(plan.data.labels) * keep_probabilities)
    at_once = BLOCKS * max(BLOCK_BYTES, 4 * width * max(channels, regions.channels))
    if plan.preprocessing.mode == "whole":
        band, batch = 4 * 3 * (channels + classes) * math.prod(window), 1
    else:
        a_number = 4 if working != regions.size else 2
        row = max(window[1], working[1])
        band = window[0] * row * (a_number * channels + 4 * (classes + 1))
        batch = image.windows.batch_size
    features = 4 * batch * math.prod(window) * plan.network.widths[0] * ACTIVATION_COPIES
    return PROGRAM_BYTES + written + at_once + band + features
