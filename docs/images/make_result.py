"""Draw `result.png`, the picture at the top of the README.

Three models are trained, on ultrasound, nuclei and organ phantoms. Of each the held-out case with the median
Dice is shown, so that the picture is neither the best nor the worst of what they do.

    .venv/bin/python docs/images/make_result.py [FOLDER]

FOLDER keeps the runs, so that the picture can be drawn again without training; by default they vanish.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

import delineate
from delineate import phantoms
from delineate.evaluation.overlays import draw_overlay
from delineate.evaluation.tables import read_cases_csv
from delineate.image import Image, Mask

EPOCHS = {"ultrasound": 40, "nuclei": 40, "organs": 100}
COUNT, SIZE = 60, (128, 128)
PANEL_PX, CAPTION_PX, GAP_PX = 480, 40, 12
GREYS, SHADES = 48, 8
TARGET = Path(__file__).with_name("result.png")


def panel(kind: str, folder: Path) -> tuple[Pictures.Image, str]:
    """The held-out case of median Dice with both outlines, and the line to stand below it."""
    run = folder / f"run-{kind}"
    if (run / "plan.yaml").exists() and not (run / "model.safetensors").exists():
        delineate.resume(run)
    elif not run.exists():
        data = phantoms.write(kind, folder / kind, count=COUNT, size=SIZE)
        delineate.train(data, out=run, epochs=EPOCHS[kind])
    by_case: dict[str, list[float]] = {}
    for score in read_cases_csv(run / "evaluation" / "cases.csv"):
        if score.dice is not None:
            by_case.setdefault(score.case, []).append(score.dice)
    ranked = sorted(by_case, key=lambda case: fmean(by_case[case]))
    case = ranked[len(ranked) // 2]
    number = int(case.removeprefix("image_"))
    phantom = list(phantoms.generate(kind, number + 1, size=SIZE))[number]
    image = Image(np.ascontiguousarray(phantom.image[None]))
    model = delineate.load(run)
    drawn = draw_overlay(image, Mask(phantom.mask, model.labels), model.predict_mask(image))
    size = (PANEL_PX, PANEL_PX)
    shown = Pictures.fromarray(drawn).resize(size, Pictures.Resampling.BOX)
    return shown, f"{kind}, Dice {fmean(by_case[case]):.2f}"


def reduced(picture: Pictures.Image) -> Pictures.Image:
    """The picture in few colours: greys, and the coloured pixels' own, which greys would crowd out."""
    pixels = np.asarray(picture).reshape(-1, 3)
    coloured = pixels[np.ptp(pixels.astype(int), axis=1) > SHADES]
    own = Pictures.fromarray(coloured[None]).quantize(256 - GREYS).getpalette() or []
    greys = np.linspace(0, 255, GREYS).round().astype(int).repeat(3).tolist()
    palette = Pictures.new("P", (1, 1))
    palette.putpalette([*greys, *own[: 3 * (256 - GREYS)]])
    return picture.quantize(palette=palette, dither=Pictures.Dither.NONE)


def draw(folder: Path) -> None:
    """Train where there is no run yet, draw and write."""
    panels = [panel(kind, folder) for kind in EPOCHS]
    width = len(panels) * PANEL_PX + (len(panels) - 1) * GAP_PX
    picture = Pictures.new("RGB", (width, PANEL_PX + CAPTION_PX), "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=22)
    for position, (shown, caption) in enumerate(panels):
        left = position * (PANEL_PX + GAP_PX)
        picture.paste(shown, (left, 0))
        pen.text((left + PANEL_PX / 2, PANEL_PX + CAPTION_PX / 2), caption, "black", font, anchor="mm")
    reduced(picture).save(TARGET, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        draw(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            draw(Path(temporary))
