"""The text headers of NRRD and MetaImage: which fields count, and what is refused with which words."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from delineate import formats
from delineate.errors import ImageError
from delineate.geometry import NOWHERE, Geometry

Fields = Mapping[str, str | None]
CHANNELS = formats.Reading(fourth_axis="channels")
RAMP = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(4, 3, 2)
NRRD: Fields = {"type": "uint8", "dimension": "3", "sizes": "2 3 4", "encoding": "raw"}
PLACE: Fields = {
    "space": "left-posterior-superior",
    "space directions": "(2,0,0) (0,3,0) (0,0,4)",
    "space origin": "(5,6,7)",
}
META: Fields = {
    "ObjectType": "Image",
    "NDims": "3",
    "DimSize": "2 3 4",
    "BinaryData": "True",
    "ElementType": "MET_UCHAR",
}


def nrrd(path: Path, fields: Fields, data: bytes = RAMP.tobytes(), keys: str = "") -> Path:
    """An NRRD with other fields than the usual, or without those that are None."""
    lines = [f"{name}: {text}\n" for name, text in {**NRRD, **fields}.items() if text is not None]
    path.write_bytes(("NRRD0005\n" + "".join(lines) + keys + "\n").encode() + data)
    return path


def meta(path: Path, fields: Fields, data: bytes = RAMP.tobytes(), file: str = "LOCAL") -> Path:
    """A MetaImage with other fields than the usual, or without those that are None."""
    lines = [f"{name} = {text}\n" for name, text in {**META, **fields}.items() if text is not None]
    path.write_bytes(("".join(lines) + f"ElementDataFile = {file}\n").encode() + data)
    return path


def reason(path: Path, reading: formats.Reading = formats.USUAL) -> str:
    with pytest.raises(ImageError) as caught:
        formats.read(path, reading)
    return caught.value.reason


IN_PLACE = Geometry((4, 3, 2), (5, 6, 7), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))


@pytest.mark.parametrize(
    ("fields", "geometry"),
    [
        ({}, NOWHERE),
        ({"spacings": "2 3 4"}, Geometry((4.0, 3.0, 2.0))),
        ({"spacings": "2 3 4", "units": '"um" "mm" "cm"'}, Geometry((40.0, 3.0, 0.002))),
        ({"spacings": "nan nan nan"}, NOWHERE),
        (PLACE, IN_PLACE),
        ({**PLACE, "space directions": "( 2, 0, 0 ) (0,3,0)  (0,0,4)"}, IN_PLACE),
        ({**PLACE, "space": "scanner-xyz"}, IN_PLACE),
        ({**PLACE, "space origin": None}, Geometry((4, 3, 2))),
        (
            {**PLACE, "space": "RAS"},
            Geometry((4, 3, 2), (-5, -6, 7), ((0, 0, 1), (0, -1, 0), (-1, 0, 0))),
        ),
        (
            {**PLACE, "space": "left-anterior-superior"},
            Geometry((4, 3, 2), (5, -6, 7), ((0, 0, 1), (0, -1, 0), (1, 0, 0))),
        ),
        (
            {**PLACE, "space units": '"cm" "cm" "cm"'},
            Geometry((40, 30, 20), (50, 60, 70), ((0, 0, 1), (0, 1, 0), (1, 0, 0))),
        ),
    ],
)
def test_geometry_of_nrrd(fields: Fields, geometry: Geometry, tmp_path: Path) -> None:
    image = formats.read(nrrd(tmp_path / "a.nrrd", fields))
    np.testing.assert_array_equal(image.pixels[0], RAMP)
    assert image.geometry == geometry


@pytest.mark.parametrize(
    ("fields", "geometry"),
    [
        ({}, NOWHERE),
        ({"ElementSpacing": "2 3 4"}, Geometry((4.0, 3.0, 2.0))),
        ({"ElementSize": "2 3 4"}, Geometry((4.0, 3.0, 2.0))),
        ({"ElementSpacing": "2 3 4", "ElementSize": "9 9 9"}, Geometry((4.0, 3.0, 2.0))),
        ({"ElementSpacing": "2 3 4", "DistanceUnits": "um"}, Geometry((0.004, 0.003, 0.002))),
        ({"Offset": "5 6 7"}, Geometry((1, 1, 1), (5, 6, 7), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))),
        (
            {"ElementSpacing": "2 3 4", "Rotation": "0 1 0 -1 0 0 0 0 1"},
            Geometry((4, 3, 2), (0, 0, 0), ((0, 0, 1), (-1, 0, 0), (0, 1, 0))),
        ),
    ],
)
def test_geometry_of_metaimage(fields: Fields, geometry: Geometry, tmp_path: Path) -> None:
    image = formats.read(meta(tmp_path / "a.mha", fields))
    np.testing.assert_array_equal(image.pixels[0], RAMP)
    assert image.geometry == geometry


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "block"}, "pixels of type 'block' are not read"),
        ({"type": "short"}, "it does not say its byte order (endian)"),
        ({"type": None}, "its header does not say type"),
        ({"sizes": None, "encoding": None}, "its header does not say sizes and encoding"),
        ({"encoding": "bzip2"}, "its encoding (bzip2) is not read"),
        ({"encoding": "ascii"}, "its encoding (ascii) is not read"),
        ({"sizes": "2 3"}, "sizes of 2 axes, not of 3"),
        ({"sizes": "2 3 four"}, "damaged: sizes is '2 3 four'"),
        ({"sizes": "2 0 4"}, "it has no pixels (2×0×4)"),
        ({"sizes": "2 3 5"}, "truncated: at least 6 bytes are missing"),
        ({"sizes": "2 3 3"}, "it has 6 bytes more"),
        ({"spacings": "1 -1 1"}, "its geometry is impossible: spacings must be positive"),
        ({"spacings": "1 1"}, "2 spacings for 3 axes"),
        ({"spacings": "1 1 1", "units": '"in" "in" "in"'}, "its unit of length 'in' is unknown"),
        ({**PLACE, "space directions": "(1,0,0) (1,0,0) (0,0,1)"}, "its geometry is impossible: directions"),
        ({**PLACE, "space directions": "(1,0,0) (0,1,0)"}, "not 3 space directions"),
        ({**PLACE, "space directions": "(1,0,0) (0,1,0) (0,1)"}, "are not those of 2 or 3 axes"),
        ({**PLACE, "space origin": "(1,2)"}, "space origin is '1,2'"),
        ({"byte skip": "x"}, "byte skip is 'x'"),
        ({"line skip": "3"}, "stand behind other lines or bytes"),
        ({"spacing": "1 1 1"}, "has the field 'spacing' which is unknown"),
        ({"Spacings": "1 1 1", "spacings": "1 1 1"}, "has the field 'spacings' twice"),
    ],
)
def test_nrrd_refused(fields: Fields, words: str, tmp_path: Path) -> None:
    assert words in reason(nrrd(tmp_path / "a.nrrd", fields))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ObjectType": "Scene"}, "it holds no image but 'Scene'"),
        ({"ElementType": "MET_STRING"}, "pixels of type 'MET_STRING' are not read"),
        ({"ElementType": None}, "its header does not say ElementType"),
        ({"BinaryData": "False"}, "its pixels are written as text"),
        ({"BinaryData": "maybe"}, "neither true nor false"),
        ({"DimSize": "2 3"}, "DimSize tells 2 axes, NDims 3"),
        ({"NDims": "1", "DimSize": "24"}, "form no picture or volume"),
        ({"DimSize": "2 3 -4"}, "form no picture or volume"),
        ({"DimSize": "2 3 5"}, "truncated: at least 6 bytes are missing"),
        ({"DimSize": "2 3 3"}, "it has 6 bytes more"),
        ({"ElementSpacing": "1 0 1"}, "spacings must be positive"),
        ({"ElementSpacing": "1 1"}, "ElementSpacing is '1 1'"),
        ({"Offset": "0 0 0", "ElementSpacing": "1 -1 1"}, "spacings must be positive"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "its geometry is impossible: directions"),
        ({"TransformMatrix": "0 0 0 1 0 0 0 0 1"}, "axes without length"),
        ({"TransformMatrix": "1 0 0 0 1"}, "TransformMatrix is '1 0 0 0 1'"),
        ({"Offset": "0 0 0", "Position": "0 0 0"}, "its header has Offset twice"),
        ({"HeaderSize": "5"}, "cannot begin where HeaderSize tells"),
        ({"ElementToIntensityFunctionSlope": "2"}, "its numbers are to be converted"),
        ({"ElementNumberOfChannels": "0"}, "1 volumes of 0 channels"),
        ({"CompressedData": "True"}, "damaged"),
    ],
)
def test_metaimage_refused(fields: Fields, words: str, tmp_path: Path) -> None:
    assert words in reason(meta(tmp_path / "a.mha", fields))


FOUR = np.stack([RAMP, RAMP + 30, RAMP * 2])
LISTED: Fields = {"dimension": "4", "sizes": "2 3 4 3"}


@pytest.mark.parametrize(
    "kinds", [None, "domain domain domain list", "space space space time", "??? ??? ??? ???"]
)
def test_fourth_axis_of_nrrd(kinds: str | None, tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", {**LISTED, "kinds": kinds}, FOUR.tobytes())
    assert reason(path).startswith("it holds 3 volumes along a fourth axis")
    np.testing.assert_array_equal(formats.read(path, CHANNELS).pixels, FOUR)
    with pytest.raises(ImageError, match="3 numbers a pixel"):
        formats.read_mask(path, CHANNELS)


def test_diffusion_series_are_refused(tmp_path: Path) -> None:
    """As 3D Slicer writes them: the list runs fastest, and gradients stand in keys."""
    path = nrrd(
        tmp_path / "a.nrrd",
        {
            "dimension": "4",
            "sizes": "3 2 3 4",
            "kinds": "list domain domain domain",
            **PLACE,
            "space directions": "none (2,0,0) (0,3,0) (0,0,4)",
        },
        np.moveaxis(FOUR, 0, -1).tobytes(),
        keys="modality:=DWMRI\nDWMRI_b-value:=1000\nDWMRI_gradient_0000:=0 0 1\n",
    )
    assert "3 volumes along a fourth axis (list)" in reason(path)
    image = formats.read(path, CHANNELS)
    np.testing.assert_array_equal(image.pixels, FOUR)
    assert image.pixels.flags.c_contiguous
    assert image.geometry.spacing_mm == (4, 3, 2)


def test_axes_that_are_no_volume(tmp_path: Path) -> None:
    several: list[Fields] = [
        {"dimension": "1", "sizes": "24"},
        {"dimension": "5", "sizes": "2 3 2 2 1", "kinds": "domain domain domain vector list"},
        {"dimension": "4", "sizes": "2 3 2 2", "kinds": "domain domain vector list"},
    ]
    for fields in several:
        path = nrrd(tmp_path / "a.nrrd", fields)
        if fields["dimension"] == "5":  # an axis of one says nothing
            assert formats.read(path).pixels.shape == (2, 2, 3, 2)
        else:
            assert "are no volume with channels" in reason(path)


def test_fourth_axis_of_metaimage(tmp_path: Path) -> None:
    path = meta(
        tmp_path / "a.mha",
        {
            "NDims": "4",
            "DimSize": "2 3 4 3",
            "ElementSpacing": "2 3 4 1",
            "TransformMatrix": "0 1 0 0 1 0 0 0 0 0 1 0 0 0 0 1",
            "Offset": "5 6 7 0",
        },
        FOUR.tobytes(),
    )
    assert reason(path).startswith("it holds 3 volumes along a fourth axis. If")
    image = formats.read(path, CHANNELS)
    np.testing.assert_array_equal(image.pixels, FOUR)
    assert image.geometry == Geometry((4, 3, 2), (5, 6, 7), ((0, 0, 1), (1, 0, 0), (0, 1, 0)))
    four: Fields = {"NDims": "4", "DimSize": "2 3 4 3"}
    mixed = meta(path, {**four, "TransformMatrix": "1 0 0 1 0 1 0 0 0 0 1 0 0 0 0 1"}, FOUR.tobytes())
    assert "its fourth axis is mixed" in reason(mixed, CHANNELS)
    both = meta(path, {**four, "ElementNumberOfChannels": "2"}, bytes(144))
    assert "3 volumes of 2 channels" in reason(both, CHANNELS)


def test_segments_of_slicer_keep_their_names(tmp_path: Path) -> None:
    keys = (
        "Segment0_ID:=Segment_1\nSegment0_LabelValue:=2\nSegment0_Layer:=0\nSegment0_Name:=left lung\n"
        "Segment1_LabelValue:=5\nSegment1_Name:=heart: whole\n"
        "Segmentation_ReferenceImageExtentOffset:=3 4 5\n"
    )
    mask = formats.read_mask(nrrd(tmp_path / "a.seg.nrrd", PLACE, keys=keys))
    assert mask.names == {2: "left lung", 5: "heart: whole"}
    assert mask.partial
    plain = formats.read_mask(nrrd(tmp_path / "a.nrrd", PLACE))
    assert not plain.names
    assert not plain.partial


def test_pixels_of_a_metaimage_may_be_packed_by_gzip(tmp_path: Path) -> None:
    path = meta(tmp_path / "a.mha", {"CompressedData": "True"}, gzip.compress(RAMP.tobytes()))
    np.testing.assert_array_equal(formats.read(path).pixels[0], RAMP)


def test_the_data_file_may_be_named_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "größe 1.raw").write_bytes(RAMP.tobytes())
    for path in (
        meta(tmp_path / "a.mhd", {}, b"", "./größe 1.raw"),
        nrrd(tmp_path / "a.nhdr", {"data file": "./größe 1.raw"}, b""),
        nrrd(tmp_path / "b.nhdr", {"data file": "größe 1.raw", "byte skip": "-1"}, b""),
    ):
        np.testing.assert_array_equal(formats.read(path).pixels[0], RAMP)


def test_links_beside_each_other_are_followed(tmp_path: Path) -> None:
    """A data set made of links keeps header and pixels together."""
    store, view = tmp_path / "store", tmp_path / "view"
    store.mkdir()
    view.mkdir()
    meta(store / "a.mhd", {}, b"", "a.raw")
    (store / "a.raw").write_bytes(RAMP.tobytes())
    for name in ("a.mhd", "a.raw"):
        (view / name).symlink_to(store / name)
    np.testing.assert_array_equal(formats.read(view / "a.mhd").pixels[0], RAMP)
