"""Pictures for the eye: outlines of reference and prediction over the image."""

from __future__ import annotations

import io
from math import ceil

import numpy as np
from PIL import Image as Pictures

from delineate.evaluation.display import Pixels, for_display, window_of
from delineate.evaluation.outlines import draw_outlines, is_crowded
from delineate.evaluation.panels import draw_panels
from delineate.evaluation.planes import planes_of
from delineate.image import Image, Mask

SHORT_SIDE_PX = 480  # smaller images are enlarged until their outlines look thin
CROWDED_SIDE_PX = 1000  # the same where outlines run so long (vessels) that they would hide the image
MOST_ENLARGED = 8
SUPERSAMPLING = 2
OPTIMIZED_PX = 1_000_000
WIDE = 2  # times as wide as high: planes side by side


def draw_overlay(
    image: Image, reference: Mask | None, prediction: Mask, *, longest_px: int | None = None
) -> Pixels:
    """Draw the outlines of a prediction, and of its reference if there is one, over the image.

    Grey is stretched between its 0.5th and 99.5th percentiles, 8-bit colour is left as it is, and of other
    numbers of channels the first is shown. Outlines pass between the pixels inside and outside; where both
    agree, the dashes lie upon the solid line. Of a volume three planes are drawn side by side, each with its
    caption, see `planes_of`.

    Args:
        image: `(C, H, W)` or `(C, D, H, W)`.
        reference: The expert's mask on the image's grid, or None.
        prediction: Ours on the same grid.
        longest_px: Reduce larger images so that the longer side has so many pixels, which leaves outlines as
            they are and saves seconds and megabytes; images whose outlines are many keep their size, as those
            would run into each other. None reduces nothing.

    Returns:
        `(k H, k W, 3)` sRGB, where a small image is enlarged k times; k is 1 from 480 pixels on,
        and from 1000 if the outlines are many; below 1 only for `longest_px`. Of a volume, 1440 pixels across
        or `longest_px` if that is less.

    Raises:
        ValueError: The image has neither two nor three spatial axes, or a mask is not on its grid.
    """
    masks = [mask.values for mask in (reference, prediction) if mask is not None]
    if len(image.size) not in (2, 3) or any(mask.shape != image.size for mask in masks):
        raise ValueError(f"an overlay needs an image and masks of its size, not {image.size}")
    if len(image.size) == 3:
        return draw_panels(planes_of(image, reference, prediction), prediction.labels, longest_px)
    short = min(image.size)
    crowded = is_crowded(masks)
    scale: float = min(MOST_ENLARGED, max(1, ceil((CROWDED_SIDE_PX if crowded else SHORT_SIDE_PX) / short)))
    if longest_px is not None and not crowded and max(image.size) > longest_px:
        scale = longest_px / max(image.size)
    size = (max(1, round(image.size[1] * scale)), max(1, round(image.size[0] * scale)))
    # drawn larger than shown, which makes the lines smooth
    canvas = Pictures.fromarray(for_display(image.pixels, window_of(image))).resize(
        (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), Pictures.Resampling.BICUBIC
    )
    draw_outlines(
        canvas,
        None if reference is None else reference.values,
        prediction.values,
        prediction.labels,
        scale=(scale * SUPERSAMPLING, scale * SUPERSAMPLING),
        thickness=max(2.0, short * scale / 230) * SUPERSAMPLING * (0.7 if crowded else 1.0),
        halo=not crowded,
    )
    return np.asarray(canvas.resize(size, Pictures.Resampling.BOX), dtype=np.uint8)


def encode_png(picture: Pixels, *, longest_px: int | None = None) -> bytes:
    """A picture as PNG.

    Args:
        picture: `(H, W, 3)`.
        longest_px: Reduce it so that its longer side has no more pixels than this, or than twice this if it
            is more than twice as wide as high, as planes side by side are; None leaves it.
    """
    encoded = Pictures.fromarray(picture)
    if longest_px is not None:
        longest_px *= 2 if encoded.width > WIDE * encoded.height else 1
        encoded.thumbnail((longest_px, longest_px), Pictures.Resampling.LANCZOS)
    stream = io.BytesIO()
    small = encoded.width * encoded.height <= OPTIMIZED_PX  # of larger ones it would take seconds
    encoded.save(stream, format="PNG", optimize=small)
    return stream.getvalue()
