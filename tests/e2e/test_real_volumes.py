"""Real volumes and DICOM as they lie there: read, trained, scored, predicted onto their own grids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from commanding import Command

import delineate
from delineate import formats
from delineate.geometry import fit

FIXTURES = (
    "sct_spinalcord_nifti/images",
    "pyradiomics_nrrd/images",
    "msd_spleen2_ct_nifti/images",
    "dcmqi_ct_dicom_seg/images",
    "dcmqi_ct_dicom_seg/mr_23x38x3/image",
    "dcmqi_ct_dicom_seg/mr_24x38x3/multiframe",
)


@pytest.fixture(scope="module")
def hippocampus_run(data_root: Path, tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """A model of volumes, trained for a few epochs."""
    run = tmp_path_factory.mktemp("hippocampus") / "run"
    done = command("train", data_root / "hippocampus", "--out", run, "--epochs", "8")
    assert done.returncode == 0, done.stdout + done.stderr
    return run


@pytest.mark.slow
@pytest.mark.data
def test_hippocampus_goes_the_whole_way(hippocampus_run: Path, data_root: Path) -> None:
    model = delineate.load(hippocampus_run)
    assert model.plan.network.axes == 3
    assert model.plan.preprocessing.normalization == "image"  # its files have different ranges
    assert model.labels.names == ("label 1", "label 2")
    scores = model.card.scores
    assert scores is not None
    assert scores.dice is not None
    assert scores.dice.mean >= 0.75
    source = sorted((data_root / "hippocampus" / "images").iterdir())[0]
    mask = model.predict(source)
    assert mask.shape == formats.read(source).size


@pytest.mark.slow
@pytest.mark.data
def test_sunnybrook_goes_the_whole_way(data_root: Path, tmp_path: Path, command: Command) -> None:
    data, run = data_root / "sunnybrook", tmp_path / "run"
    done = command("train", data, "--out", run, "--epochs", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The files tell of 3 patients" in done.stdout
    assert "SCD0000" not in done.stdout + done.stderr  # their numbers, which are in their names
    model = delineate.load(run)
    assert model.plan.data.axes == 2
    assert model.card.scores is not None
    assert model.card.scores.groups == 1
    assert model.card.scores.dice is not None
    assert model.card.scores.dice.mean >= 0.6


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("of", ["volumes", "pictures"])
def test_masks_of_all_fixtures_lie_on_their_grids(
    hippocampus_run: Path, finished_run: Path, data_root: Path, tmp_path: Path, command: Command, of: str
) -> None:
    model = {"volumes": hippocampus_run, "pictures": finished_run}[of]
    for number, fixture in enumerate(FIXTURES):
        given, out = data_root / "formats" / fixture, tmp_path / str(number)
        done = command("predict", model, given, "--out", out)
        assert done.returncode == 0, done.stdout + done.stderr
        masks = [path for path in out.iterdir() if path.is_file() and path.name != "manifest.json"]
        singles = [path for path in given.iterdir() if path.name.endswith((".nii.gz", ".nrrd"))]
        if singles:
            assert {path.name for path in masks} == {path.name for path in singles}
        for mask in masks:
            if mask.suffix == ".dcm":
                _lies_on_dicom(mask, given)
            else:
                _lies_on(mask, given / mask.name)


def _lies_on(mask: Path, image: Path) -> None:
    """Same size, spacing, origin and directions, as an independent reader says."""
    found, source = (SimpleITK.ReadImage(str(path)) for path in (mask, image))
    assert found.GetSize() == source.GetSize()
    assert found.GetSpacing() == pytest.approx(source.GetSpacing(), abs=1e-5)
    assert found.GetOrigin() == pytest.approx(source.GetOrigin(), abs=1e-3)
    assert found.GetDirection() == pytest.approx(source.GetDirection(), abs=1e-5)


def _lies_on_dicom(mask: Path, given: Path) -> None:
    """Every plane of the segmentation is one of the images'."""
    stored = formats.read_mask(mask)
    images = [formats.read(path) for path in sorted(given.iterdir())]
    singles = [image.geometry for image in images if len(image.size) == 2]
    if not singles:
        assert fit(stored.geometry, stored.size, images[0].geometry) is not None
        return
    assert stored.size[1:] == images[0].size
    for index in range(stored.size[0]):
        plane = stored.geometry.moved((index, 0, 0))
        assert plane.directions is not None
        assert any(
            np.allclose(np.array(single.origin_mm), np.array(plane.origin_mm), atol=1e-3)
            and np.allclose(np.array(single.directions), np.array(plane.directions[1:]), atol=1e-6)
            for single in singles
        )
