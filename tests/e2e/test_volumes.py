"""Volumes through the command line: trained on, predicted on their own grid, whatever their format."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK
from clinic import SIZE, affine_ras, volume, write_nifti, write_series
from commanding import Command

import delineate
from delineate import formats
from delineate.geometry import fit


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight volumes with a ball each, in NIfTI, their axes turned to RAS."""
    root = tmp_path_factory.mktemp("volumes") / "balls"
    for number in range(8):
        values, mask = volume(number)
        write_nifti(root / "images" / f"ball_{number}.nii.gz", values)
        write_nifti(root / "masks" / f"ball_{number}.nii.gz", mask)
    return root


@pytest.fixture(scope="module")
def run(volumes: Path, tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """A run of the net that sees volumes."""
    folder = tmp_path_factory.mktemp("work") / "run"
    done = command("train", volumes, "--out", folder, "--epochs", "16", "--dims", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def physical(path: Path) -> set[tuple[float, ...]]:
    """The places (LPS, 0.01 mm) of a mask's labelled voxels, by SimpleITK."""
    image = SimpleITK.ReadImage(str(path))
    values = SimpleITK.GetArrayFromImage(image)
    return {
        tuple(round(each, 2) for each in image.TransformIndexToPhysicalPoint([int(n) for n in index[::-1]]))
        for index in np.argwhere(values)
    }


def test_a_ball_is_learned_in_three_dimensions(run: Path) -> None:
    model = delineate.load(run)
    plan = model.plan
    assert (plan.data.axes, plan.network.axes) == (3, 3)
    assert plan.preprocessing.orientation == "SPL"
    assert plan.preprocessing.spacing_mm is not None
    assert model.card.scores is not None
    assert model.card.scores.dice is not None
    assert model.card.scores.dice.mean > 0.7
    scores = json.loads((run / "evaluation" / "summary.json").read_text())
    assert scores["labels"][0]["volumes"]["reference_ml"]["mean"] == pytest.approx(
        3.05, abs=0.3
    )  # 4/3 π 9³ mm³


def test_masks_lie_where_their_images_do(run: Path, volumes: Path, tmp_path: Path, command: Command) -> None:
    """The same volume as NIfTI in two orientations, NRRD, MetaImage and DICOM: one mask in the patient."""
    values, reference = volume(0)
    given = tmp_path / "given"
    write_nifti(given / "ras.nii.gz", values)
    nibabel.save(nibabel.Nifti1Image(values.T, affine_ras()), given / "stored.nii")
    image = SimpleITK.ReadImage(str(given / "stored.nii"))
    SimpleITK.WriteImage(image, str(given / "nrrd.nrrd"))
    SimpleITK.WriteImage(image, str(given / "meta.mha"))
    write_series(given / "series", values, 1)
    inputs = [given / name for name in ("ras.nii.gz", "stored.nii", "nrrd.nrrd", "meta.mha", "series")]
    done = command("predict", run, *inputs, "--out", tmp_path / "masks", "--overlay", "--probabilities")
    assert done.returncode == 0, done.stderr
    places = physical(tmp_path / "masks" / "ras.nii.gz")
    assert len(places) > 0.6 * reference.sum()
    for name in ("stored.nii", "nrrd.nrrd", "meta.mha"):
        assert physical(tmp_path / "masks" / name) == places
        source, mask = (SimpleITK.ReadImage(str(folder / name)) for folder in (given, tmp_path / "masks"))
        assert mask.GetSize() == source.GetSize()
        assert mask.GetSpacing() == pytest.approx(source.GetSpacing(), abs=1e-6)
        assert mask.GetOrigin() == pytest.approx(source.GetOrigin(), abs=1e-5)
        assert mask.GetDirection() == pytest.approx(source.GetDirection(), abs=1e-6)
    theirs = nibabel.load(tmp_path / "masks" / "ras.nii.gz")
    assert np.array_equal(theirs.affine, nibabel.load(given / "ras.nii.gz").affine)
    assert theirs.get_data_dtype() == np.uint8
    assert on_series(tmp_path / "masks" / "series.dcm", given / "series") == places
    slices = sorted((given / "series").iterdir())
    one_by_one = command("predict", run, *slices, "--out", tmp_path / "again")
    assert one_by_one.returncode == 0, one_by_one.stderr
    assert on_series(tmp_path / "again" / "series.dcm", given / "series") == places


def on_series(segmentation: Path, series: Path) -> set[tuple[float, ...]]:
    """Likewise of a DICOM segmentation, brought onto the grid of its series."""
    stored, image = formats.read_mask(segmentation), formats.read(series)
    found = fit(stored.geometry, stored.size, image.geometry)
    assert found is not None
    affine = stored.geometry.affine()
    return {tuple(np.round(affine[:3] @ [*index, 1], 2).tolist()) for index in np.argwhere(stored.values)}


def test_series_are_trained_on_with_masks_in_other_orientations(tmp_path: Path, command: Command) -> None:
    root = tmp_path / "ward"
    for number in range(5):
        values, mask = volume(number)
        write_series(root / "images" / f"p{number}", values, number)
        write_nifti(root / "masks" / f"p{number}.nii.gz", mask)
    report = delineate.check(root)
    assert report.ok, report.problems
    assert report.axes == 3
    assert all(case.stack for case in report.cases)
    assert set(report.groups.values()) == {f"patient {number}" for number in range(1, 6)}
    done = command("train", root, "--out", tmp_path / "run", "--epochs", "1", "--dims", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    plan = delineate.read_plan(tmp_path / "run" / "plan.yaml")
    assert (plan.data.axes, plan.network.axes) == (3, 2)
    predicted = command("predict", tmp_path / "run", root / "images" / "p0", "--out", tmp_path / "masks")
    assert predicted.returncode == 0, predicted.stderr
    (path,) = (tmp_path / "masks").glob("*.dcm")
    assert formats.read_mask(path).values.ndim == 3


def test_a_model_of_pictures_sees_volumes_slice_by_slice(
    finished_run: Path, volumes: Path, tmp_path: Path, command: Command
) -> None:
    source = volumes / "images" / "ball_0.nii.gz"
    done = command("predict", finished_run, source, "--out", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    mask, image = nibabel.load(tmp_path / "masks" / "ball_0.nii.gz"), nibabel.load(source)
    assert mask.shape == image.shape
    assert np.array_equal(mask.affine, image.affine)
    notes = json.loads((tmp_path / "masks" / "manifest.json").read_text())["files"][0]["notes"]
    assert any("slice by slice" in note for note in notes)
    assert any("stretched" in note for note in notes)


def shifted(values: npt.NDArray[np.uint8], path: Path) -> None:
    affine = affine_ras()
    affine[:3, 3] += 0.5
    nibabel.save(nibabel.Nifti1Image(values.T, affine), path)


def test_masks_between_the_voxels_are_refused_unless_allowed(tmp_path: Path, command: Command) -> None:
    root = tmp_path / "data"
    for number in range(3):
        values, mask = volume(number)
        write_nifti(root / "images" / f"{number}.nii.gz", values)
        write_nifti(root / "masks" / f"{number}.nii.gz", mask)
    _, mask = volume(0)
    shifted(mask, root / "masks" / "0.nii.gz")
    refused = command("check", root)
    assert refused.returncode == 1
    assert "masks/0.nii.gz of images/0.nii.gz: it lies elsewhere" in refused.stdout
    assert "--resample-masks" in refused.stdout
    assert command("check", root, "--resample-masks").returncode == 0


def test_each_series_of_a_folder_of_folders_is_predicted(run: Path, tmp_path: Path, command: Command) -> None:
    for number in range(2):
        write_series(tmp_path / "scans" / f"p{number}", volume(number)[0], number)
    done = command("predict", run, tmp_path / "scans", "--out", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "masks").glob("*.dcm")} == {"p0.dcm", "p1.dcm"}


def test_two_series_in_one_folder_are_told(tmp_path: Path, command: Command) -> None:
    for number in range(2):
        values, mask = volume(number)
        write_series(tmp_path / "made" / str(number), values, number, stem=f"s{number}_")
        write_nifti(tmp_path / "data" / "masks" / f"p{number}.nii.gz", mask)
        write_series(tmp_path / "data" / "images" / f"p{number}", values, number)
    for path in (tmp_path / "made" / "1").iterdir():
        path.rename(tmp_path / "data" / "images" / "p0" / path.name)
    done = command("check", tmp_path / "data")
    assert done.returncode == 1
    assert "images/p0/ holds 2 DICOM series" in done.stdout
    assert "Give each series a folder of its own" in done.stdout


def test_masks_without_a_place_are_told(tmp_path: Path, command: Command) -> None:
    for number in range(3):
        values, mask = volume(number)
        nibabel.save(nibabel.Nifti1Image(values.T, affine_ras()), (tmp_path / f"image_{number}.nii.gz"))
        np.save(tmp_path / f"mask_{number}.npy", mask)
    done = command("check", tmp_path)
    assert done.returncode == 0, done.stdout
    assert "3 masks without a place in the patient, of images that have one" in done.stdout


def test_too_little_memory_is_said_with_numbers(
    run: Path, volumes: Path, tmp_path: Path, command: Command
) -> None:
    source = volumes / "images" / "ball_0.nii.gz"
    done = command("predict", run, source, "--out", tmp_path / "masks", "--memory", "10MB")
    assert done.returncode == 2
    assert "--memory allows 10 MB, but the program alone takes 629 MB" in done.stderr
    done = command("predict", run, source, "--out", tmp_path / "masks", "--memory", "630MB")
    assert done.returncode == 1
    assert "GB of memory, and 0.6 GB are allowed by --memory" in done.stderr
    wrong = command("predict", run, source, "--out", tmp_path / "none", "--memory", "much")
    assert wrong.returncode == 2
    assert not (tmp_path / "none").exists()


def test_a_fourth_axis_is_taken_for_channels_if_one_says_so(tmp_path: Path, command: Command) -> None:
    root = tmp_path / "data"
    for number in range(3):
        values, mask = volume(number)
        both = np.stack([values.T, values.T // 2], axis=-1)
        (root / "images").mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(both, affine_ras()), root / "images" / f"{number}.nii.gz")
        write_nifti(root / "masks" / f"{number}.nii.gz", mask)
    refused = command("check", root)
    assert refused.returncode == 1
    assert "--fourth-axis channels" in refused.stdout
    taken = command("train", root, "--fourth-axis", "channels", "--out", tmp_path / "run", "--epochs", "1")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    plan = delineate.read_plan(tmp_path / "run" / "plan.yaml")
    assert (plan.data.channels, plan.data.fourth_axis) == (2, "channels")
    source = root / "images" / "0.nii.gz"
    assert command("predict", tmp_path / "run", source, "--out", tmp_path / "masks").returncode == 0
    assert nibabel.load(tmp_path / "masks" / "0.nii.gz").shape == SIZE[::-1]
