"""One volume written in every form reads to the same pixels at the same place in the patient."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK
from volume_forms import BY_NAME, FORMS, TO_LPS, Form

from delineate import formats
from delineate.errors import ImageError
from delineate.geometry import Geometry

SPACING = (2.5, 1.25, 0.75)
# SimpleITK takes the channels of some for a fourth axis, and does not read NIfTI-2
NOT_ITKS = ("nifti vectors.nii", "nifti-2", "nifti no code")
each_form = pytest.mark.parametrize("form", FORMS, ids=[form.name.replace(" ", "-") for form in FORMS])


@each_form
def test_reads_what_was_written(form: Form, tmp_path: Path) -> None:
    path = tmp_path / form.name
    form.write(path)
    image = formats.read(path)
    assert image.pixels.dtype == form.pixels.dtype
    assert image.pixels.flags.c_contiguous
    assert image.pixels.dtype.isnative
    np.testing.assert_array_equal(image.pixels, form.pixels)
    assert image.notes == ()
    assert image.shares == ("rgb" in form.name or "colours" in form.name)
    assert_place(image.geometry, form)
    stated = formats.header(path)
    assert (stated.size, stated.channels) == (form.pixels.shape[1:], len(form.pixels))


@each_form
def test_masks_are_as_stored(form: Form, tmp_path: Path) -> None:
    path = tmp_path / form.name
    form.write(path)
    if form.stored is None:
        with pytest.raises(ImageError, match="3 numbers a pixel has no clear meaning"):
            formats.read_mask(path)
        return
    mask = formats.read_mask(path)
    assert mask.values.dtype == form.stored.dtype
    np.testing.assert_array_equal(mask.values, form.stored)
    assert mask.volume == (form.stored.ndim == 3)
    assert not mask.coloured
    assert_place(mask.geometry, form)


def assert_place(geometry: Geometry, form: Form) -> None:
    axes = form.pixels.ndim - 1
    assert geometry.spacing_mm == pytest.approx(SPACING[3 - axes :], rel=1e-6)
    if form.affine is None:
        assert geometry.directions is None
    else:
        np.testing.assert_allclose(geometry.affine(), form.affine, atol=2e-5)


@each_form
def test_agrees_with_other_programs(form: Form, tmp_path: Path) -> None:
    """Pixels and the place of every corner, as nibabel and SimpleITK have them."""
    path = tmp_path / form.name
    form.write(path)
    image = formats.read(path)
    corners = list(itertools.product(*((0, n - 1) for n in image.size)))
    if ".nii" in form.name and "rgb" not in form.name:
        theirs = nibabel.load(path)
        array = np.asanyarray(theirs.dataobj).squeeze().T
        np.testing.assert_array_equal(array.astype(image.pixels.dtype), image.pixels.squeeze())
        if form.affine is not None:
            unit = {"meter": 1e3, "micron": 1e-3}.get(theirs.header.get_xyzt_units()[0], 1)
            for corner in corners:
                index = (*corner[::-1], *[0] * (3 - len(corner)), 1)
                place = (TO_LPS @ theirs.affine @ index)[:3] * unit
                np.testing.assert_allclose((image.geometry.affine() @ [*corner, 1])[:3], place, atol=1e-9)
    if form.name.startswith(NOT_ITKS) or ("nii" in form.name and image.pixels.ndim == 3):
        return  # SimpleITK has a picture's place in two dimensions only
    other = SimpleITK.ReadImage(str(path))
    array = SimpleITK.GetArrayFromImage(other).squeeze()
    if len(image.pixels) > 1:
        array = np.moveaxis(array, -1, 0)
    np.testing.assert_array_equal(array.astype(image.pixels.dtype), image.pixels.squeeze())
    if form.affine is None:
        assert other.GetSpacing() == pytest.approx(SPACING[::-1])
        return
    for corner in corners:
        their_index = [*corner[::-1], *[0] * (other.GetDimension() - len(corner))]
        place = np.zeros(3)
        place[: min(3, other.GetDimension())] = other.TransformIndexToPhysicalPoint(their_index)[:3]
        ours = (image.geometry.affine() @ [*corner, 1])[:3]
        np.testing.assert_allclose(ours, place, atol=1e-9 if ".nii" not in form.name else 3e-5)


@pytest.mark.parametrize("name", ["nifti packed.nii.gz", "nrrd raw.nrrd", "meta packed.mha"])
def test_the_name_does_not_matter(name: str, tmp_path: Path) -> None:
    form = BY_NAME[name]
    form.write(tmp_path / name)
    (tmp_path / name).rename(tmp_path / "volume.PNG")
    np.testing.assert_array_equal(formats.read(tmp_path / "volume.PNG").pixels, form.pixels)


def test_suffixes_are_known() -> None:
    for name, suffix in {
        "a.b.nii.gz": ".nii.gz",
        "A.NII": ".nii",
        "a.nrrd": ".nrrd",
        "a.nhdr": ".nhdr",
        "a.mha": ".mha",
        "a.mhd": ".mhd",
    }.items():
        assert formats.is_image(Path(name))
        assert formats.suffix_of(Path(name)) == suffix
        assert formats.stem_of(Path(name)) == name[: -len(suffix)]


@pytest.mark.data
def test_real_volumes_agree_with_nibabel_and_simpleitk(data_root: Path) -> None:
    fixtures = sorted((data_root / "formats").rglob("*.nii.gz"))
    fixtures += sorted((data_root / "formats").rglob("*.nrrd"))
    hippocampus = sorted((data_root / "hippocampus").rglob("*.nii.gz"))[::11]
    assert len(fixtures) >= 14
    assert len(hippocampus) >= 10
    for path in [*fixtures, *hippocampus]:
        image, other = formats.read(path), SimpleITK.ReadImage(str(path))
        array: npt.NDArray[np.generic] = SimpleITK.GetArrayFromImage(other)
        np.testing.assert_array_equal(image.pixels[0], array, err_msg=path.name)
        np.testing.assert_array_equal(formats.read_mask(path).values, array, err_msg=path.name)
        for corner in itertools.product(*((0, n - 1) for n in array.shape)):
            ours = (image.geometry.affine() @ [*corner, 1])[:3]
            theirs = other.TransformIndexToPhysicalPoint([int(index) for index in corner[::-1]])
            np.testing.assert_allclose(ours, theirs, atol=2e-4, err_msg=path.name)
        if path.suffix == ".gz":
            np.testing.assert_allclose(
                image.geometry.affine(), TO_LPS @ nibabel.load(path).affine[:, [2, 1, 0, 3]], atol=1e-9
            )
