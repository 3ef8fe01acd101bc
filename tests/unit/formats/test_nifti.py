"""NIfTI's fields: which axes become what, which geometry counts, and what is refused with which words."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest

from delineate import formats
from delineate.errors import ImageError
from delineate.geometry import Geometry

Array = npt.NDArray[np.generic]
Fields = Mapping[str, object]
CHANNELS = formats.Reading(fourth_axis="channels")
RAMP = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)  # as in the file: x, y, z


def nifti(
    path: Path, array: Array = RAMP, affine: Array | None = None, fields: Fields | None = None, **more: object
) -> Path:
    """Write an image, then set fields of its header as they are given, unchecked."""
    image = nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine)
    content = bytearray(image.to_bytes())
    header = nibabel.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in {**(fields or {}), **more}.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def reason(path: Path, reading: formats.Reading = formats.USUAL) -> str:
    reasons = set()
    for reader in (formats.read, formats.header):
        with pytest.raises(ImageError) as caught:
            reader(path, reading)
        reasons.add(caught.value.reason)
    (only,) = reasons
    return only


def test_axes_are_reversed(tmp_path: Path) -> None:
    image = formats.read(nifti(tmp_path / "a.nii"))
    assert image.pixels.shape == (1, 4, 3, 2)
    assert image.pixels[0, 3, 1, 0] == RAMP[0, 1, 3]
    assert image.geometry == Geometry.from_affine(
        np.array([[0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0]], float)
    )
    assert image.geometry.orientation == "SAR"
    assert not image.shares


def test_a_fourth_axis_is_refused_or_channels(tmp_path: Path) -> None:
    array = np.stack([RAMP, RAMP + 100, RAMP * 3], axis=-1)
    path = nifti(tmp_path / "a.nii.gz", array, xyzt_units=2 | 8, pixdim=[1, 1, 1, 1, 2.5, 1, 1, 1])
    assert reason(path) == (
        "it holds 3 volumes along a fourth axis (time, 2.5 s apart). If they are channels of one image, "
        "say so by --fourth-axis channels; if they are separate images, such as moments in time, save each "
        "as a file of its own"
    )
    assert reason(nifti(path, array)).startswith("it holds 3 volumes along a fourth axis. If")
    image = formats.read(path, CHANNELS)
    np.testing.assert_array_equal(image.pixels, array.T)
    assert formats.header(path, CHANNELS).channels == 3
    with pytest.raises(ImageError, match="a mask with 3 numbers a pixel"):
        formats.read_mask(path, CHANNELS)


def test_more_axes_than_that(tmp_path: Path) -> None:
    for shape in ((2, 3, 4, 2, 3), (2, 3, 4, 1, 1, 2)):
        path = nifti(tmp_path / "a.nii", np.zeros(shape, np.uint8))
        assert "one a file" in reason(path, CHANNELS)
    assert "at most 64 are read" in reason(nifti(tmp_path / "a.nii", np.zeros((2, 2, 2, 1, 65), np.uint8)))


def test_which_geometry_counts(tmp_path: Path) -> None:
    """The sform's where it has a code, else the qform's, else the spacing alone."""
    path = tmp_path / "a.nii"
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    other: Fields = {"srow_x": [5, 0, 0, 1], "srow_y": [0, 6, 0, 2], "srow_z": [0, 0, 7, 3]}
    both = formats.read(nifti(path, affine=affine, sform_code=2, qform_code=1, fields=other)).geometry
    assert both.spacing_mm == (7, 6, 5)
    assert both.origin_mm == (-1, -2, 3)
    qform = formats.read(nifti(path, affine=affine, sform_code=0, qform_code=1, fields=other)).geometry
    assert qform.spacing_mm == (4, 3, 2)
    assert qform.origin_mm == (0, 0, 0)
    neither = formats.read(nifti(path, affine=affine, sform_code=0, qform_code=0, fields=other)).geometry
    assert neither == Geometry((4.0, 3.0, 2.0))
    apart = "its qform and sform put it at different places: the sform's was taken"
    for code, notes in ((2, 1), (0, 0)):
        image = formats.read(nifti(path, affine=affine, sform_code=code, qform_code=1, fields=other))
        assert [note.startswith(apart) for note in image.notes] == [True] * notes
    assert formats.read(nifti(path, affine=affine, sform_code=2, qform_code=1)).notes == ()
    unusable = formats.read(nifti(path, affine=affine, sform_code=1, qform_code=1, quatern_b=3.0))
    assert unusable.notes == ()
    assert unusable.geometry.spacing_mm == (4, 3, 2)
    metres = formats.read(nifti(path, affine=affine, sform_code=0, qform_code=0, xyzt_units=1)).geometry
    assert metres == Geometry((4000.0, 3000.0, 2000.0))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"sform_code": 1, "srow_z": [0, 0, 0, 1]},
            "its geometry is impossible: the affine has axes without length",
        ),
        (
            {"sform_code": 1, "srow_z": [1, 0, 1, 1], "srow_x": [1, 0, 1, 1]},
            "its geometry is impossible: directions",
        ),
        ({"sform_code": 1, "srow_x": [np.nan, 0, 0, 1]}, "its geometry is impossible"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 3.0}, "damaged"),
        (
            {"sform_code": 0, "qform_code": 0, "pixdim": [1, np.inf, 1, 1, 1, 1, 1, 1]},
            "its geometry is impossible",
        ),
        ({"xyzt_units": 5}, "its unit of length (5) is unknown"),
        ({"datatype": 32, "bitpix": 64}, "pixels that are complex are not read"),
        ({"datatype": 1, "bitpix": 1}, "pixels that are 1-bit are not read"),
        ({"datatype": 1536, "bitpix": 128}, "pixels that are of quadruple precision are"),
        ({"datatype": 77}, "of the unknown kind 77"),
        ({"dim": [3, 0, 3, 4, 1, 1, 1, 1]}, "form no picture or volume"),
        ({"dim": [3, -1, 3, 4, 1, 1, 1, 1]}, "form no picture or volume"),
        ({"dim": [1, 24, 1, 1, 1, 1, 1, 1]}, "form no picture or volume"),
        ({"dim": [9, 2, 3, 4, 1, 1, 1, 1]}, "form no picture or volume"),
        ({"vox_offset": 353.5}, "its pixels cannot begin at byte 353.5"),
        ({"vox_offset": np.nan}, "its pixels cannot begin at byte nan"),
        ({"vox_offset": 100}, "damaged"),
        ({"vox_offset": 0}, "its pixels cannot begin at byte 0"),
        ({"scl_slope": 2.0, "scl_inter": np.inf}, "(scl_inter) is no number"),
        ({"magic": b"ni1"}, "two files (.hdr and .img)"),
        ({"magic": b""}, "it is an Analyze image"),
        ({"magic": b"n+7"}, "lacks the mark of NIfTI"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_refused(suffix: str, fields: Fields, words: str, tmp_path: Path) -> None:
    assert words in reason(nifti(tmp_path / f"a{suffix}", fields=fields))


def test_harmless_faults_are_mended(tmp_path: Path) -> None:
    """A qfac of 0, a negative spacing beside an sform, a spacing of 0, bits that do not fit the type."""
    mended: list[Fields] = [{"pixdim": [0, -1, 0, 1, 1, 1, 1, 1]}, {"bitpix": 7}, {"scl_slope": 0}]
    for fields in mended:
        image = formats.read(nifti(tmp_path / "a.nii", RAMP, None, fields))
        np.testing.assert_array_equal(image.pixels[0], RAMP.T)
        assert image.pixels.dtype == np.int16


def test_notes_of_other_programs_are_passed_over(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii")
    content = path.read_bytes()
    head = bytearray(content[:352])
    head[348] = 1
    header = nibabel.Nifti1Header(bytes(head[:348]), check=False)
    header["vox_offset"] = 352 + 1600
    head[:348] = header.binaryblock
    for suffix, pack in ((".nii", bytes), (".nii.gz", gzip.compress)):
        other = tmp_path / f"b{suffix}"
        other.write_bytes(pack(bytes(head) + b"Doe^John" * 200 + content[352:]))
        np.testing.assert_array_equal(formats.read(other).pixels[0], RAMP.T)


def test_scaling_is_applied_to_masks_too(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", RAMP % 2 * 255, scl_slope=1 / 255, scl_inter=0.0)
    assert sorted(set(formats.read_mask(path).values.ravel().tolist())) == [0.0, 1.0]
    assert formats.header(path).mode == "float grey"


def test_colours_are_scaled_by_nothing(tmp_path: Path) -> None:
    colours = np.zeros((2, 3, 4), [(name, "u1") for name in "RGBA"])
    colours["R"], colours["G"], colours["A"] = 200, RAMP, 255
    image = formats.read(nifti(tmp_path / "a.nii", colours, scl_slope=3.0, scl_inter=1.0))
    assert image.pixels.shape == (3, 4, 3, 2)
    assert image.shares
    assert image.notes == ("a constant alpha channel was dropped",)
    np.testing.assert_array_equal(image.pixels[1], RAMP.T)
    assert image.pixels[0].min() == 200


def test_gzip_without_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"<html>" * 100))
    assert reason(tmp_path / "a.nii.gz") == "what gzip has packed in it is no NIfTI image"


def test_the_limit_counts_channels(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", np.zeros((100, 100, 100, 1, 3), np.uint8))
    assert formats.header(path, formats.Reading(maximum_megapixels=3)).channels == 3
    words = reason(path, formats.Reading(maximum_megapixels=2))
    assert "its 3 channels hold 3 million numbers, and at most 2 million are read" in words
