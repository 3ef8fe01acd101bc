"""Outlines of masks, and the colours that tell them apart."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as Pictures
from PIL import ImageDraw
from skimage.measure import find_contours

from delineate.image import LabelSet

Colour = tuple[int, int, int]
Values = npt.NDArray[np.uint8]
Line = npt.NDArray[np.float64]

CROWDED = 12  # outlines this many times as long as the image's short side
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
# of further labels: the circle of hues by golden sections, which never meet, dark and light by turns
FIRST_HUE, GOLDEN, SATURATION = 0.5, (math.sqrt(5) - 1) / 2, 0.9
LIGHTNESS = (0.38, 0.7)


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
    hues = (_hue(place) for place in range(labels))
    return tuple(OutlineColours(hue, _lighter(hue)) for hue in hues)


def draw_outlines(
    canvas: Pictures.Image,
    reference: Values | None,
    prediction: Values,
    labels: LabelSet,
    *,
    scale: tuple[float, float],
    thickness: float,
    halo: bool,
) -> None:
    """Draw the outlines of masks on a picture; where both agree, the dashes lie upon the solid line.

    Args:
        canvas: RGB.
        reference: `(H, W)`, or None: the prediction's lines are then solid.
        prediction: `(H, W)`.
        labels: What the values mean.
        scale: Pixels of the canvas for one of the masks, across and down.
        thickness: Of the lines, in pixels of the canvas.
        halo: Whether a dark one sets the lines off from the image.
    """
    strokes: list[tuple[Line, Colour]] = []
    for label, colour in zip(labels, outline_colours(len(labels)), strict=True):
        if reference is not None:
            solid = _outlines(reference == label.value, scale)
            strokes += [(line, colour.reference) for line in solid]
        for line in _outlines(prediction == label.value, scale):
            pieces = [line] if reference is None else _dashes(line, 4.5 * thickness)
            strokes += [(piece, colour.prediction) for piece in pieces]
    draw = ImageDraw.Draw(canvas)
    if halo:  # first, so that it hides no other line
        for line, _ in strokes:
            _stroke(draw, line, DARK, 1.7 * thickness)
    for line, line_colour in strokes:
        _stroke(draw, line, line_colour, thickness)


def is_crowded(masks: list[Values]) -> bool:
    """Whether outlines are so long (vessels) that they would hide the image."""
    length = max(_boundary_px(mask) for mask in masks)
    short: int = min(masks[0].shape)
    return length > CROWDED * short


def _outlines(mask: npt.NDArray[np.bool_], scale: tuple[float, float]) -> Iterator[Line]:
    """The outlines as `(n, 2)` points (x, y) of the enlarged picture; each ends where it starts."""
    padded = np.pad(mask, 1).astype(np.float64)
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


def _boundary_px(mask: Values) -> int:
    """About how long a mask's outlines are: the places where neighbouring values differ."""
    return sum(int(np.count_nonzero(np.diff(mask, axis=axis))) for axis in (0, 1))


def _hue(place: int) -> Colour:
    """The colour of the label at this place, counted from 0; no two of 254 are the same."""
    if place < len(HUES):
        return HUES[place]
    further = place - len(HUES)
    lightness = LIGHTNESS[further // len(HUES) % len(LIGHTNESS)]
    parts = colorsys.hls_to_rgb((FIRST_HUE + further * GOLDEN) % 1, lightness, SATURATION)
    red, green, blue = (round(255 * part) for part in parts)
    return red, green, blue


def _lighter(colour: Colour) -> Colour:
    red, green, blue = (round(part + (255 - part) * 0.45) for part in colour)
    return red, green, blue
