"""Pictures for the eye: outlines of reference and prediction over the image."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt
from PIL import Image as Pictures
from PIL import ImageDraw
from skimage.measure import find_contours

from delineate.image import Image, Mask

Colour = tuple[int, int, int]
Pixels = npt.NDArray[np.uint8]
Line = npt.NDArray[np.float64]

SHORT_SIDE_PX = 480  # smaller images are enlarged until their outlines look thin
CROWDED_SIDE_PX = 1000  # the same where outlines run so long (vessels) that they would hide the image
CROWDED = 12  # outlines this many times as long as the image's short side
MOST_ENLARGED = 8
SUPERSAMPLING = 2
OPTIMIZED_PX = 1_000_000
DARK: Colour = (0, 0, 0)
# told apart also with the common colour deficiencies: Okabe & Ito, 2008, and lighter tints of them
BLUE: Colour = (0, 158, 255)
YELLOW: Colour = (255, 221, 51)
HUES: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 190, 140),
    (240, 228, 66),
    (204, 121, 167),
    (255, 110, 40),
    (70, 120, 230),
)


@dataclass(frozen=True)
class OutlineColours:
    """The colours of one label's outlines: the reference's is solid, the prediction's dashed beside one."""

    reference: Colour
    prediction: Colour


def outline_colours(labels: int) -> tuple[OutlineColours, ...]:
    """The colours of so many labels, in their order.

    One label has a colour for the reference and one for the prediction; of several each has a hue, with a
    lighter tint of it for the prediction.
    """
    if labels == 1:
        return (OutlineColours(BLUE, YELLOW),)
    hues = itertools.islice(itertools.cycle(HUES), labels)
    return tuple(OutlineColours(hue, _lighter(hue)) for hue in hues)


def draw_overlay(
    image: Image, reference: Mask | None, prediction: Mask, *, longest_px: int | None = None
) -> Pixels:
    """Draw the outlines of a prediction, and of its reference if there is one, over the image.

    Grey is stretched between its 0.5th and 99.5th percentiles, 8-bit colour is left as it is, and of other
    numbers of channels the first is shown. Outlines pass between the pixels inside and outside; where both
    agree, the dashes lie upon the solid line.

    Args:
        image: `(C, H, W)`.
        reference: The expert's mask on the image's grid, or None.
        prediction: Ours on the same grid.
        longest_px: Reduce larger images so that the longer side has so many pixels, which leaves outlines as
            they are and saves seconds and megabytes; images whose outlines are many keep their size, as those
            would run into each other. None reduces nothing.

    Returns:
        `(k H, k W, 3)` sRGB, where a small image is enlarged k times; k is 1 from 480 pixels on,
        and from 1000 if the outlines are many; below 1 only for `longest_px`.

    Raises:
        ValueError: The image is not two-dimensional, or a mask is not on its grid.
    """
    masks = [mask for mask in (reference, prediction) if mask is not None]
    if len(image.size) != 2 or any(mask.values.shape != image.size for mask in masks):
        raise ValueError(f"an overlay needs a 2D image and masks of its size, not {image.size}")
    short = min(image.size)
    crowded = max(_boundary_px(mask) for mask in masks) > CROWDED * short
    scale: float = min(MOST_ENLARGED, max(1, ceil((CROWDED_SIDE_PX if crowded else SHORT_SIDE_PX) / short)))
    if longest_px is not None and not crowded and max(image.size) > longest_px:
        scale = longest_px / max(image.size)
    size = (max(1, round(image.size[1] * scale)), max(1, round(image.size[0] * scale)))
    # drawn larger than shown, which makes the lines smooth
    canvas = Pictures.fromarray(_for_display(image)).resize(
        (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), Pictures.Resampling.BICUBIC
    )
    thickness = max(2.0, short * scale / 230) * SUPERSAMPLING * (0.7 if crowded else 1.0)
    strokes: list[tuple[Line, Colour]] = []
    colours = outline_colours(len(prediction.labels))
    for label, colour in zip(prediction.labels, colours, strict=True):
        if reference is not None:
            solid = _outlines(reference, label.value, scale * SUPERSAMPLING)
            strokes += [(line, colour.reference) for line in solid]
        for line in _outlines(prediction, label.value, scale * SUPERSAMPLING):
            pieces = [line] if reference is None else _dashes(line, 4.5 * thickness)
            strokes += [(piece, colour.prediction) for piece in pieces]
    draw = ImageDraw.Draw(canvas)
    if not crowded:  # a dark halo sets the lines off from any image; first, so that it hides no other line
        for line, _ in strokes:
            _stroke(draw, line, DARK, 1.7 * thickness)
    for line, line_colour in strokes:
        _stroke(draw, line, line_colour, thickness)
    return np.asarray(canvas.resize(size, Pictures.Resampling.BOX), dtype=np.uint8)


