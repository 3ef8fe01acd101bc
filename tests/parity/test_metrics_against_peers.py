"""Our metrics beside independent ones; where they differ on purpose, the difference itself is the test."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from delineate.metrics.boundaries import boundary
from delineate.metrics.overlap import BoolArray, overlap
from delineate.metrics.surface import hausdorff95, normalized_surface_dice

torch = pytest.importorskip("torch")
monai_metrics = pytest.importorskip("monai.metrics")
surface_distance = pytest.importorskip("surface_distance")
skimage_metrics = pytest.importorskip("skimage.metrics")

SPACINGS = [None, (1.0, 2.5)]


def blob(rng: np.random.Generator, shape: tuple[int, ...]) -> BoolArray:
    """Smooth random shapes that may have holes, several parts, and touch the border."""
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 4)
    found: BoolArray = noise > np.quantile(noise, 0.7)
    return found


def pairs(shape: tuple[int, ...] = (48, 64)) -> list[tuple[BoolArray, BoolArray]]:
    """Pairs of shapes: alike, unlike, and holding the other."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(4):
        one, other = blob(rng, shape), blob(rng, shape)
        found += [(one, np.roll(one, 3, 0)), (one, other), (one | other, one)]
    return found


def as_batch(mask: BoolArray) -> object:
    """A mask as MONAI wants it: batch, channel, space."""
    return torch.from_numpy(mask[None, None].astype(np.float32))


