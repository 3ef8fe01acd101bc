"""A slice of the upper abdomen as computed tomography shows it, with several labelled organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delineate.image import LabelSet
from delineate.phantoms.abdomen import BODY_HALF_HEIGHT, Abdomen, draw_abdomen
from delineate.phantoms.ct_noise import ct_noise
from delineate.phantoms.kind import Phantom, PhantomKind
from delineate.phantoms.shapes import Field, Outline, coverage, pixel_centres
from delineate.phantoms.texture import blur, smooth_noise, to_grey

LABELS = LabelSet.of("liver", "spleen", "left kidney", "right kidney", "aorta", "spine")
AIR_HU, FAT_HU, MUSCLE_HU, SKIN_HU, WATER_HU, BONE_HU = -1000.0, -100.0, 55.0, 20.0, 5.0, 650.0
FRAME_SHARE = 0.93  # of the picture's shorter fit that the body takes
NOISE_HU = 17.0
TABLE_HU, TABLE_THICKNESS = 150.0, 0.022
FAR = 0.25
GAP = 0.015


@dataclass(frozen=True)
class _Grid:
    """Pixel centres in half body widths, y `(H, 1)` and x `(1, W)`, and the width of a pixel."""

    y: Field
    x: Field
    pixel: float

    def level(self, *outlines: Outline) -> Field:
        """Level of the union of outlines."""
        levels = [outline.level_near(self.y, self.x, FAR) for outline in outlines]
        return np.asarray(np.maximum.reduce(levels), dtype=np.float32)


def make(random: np.random.Generator, size: tuple[int, int], *, contrast: float, noise: float) -> Phantom:
    """Draw an abdominal slice; the patient's right is on the left of the picture.

    Args:
        random: Source of all chance.
        size: `(H, W)`.
        contrast: Scales how far the labelled organs differ from what lies about them, in Hounsfield units.
        noise: Scales the quantum noise.

    Returns:
        A grey phantom, soft tissue window.
    """
    abdomen = draw_abdomen(random)
    grid = _lay_grid(random, size)
    skin = abdomen.body.level(grid.y, grid.x)
    targets = _targets(abdomen, grid, skin)
    pixels_a_body = 1 / grid.pixel
    density = _surroundings(random, abdomen, grid, skin)
    grain = smooth_noise(random, size, max(0.02 * pixels_a_body, 0.8))
    veins = smooth_noise(random, size, 0.09 * pixels_a_body)
    mask = np.zeros(size, np.uint8)
    densities = _inside(random, targets, grain, veins)
    for value, (level, inside_hu) in enumerate(zip(targets, densities, strict=True), start=1):
        density += contrast * coverage(level, grid.pixel) * (inside_hu - density)
        mask[level >= 0] = value
    canal = grid.level(abdomen.canal)
    density += coverage(canal, grid.pixel) * (30 - density)
    mask[canal >= 0] = 0

    density = blur(density, 0.5 + 0.0015 * pixels_a_body)
    depth = np.clip(skin / BODY_HALF_HEIGHT, 0, 1)
    strength_hu = noise * NOISE_HU * random.uniform(0.7, 1.3) * (0.5 + 0.7 * depth)
    lengthening = random.uniform(0.3, 0.7)
    density += strength_hu * ct_noise(random, size, 0.006 * pixels_a_body, lengthening=lengthening)
    level_hu, width_hu = random.uniform(40, 60), random.uniform(340, 420)
    return Phantom(to_grey((density - level_hu) / width_hu + np.float32(0.5)), mask)


def _lay_grid(random: np.random.Generator, size: tuple[int, int]) -> _Grid:
    """Fit the body into the picture, a little off the middle."""
    unit = min(size)
    half_width = min(size[1] / unit / 2, size[0] / unit / 2 / BODY_HALF_HEIGHT)
    half_width *= FRAME_SHARE * random.uniform(0.9, 1.0)
    y, x = pixel_centres(size)
    shift = random.uniform(-0.03, 0.03, 2).astype(np.float32)
    y, x = y / np.float32(half_width) - shift[0], x / np.float32(half_width) - shift[1]
    return _Grid(y, x, 1 / (half_width * unit))


def _targets(abdomen: Abdomen, grid: _Grid, skin: Field) -> list[Field]:
    """Levels of the labelled organs in the order of their values; no two overlap."""
    cavity = skin - (abdomen.fat + abdomen.wall + GAP)
    spine = grid.level(*abdomen.vertebra)
    aorta = np.minimum(grid.level(abdomen.aorta), -spine - GAP)
    kidneys = [
        np.minimum.reduce([grid.level(kidney), -grid.level(hilum), cavity, -spine - GAP])
        for kidney, hilum in zip(abdomen.kidneys, abdomen.hila, strict=True)
    ]
    kept_free = np.maximum.reduce([grid.level(*abdomen.kidneys) + 2 * GAP, spine + GAP, aorta + GAP])
    stomach = grid.level(abdomen.stomach) + GAP
    gallbladder = grid.level(abdomen.gallbladder)
    liver = np.minimum.reduce([grid.level(*abdomen.liver), cavity, -kept_free, -gallbladder, -stomach])
    spleen = np.minimum.reduce([grid.level(abdomen.spleen), cavity, -kept_free, -stomach, -liver - GAP])
    return [liver, spleen, *kidneys, aorta, spine]


def _surroundings(random: np.random.Generator, abdomen: Abdomen, grid: _Grid, skin: Field) -> Field:
    """Density of all that is no target, in Hounsfield units."""
    size, pixels_a_body = skin.shape, 1 / grid.pixel
    density = np.full(size, AIR_HU, np.float32)

    def lay(level: Field, inside: Field | float) -> None:
        nonlocal density
        density += coverage(level, grid.pixel) * (inside - density)

    lay(skin, SKIN_HU)
    lay(skin - 0.014, FAT_HU)
    lay(skin - abdomen.fat, MUSCLE_HU + 12 * smooth_noise(random, (size[0], size[1]), 0.012 * pixels_a_body))
    strands = smooth_noise(random, (size[0], size[1]), 0.02 * pixels_a_body)
    lay(skin - abdomen.fat - abdomen.wall, FAT_HU + 110 * np.clip(strands - 1.2, 0, 1))
    for content in abdomen.contents:
        level = grid.level(content.outline)
        lay(level, MUSCLE_HU)
        lay(level - 0.012, content.density_hu)
    for muscle in abdomen.muscles:
        lay(np.minimum(grid.level(muscle), skin - abdomen.fat), MUSCLE_HU)
    stomach = grid.level(abdomen.stomach)
    lay(stomach, 70.0)
    lay(stomach - 0.02, WATER_HU + 25)
    lay(np.minimum(stomach - 0.02, abdomen.air_until - grid.y), -900.0)
    lay(grid.level(abdomen.gallbladder), WATER_HU)
    for rib in abdomen.ribs:
        lay(grid.level(rib), BONE_HU)
        lay(grid.level(rib) - 0.009, 250.0)
    below_table = grid.y + 0.12 * grid.x**2 - (BODY_HALF_HEIGHT + 0.06)
    lay(np.minimum(TABLE_THICKNESS / 2 - np.abs(below_table), 0.75 - np.abs(grid.x)), TABLE_HU)
    return density


def _inside(random: np.random.Generator, targets: list[Field], grain: Field, veins: Field) -> list[Field]:
    """Density within each target: parenchyma with veins, renal cortex about the medulla, bone shells."""
    _, _, left, right, _, spine = targets
    enhancement = random.uniform(0.8, 1.2)
    vein = np.clip(1 - np.abs(veins) / 0.07, 0, 1) * (grain > -0.6)
    liver = enhancement * (100 + 45 * vein) + 5 * grain
    spleen = enhancement * 122 + 5 * grain
    cortex, medulla = enhancement * 195, enhancement * 135
    kidneys = [
        medulla + (cortex - medulla) * coverage(0.035 + 0.012 * grain - level, 0.02) + 4 * grain
        for level in (left, right)
    ]
    aorta = np.full_like(grain, enhancement * 175)
    marrow = random.uniform(170, 260) + 35 * grain
    bone = marrow + coverage(0.014 - spine, 0.01) * (BONE_HU - marrow)
    return [liver, spleen, *kidneys, aorta, bone]


KIND = PhantomKind(
    name="organs",
    description="an abdominal CT slice with six labels; the patient's right is on the left of the picture",
    labels=LABELS,
    size=(256, 256),
    make=make,
)
