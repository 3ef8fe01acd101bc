"""A colour photograph of a retina: branching vessels from the optic disc inside a round field of view."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from delineate.image import LabelSet
from delineate.phantoms.kind import Phantom, PhantomKind
from delineate.phantoms.shapes import Field, coverage, pixel_centres
from delineate.phantoms.texture import blur, smooth_noise, to_grey
from delineate.phantoms.vessel_raster import VesselMap, rasterise
from delineate.phantoms.vessel_tree import TRUNK_RADIUS, Eye, grow

THINNEST = 0.0042
THINNEST_PX = 0.4
THINNEST_OF_TRUNK = 0.45  # but so much of a trunk's calibre is always drawn, else small pictures have none
THINNEST_DRAWN_PX = 0.6  # narrower lines would miss pixel centres and fall apart
FUNDUS = np.array([0.80, 0.40, 0.17], np.float32)
DISC = np.array([1.18, 0.95, 0.50], np.float32)
BLOOD = np.array([0.42, 1.00, 0.90], np.float32)  # how strongly blood takes red, green and blue light
CAMERA_NOISE = 0.018


@dataclass(frozen=True)
class Frame:
    """The round field of view: its centre `(y, x)` and radius, in units."""

    centre: tuple[float, float]
    radius: float


def make(random: np.random.Generator, size: tuple[int, int], *, contrast: float, noise: float) -> Phantom:
    """Draw a retina.

    Args:
        random: Source of all chance.
        size: `(H, W)`.
        contrast: Scales how much light the vessels take, as optical density.
        noise: Scales the camera's noise.

    Returns:
        An RGB phantom with the label "vessel".
    """
    unit = min(size)
    frame = Frame((random.uniform(-0.01, 0.01), random.uniform(-0.01, 0.01)), random.uniform(0.46, 0.485))
    eye = _draw_eye(random)
    y, x = pixel_centres(size)
    y, x = (y - frame.centre[0]) / frame.radius, (x - frame.centre[1]) / frame.radius
    inside = coverage(1 - np.hypot(y, x), 1 / (frame.radius * unit))
    vessels = _vessels(random, eye, frame, size)

    light = _fundus(random, eye, y, x, size)
    density = contrast * _vessel_density(vessels, frame.radius * unit) + _spots(random, eye, y, x)
    light *= np.exp(-density[..., None] * BLOOD)
    light = blur(light, (max(0.0022 * unit, 0.35),) * 2 + (0.0,)) * inside[..., None]
    grain = random.standard_normal((*size, 3), dtype=np.float32)
    light += noise * CAMERA_NOISE * np.sqrt(light + 0.1) * 1.6 * grain * inside[..., None]
    mask = (vessels.level_px >= 0) & (np.hypot(y, x) <= 1)
    return Phantom(to_grey(light), mask.astype(np.uint8))


def _draw_eye(random: np.random.Generator) -> Eye:
    """A left or right eye, the fovea near the centre."""
    side = random.choice((-1.0, 1.0))
    fovea = random.uniform(-0.06, 0.10), -side * random.uniform(0.0, 0.14)
    disc = fovea[0] - random.uniform(0.02, 0.12), fovea[1] + side * random.uniform(0.62, 0.70)
    return Eye(disc, fovea, random.uniform(0.125, 0.155))


def _vessels(random: np.random.Generator, eye: Eye, frame: Frame, size: tuple[int, int]) -> VesselMap:
    """Grow the vessels and draw them."""
    radius_px = frame.radius * min(size)
    resolved = min(THINNEST_PX / radius_px, THINNEST_OF_TRUNK * TRUNK_RADIUS)
    tree = grow(random, eye, max(THINNEST, resolved))
    corner = (np.array(size) - 1) / 2 + np.array(frame.centre) * min(size)
    in_pixels = replace(
        tree,
        start=corner + radius_px * tree.start,
        end=corner + radius_px * tree.end,
        start_radius=np.maximum(radius_px * tree.start_radius, THINNEST_DRAWN_PX),
        end_radius=np.maximum(radius_px * tree.end_radius, THINNEST_DRAWN_PX),
    )
    return rasterise(in_pixels, size)


def _vessel_density(vessels: VesselMap, frame_radius_px: float) -> Field:
    """Optical density of the blood: less in thin vessels, less in arteries, which show a bright reflex."""
    thickness = vessels.radius_px / (TRUNK_RADIUS * frame_radius_px)
    strength = np.clip(0.16 + 0.6 * np.sqrt(thickness), 0, 0.85) * np.where(vessels.artery, 0.72, 1.0)
    from_axis = np.clip(1 - vessels.level_px / vessels.radius_px, 0, 1)
    column = 0.55 + 0.45 * np.sqrt(np.clip(1 - from_axis**2, 0, 1))
    reflects = np.where(vessels.artery & (vessels.radius_px > 1.3), 0.4, 0.0)
    reflex = reflects * np.exp(-np.square(from_axis / 0.35))
    return np.asarray(strength * column * (1 - reflex) * coverage(vessels.level_px, 1.0), dtype=np.float32)


def _fundus(random: np.random.Generator, eye: Eye, y: Field, x: Field, size: tuple[int, int]) -> Field:
    """`(H, W, 3)` light of the retina without its vessels: tint, vignetting, disc with cup, dark fovea."""
    unit = min(size)
    tint = FUNDUS * np.exp(np.array([0.06, 0.16, 0.25]) * random.standard_normal(3)).astype(np.float32)
    to_fovea = np.hypot(y - eye.fovea[0], x - eye.fovea[1])
    to_disc = np.hypot((y - eye.disc[0]) / 1.08, x - eye.disc[1])
    lit_y, lit_x = random.uniform(-0.35, 0.35, 2)
    lit = 1.08 - random.uniform(0.32, 0.5) * ((y - lit_y) ** 2 + (x - lit_x) ** 2)
    lit = np.clip(lit, 0.3, None) * np.exp(0.05 * smooth_noise(random, size, 0.12 * unit))
    choroid = 0.035 * smooth_noise(random, size, max(0.012 * unit, 0.8))
    choroid += 0.04 * smooth_noise(random, size, 0.04 * unit)
    dark = random.uniform(0.35, 0.6) * np.exp(-np.square(to_fovea / 0.17))
    mottling = np.exp((choroid - dark)[..., None] * np.array([0.35, 1.0, 1.0], np.float32))
    light = tint * lit[..., None] * mottling
    light *= 1 + 0.25 * np.exp(-np.square(to_disc / (2.2 * eye.disc_radius)))[..., None]
    disc = coverage(eye.disc_radius - to_disc, 0.035)[..., None]
    cup = coverage(eye.disc_radius * random.uniform(0.35, 0.55) - to_disc, 0.07)[..., None]
    colour = DISC * (0.82 + 0.2 * cup) * np.clip(lit, 0.6, 1.05)[..., None]
    return np.asarray(light + disc * (colour - light), dtype=np.float32)


def _spots(random: np.random.Generator, eye: Eye, y: Field, x: Field) -> Field:
    """Optical density of small haemorrhages, up to six, and as negative density up to six bright exudates."""
    density = np.zeros(np.broadcast_shapes(y.shape, x.shape), np.float32)
    for strength in (0.45, -0.4):
        for _ in range(max(int(random.integers(-5, 7)), 0)):
            angle, reach = random.uniform(0, 2 * np.pi), random.uniform(0.2, 0.6)
            radius = random.uniform(0.008, 0.022)
            off_y = y - eye.fovea[0] - reach * np.sin(angle)
            off_x = x - eye.fovea[1] - reach * np.cos(angle)
            density += strength * coverage(radius - np.hypot(off_y, off_x), 0.012)
    return density


KIND = PhantomKind(
    name="vessels",
    description="a retina in colour: vessel trees from the optic disc in a round field of view",
    labels=LabelSet.of("vessel"),
    size=(256, 256),
    make=make,
)
