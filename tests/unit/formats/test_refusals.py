"""What is refused, and in which words."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PIL import PngImagePlugin

from delineate import formats
from delineate.errors import ImageError

GREY = np.arange(63, dtype=np.uint8).reshape(7, 9)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *extra: bytes) -> bytes:
    start = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return start + b"".join(extra) + png_chunk(b"IDAT", zlib.compress(bytes(64))) + png_chunk(b"IEND", b"")


def reason(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        formats.read(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    return caught.value.reason


def test_missing(tmp_path: Path) -> None:
    assert reason(tmp_path / "none.png") == "there is no such file"


def test_folder(tmp_path: Path) -> None:
    assert reason(tmp_path) == "it is a folder"


def test_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert reason(tmp_path / "pipe.png") == "it is no ordinary file"


def test_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "a.png")
    assert reason(tmp_path / "a.png") == "it is a link that leads back to itself"


def test_name_with_a_zero_byte() -> None:
    with pytest.raises(ImageError, match="cannot be opened"):
        formats.read(Path("a\0b.png"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(8, 8))
    path.chmod(0)
    assert "may not be read by this user" in reason(path)


def test_no_permission_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(8, 8))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert reason(path) == "it may not be read by this user. Change its permissions (chmod u+r)"


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.touch()
    assert reason(path) == "the file is empty"


def test_text(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("I am no picture, but a text of some length.")
    names = ", ".join(name for family in formats.FAMILIES for name in family.formats)
    assert reason(path) == f"its content is no image that can be read ({names}), whatever its name says"
    assert "PNG, JPEG, BMP, GIF, TIFF" in names


def test_truncated_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Pillow.fromarray(GREY).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "truncated" in reason(path)


def test_one_flipped_bit_in_a_png_is_found(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Pillow.fromarray(GREY).save(stream, format="PNG", compress_level=0)  # stored: every flip is a wrong pixel
    content = bytearray(stream.getvalue())
    content[-30] ^= 1
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert "damaged" in reason(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", png(200_000, 200_000)),
        ("a.gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b";"),
        ("a.bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60000, 60000, 1, 24, *[0] * 6)),
    ],
)
def test_huge_claims_are_refused_from_the_header(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for reader in (formats.header, formats.read, formats.read_mask):
        with pytest.raises(ImageError, match=r"too large|damaged|truncated"):
            reader(path)


def test_the_limit_is_a_parameter(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Pillow.fromarray(np.zeros((1000, 1001), np.uint8)).save(path)
    assert formats.header(path).size == (1000, 1001)
    with pytest.raises(ImageError, match="1000×1001 are 1 million pixels, and at most 1 million are read"):
        formats.header(path, formats.Reading(maximum_megapixels=1))
    Pillow.fromarray(np.zeros((64, 64), np.uint8)).save(path)
    with pytest.raises(ImageError, match=r"64×64 are 0\.0041 million pixels, and at most 0\.001 million are"):
        formats.header(path, formats.Reading(maximum_megapixels=0.001))


@pytest.mark.parametrize("file_format", ["gif", "png"])
def test_several_pictures(file_format: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{file_format}"
    frames = [Pillow.fromarray(GREY + n) for n in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert "several pictures" in reason(path)
    with pytest.raises(ImageError, match="several pictures"):
        formats.header(path)


def test_cmyk(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Pillow.new("CMYK", (8, 8)).save(path)
    assert reason(path) == "CMYK colours are not read. Convert it to RGB"
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8, 4), np.uint8), photometric="separated")
    assert reason(tmp_path / "a.tif") == "CMYK colours are not read. Convert it to RGB"


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_varying_alpha(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:, :, 3] = 200
    Pillow.fromarray(pixels).save(path)
    assert "varies from 0 to 200" in reason(path)
    with pytest.raises(ImageError, match="varies from 0 to 200"):
        formats.read_mask(path)


def test_transparent_palette_entry_in_use(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture = Pillow.fromarray(GREY % 3, mode="P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(path, transparency=0)
    assert "alpha channel" in reason(path)
    np.testing.assert_array_equal(formats.read_mask(path).values, GREY % 3)  # indices do not care


def test_nan_and_infinite_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.zeros((8, 8), np.float32)
    pixels[0, :3] = np.nan
    pixels[1, 0] = -np.inf
    tifffile.imwrite(path, pixels)
    assert "4 of 64 pixels are not numbers" in reason(path)
    with pytest.raises(ImageError, match="4 of 64"):
        formats.read_mask(path)
    tifffile.imwrite(path, np.full((8, 8), 1e300))
    assert "64 of 64 pixels are not numbers" in reason(path)


def test_integers_too_large_for_float(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.zeros((8, 8), np.int32)
    pixels[0, 0] = -(2**24)
    tifffile.imwrite(path, pixels)
    assert float(formats.read(path).pixels.min()) == -(2.0**24)
    pixels[0, 0] = 2**24 + 1
    tifffile.imwrite(path, pixels)
    assert "more than can be kept exactly" in reason(path)


def test_tiff_orientation_and_missing_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, extratags=[(274, 3, 1, 6, True)])
    assert "its orientation (6)" in reason(path)
    tifffile.imwrite(
        path, np.zeros((64, 64), np.uint8), compression="deflate", rowsperstrip=16, metadata=None
    )
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags[279]
        content[tag.valueoffset : tag.valueoffset + tag.valuebytecount // 4] = bytes(tag.valuebytecount // 4)
    path.write_bytes(content)
    assert "only 3 of its 4 parts are there" in reason(path)


def test_oriented_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.fromarray(GREY).save(path, exif=exif)
    assert "its EXIF orientation (6)" in reason(path)


def test_text_in_a_png_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    info = PngImagePlugin.PngInfo()
    info.add_text("PatientName", "Doe^Jane", zip=True)
    Pillow.fromarray(GREY).save(path, pnginfo=info)
    np.testing.assert_array_equal(formats.read(path).pixels[0], GREY)