def encode_png(picture: Pixels, *, longest_px: int | None = None) -> bytes:
    """A picture as PNG.

    Args:
        picture: `(H, W, 3)`.
        longest_px: Reduce it so that its longer side has no more pixels than this; None leaves it.
    """
    encoded = Pictures.fromarray(picture)
    if longest_px is not None:
        encoded.thumbnail((longest_px, longest_px), Pictures.Resampling.LANCZOS)
    stream = io.BytesIO()
    small = encoded.width * encoded.height <= OPTIMIZED_PX  # of larger ones it would take seconds
    encoded.save(stream, format="PNG", optimize=small)
    return stream.getvalue()


def _for_display(image: Image) -> Pixels:
    """`(H, W, 3)` for the eye."""
    pixels = image.pixels
    colour = image.channels == 3 and not ((pixels[0] == pixels[1]).all() and (pixels[0] == pixels[2]).all())
    if colour and pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels.transpose(1, 2, 0)).astype(np.uint8)
    shown = (pixels if colour else pixels[:1]).astype(np.float64)
    low, high = np.percentile(shown, [0.5, 99.5])
    if high <= low:  # nearly constant: the percentiles would hide the little there is
        low, high = shown.min(), shown.max()
    stretched = (shown - low) / (high - low) if high > low else np.full_like(shown, 0.5)
    rounded = (stretched.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    return rounded if colour else np.repeat(rounded, 3, axis=2)


def _outlines(mask: Mask, value: int, scale: float) -> Iterator[Line]:
    """The label's outlines as `(n, 2)` points (x, y) of the enlarged picture; each ends where it starts."""
    padded = np.pad(mask.values == value, 1).astype(np.float64)
    for points in find_contours(padded, 0.5):
        # a pixel's centre lies half a pixel from its edge; the padding is one pixel
        yield (points[:, ::-1] - 0.5) * scale


def _dashes(line: Line, length: float) -> Iterator[Line]:
    """The pieces of a line that are drawn when every second stretch of this length is left out."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    # an even number of stretches, so that a closed line has no seam
    stretches = 2 * max(1, round(along[-1] / (2 * length)))
    ends = np.linspace(0, along[-1], stretches + 1)
    for start, stop in zip(ends[::2], ends[1::2], strict=False):
        inner = line[(along > start) & (along < stop)]
        cuts = [[np.interp(at, along, line[:, axis]) for axis in (0, 1)] for at in (start, stop)]
        yield np.vstack([cuts[:1], inner, cuts[1:]])


def _stroke(draw: ImageDraw.ImageDraw, line: Line, colour: Colour, width: float) -> None:
    draw.line([(float(x), float(y)) for x, y in line], colour, round(width), joint="curve")


def _boundary_px(mask: Mask) -> int:
    """About how long a mask's outlines are: the places where neighbouring values differ."""
    return sum(int(np.count_nonzero(np.diff(mask.values, axis=axis))) for axis in (0, 1))


def _lighter(colour: Colour) -> Colour:
    red, green, blue = (round(part + (255 - part) * 0.45) for part in colour)
    return red, green, blue
