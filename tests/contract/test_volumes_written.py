"""Masks and probabilities written as volumes lie where their image lies, for other programs as for us."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK
from volume_forms import ORDERS, TO_LPS, Affine, itk, oblique

from delineate import formats
from delineate.dataset.placing import on_grid
from delineate.errors import DataError, OutputError
from delineate.formats import metaimage, nifti, nrrd
from delineate.formats.stored import Family
from delineate.geometry import NOWHERE, Geometry
from delineate.image import LabelSet, Mask

FAMILIES: dict[str, Family] = {
    ".nii": nifti.FAMILY,
    ".nii.gz": nifti.FAMILY,
    ".nrrd": nrrd.FAMILY,
    ".mha": metaimage.FAMILY,
}
each_suffix = pytest.mark.parametrize("suffix", FAMILIES)
LABELS = LabelSet.of("left", "right", "middle")
VALUES = np.zeros((5, 6, 7), np.uint8)
VALUES[0, 1, 2], VALUES[4, 5, 6], VALUES[2, 3, 0:4] = 1, 2, 3
SHEARED = np.array([[0.0, 0.2, 0.75, -3.5], [0, 1.25, 0, 7], [2.5, 0.1, 0, 11.25], [0, 0, 0, 1]])


def write_mask(path: Path, mask: Mask) -> Path:
    write = FAMILIES[formats.suffix_of(path)].write_mask
    assert write is not None
    write(path, mask)
    return path


def write_probabilities(path: Path, values: npt.NDArray[np.floating], geometry: Geometry) -> Path:
    write = FAMILIES[formats.suffix_of(path)].write_probabilities
    assert write is not None
    write(path, values, geometry)
    return path


def labelled(values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Indices of all voxels that have a label, and the label."""
    return np.array([(*index, values[tuple(index)]) for index in np.argwhere(values)])


@each_suffix
@pytest.mark.parametrize(
    "affine", [oblique(order=order) for order in ORDERS] + [SHEARED], ids=[*ORDERS, "sheared"]
)
def test_every_labelled_voxel_stays_in_its_place(suffix: str, affine: Affine, tmp_path: Path) -> None:
    geometry = Geometry.from_affine(affine)
    path = write_mask(tmp_path / f"mask{suffix}", Mask(VALUES, LABELS, geometry))
    read = formats.read_mask(path)
    np.testing.assert_array_equal(read.values, VALUES)
    assert read.values.dtype == np.uint8
    np.testing.assert_allclose(read.geometry.affine(), affine, atol=1e-5 if "nii" in suffix else 1e-12)
    expected = [(affine @ [*index, 1])[:3] for *index, _ in labelled(VALUES)]
    if "nii" in suffix:
        other = nibabel.load(path)
        values = np.asanyarray(other.dataobj)
        assert values.dtype == np.uint8
        found = labelled(values.transpose(2, 1, 0))
        places = [(TO_LPS @ other.affine @ [*index[::-1], 1])[:3] for *index, _ in found]
        np.testing.assert_array_equal(found, labelled(VALUES))
        np.testing.assert_allclose(places, expected, atol=1e-4)
        assert other.header["sform_code"] == 1
        assert other.header["qform_code"] == (0 if affine is SHEARED else 1)
        assert other.header.get_xyzt_units() == ("mm", "unknown")
    if affine is SHEARED:
        return  # SimpleITK has no sheared images
    image = SimpleITK.ReadImage(str(path))
    assert image.GetPixelID() == SimpleITK.sitkUInt8
    found = labelled(SimpleITK.GetArrayFromImage(image))
    np.testing.assert_array_equal(found, labelled(VALUES))
    places = [image.TransformIndexToPhysicalPoint([int(each) for each in index[::-1]]) for *index, _ in found]
    np.testing.assert_allclose(places, expected, atol=1e-4 if "nii" in suffix else 1e-9)


