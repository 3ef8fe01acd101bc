"""Masks score alike whatever the format that holds them rounds in its header."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from volume_forms import Affine, itk, nifti, oblique

from delineate import formats
from delineate.evaluation.scores import score_case
from delineate.image import LabelSet, Mask
from delineate.metrics.overlap import BoolArray

LESION = LabelSet.of("lesion")
TURNED = oblique()[:3, :3] / np.linalg.norm(oblique()[:3, :3], axis=0)


def cube(side: int, start: int, axis: int) -> BoolArray:
    """A cube of 5 voxels a side in a volume, moved along one axis."""
    mask = np.zeros((side,) * 3, bool)
    mask[tuple(slice(start if at == axis else 3, (start if at == axis else 3) + 5) for at in range(3))] = True
    return mask


def nsd(suffix: str, columns: Affine, masks: tuple[BoolArray, BoolArray], folder: Path) -> float | None:
    """Of two masks written and read back, at 2 mm; `columns` are the steps of `(k, j, i)` in LPS."""
    affine = np.eye(4)
    affine[:3, :3] = columns
    read = []
    for name, mask in zip(("reference", "prediction"), masks, strict=True):
        values = mask.astype(np.uint8)
        path = folder / f"{name}{suffix}"
        (nifti(values.T, affine) if ".nii" in suffix else itk(values, affine))(path)
        stored = formats.read_mask(path)
        read.append(Mask(stored.values.astype(np.uint8), LESION, stored.geometry))
    return score_case("a", "a", *read)[0].nsd


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_five_voxels_of_0_4_mm_are_2_mm(suffix: str, tmp_path: Path) -> None:
    straight = 0.4 * np.eye(3)[::-1]
    pair = cube(16, 3, 2), cube(16, 8, 2)
    assert nsd(suffix, straight, pair, tmp_path) == 1.0
    # each cube has 98 voxels on its boundary; a voxel further, the face of 25 that lies furthest is outside
    assert nsd(suffix, straight, (pair[0], cube(16, 9, 2)), tmp_path) == 1 - 25 / 98


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_two_voxels_of_1_mm_are_2_mm_however_they_are_turned(suffix: str, tmp_path: Path) -> None:
    for order, axis in itertools.product(itertools.permutations(range(3)), range(3)):
        assert nsd(suffix, TURNED[:, order], (cube(12, 3, axis), cube(12, 5, axis)), tmp_path) == 1.0
