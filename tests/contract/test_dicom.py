"""One picture in every form that DICOM has gives the same pixels, and damage ends in an ImageError."""

from __future__ import annotations

import contextlib
import io
import random
import resource
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from dicom_making import DEEP, GREY, RGB, Array, H, W, as_bytes, dicom, encapsulated, item, written
from PIL import Image as Pillow
from pydicom.dataset import FileDataset
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from delineate import formats
from delineate.errors import ImageError
from delineate.formats import dicom_kind
from delineate.formats.dicom_file import guarded
from delineate.formats.stored import Source

SIGNED = DEEP.astype(np.int16) - 1500
TWELVE_SIGNED = DEEP.astype(np.int16) - 2040
TWELVE = {"BitsStored": 12, "HighBit": 11}
OTHER = (np.indices((H, W))[0] % 16).astype(np.uint16)
OVERLAID: Array = DEEP | (OTHER << 12)  # the picture in the bits 0 to 11, other things above
HIGH: Array = (DEEP << 4) | OTHER  # the picture in the bits 4 to 15, other things below
INVERTED = ("it is MONOCHROME1, where low values are bright: it was inverted, so that brighter is higher",)
FLOAT = (GREY.astype(np.float32) - 90) / 7
YBR = convert_color_space(RGB, "RGB", "YBR_FULL")
FROM_YBR = convert_color_space(YBR, "YBR_FULL", "RGB").transpose(2, 0, 1)
TABLE = (np.arange(256) * 3 - 40) % 1000
INDICES = (GREY // 64).astype(np.uint8)
COLOURS = np.array([[0, 0, 0], [200, 10, 20], [0, 128, 255], [255, 255, 255]], dtype=np.uint8)
GREYS = np.array([[0] * 3, [60] * 3, [170] * 3, [255] * 3], dtype=np.uint8)


def compressed(made: FileDataset, syntax: object) -> FileDataset:
    made.compress(syntax, encoding_plugin="")
    return made


def palette(colours: Array, bits: int = 8, first: int = 0) -> FileDataset:
    wide = colours.astype(np.uint16) * 257 if bits == 16 else colours
    elements: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for index, colour in enumerate(("Red", "Green", "Blue")):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [len(colours), first, bits]
        elements[f"{colour}PaletteColorLookupTableData"] = np.ascontiguousarray(wide[:, index]).tobytes()
    return dicom(INDICES + np.uint8(first), **elements)


def with_lookup(made: FileDataset, first: int, table: Array) -> FileDataset:
    made.ModalityLUTSequence = [
        item(
            LUTDescriptor=[len(table), first, 16], ModalityLUTType="HU", LUTData=table.astype("<u2").tobytes()
        )
    ]
    return made


def jpeg(array: Array) -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(array).save(stream, format="JPEG", quality=100, subsampling=0)
    return stream.getvalue()


def jpeg_ls(array: Array) -> bytes:
    return bytes(imagecodecs.jpegls_encode(array))


def jpeg_2000(array: Array) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(array, codecformat="j2k", reversible=True, resolutions=1))