@each_suffix
def test_an_image_of_the_family_gives_its_mask_the_same_place(suffix: str, tmp_path: Path) -> None:
    """Written by SimpleITK, read, its mask written, and both read again by SimpleITK."""
    itk(VALUES.astype(np.int16), oblique(order="yzx", flips=(-1, 1, 1)))(tmp_path / f"image{suffix}")
    geometry = formats.read(tmp_path / f"image{suffix}").geometry
    path = write_mask(tmp_path / f"mask{suffix}", Mask(VALUES, LABELS, geometry))
    image, mask = SimpleITK.ReadImage(str(tmp_path / f"image{suffix}")), SimpleITK.ReadImage(str(path))
    np.testing.assert_allclose(mask.GetOrigin(), image.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(mask.GetSpacing(), image.GetSpacing(), atol=1e-6)
    np.testing.assert_allclose(mask.GetDirection(), image.GetDirection(), atol=1e-6)


@each_suffix
@pytest.mark.parametrize(
    "geometry",
    [
        NOWHERE,
        Geometry((2.5, 1.25, 0.75)),
        Geometry((1.25, 0.75)),
        Geometry((2.0, 3.0), (1, 2, 0), ((0, 1, 0), (1, 0, 0))),
    ],
    ids=["nothing known", "spacing", "picture with spacing", "picture in its plane"],
)
def test_less_is_known(suffix: str, geometry: Geometry, tmp_path: Path) -> None:
    values = VALUES[2] if geometry.axes == 2 else VALUES
    path = write_mask(tmp_path / f"a{suffix}", Mask(values, LABELS, geometry))
    read = formats.read_mask(path)
    np.testing.assert_array_equal(read.values, values)
    assert read.volume == (values.ndim == 3)
    assert read.geometry == (Geometry((1.0, 1.0, 1.0)) if geometry == NOWHERE else geometry)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))), values)
    if "nii" in suffix and geometry.directions is None:
        header = nibabel.load(path).header
        assert (header["sform_code"], header["qform_code"]) == (0, 0)


@each_suffix
@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("axes", [2, 3])
def test_probabilities(suffix: str, labels: int, axes: int, tmp_path: Path) -> None:
    random = np.random.default_rng(3).random((labels, 5, 6, 7)[: axes + 1])
    affine = oblique()[:, 3 - axes :]
    place = Geometry.from_affine(affine) if axes == 3 else Geometry((1.25, 0.75))
    path = write_probabilities(tmp_path / f"a{suffix}", random, place)
    image = formats.read(path, formats.Reading(fourth_axis="channels"))
    assert image.pixels.dtype == np.float32
    np.testing.assert_array_equal(image.pixels.reshape(random.shape), random.astype(np.float32))
    if axes == 3:
        np.testing.assert_allclose(image.geometry.affine(), affine, atol=1e-5)
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    if labels > 1 and "nii" not in suffix:
        theirs = np.moveaxis(theirs, -1, 0)
    np.testing.assert_array_equal(theirs.reshape(random.shape), random.astype(np.float32))
    with pytest.raises(ValueError, match="between 0 and 1"):
        write_probabilities(path, random * 2, place)
    with pytest.raises(ValueError, match="between 0 and 1"):
        write_probabilities(path, np.full_like(random, np.nan), place)


@each_suffix
def test_the_same_mask_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    """No time, no name of a file, nothing that grows."""
    geometry = Geometry.from_affine(oblique())
    first = write_mask(tmp_path / f"Doe^John{suffix}", Mask(VALUES, LABELS, geometry)).read_bytes()
    os.utime(tmp_path / f"Doe^John{suffix}", (0, 0))
    second = write_mask(
        tmp_path / f"b{suffix}", Mask(np.asfortranarray(VALUES), LABELS, geometry)
    ).read_bytes()
    assert first == second
    assert b"Doe" not in first
    if suffix == ".nii.gz":
        assert first[3] == 0  # no name, comment or extra field
        assert first[4:8] == bytes(4)  # no time
    if suffix == ".nii":
        header = nibabel.Nifti1Header(first[:348])
        for name in ("descrip", "aux_file", "intent_name", "db_name"):
            assert bytes(header[name]).strip(b"\0") == b""


