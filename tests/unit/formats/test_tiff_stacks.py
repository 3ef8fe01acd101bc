"""TIFFs of several pages: their axes and spacing, as tifffile's own reading of them has it, and refusals."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from delineate import formats
from delineate.errors import ImageError
from delineate.geometry import Geometry
from delineate.image import LabelSet, Mask

Array = npt.NDArray[np.generic]
CHANNELS = formats.Reading(fourth_axis="channels")


def ramp(*shape: int, dtype: str = "uint8") -> Array:
    """No two planes and no two directions alike."""
    return (np.arange(np.prod(shape)).reshape(shape) * 7 % 251).astype(dtype)


def reason(path: Path, reading: formats.Reading | None = None) -> str:
    reading = reading or formats.Reading()
    with pytest.raises(ImageError) as caught:
        formats.read(path, reading)
    for reader in (formats.header, formats.read_mask):
        with pytest.raises(ImageError) as again:
            reader(path, reading)
        assert again.value.reason == caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("options", [{}, {"compression": "deflate"}, {"byteorder": ">"}, {"bigtiff": True}])
def test_pages_are_slices(dtype: str, options: dict[str, object], tmp_path: Path) -> None:
    path, volume = tmp_path / "a.tif", ramp(5, 8, 9, dtype=dtype)
    tifffile.imwrite(path, volume, metadata=None, photometric="minisblack", **options)
    image = formats.read(path)
    np.testing.assert_array_equal(image.pixels, volume[None])
    assert image.pixels.dtype == dtype
    assert image.shares
    assert image.geometry == Geometry()
    header = formats.header(path)
    assert (header.size, header.channels) == ((5, 8, 9), 1)
    stored = formats.read_mask(path)
    assert (stored.volume, stored.coloured, stored.size) == (True, False, (5, 8, 9))
    np.testing.assert_array_equal(stored.values, volume)


def test_colour_pages(tmp_path: Path) -> None:
    path, volume = tmp_path / "a.tif", ramp(5, 8, 9, 3)
    tifffile.imwrite(path, volume, metadata=None, photometric="rgb")
    np.testing.assert_array_equal(formats.read(path).pixels, np.moveaxis(volume, -1, 0))
    assert formats.header(path) == formats.Header((5, 8, 9), "RGB", "TIFF", 3)
    with pytest.raises(ImageError, match="3 channels of uint8 has no clear meaning"):
        formats.read_mask(path)


def test_palette_pages(tmp_path: Path) -> None:
    path, indices = tmp_path / "a.tif", ramp(3, 8, 9)
    colours = np.arange(768, dtype=np.uint16).reshape(3, 256) * 85
    tifffile.imwrite(path, indices, metadata=None, photometric="palette", colormap=colours)
    expected = (colours >> 8).astype(np.uint8)[:, indices]
    np.testing.assert_array_equal(formats.read(path).pixels, expected)
    stored = formats.read_mask(path)
    np.testing.assert_array_equal(stored.values, indices)
    assert stored.palette is not None
    assert stored.volume


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("ZYX", (4, 8, 9), "ZYX"),
        ("CYX", (2, 8, 9), "CYX"),
        ("ZCYX", (4, 2, 8, 9), "CZYX"),
        ("ZYXS", (4, 8, 9, 3), "SZYX"),
    ],
)
@pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
def test_axes_as_tifffile_reads_them(
    kind: str, axes: str, shape: tuple[int, ...], expected: str, tmp_path: Path
) -> None:
    path, pixels = tmp_path / "a.tif", ramp(*shape)
    options = {} if kind == "shaped" else {kind: True}
    photometric = "rgb" if "S" in axes else "minisblack"
    tifffile.imwrite(path, pixels, metadata={"axes": axes}, photometric=photometric, **options)
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        assert series.axes == axes
        independent: Array = series.asarray().transpose([axes.index(axis) for axis in expected])
    if axes == "ZYX":
        independent = independent[None]
    image = formats.read(path)
    np.testing.assert_array_equal(image.pixels, independent)
    header = formats.header(path)
    assert (header.size, header.channels) == (image.size, image.channels)


@pytest.mark.parametrize("order", ["XYZCT", "XYCZT", "XYTZC"])
def test_ome_dimension_order(order: str, tmp_path: Path) -> None:
    sizes = {"T": 1, "C": 2, "Z": 3, "Y": 8, "X": 9}
    axes = order[::-1]
    pixels = ramp(*(sizes[axis] for axis in axes))
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata={"axes": axes})
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert f'DimensionOrder="{order}"' in (tiff.ome_metadata or "")
    expected = pixels.transpose([axes.index(axis) for axis in "TCZYX"])[0]
    np.testing.assert_array_equal(formats.read(tmp_path / "a.ome.tif").pixels, expected)


def test_ome_planes_in_another_order(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.tif", ramp(3, 8, 9)
    blocks = "".join(f'<TiffData IFD="{2 - z}" FirstZ="{z}" PlaneCount="1"/>' for z in range(3))
    _write_ome(path, pixels, 'SizeZ="3"', blocks)
    np.testing.assert_array_equal(formats.read(path).pixels, pixels[None, ::-1])
    np.testing.assert_array_equal(formats.read(path).pixels[0], tifffile.imread(path))


@pytest.mark.parametrize(
    ("sizes", "blocks", "words"),
    [
        ('SizeZ="4"', "<TiffData/>", "tells of 1 times, 4 slices, 1 channels, but it has 3 pages"),
        ('SizeZ="999999999"', "<TiffData/>", "but it has 3 pages"),
        ('SizeZ="-3"', "<TiffData/>", "says SizeZ='-3'"),
        ('SizeZ="3"', '<TiffData IFD="0"/>', "does not name every page once"),
        ('SizeZ="3"', '<TiffData IFD="1" PlaneCount="3"/>', "names pages that it has not"),
        ('SizeZ="3"', '<TiffData FirstZ="3"/>', "names planes that are none of its own"),
        (
            'SizeZ="3"',
            "<TiffData><UUID>a</UUID></TiffData><TiffData><UUID>b</UUID></TiffData>",
            "several files",
        ),
        ('SizeT="3"', "<TiffData/>", "a series of 3 points in time"),
        ('DimensionOrder="XYZZZ"', "<TiffData/>", "its OME dimension order is 'XYZZZ'"),
    ],
)
def test_ome_that_contradicts_itself(sizes: str, blocks: str, words: str, tmp_path: Path) -> None:
    _write_ome(tmp_path / "a.tif", ramp(3, 8, 9), sizes, blocks)
    assert words in reason(tmp_path / "a.tif")


def test_ome_entities_and_several_images(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    bomb = '<!DOCTYPE OME [<!ENTITY a "aaaa">]><OME><Image><Pixels/></Image></OME>'
    tifffile.imwrite(path, ramp(8, 9), description=bomb, metadata=None)
    assert "defines entities" in reason(path)
    two = "<OME><Image><Pixels/></Image><Image><Pixels/></Image></OME>"
    tifffile.imwrite(path, ramp(8, 9), description=two, metadata=None)
    assert "2 pictures (OME images)" in reason(path)
    tifffile.imwrite(path, ramp(8, 9), description="<OME><BinaryOnly/></OME>", metadata=None)
    assert "kept in another file" in reason(path)


def _write_ome(path: Path, pixels: Array, sizes: str, blocks: str) -> None:
    order = "" if "DimensionOrder" in sizes else 'DimensionOrder="XYCZT"'
    size = "".join(f' Size{axis}="1"' for axis in "CZT" if f"Size{axis}" not in sizes)
    xml = (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image>'
        f'<Pixels {order} SizeX="9" SizeY="8"{size} Type="uint8" {sizes}>{blocks}</Pixels></Image></OME>'
    )
    tifffile.imwrite(path, pixels, description=xml, metadata=None, photometric="minisblack")


def test_spacing(tmp_path: Path) -> None:
    """Resolution is pixels a unit; 0.25 mm wide, 0.5 mm high, slices 2 mm apart."""
    path, resolution = tmp_path / "a.tif", (1 / 0.25, 1 / 0.5)
    said = {"axes": "ZYX", "spacing": 2.0, "unit": "mm"}
    tifffile.imwrite(path, ramp(3, 8, 9), imagej=True, resolution=resolution, metadata=said)
    assert formats.read(path).geometry == Geometry((2.0, 0.5, 0.25))
    assert formats.read_mask(path).geometry == Geometry((2.0, 0.5, 0.25))
    tifffile.imwrite(path, ramp(3, 8, 9), imagej=True, resolution=resolution, metadata=said | {"unit": "um"})
    assert formats.read(path).geometry.spacing_mm == pytest.approx((2e-3, 0.5e-3, 0.25e-3))
    tifffile.imwrite(path, ramp(8, 9), imagej=True, resolution=resolution, metadata={"unit": "mm"})
    assert formats.read(path).geometry == Geometry((0.5, 0.25))
    ome = {"axes": "ZYX", "PhysicalSizeX": 250.0, "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "mm"}
    tifffile.imwrite(
        path, ramp(3, 8, 9), ome=True, metadata=ome | {"PhysicalSizeZ": 2e6, "PhysicalSizeZUnit": "nm"}
    )
    assert formats.read(path).geometry.spacing_mm == pytest.approx((2.0, 0.5, 0.25))
    tifffile.imwrite(path, ramp(3, 8, 9), ome=True, metadata=ome)
    assert formats.read(path).geometry == Geometry()
    assert "distances are in pixels" in formats.read(path).notes[0]


def test_slices_one_unit_apart_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, ramp(3, 8, 9), imagej=True, resolution=(4, 2), metadata={"axes": "ZYX", "unit": "mm"}
    )
    image = formats.read(path)
    assert image.geometry == Geometry((1.0, 0.5, 0.25))
    assert image.notes == ("the distance of its slices is not given: 1 mm, as ImageJ reads it",)


def test_resolution_of_a_screen_is_no_spacing(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(8, 9), resolution=(72, 72), resolutionunit="INCH", metadata=None)
    assert formats.read(path).geometry == Geometry()
    tifffile.imwrite(path, ramp(8, 9), imagej=True, resolution=(72, 72), metadata={"unit": "inch"})
    assert formats.read(path).geometry == Geometry()


def test_times(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.tif", ramp(4, 3, 8, 9)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "TZYX"})
    assert reason(path) == (
        "it is a series of 4 points in time. Save each as a file of its own, "
        "or say that a fourth axis is meant as channels"
    )
    np.testing.assert_array_equal(formats.read(path, CHANNELS).pixels, pixels)
    assert formats.header(path, CHANNELS).channels == 4
    tifffile.imwrite(path, ramp(2, 3, 4, 8, 9), imagej=True, metadata={"axes": "TZCYX"})
    assert "a series of 2 points in time" in reason(path, CHANNELS)


def test_unnamed_axes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(2, 3, 8, 9), photometric="minisblack")
    assert "the meaning of its pages (2×3, axes QQ) is not clear" in reason(path)
    tifffile.imwrite(path, ramp(5, 8, 9), photometric="minisblack")
    assert formats.read(path).size == (5, 8, 9)


@pytest.mark.parametrize("options", [{"imagej": True}, {}])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_stack_behind_one_page(options: dict[str, bool], dtype: str, tmp_path: Path) -> None:
    path, volume = tmp_path / "a.tif", ramp(5, 16, 17, dtype=dtype)
    tifffile.imwrite(path, volume, metadata={"axes": "ZYX"}, truncate=True, **options)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1
    np.testing.assert_array_equal(formats.read(path).pixels, volume[None])
    path.write_bytes(path.read_bytes()[:-1])
    assert "truncated" in reason(path)


def test_pages_that_are_no_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(ramp(8, 9), metadata=None)
        tiff.write(ramp(8, 10), metadata=None)
    assert "several pictures (pages) of different sizes: 8×9 and 8×10" in reason(path)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(ramp(8, 9), metadata=None)
        tiff.write(ramp(8, 9, dtype="uint16"), metadata=None)
    assert "different kinds of pixels" in reason(path)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(ramp(32, 32), metadata=None)
        tiff.write(ramp(16, 16), metadata=None, subfiletype=1)
    assert "a pyramid" in reason(path)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(ramp(32, 32), metadata=None, subifds=1)
        tiff.write(ramp(16, 16), metadata=None, subfiletype=1)
    assert "a pyramid" in reason(path)


def test_pages_in_a_circle(tmp_path: Path) -> None:
    """More pages than tifffile looks back at, the last of which leads to one in their midst."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(150, 4, 4), metadata=None, photometric="minisblack")
    content = bytearray(path.read_bytes())
    offsets, (offset,) = [], struct.unpack_from("<I", content, 4)
    while offset:
        offsets.append(offset)
        at = offset + 2 + 12 * struct.unpack_from("<H", content, offset)[0]
        (offset,) = struct.unpack_from("<I", content, at)
    struct.pack_into("<I", content, at, offsets[20])
    path.write_bytes(content)
    assert reason(path) == "the file is damaged: its pages lead back to one another"


