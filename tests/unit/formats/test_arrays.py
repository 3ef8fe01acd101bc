"""NumPy files: which axes mean what, and how much is believed of a header."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from delineate import formats
from delineate.errors import ImageError
from delineate.formats.arrays import FAMILY
from delineate.geometry import Geometry
from delineate.image import LabelSet, Mask

Array = npt.NDArray[np.generic]


def ramp(*shape: int, dtype: str = "uint8") -> Array:
    return (np.arange(np.prod(shape)).reshape(shape) * 7 % 251).astype(dtype)


def saved(folder: Path, array: Array, packed: bool = False) -> Path:
    path = folder / ("a.npz" if packed else "a.npy")
    if packed:
        np.savez_compressed(path, array)
    else:
        np.save(path, array)
    return path


def reason(path: Path, reading: formats.Reading | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        formats.read(path, reading or formats.Reading())
    return caught.value.reason


def with_header(header: str, content: bytes) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + content


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(8, 9), (5, 8, 9), (3, 4, 4)])
def test_grey(packed: bool, order: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = ramp(*shape)
    path = saved(tmp_path, np.array(array, order="F" if order == "F" else "C"), packed)
    image = formats.read(path)
    np.testing.assert_array_equal(image.pixels, array[None])
    assert image.geometry == Geometry()
    assert formats.header(path) == formats.Header(shape, "grey", "NumPy", 1)
    stored = formats.read_mask(path)
    np.testing.assert_array_equal(stored.values, array)
    assert (stored.size, stored.volume) == (shape, len(shape) == 3)


@pytest.mark.parametrize(
    ("shape", "dtype", "coloured"),
    [
        ((8, 9, 3), "uint8", True),
        ((8, 9, 4), "uint8", True),
        ((4, 4, 3), "uint8", True),
        ((3, 9, 3), "uint8", False),
        ((4, 9, 4), "uint8", False),
        ((8, 9, 5), "uint8", False),
        ((8, 9, 3), "uint16", False),
        ((8, 9, 3), "bool", False),
    ],
)
def test_colours_or_slices(shape: tuple[int, ...], dtype: str, coloured: bool, tmp_path: Path) -> None:
    array = ramp(*shape, dtype=dtype)
    if coloured and shape[2] == 4:
        array[..., 3] = 255
    path = saved(tmp_path, array)
    image, stored = formats.read(path), formats.read_mask(path)
    header = formats.header(path)
    assert (header.size, header.channels) == (image.size, image.channels)
    assert stored.coloured == coloured
    assert stored.size == image.size
    if coloured:
        np.testing.assert_array_equal(image.pixels, array.transpose(2, 0, 1)[:3])
        np.testing.assert_array_equal(stored.values, array[..., :3])
    else:
        assert image.size == shape


@pytest.mark.parametrize(
    ("dtype", "read_as", "shares"),
    [
        ("uint8", "uint8", True),
        (">u2", "uint16", True),
        ("int8", "int16", False),
        (">i2", "int16", False),
        (">i4", "float32", False),
        ("float16", "float32", False),
        (">f8", "float32", False),
    ],
)
def test_types(dtype: str, read_as: str, shares: bool, tmp_path: Path) -> None:
    array = (np.arange(72).reshape(8, 9) - (0 if "u" in dtype else 5)).astype(dtype)
    image = formats.read(saved(tmp_path, array))
    assert image.pixels.dtype == read_as
    assert image.shares == shares
    np.testing.assert_array_equal(image.pixels[0], array)
    np.testing.assert_array_equal(formats.read_mask(tmp_path / "a.npy").values, array)


def test_booleans(tmp_path: Path) -> None:
    array = np.arange(72).reshape(8, 9) % 5 > 2
    path = saved(tmp_path, array)
    np.testing.assert_array_equal(formats.read(path).pixels[0], array * np.uint8(255))
    np.testing.assert_array_equal(formats.read_mask(path).values, array * np.uint8(255))
    assert formats.header(path).mode == "1-bit"


def test_four_axes(tmp_path: Path) -> None:
    path, reading = saved(tmp_path, ramp(4, 8, 9, 2)), formats.Reading(fourth_axis="channels")
    assert "it has four axes (4×8×9×2)" in reason(path)
    np.testing.assert_array_equal(formats.read(path, reading).pixels, np.moveaxis(ramp(4, 8, 9, 2), -1, 0))
    assert formats.header(path, reading) == formats.Header((4, 8, 9), "2 channels", "NumPy", 2)
    with pytest.raises(ImageError, match="four axes has no clear meaning"):
        formats.read_mask(path, reading)
    assert "at most 64 are read" in reason(saved(tmp_path, ramp(4, 8, 9, 65)), reading)


@pytest.mark.parametrize("shape", [(), (9,), (0, 9), (2, 2, 2, 2, 2)])
def test_shapes_that_are_no_image(shape: tuple[int, ...], tmp_path: Path) -> None:
    found = reason(saved(tmp_path, np.zeros(shape, np.uint8)))
    assert "its shape is" in found or "has no pixels" in found


def test_pickles_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "a pickle" in reason(path)
    path.write_bytes(pickle.dumps(1))
    assert "no image that can be read" in reason(path)
    np.save(path, np.zeros((4, 4), dtype=[("a", "u1")]))
    assert "numbers of type" in reason(path)
    np.save(path, np.zeros((4, 4), dtype=np.complex64))
    assert reason(path) == "numbers of type complex64 are not read. Save plain numbers"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (30000, 30000)}", "too large"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (9000, 9000)}", "truncated: 81000000 bytes"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (-8, -9)}", "has no pixels"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (8, 8)}", "more than its one array"),
        ("{'descr': '|V99999999', 'fortran_order': False, 'shape': (8, 9)}", "numbers of type"),
        ("{'descr': '(9999,9999)u1', 'fortran_order': False, 'shape': (8, 9)}", "numbers of type"),
        ("{'descr': '|u1', 'shape': (8, 9)}", "damaged"),
        ("[" * 5000, "damaged"),
    ],
)
def test_headers_are_not_believed(header: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(with_header(header, bytes(72)))
    assert words in reason(path)
    if "descr" in header and "(8, 9)" not in header:
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("arr_0.npy", path.read_bytes())
        assert words in reason(tmp_path / "a.npz")


def test_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, image=ramp(8, 9), mask=ramp(8, 9))
    assert "2 arrays ('image.npy', 'mask.npy')" in reason(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("words.txt", "words")
    assert "no image that can be read" in reason(path)
    stream = io.BytesIO()
    np.save(stream, ramp(8, 9))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", stream.getvalue())
    assert "its compression is not read" in reason(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", stream.getvalue())
    content = bytearray(path.read_bytes())
    content[content.index(b"NUMPY") + 130] ^= 1  # the first pixels
    path.write_bytes(content)
    assert "damaged" in reason(path)


@given(
    values=arrays.arrays(
        np.uint8, arrays.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=st.integers(0, 2)
    )
)
def test_written_masks_read_back(
    values: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("mask") / "a.npy"
    assert FAMILY.write_mask is not None
    FAMILY.write_mask(path, Mask(values, LabelSet.of("a", "b")))
    np.testing.assert_array_equal(np.load(path), values)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npy"]
    with pytest.raises(ValueError, match="labels"):
        FAMILY.write_mask(path, Mask(values + np.uint8(3), LabelSet.of("a", "b")))


def test_written_probabilities_read_back(tmp_path: Path) -> None:
    assert FAMILY.write_probabilities is not None
    probabilities = np.linspace(0, 1, 48).reshape(2, 2, 3, 4)
    FAMILY.write_probabilities(tmp_path / "a.npy", probabilities, Geometry())
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), probabilities.astype(np.float32))
    with pytest.raises(ValueError, match="between 0 and 1"):
        FAMILY.write_probabilities(tmp_path / "b.npy", probabilities * 2, Geometry())
    with pytest.raises(ValueError, match=r"\(L, H, W\)"):
        FAMILY.write_probabilities(tmp_path / "b.npy", probabilities[0, 0], Geometry())
    assert not (tmp_path / "b.npy").exists()
    assert FAMILY.mask_suffix("a.npz") == ".npy"