@each_suffix
def test_what_is_no_mask_is_not_written(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    wrong: list[tuple[Any, str]] = [
        (VALUES.astype(np.int16), "not .* int16"),
        (VALUES[None], "is written from"),
        (VALUES * 2, "holds the value 6, but has 3 labels"),
    ]
    for values, reason in wrong:
        with pytest.raises(ValueError, match=reason):
            write_mask(path, Mask(values, LABELS))
    with pytest.raises(ValueError, match="geometry of 2 axes"):
        write_mask(path, Mask(VALUES, LABELS, Geometry((1.0, 1.0))))
    assert not path.exists()


@each_suffix
def test_a_place_that_cannot_be_written(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_mask(tmp_path / "missing" / f"a{suffix}", Mask(VALUES, LABELS))
    (tmp_path / f"b{suffix}").mkdir()
    with pytest.raises(OutputError):
        write_mask(tmp_path / f"b{suffix}", Mask(VALUES, LABELS))
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"b{suffix}"]


def test_suffix_of_masks() -> None:
    expected = {
        "a.nii": ".nii",
        "A.NII": ".nii",
        "a.nii.gz": ".nii.gz",
        "a.nrrd": ".nrrd",
        "a.nhdr": ".nrrd",
        "a.mha": ".mha",
        "a.mhd": ".mha",
    }
    for name, suffix in expected.items():
        (family,) = (each for each in formats.FAMILIES if formats.suffix_of(Path(name)) in each.suffixes)
        assert family.mask_suffix(name) == suffix


def test_an_axis_too_long_for_nifti() -> None:
    with pytest.raises(ValueError, match="at most 32767"):
        write_mask(Path("a.nii"), Mask(np.zeros((1, 1, 32768), np.uint8), LABELS))


@pytest.mark.data
def test_masks_of_real_images_lie_on_them(data_root: Path, tmp_path: Path) -> None:
    images = [
        *(data_root / "formats").glob("*/images/*.nii.gz"),
        *(data_root / "formats").glob("*/images/*.nrrd"),
    ]
    assert len(images) >= 7
    for path in images:
        image = formats.read(path)
        values = (image.pixels[0] > np.median(image.units())).astype(np.uint8)
        written = write_mask(tmp_path / path.name, Mask(values, LABELS, image.geometry))
        theirs, mask = SimpleITK.ReadImage(str(path)), SimpleITK.ReadImage(str(written))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(mask), values)
        np.testing.assert_allclose(mask.GetOrigin(), theirs.GetOrigin(), atol=1e-5, err_msg=path.name)
        np.testing.assert_allclose(mask.GetSpacing(), theirs.GetSpacing(), atol=1e-5, err_msg=path.name)
        np.testing.assert_allclose(mask.GetDirection(), theirs.GetDirection(), atol=1e-5, err_msg=path.name)
        if path.suffix == ".gz":
            np.testing.assert_allclose(nibabel.load(written).affine, nibabel.load(path).affine, atol=1e-5)


FORMS = [(1, 2), (1, 4), (1, 1), (0, 2), (1, 0), (0, 0)]


def two_forms(path: Path, qform: int, sform: int, unit: str = "mm") -> Path:
    """An image of 7 × 6 × 5 voxels that its qform and its sform put at different places."""
    image = nibabel.Nifti1Image(VALUES.T.astype(np.int16), None)
    turned = np.array([[-2.0, 0, 0, -10], [0, -1, 0, -20], [0, 0, 4, -30], [0, 0, 0, 1]])
    image.header.set_qform(turned)
    image.header.set_sform(np.array([[2.0, 0, 0, 5], [0, 0.6, -3.2, 6], [0, 0.8, 2.4, 7], [0, 0, 0, 1]]))
    image.header["qform_code"], image.header["sform_code"] = qform, sform
    image.header.set_xyzt_units(unit)
    image.to_filename(path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("qform", "sform"), FORMS)
@pytest.mark.parametrize("unit", ["mm", "micron", "unknown"])
def test_whichever_form_a_program_takes_image_and_mask_are_on_one_grid(
    suffix: str, qform: int, sform: int, unit: str, tmp_path: Path
) -> None:
    image = two_forms(tmp_path / f"image{suffix}", qform, sform, unit)
    geometry = formats.read(image).geometry
    mask = write_mask(tmp_path / f"mask{suffix}", Mask(VALUES, LABELS, geometry))
    shares = np.full((3, 5, 6, 7), 0.25, np.float32)
    probabilities = write_probabilities(tmp_path / f"shares{suffix}", shares, geometry)
    ours, given = nibabel.load(mask), nibabel.load(image)
    np.testing.assert_array_equal(ours.affine, given.affine)
    np.testing.assert_array_equal(nibabel.load(probabilities).affine, given.affine)
    for name in ("qform_code", "sform_code", "srow_x", "quatern_c", "qoffset_x", "xyzt_units"):
        assert np.array_equal(ours.header[name], given.header[name]), name
    expected, written = SimpleITK.ReadImage(str(image)), SimpleITK.ReadImage(str(mask))
    assert written.GetOrigin() == expected.GetOrigin()
    assert written.GetDirection() == expected.GetDirection()
    assert written.GetSpacing() == expected.GetSpacing()
    assert SimpleITK.ReadImage(str(probabilities)).GetOrigin()[:3] == expected.GetOrigin()
    assert formats.read_mask(mask).geometry == geometry


def test_a_mask_drawn_by_the_qform_lies_where_the_image_does(tmp_path: Path) -> None:
    """ITK reads the image by its qform, and writes that grid, here with its axes turned too."""
    image = two_forms(tmp_path / "image.nii", 1, 2)
    drawn = SimpleITK.GetImageFromArray(VALUES)
    drawn.CopyInformation(SimpleITK.ReadImage(str(image)))
    turned = SimpleITK.PermuteAxes(drawn, [2, 0, 1])
    geometry = formats.read(image).geometry
    for name, given in {"drawn.nii.gz": drawn, "turned.nrrd": turned}.items():
        SimpleITK.WriteImage(given, str(tmp_path / name))
        stored = formats.read_mask(tmp_path / name)
        found = on_grid(stored, VALUES.shape, geometry, resample=False)
        np.testing.assert_array_equal(found.values, VALUES)
        assert found.geometry == geometry
    elsewhere = SimpleITK.GetImageFromArray(VALUES)
    elsewhere.SetSpacing(drawn.GetSpacing())
    SimpleITK.WriteImage(elsewhere, str(tmp_path / "elsewhere.nii"))
    with pytest.raises(DataError, match="it lies elsewhere in the patient"):
        on_grid(formats.read_mask(tmp_path / "elsewhere.nii"), VALUES.shape, geometry, resample=False)


