"""The planes of a volume side by side, each with its caption and the letters of its edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from delineate.evaluation.display import Pixels
from delineate.evaluation.outlines import Colour, draw_outlines, is_crowded
from delineate.evaluation.planes import Edges, Plane
from delineate.image import LabelSet

ACROSS_PX = 1440
GAP = 1 / 40  # of a panel's side
LETTERS = 1 / 22  # the strip around a plane that its letters stand in, likewise
TEXT = 1 / 31  # height of a letter
LINE = 1.45  # of a text's height
SUPERSAMPLING = 2
GROUND: Colour = (16, 19, 23)
INK: Colour = (226, 232, 238)
SOFT: Colour = (150, 160, 170)


def draw_panels(planes: Sequence[Plane], labels: LabelSet, longest_px: int | None = None) -> Pixels:
    """Draw planes in square panels side by side, in one scale in millimetres.

    Args:
        planes: Of one volume.
        labels: Of their masks.
        longest_px: The picture is no wider than this, and in any case no wider than 1440 pixels.

    Returns:
        `(H, W, 3)` sRGB.
    """
    across = min(ACROSS_PX, longest_px or ACROSS_PX)
    panel = int(across / (len(planes) + (len(planes) - 1) * GAP))
    gap, strip, text = round(panel * GAP), round(panel * LETTERS), max(8, round(panel * TEXT))
    line = round(text * LINE)
    font = ImageFont.load_default(text)
    extents = [
        length * step
        for plane in planes
        for length, step in zip(plane.prediction.shape, plane.spacing, strict=True)
    ]
    scale = (panel - 2 * strip) / max(extents)
    width = len(planes) * panel + (len(planes) - 1) * gap
    picture = Pictures.new("RGB", (width, panel + 3 * line + gap), GROUND)
    draw = ImageDraw.Draw(picture)
    for number, plane in enumerate(planes):
        left = number * (panel + gap)
        draw.text((left + strip, line // 4), plane.title, INK, font)
        draw.text((left + strip, line // 4 + line), plane.remark, SOFT, font)
        drawn = _drawn(plane, labels, scale)
        corner = (left + (panel - drawn.width) // 2, 2 * line + (panel - drawn.height) // 2)
        picture.paste(drawn, corner)
        if plane.edges is not None:
            _letters(draw, plane.edges, (*corner, drawn.width, drawn.height), strip, font)
    draw.text((strip, panel + 2 * line), planes[0].window, SOFT, font)
    return np.asarray(picture, dtype=np.uint8)


def _drawn(plane: Plane, labels: LabelSet, scale: float) -> Pictures.Image:
    """The plane with its outlines, `scale` pixels for a millimetre."""
    sides = [
        max(1, round(length * step * scale))
        for length, step in zip(plane.prediction.shape, plane.spacing, strict=True)
    ]
    size = (sides[1], sides[0])
    # drawn larger than shown, which makes the lines smooth
    canvas = Pictures.fromarray(plane.pixels).resize(
        (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), Pictures.Resampling.BICUBIC
    )
    crowded = is_crowded([mask for mask in (plane.reference, plane.prediction) if mask is not None])
    rows, columns = plane.prediction.shape
    draw_outlines(
        canvas,
        plane.reference,
        plane.prediction,
        labels,
        scale=(canvas.width / columns, canvas.height / rows),
        thickness=2.0 * SUPERSAMPLING * (0.7 if crowded else 1.0),
        halo=not crowded,
    )
    return canvas.resize(size, Pictures.Resampling.BOX)


def _letters(
    draw: ImageDraw.ImageDraw,
    edges: Edges,
    box: tuple[int, int, int, int],
    strip: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """The letters of a plane's edges, outside of it."""
    left, top, width, height = box
    across, down, away = left + width / 2, top + height / 2, strip / 2
    for letter, at in (
        (edges.left, (left - away, down)),
        (edges.right, (left + width + away, down)),
        (edges.top, (across, top - away)),
        (edges.bottom, (across, top + height + away)),
    ):
        draw.text(at, letter, INK, font, anchor="mm")