def test_volumes_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(11, 100, 1000), metadata=None, photometric="minisblack")
    assert formats.header(path).size == (11, 100, 1000)
    assert "11×100×1000 are 1.1 million voxels" in reason(path, formats.Reading(maximum_megapixels=1))


@pytest.mark.parametrize("labels", [("a",), ("a", "b")])
def test_written_masks_read_back(labels: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values = ramp(4, 8, 9) % (len(labels) + 1)
    write = formats.family_of(_any_tiff(tmp_path)).write_mask
    assert write is not None
    write(path, Mask(values.astype(np.uint8), LabelSet.of(*labels), Geometry((2.5, 0.5, 0.25))))
    expected = values * 255 if len(labels) == 1 else values
    stored = formats.read_mask(path)
    np.testing.assert_array_equal(stored.values, expected)
    assert stored.volume
    assert stored.geometry.spacing_mm == pytest.approx((2.5, 0.5, 0.25), rel=1e-6)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == "ZYX"
        np.testing.assert_array_equal(tiff.asarray(), expected)
        assert not {"Software", "DateTime"} & {tag.name for page in tiff.pages for tag in page.tags}
        known = {"ImageJ", "images", "slices", "hyperstack", "mode", "loop", "spacing", "unit"}
        assert set(tiff.imagej_metadata or {}) <= known
    with pytest.raises(ValueError, match=r"\(D, H, W\)"):
        write(path, Mask(values[0].astype(np.uint8), LabelSet.of("a")))
    with pytest.raises(ValueError, match="value 9"):
        write(path, Mask(np.full((2, 2, 2), 9, np.uint8), LabelSet.of("a")))


@pytest.mark.parametrize("labels", [1, 3])
def test_written_probabilities_read_back(labels: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    probabilities = np.linspace(0, 1, labels * 4 * 8 * 9).reshape(labels, 4, 8, 9)
    write = formats.family_of(_any_tiff(tmp_path)).write_probabilities
    assert write is not None
    write(path, probabilities, Geometry())
    image = formats.read(path)
    np.testing.assert_array_equal(image.pixels, probabilities.astype(np.float32))
    assert image.geometry == Geometry()
    for wrong in (probabilities * 2, probabilities[0], probabilities * np.nan):
        with pytest.raises(ValueError, match="probabilities"):
            write(tmp_path / "b.tif", wrong, Geometry())
    assert not (tmp_path / "b.tif").exists()


def _any_tiff(folder: Path) -> Path:
    tifffile.imwrite(folder / "any.tif", ramp(8, 9))
    return folder / "any.tif"