# name: (data set, mode in the header, pixels expected, notes expected)
FORMS: dict[str, tuple[Callable[[], FileDataset], str, Array, tuple[str, ...]]] = {
    "grey": (lambda: dicom(GREY), "grey", GREY[None], ()),
    "implicit": (lambda: dicom(DEEP, ImplicitVRLittleEndian), "16-bit grey", DEEP[None], ()),
    "big endian": (lambda: dicom(DEEP, ExplicitVRBigEndian), "16-bit grey", DEEP[None], ()),
    "deflated": (lambda: dicom(DEEP, DeflatedExplicitVRLittleEndian), "16-bit grey", DEEP[None], ()),
    "signed": (lambda: dicom(SIGNED), "16-bit signed grey", SIGNED[None], ()),
    "signed 8-bit": (
        lambda: dicom(GREY.view(np.int8)),
        "8-bit signed grey",
        GREY.view(np.int8).astype(np.int16)[None],
        (),
    ),
    "12 bits": (lambda: dicom(DEEP, **TWELVE), "12-bit grey", DEEP[None], ()),
    "12 bits under others": (lambda: dicom(OVERLAID, **TWELVE), "12-bit grey", DEEP[None], ()),
    "12 bits above others": (
        lambda: dicom(HIGH, BitsStored=12, HighBit=15),
        "12-bit grey",
        DEEP[None],
        (),
    ),
    "12 signed bits under others": (
        lambda: dicom((TWELVE_SIGNED & 0xFFF) | (OTHER << 12).view(np.int16), **TWELVE),
        "12-bit signed grey",
        TWELVE_SIGNED[None],
        (),
    ),
    "rescaled": (
        lambda: dicom(DEEP, RescaleSlope=1, RescaleIntercept=-1024, **TWELVE),
        "12-bit grey",
        (DEEP.astype(np.int16) - 1024)[None],
        (),
    ),
    "rescaled by a whole slope": (
        lambda: dicom(SIGNED, RescaleSlope=-2, RescaleIntercept=5),
        "16-bit signed grey",
        (SIGNED * -2 + 5)[None],
        (),
    ),
    "rescaled beyond 16 bits": (
        lambda: dicom(DEEP, RescaleSlope=100, RescaleIntercept=0),
        "16-bit grey",
        (DEEP.astype(np.float32) * 100)[None],
        (),
    ),
    "rescaled by a fraction": (
        lambda: dicom(DEEP, RescaleSlope="0.125", RescaleIntercept="-3.5"),
        "16-bit grey",
        (DEEP * np.float32(0.125) - np.float32(3.5))[None],
        (),
    ),
    "not rescaled": (
        lambda: dicom(DEEP, RescaleSlope=1, RescaleIntercept=0),
        "16-bit grey",
        DEEP[None],
        (),
    ),
    "32-bit": (
        lambda: dicom(DEEP.astype(np.uint32) * 200),
        "32-bit grey",
        (DEEP.astype(np.float32) * 200)[None],
        (),
    ),
    "modality table": (
        lambda: with_lookup(dicom(GREY), 10, TABLE),
        "grey",
        TABLE[np.clip(GREY.astype(int) - 10, 0, 255)].astype(np.uint16)[None],
        (),
    ),
    "modality table of signed values": (
        lambda: with_lookup(dicom(GREY.view(np.int8)), -50, TABLE),
        "8-bit signed grey",
        TABLE[np.clip(GREY.view(np.int8).astype(int) + 50, 0, 255)].astype(np.uint16)[None],
        (),
    ),
    "low is bright": (
        lambda: dicom(GREY, PhotometricInterpretation="MONOCHROME1"),
        "grey",
        255 - GREY[None],
        INVERTED,
    ),
    "low is bright, 12 bits": (
        lambda: dicom(DEEP, PhotometricInterpretation="MONOCHROME1", **TWELVE),
        "12-bit grey",
        4095 - DEEP[None],
        INVERTED,
    ),
    "low is bright, signed": (
        lambda: dicom(SIGNED, PhotometricInterpretation="MONOCHROME1"),
        "16-bit signed grey",
        -1 - SIGNED[None],
        INVERTED,
    ),
    "low is bright, rescaled": (
        lambda: dicom(
            DEEP, PhotometricInterpretation="MONOCHROME1", RescaleSlope=2, RescaleIntercept=-10, **TWELVE
        ),
        "12-bit grey",
        ((4095 - DEEP.astype(np.int16)) * 2 - 10)[None],
        INVERTED,
    ),
    "float": (lambda: dicom(FLOAT), "float grey", FLOAT[None], ()),
    "double": (lambda: dicom(FLOAT.astype(np.float64)), "float grey", FLOAT[None], ()),
    "rgb": (lambda: dicom(RGB), "RGB", RGB.transpose(2, 0, 1), ()),
    "rgb, plane by plane": (
        lambda: dicom(
            RGB, PlanarConfiguration=1, PixelData=np.ascontiguousarray(RGB.transpose(2, 0, 1)).tobytes()
        ),
        "RGB",
        RGB.transpose(2, 0, 1),
        (),
    ),
    "16-bit rgb": (
        lambda: dicom(RGB.astype(np.uint16) * 257),
        "16-bit RGB",
        RGB.transpose(2, 0, 1).astype(np.uint16) * 257,
        (),
    ),
    "ybr": (lambda: dicom(YBR, PhotometricInterpretation="YBR_FULL"), "RGB", FROM_YBR, ()),
    "palette": (lambda: palette(COLOURS), "palette", COLOURS[INDICES].transpose(2, 0, 1), ()),
    "16-bit palette": (lambda: palette(COLOURS, 16), "palette", COLOURS[INDICES].transpose(2, 0, 1), ()),
    "palette from 100": (
        lambda: palette(COLOURS, first=100),
        "palette",
        COLOURS[INDICES].transpose(2, 0, 1),
        (),
    ),
    "grey palette": (lambda: palette(GREYS), "palette", GREYS[INDICES][None, :, :, 0], ()),
    "run-length": (lambda: compressed(dicom(DEEP), RLELossless), "16-bit grey", DEEP[None], ()),
    "run-length rgb": (lambda: compressed(dicom(RGB), RLELossless), "RGB", RGB.transpose(2, 0, 1), ()),
    "run-length ybr": (
        lambda: compressed(dicom(YBR, PhotometricInterpretation="YBR_FULL"), RLELossless),
        "RGB",
        FROM_YBR,
        (),
    ),
    "run-length signed": (
        lambda: compressed(dicom(TWELVE_SIGNED, **TWELVE), RLELossless),
        "12-bit signed grey",
        TWELVE_SIGNED[None],
        (),
    ),
    "jpeg-ls": (lambda: compressed(dicom(DEEP, **TWELVE), JPEGLSLossless), "12-bit grey", DEEP[None], ()),
    "jpeg-ls signed": (
        lambda: compressed(dicom(SIGNED), JPEGLSLossless),
        "16-bit signed grey",
        SIGNED[None],
        (),
    ),
    "jpeg 2000": (
        lambda: encapsulated(dicom(DEEP), JPEG2000Lossless, [jpeg_2000(DEEP)]),
        "16-bit grey",
        DEEP[None],
        (),
    ),
    "jpeg 2000 signed": (
        lambda: encapsulated(dicom(SIGNED), JPEG2000Lossless, [jpeg_2000(SIGNED)]),
        "16-bit signed grey",
        SIGNED[None],
        (),
    ),
    "jpeg 2000 rgb": (
        lambda: encapsulated(dicom(RGB), JPEG2000Lossless, [jpeg_2000(RGB)]),
        "RGB",
        RGB.transpose(2, 0, 1),
        (),
    ),
    "jpeg lossless": (
        lambda: encapsulated(dicom(DEEP), JPEGLosslessSV1, [bytes(imagecodecs.ljpeg_encode(DEEP))]),
        "16-bit grey",
        DEEP[None],
        (),
    ),
    "jpeg": (
        lambda: encapsulated(dicom(GREY), JPEGBaseline8Bit, [jpeg(GREY)]),
        "grey",
        np.asarray(Pillow.open(io.BytesIO(jpeg(GREY))))[None],
        (),
    ),
    "jpeg rgb": (
        lambda: encapsulated(
            dicom(RGB), JPEGBaseline8Bit, [jpeg(RGB)], PhotometricInterpretation="YBR_FULL_422"
        ),
        "RGB",
        np.asarray(Pillow.open(io.BytesIO(jpeg(RGB)))).transpose(2, 0, 1),
        (),
    ),
}
PICTURES = {"rgb", "ybr", "palette"}
CLOSE = {"jpeg": 1, "jpeg rgb": 3}  # decoders round differently


