"""Masks read as they are stored and written from their pixels alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as Pillow
from PIL import ImageOps

from delineate import formats
from delineate.errors import ImageError, OutputError
from delineate.image import LabelSet, Mask

VALUES = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)


def test_palette_masks_keep_indices(tmp_path: Path) -> None:
    picture = Pillow.fromarray(VALUES, mode="P")
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.save(tmp_path / "a.png")
    stored = formats.read_mask(tmp_path / "a.png")
    np.testing.assert_array_equal(stored.values, VALUES)
    assert stored.palette is not None
    assert stored.palette.tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    assert not stored.lossy


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "int32", "float32", "float64"])
def test_tiff_values_as_they_are(dtype: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VALUES.astype(dtype))
    stored = formats.read_mask(tmp_path / "a.tif")
    assert stored.values.dtype == dtype
    np.testing.assert_array_equal(stored.values, VALUES)


def test_one_bit_is_0_and_255(tmp_path: Path) -> None:
    Pillow.fromarray(VALUES > 1).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", VALUES > 1, photometric="minisblack")
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(formats.read_mask(tmp_path / name).values, (VALUES > 1) * np.uint8(255))


def test_white_is_zero_is_refused_for_masks(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VALUES > 1, photometric="miniswhite")
    with pytest.raises(ImageError, match="white is zero"):
        formats.read_mask(tmp_path / "a.tif")


def test_jpeg_is_lossy(tmp_path: Path) -> None:
    Pillow.fromarray(np.kron(VALUES // 2 * 255, np.ones((8, 8), np.uint8))).save(
        tmp_path / "a.png", format="JPEG"
    )
    assert formats.read_mask(tmp_path / "a.png").lossy


def test_colours_with_constant_alpha(tmp_path: Path) -> None:
    colours = np.zeros((2, 3, 4), np.uint8)
    colours[..., 3] = 255
    colours[0, 1, :3] = (1, 2, 3)
    Pillow.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(formats.read_mask(tmp_path / "a.png").values, colours[..., :3])


@given(
    values=arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.integers(0, 3)
    )
)
def test_written_masks_read_back(
    values: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("mask") / "a.png"
    formats.write_mask(path, Mask(values, LabelSet.of("a", "b", "c")))
    np.testing.assert_array_equal(formats.read_mask(path).values, values)
    formats.write_mask(path, Mask(values % 2, LabelSet.of("a")))
    np.testing.assert_array_equal(formats.read_mask(path).values, values % 2 * 255)
    with Pillow.open(path) as picture:
        assert picture.mode == "L"
        assert picture.info == {}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.png"]


def test_a_mask_with_other_values_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="value 2, but has 1 labels"):
        formats.write_mask(tmp_path / "a.png", Mask(VALUES, LabelSet.of("a")))
    with pytest.raises(ValueError, match="uint8"):
        formats.write_mask(tmp_path / "a.png", Mask(VALUES[None], LabelSet.of("a", "b")))
    assert not list(tmp_path.iterdir())


def test_an_impossible_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Cannot write"):
        formats.write_mask(tmp_path / "none" / "a.png", Mask(VALUES, LabelSet.of("a", "b")))


def test_probabilities_read_back(tmp_path: Path) -> None:
    probabilities = np.linspace(0, 1, 24, dtype=np.float64).reshape(2, 3, 4)
    formats.write_probabilities(tmp_path / "a.tif", probabilities)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert len(tiff.pages) == 2
        assert not {"Software", "DateTime", "ImageDescription"} & {tag.name for tag in tiff.pages[0].tags}
        np.testing.assert_array_equal(tiff.asarray(), probabilities.astype(np.float32))
    for wrong in (probabilities * 2, probabilities - 1, probabilities[0], probabilities * np.nan):
        with pytest.raises(ValueError, match="probabilities"):
            formats.write_probabilities(tmp_path / "b.tif", wrong)
    assert not (tmp_path / "b.tif").exists()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_orientation_as_pillow_turns_it(orientation: int, tmp_path: Path) -> None:
    pixels = np.kron(np.array([[0, 80, 160], [250, 40, 120]], np.uint8), np.ones((16, 16), np.uint8))
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    Pillow.fromarray(pixels).save(path, exif=exif, quality=100)
    with Pillow.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    image = formats.read(path)
    np.testing.assert_array_equal(image.pixels[0], expected)
    np.testing.assert_array_equal(formats.read_mask(path).values, expected)
    assert formats.header(path).size == expected.shape
    assert bool(image.notes) == (orientation > 1)


def test_pictures_in_memory() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert formats.from_picture(Pillow.fromarray(grey)).pixels.tolist() == [grey.tolist()]
    assert formats.from_picture(Pillow.fromarray(grey > 5)).pixels.max() == 255
    assert formats.from_picture(Pillow.fromarray(grey.astype(np.uint16) * 1000)).pixels.dtype == np.uint16
    assert formats.from_picture(Pillow.fromarray(grey.astype(np.float32))).pixels.dtype == np.float32
    with pytest.raises(ImageError, match="the picture: HSV colours are not read"):
        formats.from_picture(Pillow.new("HSV", (4, 4)))
