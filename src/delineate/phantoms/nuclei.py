"""Fluorescent nuclei under a widefield microscope: touching, unevenly lit, partly out of focus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from delineate.image import LabelSet
from delineate.phantoms.kind import Phantom, PhantomKind
from delineate.phantoms.shapes import Field, Outline, coverage, draw_outline, pixel_centres
from delineate.phantoms.texture import blur, smooth_noise, to_grey

PHOTONS_AT_WHITE = 250.0
READ_NOISE_PHOTONS = 3.0
ATTEMPTS = 8


@dataclass(frozen=True)
class Nucleus:
    """One nucleus: its outline, its brightness (1 is usual) and whether it lies outside the focal plane."""

    outline: Outline
    brightness: float
    out_of_focus: bool


def make(random: np.random.Generator, size: tuple[int, int], *, contrast: float, noise: float) -> Phantom:
    """Draw nuclei.

    Args:
        random: Source of all chance.
        size: `(H, W)`.
        contrast: Scales the brightness of the nuclei above the background.
        noise: Scales the photon and read noise of the camera.

    Returns:
        A grey phantom with the label "nucleus".
    """
    unit = min(size)
    nuclei = _scatter(random, size)
    chromatin = smooth_noise(random, size, max(0.007 * unit, 0.7))
    sharp, hazy = np.zeros(size, np.float32), np.zeros(size, np.float32)
    mask = np.zeros(size, np.uint8)
    for nucleus in nuclei:
        _add(nucleus, hazy if nucleus.out_of_focus else sharp, mask, chromatin)

    focus_px = random.uniform(0.003, 0.006) * unit
    light = blur(sharp, focus_px) + blur(hazy, 2.2 * focus_px)
    light += 0.25 * blur(light, 0.05 * unit)  # glow from above and below the focal plane
    light *= np.exp(0.3 * smooth_noise(random, size, 0.35 * unit))
    background = 0.09 * np.exp(0.35 * smooth_noise(random, size, 0.3 * unit))
    exposure = random.uniform(0.25, 0.48)
    expected = PHOTONS_AT_WHITE * exposure * (background + contrast * light)
    arrived = random.poisson(expected).astype(np.float32) - expected
    arrived += READ_NOISE_PHOTONS * random.standard_normal(size, dtype=np.float32)
    return Phantom(to_grey((expected + noise * arrived) / PHOTONS_AT_WHITE), mask)


def _scatter(random: np.random.Generator, size: tuple[int, int]) -> list[Nucleus]:
    """Nuclei alone and in clusters; about half lean on an earlier one, none covers another."""
    unit = min(size)
    height, width = size[0] / unit, size[1] / unit
    usual_radius = random.uniform(0.034, 0.052)
    count = int(random.uniform(0.10, 0.24) * height * width / (np.pi * usual_radius**2)) + 3
    clustering = random.uniform(0.3, 0.75)
    centres, radii = np.empty((count, 2)), np.empty(count)
    placed = 0
    for _ in range(count):
        radius = usual_radius * np.exp(0.2 * random.standard_normal())
        for _ in range(ATTEMPTS):
            centre = random.uniform((-height / 2, -width / 2), (height / 2, width / 2))
            if placed and random.random() < clustering:
                neighbour = random.integers(placed)
                angle = random.uniform(0, 2 * np.pi)
                apart = (radii[neighbour] + radius) * random.uniform(0.85, 1.0)
                centre = centres[neighbour] + apart * np.array((np.sin(angle), np.cos(angle)))
            inside = bool((np.abs(centre) < (height / 2, width / 2)).all())
            gaps = np.hypot(*(centres[:placed] - centre).T) / (radii[:placed] + radius)
            if inside and (gaps > 0.8).all():
                centres[placed], radii[placed] = centre, radius
                placed += 1
                break
    return [
        _draw_nucleus(random, (float(y), float(x)), float(radius))
        for (y, x), radius in zip(centres[:placed], radii[:placed], strict=True)
    ]


def _draw_nucleus(random: np.random.Generator, centre: tuple[float, float], radius: float) -> Nucleus:
    """One nucleus of that mean radius: stretched, turned, a little irregular; some very bright or dim."""
    stretch = np.exp(abs(0.22 * random.standard_normal()))
    outline = draw_outline(
        random,
        centre,
        (radius / np.sqrt(stretch), radius * np.sqrt(stretch)),
        turn=random.uniform(0, np.pi),
        irregularity=0.05,
        orders=3,
    )
    brightness = float(np.clip(np.exp(0.35 * random.standard_normal()), 0.45, 2.2))
    return Nucleus(outline, brightness, bool(random.random() < 0.25))


def _add(nucleus: Nucleus, light: Field, mask: npt.NDArray[np.uint8], chromatin: Field) -> None:
    """Put a nucleus into `light` and `mask`, computing only the pixels near it."""
    outline, unit = nucleus.outline, min(light.shape)
    y, x = pixel_centres((light.shape[0], light.shape[1]))
    rows, columns = outline.near(y, x, 2 / unit)
    level = outline.level(y[rows], x[:, columns])
    dome = 0.75 + 0.25 * np.clip(level / min(outline.radius_y, outline.radius_x), 0, 1)
    grain = np.clip(1 + 0.22 * chromatin[rows, columns], 0.3, 2)
    shine = nucleus.brightness * coverage(level, 1 / unit) * dome * grain
    there = light[rows, columns]
    light[rows, columns] = np.maximum(there, shine) + 0.35 * np.minimum(there, shine)
    mask[rows, columns] |= level >= 0


KIND = PhantomKind(
    name="nuclei",
    description="fluorescent cell nuclei, touching, unevenly lit and partly out of focus",
    labels=LabelSet.of("nucleus"),
    size=(256, 256),
    make=make,
)