def their_distances(
    reference: BoolArray, prediction: BoolArray, spacing: tuple[float, float]
) -> dict[str, npt.NDArray[np.float64]]:
    """What surface-distance measures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its own, about names within scipy.ndimage
        found: dict[str, npt.NDArray[np.float64]] = surface_distance.compute_surface_distances(
            reference, prediction, spacing
        )
    return found


@pytest.mark.parametrize("spacing", SPACINGS)
def test_hd95_is_that_of_monai(spacing: tuple[float, ...] | None) -> None:
    for reference, prediction in pairs():
        theirs = monai_metrics.compute_hausdorff_distance(
            as_batch(prediction), as_batch(reference), include_background=True, percentile=95, spacing=spacing
        )
        assert hausdorff95(reference, prediction, spacing) == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.0])
def test_nsd_is_that_of_monai(spacing: tuple[float, ...] | None, tolerance: float) -> None:
    for reference, prediction in pairs():
        theirs = monai_metrics.compute_surface_dice(
            as_batch(prediction), as_batch(reference), [tolerance], include_background=True, spacing=spacing
        )
        ours = normalized_surface_dice(reference, prediction, tolerance, spacing)
        assert ours == pytest.approx(float(theirs), rel=1e-5)


def test_hd95_and_nsd_in_three_dimensions_are_those_of_monai() -> None:
    spacing = (3.0, 1.0, 0.8)
    for reference, prediction in pairs((14, 20, 24))[:6]:
        theirs = monai_metrics.compute_hausdorff_distance(
            as_batch(prediction), as_batch(reference), include_background=True, percentile=95, spacing=spacing
        )
        assert hausdorff95(reference, prediction, spacing) == pytest.approx(float(theirs), rel=1e-5)
        theirs = monai_metrics.compute_surface_dice(
            as_batch(prediction), as_batch(reference), [1.5], include_background=True, spacing=spacing
        )
        ours = normalized_surface_dice(reference, prediction, 1.5, spacing)
        assert ours == pytest.approx(float(theirs), rel=1e-5)


def test_overlap_is_that_of_monai() -> None:
    for reference, prediction in pairs():
        counted = overlap(reference, prediction)
        batches = as_batch(prediction), as_batch(reference)
        assert counted.dice == pytest.approx(float(monai_metrics.compute_dice(*batches)), rel=1e-6)
        assert counted.iou == pytest.approx(float(monai_metrics.compute_iou(*batches)), rel=1e-6)
        matrix = monai_metrics.get_confusion_matrix(*batches).flatten().tolist()
        assert matrix == [
            counted.true_positive,
            counted.false_positive,
            counted.true_negative,
            counted.false_negative,
        ]


def test_surface_distance_measures_corners_and_lengths_and_stays_close() -> None:
    # surface-distance puts the boundary on pixel corners and weighs it by its length; ours is the mask's own
    # outermost pixels, each counted once
    for reference, prediction in pairs():
        distances = their_distances(reference, prediction, (1.0, 1.0))
        theirs = surface_distance.compute_robust_hausdorff(distances, 95)
        assert hausdorff95(reference, prediction) == pytest.approx(theirs, abs=1.5)
        surface_dice = surface_distance.compute_surface_dice_at_tolerance(distances, 3.0)
        assert normalized_surface_dice(reference, prediction, 3.0) == pytest.approx(surface_dice, abs=0.1)


def test_surface_distance_gives_long_pixel_sides_more_weight() -> None:
    # a square of 7 × 7 moved by 3 columns, pixels 1 high and 2.5 wide. Of its 24 boundary pixels 4 above and
    # 4 below lie on the other's: 1/3. By length: each side's 8 corner points stand for 2.5 along a row, 1 in
    # a column and half a diagonal c at the ends; above and below, 4 of 2.5 and one end lie on the other's.
    c = math.hypot(1.0, 2.5) / 2
    by_length = 2 * (4 * 2.5 + c) / (2 * 6 * 2.5 + 2 * 6 * 1.0 + 4 * c)
    reference = np.zeros((20, 20), bool)
    reference[5:12, 4:11] = True
    prediction = np.roll(reference, 3, 1)
    distances = their_distances(reference, prediction, (1.0, 2.5))
    theirs = surface_distance.compute_surface_dice_at_tolerance(distances, 0.5)
    assert theirs == pytest.approx(by_length)
    assert normalized_surface_dice(reference, prediction, 0.5, (1.0, 2.5)) == 1 / 3


def test_surface_distance_agrees_exactly_on_a_shifted_square() -> None:
    reference = np.zeros((20, 20), bool)
    reference[5:12, 4:11] = True
    prediction = np.roll(reference, 3, 1)
    distances = their_distances(reference, prediction, (1.0, 1.0))
    assert surface_distance.compute_robust_hausdorff(distances, 95) == 3.0
    assert hausdorff95(reference, prediction) == 3.0


def test_monai_drops_what_we_count() -> None:
    # a missed structure: NaN or infinite there, so that a mean over cases leaves it out and improves
    reference = np.zeros((30, 40), bool)
    reference[5:9, 5:9] = True
    empty = np.zeros_like(reference)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI warns that it returns NaN
        theirs = monai_metrics.compute_hausdorff_distance(
            as_batch(empty), as_batch(reference), include_background=True, percentile=95
        )
    assert not math.isfinite(float(theirs))
    assert hausdorff95(reference, empty) == 50.0


def test_skimage_agrees_on_the_largest_distance() -> None:
    # skimage takes the greatest of all distances between the points it is given, which bounds HD95
    for reference, prediction in pairs():
        largest = skimage_metrics.hausdorff_distance(boundary(reference), boundary(prediction))
        hd95 = hausdorff95(reference, prediction)
        assert hd95 is not None
        assert hd95 <= largest + 1e-9
    one, other = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    one[2:4, 2:4], other[2:4, 6:8] = True, True
    assert hausdorff95(one, other) == skimage_metrics.hausdorff_distance(one, other) == 4.0


@pytest.mark.data
def test_real_outlines_agree_with_monai(data_root: Path) -> None:
    from PIL import Image  # noqa: PLC0415  only where there are data

    for path in sorted((data_root / "kvasir" / "masks").iterdir())[:5]:
        reference = np.asarray(Image.open(path).convert("L")) > 127
        prediction = ndimage.shift(ndimage.binary_dilation(reference, iterations=3), (4, -6), order=0)
        theirs = monai_metrics.compute_hausdorff_distance(
            as_batch(prediction), as_batch(reference), include_background=True, percentile=95
        )
        assert hausdorff95(reference, prediction) == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.data
def test_real_volumes_agree_with_monai(data_root: Path) -> None:
    import nibabel  # noqa: PLC0415  only where there are data

    folders = (("hippocampus", "masks"), ("formats", "sct_spinalcord_nifti", "masks"))
    for folder in folders:
        for path in sorted(data_root.joinpath(*folder).iterdir())[:3]:
            volume = nibabel.load(path)
            spacing = tuple(float(step) for step in volume.header.get_zooms())
            reference = np.asarray(volume.dataobj) > 0.5
            prediction = ndimage.shift(ndimage.binary_dilation(reference), (1, -2, 1), order=0)
            theirs = monai_metrics.compute_hausdorff_distance(
                as_batch(prediction), as_batch(reference), True, percentile=95, spacing=spacing
            )
            assert hausdorff95(reference, prediction, spacing) == pytest.approx(float(theirs), rel=1e-5)
            theirs = monai_metrics.compute_surface_dice(
                as_batch(prediction), as_batch(reference), [1.3], True, spacing=spacing
            )
            ours = normalized_surface_dice(reference, prediction, 1.3, spacing)
            assert ours == pytest.approx(float(theirs), rel=1e-5)
