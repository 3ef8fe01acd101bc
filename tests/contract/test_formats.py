"""One picture written in every form reads back to the same pixels, and damage ends in an ImageError."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from delineate import formats
from delineate.errors import ImageError

Array = npt.NDArray[np.generic]
H, W = 24, 33

# A ramp down, a ramp across and a disc: no symmetry, so that a turned or mirrored reading is seen.
ROWS, COLUMNS = np.mgrid[:H, :W]
GREY = ((ROWS * 7 + COLUMNS * 3) % 256).astype(np.uint8)
GREY[(ROWS - 8) ** 2 + (COLUMNS - 20) ** 2 < 30] = 250
RGB = np.stack([GREY, GREY[:, ::-1], 255 - GREY], axis=-1)
DEEP = GREY.astype(np.uint16) * 257 - (GREY > 7).astype(np.uint16) * 100
DEEP_RGB = RGB.astype(np.uint16) * 257
UNUSED = int(np.setdiff1d(np.arange(256), GREY)[0])
BINARY = GREY > 100
INDICES = (GREY // 64).astype(np.uint8)
COLOURS = np.array([[0, 0, 0], [200, 10, 20], [0, 128, 255], [255, 255, 255]], dtype=np.uint8)
GREYS = np.array([[0] * 3, [60] * 3, [170] * 3, [255] * 3], dtype=np.uint8)
FLOAT = (GREY.astype(np.float32) - 90) / 7
SIGNED = GREY.astype(np.int16) - 1000
VOLUME = np.stack([GREY, GREY[::-1], 255 - GREY, GREY // 2, GREY[:, ::-1]])
CHANNELS = np.stack([VOLUME, VOLUME[::-1]])


def pillow(mode_array: Array, file_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(mode_array).save(stream, format=file_format, **options)
    return stream.getvalue()


def palette(colours: Array, file_format: str) -> bytes:
    picture = Pillow.fromarray(INDICES, mode="P")
    picture.putpalette(colours.tobytes())
    stream = io.BytesIO()
    picture.save(stream, format=file_format)
    return stream.getvalue()


def deep_png(array: Array) -> bytes:
    return bytes(imagecodecs.png_encode(array))


def tiff(array: Array, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, metadata=None, **options)
    return stream.getvalue()


def stack(array: Array, axes: str, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, metadata={"axes": axes}, photometric="minisblack", **options)
    return stream.getvalue()


def npy(array: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(array: Array) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, array)
    return stream.getvalue()


def in_ascii(mark: str, array: Array, highest: int | None) -> bytes:
    """A PBM, PGM or PPM written out as numbers, its header with a comment."""
    head = f"{mark}\n# by hand\n{array.shape[1]} {array.shape[0]}\n"
    rows = (" ".join(map(str, row)) for row in array.reshape(len(array), -1).tolist())
    return "\n".join([head + ("" if highest is None else str(highest)), *rows, ""]).encode()


def binary_ppm(array: Array, highest: int) -> bytes:
    """A PGM or PPM; values above 255 take two bytes, the high one first."""
    mark = "P6" if array.ndim == 3 else "P5"
    head = f"{mark} {array.shape[1]} {array.shape[0]} {highest}\n".encode()
    return head + array.astype(">u2" if highest > 255 else "u1").tobytes()


def with_alpha(array: Array, value: int) -> Array:
    channels = array[..., None] if array.ndim == 2 else array
    alpha = np.full((*channels.shape[:2], 1), value, array.dtype)
    return np.concatenate([channels, alpha], axis=-1)


def first(array: Array) -> Array:
    """Channels first."""
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


ALPHA = ("a constant alpha channel was dropped",)
COLORMAP = np.ascontiguousarray(np.pad(COLOURS, ((0, 252), (0, 0))).T.astype(np.uint16) * 257)
LOOKED_UP = first(COLOURS[INDICES])

# name: (suffix, bytes, mode in the header, pixels expected, notes expected)
FORMS: dict[str, tuple[str, bytes, str, Array, tuple[str, ...]]] = {
    "png grey": (".png", pillow(GREY, "PNG"), "grey", GREY[None], ()),
    "png rgb": (".png", pillow(RGB, "PNG"), "RGB", first(RGB), ()),
    "png rgba": (".png", pillow(with_alpha(RGB, 255), "PNG"), "RGB with alpha", first(RGB), ALPHA),
    "png rgba all transparent": (
        ".png",
        pillow(with_alpha(RGB, 0), "PNG"),
        "RGB with alpha",
        first(RGB),
        ALPHA,
    ),
    "png grey alpha": (".png", pillow(with_alpha(GREY, 9), "PNG"), "grey with alpha", GREY[None], ALPHA),
    "png 1-bit": (".png", pillow(BINARY, "PNG"), "1-bit", BINARY[None] * np.uint8(255), ()),
    "png palette": (".png", palette(COLOURS, "PNG"), "palette", LOOKED_UP, ()),
    "png grey palette": (".png", palette(GREYS, "PNG"), "palette", GREYS[INDICES][None, :, :, 0], ()),
    "png 16-bit": (".png", pillow(DEEP, "PNG"), "16-bit grey", DEEP[None], ()),
    "png 16-bit rgb": (".png", deep_png(DEEP_RGB), "16-bit RGB", first(DEEP_RGB), ()),
    "png 16-bit rgba": (
        ".png",
        deep_png(with_alpha(DEEP_RGB, 65535)),
        "16-bit RGB with alpha",
        first(DEEP_RGB),
        ALPHA,
    ),
    "png 16-bit grey alpha": (
        ".png",
        deep_png(with_alpha(DEEP, 65535)),
        "16-bit grey with alpha",
        DEEP[None],
        ALPHA,
    ),
    "png transparent colour unused": (
        ".png",
        pillow(GREY, "PNG", transparency=UNUSED),
        "grey",
        GREY[None],
        (),
    ),
    "bmp grey": (".bmp", pillow(GREY, "BMP"), "grey", GREY[None], ()),
    "bmp rgb": (".bmp", pillow(RGB, "BMP"), "RGB", first(RGB), ()),
    "bmp 1-bit": (".bmp", pillow(BINARY, "BMP"), "1-bit", BINARY[None] * np.uint8(255), ()),
    "bmp palette": (".bmp", palette(COLOURS, "BMP"), "palette", LOOKED_UP, ()),
    "gif grey": (".gif", pillow(GREY, "GIF"), "palette", GREY[None], ()),
    "gif palette": (".gif", palette(COLOURS, "GIF"), "palette", LOOKED_UP, ()),
    "ppm rgb": (".ppm", pillow(RGB, "PPM"), "RGB", first(RGB), ()),
    "ppm 16-bit rgb": (".ppm", binary_ppm(DEEP_RGB, 65535), "16-bit RGB", first(DEEP_RGB), ()),
    "ppm ascii": (".ppm", in_ascii("P3", RGB, 255), "RGB", first(RGB), ()),
    "pgm grey": (".pgm", pillow(GREY, "PPM"), "grey", GREY[None], ()),
    "pgm 16-bit": (".pgm", pillow(DEEP, "PPM"), "16-bit grey", DEEP[None], ()),
    "pgm ascii": (".pgm", in_ascii("P2", GREY, 255), "grey", GREY[None], ()),
    "pgm 16-bit ascii": (".pgm", in_ascii("P2", DEEP, 65535), "16-bit grey", DEEP[None], ()),
    "pgm of 0 to 3": (
        ".pgm",
        binary_ppm(INDICES, 3),
        "grey",
        INDICES[None] * np.uint8(85),
        ("its values, 0 to 3, were stretched to 0 to 255",),
    ),
    "pbm": (".pbm", pillow(BINARY, "PPM"), "1-bit", BINARY[None] * np.uint8(255), ()),
    "pbm ascii": (
        ".pbm",
        in_ascii("P1", 1 - BINARY.astype(int), None),
        "1-bit",
        BINARY[None] * np.uint8(255),
        (),
    ),
    "jpeg grey": (".jpg", pillow(GREY, "JPEG", quality=100), "grey", GREY[None], ()),
    "jpeg rgb": (".jpeg", pillow(RGB, "JPEG", quality=100, subsampling=0), "RGB", first(RGB), ()),
    "tiff grey": (".tif", tiff(GREY), "grey", GREY[None], ()),
    "tiff big endian": (".tif", tiff(DEEP, byteorder=">"), "16-bit grey", DEEP[None], ()),
    "tiff bigtiff": (".tif", tiff(GREY, bigtiff=True), "grey", GREY[None], ()),
    "tiff rgb": (".tiff", tiff(RGB, photometric="rgb"), "RGB", first(RGB), ()),
    "tiff rgb planar": (
        ".tif",
        tiff(first(RGB), photometric="rgb", planarconfig="separate"),
        "RGB",
        first(RGB),
        (),
    ),
    "tiff rgb jpeg": (
        ".tif",
        tiff(RGB, photometric="rgb", compression="jpeg", compressionargs={"level": 100}),
        "RGB",
        first(RGB),
        (),
    ),
    "tiff rgba": (
        ".tif",
        tiff(with_alpha(RGB, 255), photometric="rgb", extrasamples=["unassalpha"]),
        "RGB with alpha",
        first(RGB),
        ALPHA,
    ),
    "tiff deflate": (".tif", tiff(GREY, compression="deflate", predictor=True), "grey", GREY[None], ()),
    "tiff lzw": (".tif", tiff(DEEP, compression="lzw", rowsperstrip=5), "16-bit grey", DEEP[None], ()),
    "tiff packbits": (".tif", tiff(GREY, compression="packbits"), "grey", GREY[None], ()),
    "tiff tiles": (".tif", tiff(RGB, photometric="rgb", tile=(16, 16)), "RGB", first(RGB), ()),
    "tiff 1-bit": (".tif", tiff(BINARY, photometric="minisblack"), "1-bit", BINARY[None] * np.uint8(255), ()),
    "tiff 4-bit": (".tif", tiff(INDICES, bitspersample=4), "4-bit grey", INDICES[None] * np.uint8(17), ()),
    "tiff palette": (
        ".tif",
        tiff(INDICES, photometric="palette", colormap=COLORMAP),
        "palette",
        LOOKED_UP,
        (),
    ),
    "tiff white is zero": (
        ".tif",
        tiff(255 - GREY, photometric="miniswhite"),
        "grey",
        GREY[None],
        ("its white is zero: it was inverted",),
    ),
    "tiff float": (".tif", tiff(FLOAT), "float grey", FLOAT[None], ()),
    "tiff double": (".tif", tiff(FLOAT.astype(np.float64)), "float grey", FLOAT[None], ()),
    "tiff float rgb": (
        ".tif",
        tiff(RGB.astype(np.float32), photometric="rgb"),
        "float RGB",
        first(RGB).astype(np.float32),
        (),
    ),
    "tiff signed": (
        ".tif",
        tiff(SIGNED),
        "16-bit grey",
        SIGNED[None].astype(np.float32),
        ("int16 pixels were read as numbers, unscaled",),
    ),
    "tiff five channels": (
        ".tif",
        tiff(np.stack([GREY + n for n in range(5)]), photometric="minisblack", planarconfig="separate"),
        "5 channels",
        np.stack([GREY + np.uint8(n) for n in range(5)]),
        (),
    ),
    "tiff pages": (".tif", tiff(VOLUME, photometric="minisblack"), "grey", VOLUME[None], ()),
    "tiff imagej": (
        ".tif",
        stack(CHANNELS.swapaxes(0, 1), "ZCYX", imagej=True),
        "2 channels",
        CHANNELS,
        (),
    ),
    "tiff imagej behind one page": (
        ".tif",
        stack(VOLUME, "ZYX", imagej=True, truncate=True),
        "grey",
        VOLUME[None],
        (),
    ),
    "tiff ome": (".tif", stack(CHANNELS, "CZYX", ome=True), "2 channels", CHANNELS, ()),
    "npy grey": (".npy", npy(GREY), "grey", GREY[None], ()),
    "npy rgb": (".npy", npy(RGB), "RGB", first(RGB), ()),
    "npy signed": (".npy", npy(SIGNED), "16-bit grey", SIGNED[None], ()),
    "npy fortran": (".npy", npy(np.asfortranarray(VOLUME)), "grey", VOLUME[None], ()),
    "npy float": (".npy", npy(FLOAT), "float grey", FLOAT[None], ()),
    "npz volume": (".npz", npz(VOLUME), "grey", VOLUME[None], ()),
}
FORMAT_NAMES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".npy": "NumPy",
    ".npz": "NumPy",
}
each_form = pytest.mark.parametrize("form", FORMS, ids=[name.replace(" ", "-") for name in FORMS])


@each_form
def test_reads_back_what_was_written(form: str, tmp_path: Path) -> None:
    suffix, content, mode, expected, notes = FORMS[form]
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(content)
    image = formats.read(path)
    assert image.pixels.dtype == expected.dtype
    assert image.pixels.flags.c_contiguous
    if "jpeg" in form:
        assert image.pixels.shape == expected.shape
        assert np.abs(image.pixels.astype(float) - expected).mean() < (
            8 if form == "tiff rgb jpeg" else 4
        )  # TIFF halves the colours
    else:
        np.testing.assert_array_equal(image.pixels, expected)
    assert image.notes == notes
    stated = formats.header(path)
    assert stated == formats.Header(expected.shape[1:], mode, stated.file_format, expected.shape[0])
    assert stated.file_format == FORMAT_NAMES.get(suffix, suffix[1:].upper())


@each_form
def test_the_name_does_not_matter(form: str, tmp_path: Path) -> None:
    suffix, content, *_ = FORMS[form]
    (tmp_path / f"a{suffix}").write_bytes(content)
    (tmp_path / "b.PNG").write_bytes(content)
    expected, found = formats.read(tmp_path / f"a{suffix}"), formats.read(tmp_path / "b.PNG")
    np.testing.assert_array_equal(found.pixels, expected.pixels)


@each_form
def test_every_cut_is_refused_or_harmless(form: str, tmp_path: Path) -> None:
    """Cut anywhere in the header and at some places behind: an ImageError, or the whole picture after all."""
    suffix, content, *_ = FORMS[form]
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content)
    whole = formats.read(path).pixels
    lengths = {*range(min(160, len(content))), *range(160, len(content), max(1, len(content) // 25))}
    for length in sorted(lengths):
        path.write_bytes(content[:length])
        outcome = read_or_reason(path, formats.read)
        if not isinstance(outcome, str):
            np.testing.assert_array_equal(outcome, whole, err_msg=f"cut at {length}")


@each_form
@settings(max_examples=15)
@given(data=st.data())
def test_flipped_bits_never_escape(
    form: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    suffix, content, *_ = FORMS[form]
    path = tmp_path_factory.mktemp("flip") / f"flipped{suffix}"
    damaged = bytearray(content)
    near = st.integers(0, min(300, len(content)) - 1)
    for at in data.draw(st.lists(near | st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        damaged[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    for reader in (formats.header, formats.read, formats.read_mask):
        read_or_reason(path, reader)


def read_or_reason(path: Path, reader: Callable[..., object]) -> Array | str | object:
    """What a reader gives, or the reason it refuses; anything else it raises or warns fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = reader(path, formats.Reading(maximum_megapixels=1))
        except ImageError as error:
            reason = error.reason
        else:
            return getattr(result, "pixels", result)
    assert len(reason) > 10
    return reason


def test_no_log_reaches_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = FORMS["tiff grey"][1]
    for at in range(4, 160, 3):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        (tmp_path / "x.tif").write_bytes(damaged)
        read_or_reason(tmp_path / "x.tif", formats.read)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("tifffile").hasHandlers()
