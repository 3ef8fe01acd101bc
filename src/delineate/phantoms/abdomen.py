"""The outlines of an upper abdomen in an axial slice, as one lies in a scanner.

Lengths are half body widths; the origin is the middle of the body, x points to the right of the picture
(the patient's left, by radiological convention), y to the patient's back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delineate.phantoms.shapes import Outline, draw_outline

BODY_HALF_HEIGHT = 0.74


@dataclass(frozen=True)
class Content:
    """Something that is no target: its outline and its density in Hounsfield units."""

    outline: Outline
    density_hu: float


@dataclass(frozen=True)
class Abdomen:
    """One patient.

    Attributes:
        body: The skin.
        fat: Thickness of the fat below the skin.
        wall: Thickness of the muscle below the fat.
        liver: Right and left lobe.
        gallbladder: A notch in the liver.
        spleen: Before it is cut by the wall.
        kidneys: The patient's left and right one, before the hilum is taken out.
        hila: What is taken out of either.
        aorta: The vessel.
        vertebra: Body, lamina and processes of the vertebra.
        canal: The spinal canal inside the vertebra.
        stomach: With its wall.
        air_until: y above which the stomach holds air.
        ribs: Seen end on in the wall.
        muscles: Beside and behind the spine.
        contents: Bowel, pancreas and the caval vein, in the order in which they are drawn.
    """

    body: Outline
    fat: float
    wall: float
    liver: tuple[Outline, Outline]
    gallbladder: Outline
    spleen: Outline
    kidneys: tuple[Outline, Outline]
    hila: tuple[Outline, Outline]
    aorta: Outline
    vertebra: tuple[Outline, ...]
    canal: Outline
    stomach: Outline
    air_until: float
    ribs: tuple[Outline, ...]
    muscles: tuple[Outline, ...]
    contents: tuple[Content, ...]


def draw_abdomen(random: np.random.Generator) -> Abdomen:
    """One patient: every organ in its usual place, moved, stretched and dented a little."""

    def about(
        y: float, x: float, radius_y: float, radius_x: float, *, turn: float = 0.0, dents: float = 0.04
    ) -> Outline:
        shift_y, shift_x = 0.02 * random.standard_normal(2)
        grown = np.exp(0.08 * random.standard_normal(2))
        return draw_outline(
            random,
            (y + shift_y, x + shift_x),
            (radius_y * grown[0], radius_x * grown[1]),
            turn=turn + 0.1 * random.standard_normal(),
            irregularity=dents,
        )

    body = draw_outline(random, (0.0, 0.0), (BODY_HALF_HEIGHT, 0.98), irregularity=0.012, orders=3)
    fat, wall = random.uniform(0.05, 0.12), random.uniform(0.035, 0.05)
    kidneys = about(0.22, 0.40, 0.165, 0.125, turn=0.35), about(0.27, -0.40, 0.165, 0.125, turn=-0.35)
    stomach = about(-0.20, 0.36, 0.20, 0.27, turn=-0.3, dents=0.08)
    return Abdomen(
        body=body,
        fat=fat,
        wall=wall,
        liver=(about(-0.10, -0.56, 0.44, 0.36, dents=0.05), about(-0.33, -0.16, 0.15, 0.34, dents=0.07)),
        gallbladder=about(-0.10, -0.22, 0.10, 0.06, turn=0.4),
        spleen=about(0.10, 0.70, 0.30, 0.15, turn=0.15, dents=0.06),
        kidneys=kidneys,
        hila=(_hilum(kidneys[0], -1.0), _hilum(kidneys[1], 1.0)),
        aorta=about(0.13, 0.07, 0.058, 0.058, dents=0.0),
        vertebra=_vertebra(random),
        canal=Outline(0.47, 0.0, 0.045, 0.055),
        stomach=stomach,
        air_until=stomach.y + stomach.radius_y * random.uniform(-0.7, 0.0),
        ribs=_ribs(random, body, fat + 0.5 * wall),
        muscles=(
            about(0.52, 0.20, 0.10, 0.15),
            about(0.52, -0.20, 0.10, 0.15),
            about(0.36, 0.22, 0.09, 0.06),
            about(0.36, -0.22, 0.09, 0.06),
        ),
        contents=(
            *_bowel(random),
            Content(about(0.00, 0.16, 0.045, 0.22, turn=-0.25, dents=0.1), random.uniform(75, 100)),
            Content(about(0.13, -0.10, 0.05, 0.065, dents=0.03), random.uniform(90, 160)),
        ),
    )


def _hilum(kidney: Outline, inwards: float) -> Outline:
    """The notch on the side of a kidney that looks to the spine and the front."""
    y, x = kidney.y - 0.35 * kidney.radius_y, kidney.x + inwards * 0.95 * kidney.radius_x
    return Outline(y, x, 0.30 * kidney.radius_y, 0.62 * kidney.radius_x, inwards * 0.4)


def _vertebra(random: np.random.Generator) -> tuple[Outline, ...]:
    """Body, lamina round the canal, spinous and two transverse processes."""
    grown = random.uniform(0.93, 1.07)
    return (
        draw_outline(random, (0.31, 0.0), (0.115 * grown, 0.145 * grown), irregularity=0.02),
        Outline(0.47, 0.0, 0.08 * grown, 0.09 * grown),
        Outline(0.57, random.uniform(-0.01, 0.01), 0.085 * grown, 0.024),
        Outline(0.47, 0.14, 0.026, 0.11 * grown, 0.15),
        Outline(0.47, -0.14, 0.026, 0.11 * grown, -0.15),
    )


def _ribs(random: np.random.Generator, body: Outline, depth: float) -> tuple[Outline, ...]:
    """Ribs at both sides, lying along the wall at that depth below the skin."""
    ribs = []
    for side in (0.0, np.pi):
        for spot in np.linspace(-0.75, 1.0, random.integers(4, 7)):
            angle = side + np.cos(side) * (spot + random.normal(0, 0.06))
            radius_y, radius_x = body.radius_y - depth, body.radius_x - depth
            y, x = radius_y * np.sin(angle), radius_x * np.cos(angle)
            along = float(np.arctan2(radius_y * np.cos(angle), -radius_x * np.sin(angle)))
            ribs.append(Outline(float(y), float(x), 0.02, random.uniform(0.035, 0.075), along))
    return tuple(ribs)


def _bowel(random: np.random.Generator) -> tuple[Content, ...]:
    """Loops in the middle and left front, some with contrast medium, some with water."""
    loops = []
    for _ in range(random.integers(4, 9)):
        centre = random.uniform(-0.28, 0.12), random.uniform(-0.12, 0.62)
        radii = random.uniform(0.05, 0.09), random.uniform(0.06, 0.13)
        outline = draw_outline(random, centre, radii, turn=random.uniform(-0.8, 0.8), irregularity=0.06)
        loops.append(Content(outline, float(random.choice((25.0, 45.0, 60.0, 110.0, 190.0)))))
    return tuple(loops)