@pytest.mark.parametrize("name", FORMS)
def test_reads_every_form_to_the_same_pixels(name: str, tmp_path: Path) -> None:
    make, mode, expected, notes = FORMS[name]
    path = written(make(), tmp_path / "picture.dcm")
    image, header = formats.read(path), formats.header(path)
    if name in CLOSE:
        assert int(np.abs(image.pixels.astype(int) - expected.astype(int)).max()) <= CLOSE[name]
    else:
        np.testing.assert_array_equal(image.pixels, expected)
        assert image.pixels.dtype == expected.dtype
    assert image.notes == notes
    assert (header.size, header.mode, header.file_format) == ((H, W), mode, "DICOM")
    assert header.channels == len(expected)
    assert image.shares == any(word in name for word in PICTURES)
    assert image.modality == "CT"


@pytest.mark.parametrize("name", ["grey", "signed", "rgb", "deflated", "run-length", "jpeg-ls", "implicit"])
def test_a_cut_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    whole = as_bytes(FORMS[name][0]())
    path = tmp_path / "cut.dcm"
    delimiter = {"run-length": 8, "jpeg-ls": 8, "deflated": 1}.get(name, 0)  # holds nothing of the pixels
    for length in [*range(0, len(whole) - delimiter - 1, 16), len(whole) - delimiter - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError):
            formats.read(path)
        path.unlink()


