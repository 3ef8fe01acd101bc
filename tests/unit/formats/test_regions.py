"""Parts of large images are what the same places of the whole image are, in every form they are stored in."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from delineate import formats
from delineate.errors import ImageError
from delineate.formats.regions import open_regions
from delineate.formats.regions.tiff_parts import read_bytes
from delineate.formats.stored import Source

Array = npt.NDArray[np.generic]


def noise(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    generator = np.random.default_rng(seed)
    if dtype == "bool":
        return generator.random(shape) < 0.5
    if dtype.startswith("float"):
        return generator.random(shape).astype(dtype)
    return generator.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def whole(path: Path, level: int = 0) -> Array:
    with open_regions(path) as regions:
        height, width = regions.levels[level]
        return regions.read(0, 0, height, width, level)


def check_parts(path: Path, expected: Array, places: st.DataObject | None = None) -> None:
    """Any rectangle is cut out of the expected `(C, H, W)`."""
    with open_regions(path) as regions:
        assert (regions.channels, *regions.size) == expected.shape
        height, width = regions.size
        rectangles = [(0, 0, height, width), (height // 2, width // 3, 1, 1), (height - 1, 0, 1, width)]
        if places is not None:
            y, x = places.draw(st.integers(0, height - 1)), places.draw(st.integers(0, width - 1))
            tall, wide = places.draw(st.integers(1, height - y)), places.draw(st.integers(1, width - x))
            rectangles.append((y, x, tall, wide))
        for y, x, tall, wide in rectangles:
            found = regions.read(y, x, tall, wide)
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected[:, y : y + tall, x : x + wide])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.sampled_from(["bool", "uint8", "uint16", "int16", "float16", "float32", "float64"]),
    st.sampled_from([1, 3, 5]),
    st.sampled_from(["contig", "separate"]),
    st.sampled_from([None, "deflate", "lzw", "packbits", "zstd", "lzma"]),
    st.booleans(),
    st.sampled_from([None, (16, 48), (64, 32)]),
    st.sampled_from([1, 7, 1000]),
    st.sampled_from([False, True]),
    st.sampled_from(["<", ">"]),
    st.data(),
)
def test_tiff_in_all_its_forms(
    tmp_path: Path,
    height: int,
    width: int,
    dtype: str,
    channels: int,
    planar: str,
    compression: str | None,
    predictor: bool,
    tile: tuple[int, int] | None,
    strip: int,
    big: bool,
    order: str,
    places: st.DataObject,
) -> None:
    if dtype == "bool":  # which tifffile writes of one channel, in bits
        channels, planar, predictor = 1, "contig", False
    predictor = predictor and compression not in (None, "packbits") and dtype not in ("float16", "bool")
    shape = (height, width, channels) if planar == "contig" else (channels, height, width)
    pixels = noise(shape if channels > 1 else (height, width), dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb" if channels == 3 else "minisblack",
        planarconfig=planar if channels > 1 else None,
        compression=compression,
        predictor=predictor or None,
        tile=tile,
        rowsperstrip=None if tile else strip,
        bigtiff=big,
        byteorder=order,
        metadata=None,
    )
    check_parts(path, formats.read(path).pixels, places)


@pytest.mark.parametrize(
    ("name", "compression"), [("jpeg", "jpeg"), ("jpeg2000", "jpeg2000"), ("aperio", 33005)]
)
def test_pictures_within_tiles(name: str, compression: Any, tmp_path: Path) -> None:
    y, x = np.mgrid[:100, :130]
    pixels = np.stack([y, x, y + x], -1).astype(np.uint8)
    path = tmp_path / f"{name}.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(32, 32), compression=compression, metadata=None)
    expected = tifffile.imread(path).transpose(2, 0, 1)
    assert np.abs(expected.astype(int) - pixels.transpose(2, 0, 1)).mean() < 5
    check_parts(path, expected)


def test_what_pillow_writes(tmp_path: Path) -> None:
    grey = noise((90, 70), "uint8")
    palette = Pillow.fromarray(grey % 5).convert("P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7])
    for name, picture in (("bits", Pillow.fromarray(grey.astype(np.uint8) > 99)), ("palette", palette)):
        path = tmp_path / f"{name}.tif"
        picture.save(path, compression="tiff_lzw")
        check_parts(path, formats.read(path).pixels)


def test_white_is_zero_and_alpha(tmp_path: Path) -> None:
    pixels = noise((60, 50), "uint8")
    tifffile.imwrite(tmp_path / "white.tif", pixels, photometric="miniswhite", tile=(16, 16), metadata=None)
    check_parts(tmp_path / "white.tif", 255 - pixels[None])
    with_alpha = np.dstack([noise((60, 50, 3), "uint8"), np.full((60, 50), 200, np.uint8)])
    path = tmp_path / "alpha.tif"
    tifffile.imwrite(
        path, with_alpha, photometric="rgb", extrasamples=["unassalpha"], tile=(16, 16), metadata=None
    )
    check_parts(path, with_alpha.transpose(2, 0, 1)[:3])
    with_alpha[40, 40, 3] = 7
    tifffile.imwrite(
        path, with_alpha, photometric="rgb", extrasamples=["unassalpha"], tile=(16, 16), metadata=None
    )
    with pytest.raises(ImageError, match="alpha channel"):
        whole(path)


@pytest.mark.parametrize(("subifds", "ome"), [(False, False), (True, False), (True, True)])
def test_pyramids(subifds: bool, ome: bool, tmp_path: Path) -> None:
    pixels = noise((333, 257, 3), "uint8")
    path = tmp_path / ("a.ome.tif" if ome else "a.tif")
    options: dict[str, Any] = {"photometric": "rgb", "tile": (64, 64), "compression": "deflate"}
    plain = None if not ome else {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    with tifffile.TiffWriter(path, ome=ome) as writer:
        writer.write(pixels, subifds=2 if subifds else 0, metadata=plain, **options)
        for step in (2, 4):
            writer.write(pixels[::step, ::step], subfiletype=1, metadata=None, **options)
    check_parts(path, pixels.transpose(2, 0, 1))
    with open_regions(path) as regions:
        assert regions.levels == ((333, 257), (167, 129), (84, 65))
        assert regions.spacing_mm == ((0.00025, 0.0005) if ome else None)
    assert np.array_equal(whole(path, 2), pixels[::4, ::4].transpose(2, 0, 1))


def test_slides_of_aperio(tmp_path: Path) -> None:
    """Baseline, thumbnail, a level, label and macro, as the scanner writes them."""
    pixels = noise((400, 300, 3), "uint8")
    options: dict[str, Any] = {"photometric": "rgb", "metadata": None, "software": False}
    with tifffile.TiffWriter(tmp_path / "a.svs") as writer:
        said = "Aperio Image Library v12\r\n400x300 |AppMag = 20|MPP = 0.4990"
        writer.write(pixels, tile=(240, 240), compression="jpeg", description=said, **options)
        writer.write(pixels[::4, ::4], rowsperstrip=16, description="Aperio Image Library v12", **options)
        writer.write(pixels[::2, ::2], tile=(240, 240), description="Aperio Image Library v12", **options)
        writer.write(
            pixels[:50, :60], subfiletype=1, description="Aperio Image Library v12\r\nlabel", **options
        )
        writer.write(
            pixels[:60, :70], subfiletype=9, description="Aperio Image Library v12\r\nmacro", **options
        )
    with open_regions(tmp_path / "a.svs") as regions:
        assert regions.levels == ((400, 300), (200, 150))
        assert regions.spacing_mm == pytest.approx((0.000499, 0.000499))
    check_parts(tmp_path / "a.svs", tifffile.imread(tmp_path / "a.svs", key=0).transpose(2, 0, 1))


def test_channels_as_pages(tmp_path: Path) -> None:
    pixels = noise((4, 70, 90), "uint16")
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pixels, metadata={"axes": "CYX"}, tile=(32, 32), photometric="minisblack"
    )
    check_parts(tmp_path / "a.ome.tif", pixels)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: tifffile.imwrite(path, noise((5, 40, 40), "uint8"), photometric="minisblack"),
         "stack of 5"),
        (lambda path: tifffile.imwrite(path, noise((40, 40), "uint8"), photometric="cfa"), "raw camera"),
        (lambda path: [tifffile.imwrite(path, noise((40 + at, 40), "uint8"), append=bool(at), metadata=None)
                       for at in range(2)], "2 pictures"),
    ],
)  # fmt: skip
def test_refused(write: Any, reason: str, tmp_path: Path) -> None:
    write(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=reason):
        open_regions(tmp_path / "a.tif")


OME = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {}>{}</OME>'
SIZE = 'DimensionOrder="XYCZT" Type="uint8" SizeX="40" SizeY="30" SizeT="1"'


def ome_image(name: str, channels: int = 1, slices: int = 1, data: str = '<TiffData IFD="0"/>') -> str:
    return f'<Image Name="{name}"><Pixels {SIZE} SizeC="{channels}" SizeZ="{slices}">{data}</Pixels></Image>'


TWO_FILES = "".join(
    f'<TiffData FirstZ="{at}" IFD="0" PlaneCount="1"><UUID FileName="{at}.tif">urn:{at}</UUID></TiffData>'
    for at in range(2)
)


@pytest.mark.parametrize(
    ("description", "pages", "reason"),
    [
        (OME.format("", ome_image("a") + ome_image("b")), 2, "it holds 2 pictures"),
        (OME.format("", ome_image("a", channels=3)), 1, "1 times, 1 slices, 3 channels, but it has 1 pages"),
        (OME.format("", ome_image("a", slices=5)), 1, "1 times, 5 slices, 1 channels, but it has 1 pages"),
        (OME.format("", ome_image("a")), 2, "1 slices, 1 channels, but it has 2 pages"),
        (OME.format('UUID="urn:0"', ome_image("a", slices=2, data=TWO_FILES)), 1, "lie in several files"),
        (OME.format("", '<BinaryOnly MetadataFile="a.ome" UUID="urn:0"/>'), 1, "kept in another file"),
        (OME.format("", ome_image("macro") + ome_image("label")), 2, "it holds 2 pictures"),
        ("ImageJ=1.53t\nimages=9\nslices=9\n", 1, "pages are missing at its end"),
        ("ImageJ=1.53t\nimages=9\nslices=9\n", 2, "tells of 1 times, 9 slices, 1 channels, but it has 2 "),
    ],
)  # fmt: skip
def test_descriptions_of_more_than_one_picture(
    description: str, pages: int, reason: str, tmp_path: Path
) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for at in range(pages):
            writer.write(noise((30, 40), "uint8"), metadata=None, description="" if at else description)
    with pytest.raises(ImageError, match=reason):
        open_regions(tmp_path / "a.tif")


@pytest.mark.parametrize("first", ["label image", "Macro", "overview", "thumbnail"])
def test_what_lies_beside_a_slide_in_ome_is_left_aside(first: str, tmp_path: Path) -> None:
    beside, slide = noise((30, 40), "uint8", 1), noise((30, 40), "uint8", 2)
    said = OME.format("", ome_image(first) + ome_image("tissue", data='<TiffData IFD="1"/>'))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(beside, metadata=None, description=said)
        writer.write(slide, metadata=None)
    assert np.array_equal(whole(tmp_path / "a.tif"), slide[None])


@pytest.mark.parametrize("beside", [False, True])
def test_a_slide_without_a_name_in_ome(beside: bool, tmp_path: Path) -> None:
    slide, label = noise((30, 40), "uint8", 2), noise((30, 40), "uint8", 1)
    unnamed = ome_image("").replace(' Name=""', "")
    said = OME.format("", unnamed + (ome_image("label", data='<TiffData IFD="1"/>') if beside else ""))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(slide, metadata=None, description=said)
        if beside:
            writer.write(label, metadata=None)
    assert np.array_equal(whole(tmp_path / "a.tif"), slide[None])


def test_levels_that_ome_does_not_know(tmp_path: Path) -> None:
    """As libvips writes a pyramid of an OME-TIFF: each level a page, the description kept."""
    pixels = noise((300, 200), "uint8")
    said = OME.format("", ome_image("a")).replace('SizeX="40" SizeY="30"', 'SizeX="200" SizeY="300"')
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for step in (1, 2):
            writer.write(
                pixels[::step, ::step],
                tile=(64, 64),
                subfiletype=int(step > 1),
                metadata=None,
                description=said,
            )
    with open_regions(tmp_path / "a.tif") as regions:
        assert regions.levels == ((300, 200), (150, 100))
    check_parts(tmp_path / "a.tif", pixels[None])


def test_a_disk_that_fails_is_an_error_of_the_file(tmp_path: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(ImageError, match=r"a\.tif: it cannot be read: Input/output error"):
        read_bytes(Source(Failing(), tmp_path / "a.tif"), threading.Lock(), 0, 10)
