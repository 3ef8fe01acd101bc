"""PPM, PGM and PBM: what masks hold, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from delineate import formats
from delineate.errors import ImageError


def file(folder: Path, content: bytes, name: str = "a.pgm") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"P5 3 1 1\n\0\1\1", [0, 1, 1]),  # never stretched
        (b"P5 3 1 255\n\0\1\2", [0, 1, 2]),
        (b"P5 3 1 4095\n\0\0\0\1\1\0", [0, 1, 256]),
        (b"P2 3 1 9\n0 1\n2\n", [0, 1, 2]),
        (b"P1 3 1\n0 1 1\n", [255, 0, 0]),  # 1 is black
        (b"P1 3 1\n011", [255, 0, 0]),
        (b"P4 3 1\n\x60", [255, 0, 0]),
        (b"P5 3 1 255\n\0\1\2\r\n", [0, 1, 2]),  # a line break behind the values
        (b"P5\r\n3 1\r\n255\r\n\0\1\x0a", [0, 1, 10]),
        (b"P5\r\n3 1\r\n255\r\n\1\x0a", [10, 1, 10]),
    ],
)
def test_masks_are_as_they_are_stored(content: bytes, values: list[int], tmp_path: Path) -> None:
    stored = formats.read_mask(file(tmp_path, content))
    assert stored.values.tolist() == [values]
    assert stored.palette is None
    assert not stored.lossy


@pytest.mark.parametrize("behind", [b"\n\n\n\n\n", b"\n\3", b"\3"])
def test_more_behind_the_values_than_a_line_break_is_refused(behind: bytes, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="damaged"):
        formats.read(file(tmp_path, b"P5 3 1 255\n\0\1\2" + behind))


def test_masks_in_colour(tmp_path: Path) -> None:
    stored = formats.read_mask(file(tmp_path, b"P6 2 1 255\n\0\0\0\xff\0\1"))
    assert stored.coloured
    assert stored.values.tolist() == [[[0, 0, 0], [255, 0, 1]]]
    with pytest.raises(ImageError, match="16-bit colours are not read"):
        formats.read_mask(file(tmp_path, b"P6 1 1 256\n\0\0\0\0\0\0"))


@pytest.mark.parametrize(("highest", "stretched"), [(100, [0, 3, 255]), (1, [0, 255])])
def test_images_are_stretched_to_the_whole_range(highest: int, stretched: list[int], tmp_path: Path) -> None:
    values = bytes([0, 1, highest][: len(stretched)])
    image = formats.read(file(tmp_path, b"P5 %d 1 %d\n%b" % (len(values), highest, values)))
    assert image.pixels.tolist() == [[stretched]]
    assert image.pixels.dtype == np.uint8


def test_images_of_twelve_bits(tmp_path: Path) -> None:
    image = formats.read(file(tmp_path, b"P5 3 1 4095\n\0\0\0\1\x0f\xff"))
    assert image.pixels.tolist() == [[[0, 16, 65535]]]
    assert image.notes == ("its values, 0 to 4095, were stretched to 0 to 65535",)


def test_comments_stand_anywhere_in_the_header(tmp_path: Path) -> None:
    content = b"P5#a\n# b 7\r\n2 # c\n #\n1\t255#d\n\x23\x0a"
    assert formats.read(file(tmp_path, content)).pixels.tolist() == [[[35, 10]]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"P5 9999999 9999999 255\n\0", "too large"),
        (b"P2 9999999 9999999 255\n0 ", "too large"),
        (b"P5 9999 9999 255\n\0", "truncated: at least 99980000 bytes are missing"),
        (b"P2 9999 9999 255\n0 ", "truncated: at least 199960000 bytes are missing"),
        (b"P1 9999 9999\n0 ", "truncated: at least 99979999 bytes are missing"),
        (b"P5 0 4 255\n", "no pixels"),
        (b"P5 2 1 0\n\0\0", "highest value would be 0"),
        (b"P5 2 1 65536\n\0\0\0\0", "highest value would be 65536"),
        (b"P5 -2 1 255\n\0\0", "header does not say width, height"),
        (b"P5 2", "truncated: its header is not whole"),
        (b"P5 " + b"#\n" * 40_000, "header does not end"),
        (b"P5 " + b"0" * 11 + b" 1 255\n", "header does not say width, height"),
        (b"P5 2 1 255\n\0\0P5 2 1 255\n\0\0", "several pictures"),
        (b"P5 2 1 255\n\0\0\0", "1 bytes more than the pixels"),
        (b"P5 2 1 7\n\0\x08", "holds the value 8, and says the highest is 7"),
        (b"P2 2 1 7\n0 8\n", "holds the value 8, and says the highest is 7"),
        (b"P1 2 1\n0 2\n", "holds the value 2, and says the highest is 1"),
        (b"P2 2 1 7\n0 -1\n", "'-' stands among its numbers"),
        (b"P1 2 1\n0 x\n", "'x' stands among its numbers"),
        (b"P2 2 1 7\n0 1 2\n", "more values than its header"),
        (b"P2 2 1 255\n0    \n", "1 values are missing"),
        (b"P2 2 1 255\n00 12", "its last number may be cut off"),
        (b"P2 2 1 255\n" + b"0" * 99, "a number in it does not end"),
    ],
)
def test_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = file(tmp_path, content)
    for reader in (formats.read, formats.read_mask):
        with pytest.raises(ImageError, match=reason):
            reader(path)


def test_pieces_of_ascii_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delineate.formats.netpbm._PIECE", 3)
    content = b"P2 5 1 300\n1 22 300 004 5\n"
    assert formats.read_mask(file(tmp_path, content)).values.tolist() == [[1, 22, 300, 4, 5]]


def test_other_text_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no image that can be read"):
        formats.read(file(tmp_path, b"P5-values of the study"))
