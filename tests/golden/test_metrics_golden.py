"""Golden cases of the metrics: values derived by hand, and what independent tools give for the same masks.

The table in `docs/reference/metrics.md` is held to what the tools really give.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from delineate.metrics.overlap import BoolArray, overlap
from delineate.metrics.surface import (
    SurfaceDistances,
    hausdorff95,
    normalized_surface_dice,
    surface_distances,
)

torch = pytest.importorskip("torch")
monai_metrics = pytest.importorskip("monai.metrics")
surface_distance = pytest.importorskip("surface_distance")
medpy = pytest.importorskip("medpy.metric.binary")

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
ISOTROPIC = (1.0, 1.0, 1.0)
THICK = (5.0, 0.8, 0.8)  # mm: slices far apart, as in clinical CT


def block(shape: tuple[int, ...], *spans: tuple[int, int]) -> BoolArray:
    """A mask that is set within the spans."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*span) for span in spans)] = True
    return mask


def cube(start: int, stop: int, *, size: int = 20) -> BoolArray:
    """A cube in a cube."""
    return block((size,) * 3, *((start, stop),) * 3)


def ball(shape: tuple[int, int, int], radius_mm: float, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """A ball about the middle voxel."""
    offsets = [
        (np.arange(length) - length // 2) * step for length, step in zip(shape, spacing_mm, strict=True)
    ]
    z, y, x = np.meshgrid(*offsets, indexing="ij")
    found: BoolArray = z**2 + y**2 + x**2 <= radius_mm**2
    return found


@dataclass(frozen=True)
class Case:
    """Two masks and what is known of them.

    Attributes:
        reference: `(D, H, W)`.
        prediction: `(D, H, W)`.
        spacing_mm: Of both.
        dice: By hand; None where a ball's voxels would have to be counted.
        hd95_mm: Likewise.
        nsd: Likewise, at 1 mm and at 2 mm.
        to_prediction: Likewise: distances from the prediction's boundary, and how many voxels of the
            reference's lie so far away.
    """

    reference: BoolArray
    prediction: BoolArray
    spacing_mm: tuple[float, float, float]
    dice: float | None = None
    hd95_mm: float | None = None
    nsd: tuple[float, float] | None = None
    to_prediction: dict[float, int] | None = None

    @property
    def distances(self) -> SurfaceDistances:
        """Ours."""
        return surface_distances(self.reference, self.prediction, self.spacing_mm)


CASES = {
    # a cube of 10³ has 10³ − 8³ = 488 boundary voxels
    "cube, equal": Case(
        cube(5, 15), cube(5, 15), ISOTROPIC, dice=1, hd95_mm=0, nsd=(1, 1), to_prediction={0: 488}
    ),
    # columns 5–14 and 7–16; a slice of each is 10 × 10 with a ring of 36
    #   column   5    6    7 … 13   14
    #   R has   100   36     36    100
    #   mm       2    1      0     36 × 0, and of the 64 within P: 28 next to P's ring 1, the other 36 are 2
    #                              from the ring or from P's end face at 16
    "cube, moved by 2 mm": Case(
        cube(5, 15),
        np.roll(cube(5, 15), 2, axis=2),
        ISOTROPIC,
        dice=2 * 800 / 2000,
        hd95_mm=2,
        nsd=((288 + 64) / 488, 1),
        to_prediction={0: 7 * 36 + 36, 1: 36 + 28, 2: 100 + 36},
    ),
    # slices 5–14 and 6–15
    #   slice    5    6 … 13   14
    #   R has   100     36    100
    #   mm       5      0     36 × 0; the 64 within P lie 1, 2, 3 or 4 voxels of 0.8 mm from P's ring:
    #                         8² − 6² = 28, 6² − 4² = 20, 4² − 2² = 12 and 4 of them
    "cube, moved by a slice of 5 mm": Case(
        cube(5, 15),
        np.roll(cube(5, 15), 1, axis=0),
        THICK,
        dice=2 * 900 / 2000,
        hd95_mm=5,
        nsd=((324 + 28) / 488, (324 + 28 + 20) / 488),
        to_prediction={0: 8 * 36 + 36, 0.8: 28, 1.6: 20, 2.4: 12, 3.2: 4, 5.0: 100},
    ),
    # 14³ round 10³, two voxels on all sides: 14³ − 12³ = 1016 boundary voxels; from outside to inside the
    # steps along the axes are (2, 0, 0) for 6 · 10 · 10 voxels, (2, 1, 0) for 6 · 2 · 2 · 10, (2, 1, 1) for
    # 3 · 2 · 2 · 2, (2, 2, 0) for 3 · 2 · 2 · 10, (2, 2, 1) for 3 · 2 · 2 · 2 and (2, 2, 2) for 8; the
    # 95th percentile has rank 0.95 · 1015 = 964, among the 120 of √8 (ranks 864 to 983). Back: all 488 are 2
    "cube within a cube": Case(
        cube(3, 17),
        cube(5, 15),
        ISOTROPIC,
        dice=2 * 1000 / (2744 + 1000),
        hd95_mm=math.sqrt(8),
        nsd=(0, (600 + 488) / (1016 + 488)),
        to_prediction={
            2: 600,
            math.sqrt(5): 240,
            math.sqrt(6): 24,
            math.sqrt(8): 120,
            3: 24,
            math.sqrt(12): 8,
        },
    ),
    "balls of 10 and 12 mm": Case(
        ball((29, 29, 29), 10, ISOTROPIC), ball((29, 29, 29), 12, ISOTROPIC), ISOTROPIC
    ),
    "balls of 12 and 14 mm in slices": Case(
        ball((9, 41, 41), 12, THICK), ball((9, 41, 41), 14, THICK), THICK
    ),
    # the whole image of 6 × 8 × 10, and all but its first slice; a slice's ring has 80 − 48 = 32 voxels
    #   slice    0     1 … 4     5         the boundary lies at the image's border, too:
    #   R has   80      32      80         80 + 4 · 32 + 80 = 288 of R, 80 + 3 · 32 + 80 = 256 of P
    #   mm       5       0       0         back, 48 of P's slice 1 lie 1, 2 or 3 voxels within R's ring:
    #                                      48 − 24 = 24 at 0.8, 24 − 8 = 16 at 1.6 and 8 at 2.4 mm
    "at the image's border": Case(
        np.ones((6, 8, 10), bool),
        block((6, 8, 10), (1, 6), (0, 8), (0, 10)),
        THICK,
        dice=2 * 400 / 880,
        hd95_mm=5,
        nsd=((208 + 208 + 24) / 544, (208 + 208 + 24 + 16) / 544),
        to_prediction={0: 208, 5: 80},
    ),
    # (1, 3, 4) voxels apart: √(5² + 2.4² + 3.2²)
    "one voxel each": Case(
        block((9, 9, 9), (1, 2), (1, 2), (1, 2)),
        block((9, 9, 9), (2, 3), (4, 5), (5, 6)),
        THICK,
        dice=0,
        hd95_mm=math.sqrt(41),
        nsd=(0, 0),
        to_prediction={math.sqrt(41): 1},
    ),
    # 9³ has 9³ − 7³ = 386 boundary voxels; rank 0.95 · 385 = 365.75 from the centre. The farthest are the 8
    # corners, (4, 4, 4) away, ranks 378 to 385, then 24 at (4, 4, 3), ranks 354 to 377: √(16 + 16 + 9)
    "one voxel in a cube": Case(
        cube(5, 14), cube(9, 10), ISOTROPIC, dice=2 / 730, hd95_mm=math.sqrt(41), nsd=(0, 0)
    ),
    # 1 of 489 boundary voxels is far away; the Hausdorff distance itself would be √75
    "cube and a speck": Case(
        cube(5, 15),
        cube(5, 15) | cube(0, 1),
        ISOTROPIC,
        dice=2 * 1000 / 2001,
        hd95_mm=0,
        nsd=(976 / 977, 976 / 977),
        to_prediction={0: 488},
    ),
    # a rod of 2 × 2 × 40, all of it boundary, of which half is found: 80 voxels at 0, 4 each at 1, 2, … 20.
    # Rank 0.95 · 159 = 151.05 lies between 18 (ranks 148 to 151) and 19
    "half of a rod": Case(
        block((4, 4, 44), (1, 3), (1, 3), (2, 42)),
        block((4, 4, 44), (1, 3), (1, 3), (2, 22)),
        ISOTROPIC,
        dice=2 * 80 / 240,
        hd95_mm=18.05,
        nsd=((160 + 4) / 240, (160 + 8) / 240),
        to_prediction={0: 80, **{float(mm): 4 for mm in range(1, 21)}},
    ),
    # a cube, and a second part of 2 × 5 × 5 voxels, 19 to 23 columns away, that is missed: 50 of 538. Rank
    # 0.95 · 537 = 510.15 is the 23rd of them, among the ten at 21
    "second part missed": Case(
        block((16, 16, 40), (2, 12), (2, 12), (2, 12)) | block((16, 16, 40), (5, 7), (2, 7), (30, 35)),
        block((16, 16, 40), (2, 12), (2, 12), (2, 12)),
        ISOTROPIC,
        dice=2 * 1000 / 2050,
        hd95_mm=21,
        nsd=(976 / 1026, 976 / 1026),
        to_prediction={0: 488, 19: 10, 20: 10, 21: 10, 22: 10, 23: 10},
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def quietly(call: Callable[[], object]) -> float:
    """A tool's number without its warnings of its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(call())  # type: ignore[arg-type]  # numbers and tensors of one


def batch(mask: BoolArray) -> object:
    """A mask as MONAI wants it: batch, channel, space."""
    return torch.from_numpy(mask[None, None].astype(np.float32))


def monai_hd95(case: Case) -> float:
    return quietly(
        lambda: monai_metrics.compute_hausdorff_distance(
            batch(case.prediction), batch(case.reference), True, percentile=95, spacing=case.spacing_mm
        )
    )


def monai_nsd(case: Case, tolerance_mm: float) -> float:
    return quietly(
        lambda: monai_metrics.compute_surface_dice(
            batch(case.prediction), batch(case.reference), [tolerance_mm], True, spacing=case.spacing_mm
        )
    )


def deepmind(case: Case, tolerance_mm: float | None = None) -> float:
    """surface-distance's HD95, or its surface Dice."""

    def call() -> object:
        found = surface_distance.compute_surface_distances(case.reference, case.prediction, case.spacing_mm)
        if tolerance_mm is None:
            return surface_distance.compute_robust_hausdorff(found, 95)
        return surface_distance.compute_surface_dice_at_tolerance(found, tolerance_mm)

    return quietly(call)


def medpy_hd95(case: Case) -> float:
    return quietly(lambda: medpy.hd95(case.prediction, case.reference, voxelspacing=case.spacing_mm))


@each_case
def test_values_are_those_derived_by_hand(case: Case) -> None:
    if case.dice is not None:
        counts = overlap(case.reference, case.prediction)
        assert counts.dice == pytest.approx(case.dice, abs=1e-12)
        assert counts.iou == pytest.approx(case.dice / (2 - case.dice), abs=1e-12)
    if case.hd95_mm is not None:
        assert case.distances.hausdorff95 == pytest.approx(case.hd95_mm, abs=1e-12)
    if case.nsd is not None:
        found = [case.distances.normalized_surface_dice(tolerance) for tolerance in (1, 2)]
        assert found == pytest.approx(list(case.nsd), abs=1e-12)
    if case.to_prediction is not None:
        expected = [mm for mm, count in sorted(case.to_prediction.items()) for _ in range(count)]
        assert np.sort(case.distances.reference_to_prediction) == pytest.approx(expected, abs=1e-12)


@each_case
def test_monai_gives_the_same(case: Case) -> None:
    assert case.distances.hausdorff95 == pytest.approx(monai_hd95(case), abs=1e-5)
    for tolerance in (1.0, 2.0):
        ours = case.distances.normalized_surface_dice(tolerance)
        assert ours == pytest.approx(monai_nsd(case, tolerance), abs=1e-5)


@each_case
def test_overlap_is_that_of_all(case: Case) -> None:
    counts = overlap(case.reference, case.prediction)
    assert counts.dice == pytest.approx(float(medpy.dc(case.prediction, case.reference)), abs=1e-12)
    assert counts.iou == pytest.approx(float(medpy.jc(case.prediction, case.reference)), abs=1e-12)
    theirs = surface_distance.compute_dice_coefficient(case.reference, case.prediction)
    assert counts.dice == pytest.approx(float(theirs), abs=1e-12)


@each_case
def test_medpy_pools_both_directions(case: Case) -> None:
    distances = case.distances
    pooled = np.concatenate([distances.reference_to_prediction, distances.prediction_to_reference])
    assert medpy_hd95(case) == pytest.approx(float(np.percentile(pooled, 95)), abs=1e-9)


def test_balls_are_as_far_apart_as_their_radii() -> None:
    # to within a voxel, √3 mm across and √(5² + 0.8² + 0.8²) mm
    round_, thick = CASES["balls of 10 and 12 mm"], CASES["balls of 12 and 14 mm in slices"]
    for case, voxel_mm in ((round_, math.sqrt(3)), (thick, math.hypot(*THICK))):
        assert case.distances.hausdorff95 == pytest.approx(2, abs=voxel_mm)
    counts = overlap(round_.reference, round_.prediction)
    assert counts.dice == pytest.approx(2 * 10**3 / (10**3 + 12**3), abs=0.01)


def documented() -> dict[str, tuple[str, list[float]]]:
    """The rows of the documented comparison: a case's name, its spacing and its numbers."""
    rows = {}
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] in CASES:
            rows[cells[0]] = cells[1], [float(cell) for cell in cells[2:]]
    return rows


def test_the_documentation_compares_every_case() -> None:
    assert list(documented()) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_documented_differences_are_the_real_ones(name: str) -> None:
    case = CASES[name]
    ours = case.distances
    found = [
        ours.hausdorff95,
        deepmind(case),
        medpy_hd95(case),
        ours.normalized_surface_dice(1),
        deepmind(case, 1),
        ours.normalized_surface_dice(2),
        deepmind(case, 2),
    ]
    spacing, numbers = documented()[name]
    assert spacing == ("1" if case.spacing_mm == ISOTROPIC else "5 × 0.8 × 0.8")
    assert numbers == pytest.approx(found, abs=0.0005001)  # as they are printed


def test_what_tools_say_of_empty_masks() -> None:
    # shape 4 × 4 × 4: the image's diagonal is √48
    full, empty = cube(1, 3, size=4), np.zeros((4, 4, 4), bool)
    for reference, prediction in ((full, empty), (empty, full)):
        case = Case(reference, prediction, ISOTROPIC)
        assert hausdorff95(reference, prediction, ISOTROPIC) == math.sqrt(48)
        assert normalized_surface_dice(reference, prediction, 1, ISOTROPIC) == 0.0
        assert math.isnan(monai_hd95(case))
        assert monai_nsd(case, 1) == 0.0
        with pytest.raises(RuntimeError, match="does not contain any binary object"):
            medpy_hd95(case)
        assert float(medpy.dc(prediction, reference)) == 0.0
    both = Case(empty, empty, ISOTROPIC)
    assert hausdorff95(empty, empty) is None
    assert normalized_surface_dice(empty, empty, 1) is None
    assert overlap(empty, empty).dice is None
    assert math.isnan(monai_hd95(both))
    assert math.isnan(monai_nsd(both, 1))
    assert math.isnan(deepmind(both, 1))
    with pytest.raises(RuntimeError, match="does not contain any binary object"):
        medpy_hd95(both)
