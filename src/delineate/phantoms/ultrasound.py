"""Ultrasound of a lesion in layered soft tissue, as in the breast: speckle, shadows and look-alikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delineate.image import LabelSet
from delineate.phantoms.kind import Phantom, PhantomKind
from delineate.phantoms.scan import View, draw_view, speckle_db
from delineate.phantoms.shapes import Field, Outline, coverage, draw_outline, pixel_centres
from delineate.phantoms.texture import blur, smooth_noise, to_grey

SKIN_DB, FAT_DB, GLAND_DB, MUSCLE_DB, DEEP_DB = -1.0, -15.0, -6.0, -16.0, -19.0
LESION_DB, CYST_DB, BONE_DB = -22.0, -37.0, 4.0
DARKEST_DB, BRIGHTEST_DB, DISPLAY_GAMMA = -38.0, 9.0, 1.4


@dataclass(frozen=True)
class Inclusion:
    """Something in the tissue.

    Attributes:
        outline: Its shape.
        echo_db: Its echo level.
        edge: Width of its margin, in units.
        attenuation_db: Loss of the beam a unit of its own length; negative brightens what lies beneath.
        lesion: Whether it is the target; if not, it is a look-alike.
    """

    outline: Outline
    echo_db: float
    edge: float
    attenuation_db: float
    lesion: bool


def make(random: np.random.Generator, size: tuple[int, int], *, contrast: float, noise: float) -> Phantom:
    """Draw an ultrasound image with one or two lesions.

    Args:
        random: Source of all chance.
        size: `(H, W)`.
        contrast: Scales how much darker lesions are than the tissue they lie in, in decibels.
        noise: Scales the speckle, in decibels; 1 is fully developed.

    Returns:
        A grey phantom with the label "lesion".
    """
    view = draw_view(random, size)
    lesions = _draw_lesions(random, view)
    inclusions = lesions + _draw_cysts(random, view, lesions) + _draw_ribs(random, view)
    depth, side = view.beams()
    echo_db = _tissue(random, view)
    loss_db = np.zeros_like(echo_db)
    y, x = view.point(depth, side)
    for inclusion in inclusions:
        inside = coverage(inclusion.outline.level(y, x), inclusion.edge)
        strength = contrast if inclusion.lesion else 1.0
        echo_db += strength * inside * (inclusion.echo_db - echo_db)
        loss_db += strength * inside * inclusion.attenuation_db
    beneath_db = np.cumsum(loss_db, axis=0) * np.float32(view.length / depth.size) - loss_db / depth.size
    contact_db = 9 * np.clip(smooth_noise(random, (1, side.size), 0.05 * side.size) - 1.0, 0, 1.5)
    uncompensated_db = random.uniform(0, 9) * depth

    unit = min(size)
    along_px = max(0.0045 * unit, 0.5)
    grain_db = speckle_db(random, echo_db.shape, (along_px, random.uniform(1.6, 2.4) * along_px))
    received_db = echo_db - beneath_db - contact_db - uncompensated_db + np.float32(noise) * grain_db
    gain_db = random.uniform(-3, 3)
    shown = (received_db + gain_db - DARKEST_DB) / (BRIGHTEST_DB - DARKEST_DB)
    shown = blur(shown, 0.5 * along_px)
    picture, seen = view.picture(np.clip(shown, 0, 1) ** np.float32(DISPLAY_GAMMA))
    y, x = pixel_centres(size)
    mask = np.zeros(size, np.uint8)
    for lesion in lesions:
        mask |= (lesion.outline.level(y, x) >= 0) & seen
    return Phantom(to_grey(picture), mask)


def _tissue(random: np.random.Generator, view: View) -> Field:
    """Echo level of skin, fat with septa, gland, striated muscle and what lies below, on the scan grid."""
    depth, side = view.beams()
    grid, beams = (depth.size, side.size), (1, side.size)
    unit = min(view.size)

    def boundary(share: float, wave: float) -> Field:
        return np.float32(share) + np.float32(wave) * smooth_noise(random, beams, 0.16 * side.size)

    fat_from = boundary(0.035, 0.003)
    gland_from = boundary(random.uniform(0.13, 0.27), 0.025)
    muscle_from = boundary(random.uniform(0.66, 0.8), 0.02)
    deep_from = muscle_from + boundary(random.uniform(0.12, 0.18), 0.01)
    soft = 0.008
    echo_db = np.full(grid, SKIN_DB, np.float32)
    septa = np.abs(smooth_noise(random, grid, (0.018 * unit, 0.08 * unit)))
    fat = FAT_DB + 11 * np.clip(1 - septa / 0.12, 0, 1)
    mottle = smooth_noise(random, grid, (0.018 * unit, 0.035 * unit))
    lobes = smooth_noise(random, grid, (0.05 * unit, 0.09 * unit))
    gland = GLAND_DB + 2.0 * mottle + 3.0 * np.minimum(lobes, 1) - 9.0 * np.clip(lobes - 0.9, 0, 1)
    striae = smooth_noise(random, grid, (0.006 * unit, 0.1 * unit))
    muscle = MUSCLE_DB + 4.0 * striae
    deep = DEEP_DB + 3.0 * smooth_noise(random, grid, (0.03 * unit, 0.05 * unit))
    for start, level in ((fat_from, fat), (gland_from, gland), (muscle_from, muscle), (deep_from, deep)):
        echo_db += coverage(depth - start, soft) * (level - echo_db)
    for start in (muscle_from, deep_from):  # fasciae are thin bright sheets
        echo_db += 9 * np.exp(-np.square((depth - start) / np.float32(0.007)))
    return echo_db


def _draw_lesions(random: np.random.Generator, view: View) -> list[Inclusion]:
    """One lesion, or two side by side one time in four."""
    count = 1 + int(random.random() < 0.25)
    towards = random.choice((-1.0, 1.0))
    lesions = []
    for number in range(count):
        side = random.uniform(-0.4, 0.4)
        if count == 2:
            side = towards * (1 - 2 * number) * random.uniform(0.3, 0.5)
        radius = random.uniform(0.085, 0.165) / np.sqrt(count)
        stretch = random.uniform(0.85, 1.7)
        outline = draw_outline(
            random,
            _place(view, random.uniform(0.33, 0.6), side),
            (radius / np.sqrt(stretch), radius * np.sqrt(stretch)),
            turn=random.normal(0, 0.25),
            irregularity=random.uniform(0.03, 0.16),
            orders=7,
        )
        shadows = random.random() < 0.5
        attenuation_db = random.uniform(20, 60) if shadows else random.uniform(-25, 0)
        lesions.append(
            Inclusion(
                outline,
                LESION_DB + random.uniform(-3, 2.5),
                random.uniform(0.008, 0.03),
                attenuation_db,
                lesion=True,
            )
        )
    return lesions


def _draw_cysts(random: np.random.Generator, view: View, lesions: list[Inclusion]) -> list[Inclusion]:
    """Up to three small round or long look-alikes without any echo, vessels and cysts, clear of lesions."""
    cysts = []
    for _ in range(random.integers(0, 4)):
        centre = _place(view, random.uniform(0.2, 0.75), random.uniform(-0.85, 0.85))
        radius = random.uniform(0.014, 0.03)
        outline = draw_outline(
            random,
            centre,
            (radius, radius * random.uniform(1, 3)),
            turn=random.normal(0, 0.4),
            irregularity=0.03,
        )
        cyst = Inclusion(outline, CYST_DB, 0.012, random.uniform(-70, -20), lesion=False)
        y, x = np.array(centre, np.float32)[:, None]
        clearance = 1.5 * max(outline.radius_y, outline.radius_x)
        if all(lesion.outline.level(y, x)[0] < -clearance for lesion in lesions):
            cysts.append(cyst)
    return cysts


def _draw_ribs(random: np.random.Generator, view: View) -> list[Inclusion]:
    """None, one or two deep bright surfaces with a black shadow, as of ribs."""
    ribs = []
    for side in random.permutation((-0.6, 0.6))[: random.integers(0, 3)]:
        centre = _place(view, random.uniform(0.84, 0.9), side + random.uniform(-0.2, 0.2))
        outline = draw_outline(random, centre, (0.03, random.uniform(0.07, 0.12)), turn=random.normal(0, 0.1))
        ribs.append(Inclusion(outline, BONE_DB, 0.012, 650.0, lesion=False))
    return ribs


def _place(view: View, depth: float, side: float) -> tuple[float, float]:
    """`(y, x)` in units of one place along a beam."""
    y, x = view.point(np.array([depth], np.float32), np.array([side], np.float32))
    return float(y[0]), float(x[0])


KIND = PhantomKind(
    name="ultrasound",
    description="lesions in layered breast-like tissue, with speckle, acoustic shadows and look-alikes",
    labels=LabelSet.of("lesion"),
    size=(256, 256),
    make=make,
)