IN_MICRONS = {
    "space.nrrd": (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: 7 6 5\nencoding: raw\n"
        "space directions: (0.3,0,0) (0,0,0.5) (0,-2,0)\nspace origin: (100,-200,0.7)\n"
        'space units: "microns" "µm" "um"\n\n'
    ),
    "spacings.nrrd": (
        "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 7 6 5\nencoding: raw\nspacings: 0.3 0.5 2\n"
        'units: "um" "um" "um"\n\n'
    ),
    "place.mha": (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nDistanceUnits = um\nOffset = 100 -200 0.7\n"
        "TransformMatrix = 1 0 0 0 0 1 0 -1 0\nElementSpacing = 0.3 0.5 2\nDimSize = 7 6 5\n"
        "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    ),
    "spacing.mha": (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nDistanceUnits = um\nElementSpacing = 0.3 0.5 2\n"
        "DimSize = 7 6 5\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    ),
}


@pytest.mark.parametrize("name", IN_MICRONS)
def test_a_mask_has_the_unit_of_its_image(name: str, tmp_path: Path) -> None:
    """ITK looks at no unit of these formats: the numbers have to be the image's."""
    (tmp_path / name).write_bytes(IN_MICRONS[name].encode() + VALUES.tobytes())
    geometry = formats.read(tmp_path / name).geometry
    assert geometry.spacing_mm == pytest.approx((0.002, 0.0005, 0.0003), rel=1e-12)
    mask = write_mask(tmp_path / f"mask_{name}", Mask(VALUES, LABELS, geometry))
    shares = np.full((3, 5, 6, 7), 0.25, np.float32)
    probabilities = write_probabilities(tmp_path / f"shares_{name}", shares, geometry)
    image = SimpleITK.ReadImage(str(tmp_path / name))
    assert image.GetSpacing() == (0.3, 0.5, 2)
    for path in (mask, probabilities):
        written = SimpleITK.ReadImage(str(path))
        assert written.GetSpacing() == pytest.approx(image.GetSpacing(), rel=1e-12)
        assert written.GetOrigin() == pytest.approx(image.GetOrigin(), rel=1e-12)
        assert written.GetDirection() == image.GetDirection()
        read = formats.read(path).geometry
        assert read.unit_mm == 1e-3
        assert read.spacing_mm == pytest.approx(geometry.spacing_mm, rel=1e-12)
        assert read.origin_mm == (geometry.origin_mm and pytest.approx(geometry.origin_mm, rel=1e-12))
    other = nibabel.load(write_mask(tmp_path / "mask.nii", Mask(VALUES, LABELS, geometry)))  # --format nifti
    assert other.header.get_xyzt_units() == ("micron", "unknown")
    np.testing.assert_allclose(other.header.get_zooms(), (0.3, 0.5, 2), rtol=1e-6)
    assert formats.read_mask(tmp_path / "mask.nii").geometry.spacing_mm == pytest.approx(
        (0.002, 0.0005, 0.0003)
    )


def test_units_that_differ_by_axis_or_that_nifti_has_not(tmp_path: Path) -> None:
    text = IN_MICRONS["spacings.nrrd"]
    for units, written, in_nifti in (
        ('"um" "mm" "um"', (0.0003, 0.5, 0.002), (0.0003, 0.5, 0.002)),
        ('"cm" "cm" "cm"', (0.3, 0.5, 2), (3, 5, 20)),
    ):
        (tmp_path / "a.nrrd").write_bytes(text.replace('"um" "um" "um"', units).encode() + VALUES.tobytes())
        mask = Mask(VALUES, LABELS, formats.read(tmp_path / "a.nrrd").geometry)
        path = write_mask(tmp_path / "mask.nrrd", mask)
        assert SimpleITK.ReadImage(str(path)).GetSpacing() == pytest.approx(written, rel=1e-12)
        other = nibabel.load(write_mask(tmp_path / "mask.nii", mask)).header
        assert other.get_xyzt_units()[0] == "mm"
        np.testing.assert_allclose(other.get_zooms(), in_nifti, rtol=1e-6)
