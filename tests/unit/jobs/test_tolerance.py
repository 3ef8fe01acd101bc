"""What is said of the surface Dice's tolerance before anything is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from delineate.jobs.fold_parts import FoldParts
from delineate.jobs.parts import TO_SCORE, checked_part
from delineate.jobs.reporter import Reporter
from delineate.jobs.source import Parts, Source
from delineate.jobs.tolerance import tolerance_cautions


class Heard(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def volumes(folder: Path, *spacings_mm: float | None) -> Path:
    """A volume of 13 × 13 × 13 voxels for each spacing: its diagonal has 13 √3 of them.

    Those without a spacing are arrays of NumPy.
    """
    generator = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number, spacing_mm in enumerate(spacings_mm):
        values = generator.integers(0, 1000, (13, 13, 13), dtype=np.int16)
        mask = np.zeros((13, 13, 13), np.uint8)
        mask[3:9, 3:9, 3 + number % 3 : 9] = 1
        for kind, array in (("images", values), ("masks", mask)):
            if spacing_mm is None:
                np.save(folder / kind / f"{number}.npy", array)
                continue
            image = SimpleITK.GetImageFromArray(array)
            image.SetSpacing((spacing_mm,) * 3)
            SimpleITK.WriteImage(image, str(folder / kind / f"{number}.nrrd"))
    return folder


def cautions(data: Path, tolerance_mm: float | None, heard: Reporter) -> tuple[str, ...]:
    part = checked_part(data, labels=None, group_regex=None, reporter=Reporter(), forgiven=TO_SCORE)
    return tolerance_cautions(part, tolerance_mm, heard)


def test_a_tolerance_larger_than_the_specimen_is_told(tmp_path: Path) -> None:
    heard = Heard()
    said = (
        "The NSD's tolerance of 2 mm is larger than a tenth of the image's diagonal in 2 of 3 cases, of "
        "0.0225 mm the smallest: there the NSD is high wherever the borders lie. Give a smaller one with "
        "--tolerance."
    )
    data = volumes(tmp_path / "data", 0.001, 0.5, 1.0)
    assert cautions(data, None, heard) == (said,)
    assert heard.warnings == [said]


@pytest.mark.parametrize(("tolerance_mm", "told"), [(None, False), (2.25, False), (2.26, True)])
def test_a_tenth_of_the_diagonal_is_the_limit(tmp_path: Path, tolerance_mm: float | None, told: bool) -> None:
    heard = Heard()
    data = volumes(tmp_path / "data", 1.0, 1.0)  # a diagonal of 22.52 mm
    assert bool(cautions(data, tolerance_mm, heard)) == told
    assert bool(heard.warnings) == told


def test_a_tolerance_in_millimetres_without_a_spacing_is_told(tmp_path: Path) -> None:
    heard = Heard()
    none = "--tolerance is in millimetres, but no image says its spacing: the NSD's tolerance is 2 px."
    assert cautions(volumes(tmp_path / "none", None, None), 1.0, heard) == (none,)
    some = (
        "--tolerance is in millimetres, but the spacing of 1 of 3 images is not known: there the "
        "NSD's tolerance is 2 px."
    )
    assert cautions(volumes(tmp_path / "some", 1.0, 1.0, None), 1.0, heard) == (some,)
    assert heard.warnings == [none, some]
    assert cautions(tmp_path / "none", None, heard) == ()
    assert cautions(volumes(tmp_path / "all", 1.0, 1.0), 1.0, heard) == ()


def test_runs_tell_it_beside_their_scores(tmp_path: Path) -> None:
    heard = Heard()
    data = volumes(tmp_path / "data", *[0.001] * 6)
    assert "tolerance of 2 mm" in Parts.read(Source(data), heard).cautions[-1]
    folds = FoldParts.read(Source(data), 2, heard)
    assert "in 6 of 6 cases" in folds.of_fold(1).cautions[-1]
    assert folds.final().cautions == ()
    assert sum("tolerance of 2 mm" in text for text in heard.warnings) == 2
    assert Parts.read(Source(data, tolerance_mm=0.001), heard).cautions == ()