@pytest.mark.parametrize(
    "name", ["grey", "rescaled", "deflated", "run-length rgb", "jpeg-ls", "jpeg 2000", "jpeg"]
)
def test_flipped_bits_are_refused_or_read(name: str, tmp_path: Path) -> None:
    whole = as_bytes(FORMS[name][0]())
    path = tmp_path / "flipped.dcm"
    chance = random.Random(name)  # noqa: S311  a repeatable sample is wanted
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(120):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 1, 2, 8])):
            damaged[chance.randrange(128, len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with contextlib.suppress(ImageError):
            assert formats.read(path).pixels.ndim in (3, 4)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def test_no_name_and_no_preamble_are_needed(tmp_path: Path) -> None:
    whole = as_bytes(dicom(DEEP))
    for name in ("IM0001", "1.2.840.113619.2.5", "scan.xyz"):
        path = tmp_path / name
        path.write_bytes(whole)
        assert formats.is_image(path)
        np.testing.assert_array_equal(formats.read(path).pixels, DEEP[None])
    bare = tmp_path / "bare"
    bare.write_bytes(whole[132:])
    np.testing.assert_array_equal(formats.read(bare).pixels, DEEP[None])
    made = dicom(DEEP, ImplicitVRLittleEndian)
    stream = io.BytesIO()
    made.save_as(stream, implicit_vr=True, little_endian=True, enforce_file_format=False)
    elements = stream.getvalue()
    naked = tmp_path / "naked"
    naked.write_bytes(elements[elements.index(b"\x08\x00\x16\x00") :])
    np.testing.assert_array_equal(formats.read(naked).pixels, DEEP[None])


def test_what_is_no_dicom_is_not_taken_for_one(tmp_path: Path) -> None:
    for name, content in {
        "notes": b"some notes",
        "zeros": bytes(400),
        "empty": b"",
        "ramp": bytes(range(250)),
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert not formats.is_image(path)
        with pytest.raises(ImageError):
            formats.read(path)
    text = tmp_path / "data.json"
    text.write_bytes(as_bytes(dicom(GREY)))
    assert not formats.is_image(text)
    assert not formats.is_image(tmp_path)
    assert not formats.is_image(tmp_path / "missing")


def test_a_list_of_files_is_never_followed(tmp_path: Path) -> None:
    made = dicom(GREY)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.1.3.10"
    path = written(made, tmp_path / "DICOMDIR")
    assert not formats.is_image(path)
    with pytest.raises(ImageError, match="DICOMDIR, a list of other files"):
        formats.read(path)


def short_palette() -> FileDataset:
    made = palette(COLOURS)
    made.RedPaletteColorLookupTableDescriptor = [9, 0, 8]
    return made


BAD: dict[str, tuple[Callable[[], FileDataset], str]] = {
    "no pixels": (lambda: dicom(GREY, PixelData=None), "truncated: its pixels are missing"),
    "a report": (
        lambda: dicom(GREY, PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11"),
        "holds no image: it is a DICOM object of the kind Basic Text SR Storage",
    ),
    "too few pixels": (lambda: dicom(GREY, PixelData=bytes(50)), "truncated: 50 bytes of pixels, and 108"),
    "too many pixels": (lambda: dicom(GREY, PixelData=bytes(300)), "damaged: 300 bytes of pixels, and 108"),
    "huge": (lambda: dicom(GREY, Rows=60000, Columns=60000), "too large: 60000×60000"),
    "many": (lambda: dicom(GREY, Rows=5000, Columns=5000, NumberOfFrames=90000), "too large"),
    "no rows": (lambda: dicom(GREY, Rows=None), "its Rows is missing or not valid"),
    "zero rows": (lambda: dicom(GREY, Rows=0), "has no pixels"),
    "slope 0": (lambda: dicom(GREY, RescaleSlope=0, RescaleIntercept=3), "RescaleSlope is 0"),
    "bits": (lambda: dicom(DEEP, BitsStored=20), "BitsStored 20 and HighBit 15 do not go together"),
    "cmyk": (lambda: dicom(GREY, PhotometricInterpretation="CMYK"), "photometric interpretation"),
    "10-bit rgb": (
        lambda: dicom(RGB.astype(np.uint16), BitsStored=10, HighBit=9),
        "10-bit colours are not read",
    ),
    "palette without colours": (
        lambda: dicom(GREY, PhotometricInterpretation="PALETTE COLOR"),
        "RedPaletteColorLookupTableDescriptor",
    ),
    "short palette": (short_palette, "has 4 entries of 9"),
    "no numbers": (lambda: dicom(np.where(GREY > 100, np.nan, FLOAT)), "not numbers"),
    "a film": (
        lambda: dicom(np.stack([GREY] * 3), FrameTime=40),
        "3 frames are moments of a film, not slices",
    ),
    "a whole slide": (
        lambda: dicom(RGB, SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6"),
        "whole-slide image",
    ),
    "a segmentation": (
        lambda: dicom(GREY, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"),
        "it is a segmentation, no image",
    ),
    "a video": (
        lambda: encapsulated(dicom(RGB), "1.2.840.10008.1.2.4.102", [bytes(40)]),
        "MPEG-4 AVC/H.264 High Profile / Level 4.1, is not read",
    ),
    "an unknown syntax": (
        lambda: encapsulated(dicom(RGB), "1.2.3.4.5", [bytes(40)]),
        "its transfer syntax is none of the standard's",
    ),
    "another size inside": (
        lambda: encapsulated(dicom(DEEP), JPEGLSLossless, [jpeg_ls(np.tile(DEEP, (4, 4)))]),
        "a frame of 12×9 with 1 values a pixel unpacks to 48×36",
    ),
    "another size inside jpeg 2000": (
        lambda: encapsulated(dicom(DEEP), JPEG2000Lossless, [jpeg_2000(np.tile(DEEP, (4, 4)))]),
        "a frame of 12×9 with 1 values a pixel unpacks to 48×36",
    ),
    "more frames inside": (
        lambda: encapsulated(dicom(DEEP), JPEGLSLossless, [jpeg_ls(DEEP)] * 3, NumberOfFrames=2),
        "holds 3 frames, and 2 by its header",
    ),
    "rubbish inside": (
        lambda: encapsulated(dicom(DEEP), JPEGLSLossless, [jpeg_ls(DEEP)[:40] + bytes(40)]),
        "damaged",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses_with_the_reason(name: str, tmp_path: Path) -> None:
    make, reason = BAD[name]
    path = written(make(), tmp_path / "bad.dcm")
    with pytest.raises(ImageError, match=reason.replace("(", r"\(")):
        formats.read(path)


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(FORMS["jpeg 2000"][0](), tmp_path / "packed.dcm")

    class Missing:
        is_available = False

    monkeypatch.setattr(dicom_kind, "get_decoder", lambda _syntax: Missing())
    with pytest.raises(ImageError, match=r"JPEG 2000 .* pip install .*pylibjpeg"):
        formats.read(path)


def test_a_panic_in_a_plugin_is_damage_and_an_interrupt_is_none(tmp_path: Path) -> None:
    class PanicException(BaseException):  # as the bridge to Rust calls it
        pass

    source = Source(io.BytesIO(), tmp_path / "a.dcm")
    with pytest.raises(ImageError, match="damaged"), guarded(source):
        raise PanicException
    with pytest.raises(KeyboardInterrupt), guarded(source):
        raise KeyboardInterrupt


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    whole = as_bytes(dicom(DEEP))
    meta = as_bytes(dicom(DEEP, DeflatedExplicitVRLittleEndian))
    start = 132 + 12 + int.from_bytes(meta[140:144], "little")
    explicit = whole[132 + 12 + int.from_bytes(whole[140:144], "little") :]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = (
        packer.compress(explicit)
        + b"".join(packer.compress(bytes(1 << 22)) for _ in range(40))
        + packer.flush()
    )
    path = tmp_path / "bomb.dcm"
    path.write_bytes(meta[:start] + bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.testing.assert_array_equal(formats.read(path).pixels, DEEP[None])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000  # KiB, of 168 000 packed


def test_padding_takes_the_smallest_value_that_is_none(tmp_path: Path) -> None:
    stored = SIGNED.copy()
    stored[:2] = -2000
    path = written(
        dicom(stored, PixelPaddingValue=-2000, RescaleSlope=1, RescaleIntercept=-24), tmp_path / "padded.dcm"
    )
    expected = stored - 24
    expected[:2] = expected[2:].min()
    image = formats.read(path)
    np.testing.assert_array_equal(image.pixels, expected[None])
    assert image.notes == ("18 pixels of padding were set to the smallest value that is none",)


def test_padding_may_be_a_range_or_all(tmp_path: Path) -> None:
    stored = DEEP.copy()
    stored[0, :3] = [10, 20, 30]
    ranged = dicom(stored, PixelPaddingValue=10, PixelPaddingRangeLimit=30)
    image = formats.read(written(ranged, tmp_path / "range.dcm"))
    expected = stored.copy()
    expected[stored <= 30] = stored[stored > 30].min()
    np.testing.assert_array_equal(image.pixels, expected[None])
    alone = np.full_like(DEEP, 7)
    image = formats.read(written(dicom(alone, PixelPaddingValue=7), tmp_path / "all.dcm"))
    np.testing.assert_array_equal(image.pixels, alone[None])
    assert image.notes == ("all of its pixels are padding: they were left as they are",)
    floating = FLOAT.copy()
    floating[3] = np.nan
    made = dicom(floating)
    made.add_new(0x00280122, "FL", float("nan"))
    image = formats.read(written(made, tmp_path / "nan.dcm"))
    assert (image.pixels[0, 3] == np.delete(FLOAT, 3, axis=0).min()).all()


def test_masks_are_read_as_they_are_stored(tmp_path: Path) -> None:
    mask = formats.read_mask(written(dicom(INDICES, PixelPaddingValue=0), tmp_path / "mask.dcm"))
    np.testing.assert_array_equal(mask.values, INDICES)
    assert not mask.lossy
    assert not mask.coloured
    mask = formats.read_mask(written(dicom(RGB), tmp_path / "colours.dcm"))
    np.testing.assert_array_equal(mask.values, RGB)
    assert mask.coloured
    mask = formats.read_mask(written(palette(COLOURS), tmp_path / "palette.dcm"))
    np.testing.assert_array_equal(mask.values, INDICES)
    assert mask.palette is not None
    np.testing.assert_array_equal(mask.palette[:4], COLOURS)
    volume = np.stack([INDICES, INDICES[::-1]])
    mask = formats.read_mask(written(dicom(volume), tmp_path / "volume.dcm"))
    np.testing.assert_array_equal(mask.values, volume)
    assert mask.volume
    assert formats.read_mask(written(FORMS["jpeg"][0](), tmp_path / "lossy.dcm")).lossy
    low = written(dicom(GREY, PhotometricInterpretation="MONOCHROME1"), tmp_path / "low.dcm")
    with pytest.raises(ImageError, match="MONOCHROME1"):
        formats.read_mask(low)


def test_one_bit_frames_lie_bit_after_bit(tmp_path: Path) -> None:
    bits = np.stack([GREY > 100, GREY[::-1] > 60, GREY % 3 == 0])
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    made = dicom(
        bits.astype(np.uint8),
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelData=packed + b"\0" * (len(packed) % 2),
    )
    mask = formats.read_mask(written(made, tmp_path / "bits.dcm"))
    np.testing.assert_array_equal(mask.values, bits.astype(np.uint8))


def test_ybr_422_shares_its_colours_between_neighbours(tmp_path: Path) -> None:
    wide = np.repeat(YBR[:, :4], 2, axis=1)
    halved = np.concatenate([wide[:, ::2, :1], wide[:, 1::2, :1], wide[:, ::2, 1:]], axis=-1)
    made = dicom(wide, PhotometricInterpretation="YBR_FULL_422", PixelData=halved.tobytes())
    expected = convert_color_space(wide, "YBR_FULL", "RGB").transpose(2, 0, 1)
    np.testing.assert_array_equal(formats.read(written(made, tmp_path / "half.dcm")).pixels, expected)


def test_says_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = dicom(DEEP, PixelSpacing=[0, 0], ImageOrientationPatient=[0] * 6, ImagePositionPatient=[1, 2, 3])
    made.add_new("StudyInstanceUID", "UI", "1.02.0canary")
    made.add_new("PatientBirthDate", "DA", "canary")
    image = formats.read(written(made, tmp_path / "odd.dcm"))
    assert image.notes == (
        "its PixelSpacing is not valid and was not used",
        "its ImageOrientationPatient is not valid and was not used",
    )
    assert capfd.readouterr() == ("", "")
