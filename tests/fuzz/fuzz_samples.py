"""One small file of every kind of every format, made here, to be damaged.

To add a format: write a function that makes its bytes and put it into `SAMPLES`. Where checksums or packing
would keep damage from the reader, add a second sample whose `content` is what is inside and whose `seal`
packs it.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO

import fuzz_dicom
import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
from fuzz_dicom import deflated, fields_of
from PIL import Image as Pillow
from PIL import PngImagePlugin

Array = npt.NDArray[np.generic]


def as_it_is(content: bytes) -> bytes:
    return content


@dataclass(frozen=True)
class Sample:
    """A file to be damaged.

    Attributes:
        suffix: Of its name.
        content: What is damaged.
        seal: Makes the file of the damaged content, with right checksums.
        checked: Whether the format's checksums make every damage seen: the right image, or an error.
        beside: Other files that it needs, by name.
        fields: Places in `content` of sizes and counts, with their `struct` formats.
        mask_only: Whether it is a mask and never an image.
    """

    suffix: str
    content: bytes
    seal: Callable[[bytes], bytes] = as_it_is
    checked: bool = False
    beside: Mapping[str, bytes] = field(default_factory=dict)
    fields: tuple[tuple[int, str], ...] = ()
    mask_only: bool = False


ROWS, COLUMNS = np.mgrid[:12, :17]
GREY = ((ROWS * 17 + COLUMNS * 5) % 256).astype(np.uint8)
RGB = np.stack([GREY, GREY[:, ::-1], 255 - GREY], axis=-1)
VOLUME = np.stack([GREY, GREY[::-1], 255 - GREY, GREY // 2])
CHANNELS = np.stack([VOLUME, VOLUME[::-1]])
COLOURS = [value for n in range(256) for value in (n, 255 - n, 7)]
COLORMAP = np.arange(768, dtype=np.uint16).reshape(3, 256) * 85


def written(write: Callable[[IO[bytes]], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def picture(array: Array, file_format: str, **options: object) -> bytes:
    return written(lambda stream: Pillow.fromarray(array).save(stream, format=file_format, **options))


def palette(file_format: str, **options: object) -> bytes:
    image = Pillow.fromarray(GREY % 5, mode="P")
    image.putpalette(COLOURS)
    return written(lambda stream: image.save(stream, format=file_format, **options))


def oriented() -> Pillow.Exif:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    return exif


def text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "words " * 20, zip=True)
    info.add_itxt("Title", "words", zip=True)
    return info


def sealed_png(content: bytes) -> bytes:
    """The PNG with the checksums of its chunks made right."""
    out, at = bytearray(content), 8
    while at + 12 <= len(out):
        (length,) = struct.unpack_from(">I", out, at)
        if at + 12 + length > len(out):
            break
        struct.pack_into(">I", out, at + 8 + length, zlib.crc32(out[at + 4 : at + 8 + length]))
        at += 12 + length
    return bytes(out)


def tiff(array: Array, **options: object) -> bytes:
    options = {"metadata": None, "photometric": "minisblack"} | options
    return written(lambda stream: tifffile.imwrite(stream, array, **options))


def tiff_fields(content: bytes) -> tuple[tuple[int, str], ...]:
    """The values, counts and numbers of all tags of a classic TIFF."""
    order = "<" if content[:2] == b"II" else ">"
    found = [(4, f"{order}I")]
    (offset,) = struct.unpack_from(f"{order}I", content, 4)
    while offset:
        (tags,) = struct.unpack_from(f"{order}H", content, offset)
        for at in range(offset + 2, offset + 2 + 12 * tags, 12):
            found += [(at, f"{order}H"), (at + 2, f"{order}H"), (at + 4, f"{order}I"), (at + 8, f"{order}I")]
            found += [(at + 8, f"{order}H")]
        found.append((offset + 2 + 12 * tags, f"{order}I"))
        (offset,) = struct.unpack_from(f"{order}I", content, offset + 2 + 12 * tags)
    return tuple(found)


def npy(array: Array) -> bytes:
    return written(lambda stream: np.save(stream, array))


def npz(content: bytes) -> bytes:
    def write(stream: IO[bytes]) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("arr_0.npy", content)

    return written(write)


def in_ascii(mark: str, array: Array) -> bytes:
    """A PGM or PPM written out as numbers."""
    numbers = " ".join(map(str, array.ravel().tolist()))
    return f"{mark}\n# by hand\n{array.shape[1]} {array.shape[0]}\n255\n{numbers}\n".encode()


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def nifti(array: Array, kind: int) -> bytes:
    """NIfTI-1 in one file, as its standard has it: `kind` is the code of the type of its pixels."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, array.ndim, *array.shape[::-1], *[1] * (7 - array.ndim))
    struct.pack_into("<hh", head, 70, kind, array.dtype.itemsize * 8)
    struct.pack_into("<8f", head, 76, 1, 0.5, 0.75, 2, 1, 1, 1, 1)
    struct.pack_into("<fff", head, 108, 352, 1, 0)
    head[123] = 2  # millimetres
    struct.pack_into("<hh", head, 252, 1, 1)
    struct.pack_into("<12f", head, 280, -0.5, 0, 0, 3, 0, -0.75, 0, 4, 0, 0, 2, 5)
    head[344:348] = b"n+1\0"
    return bytes(head) + array.tobytes()


NIFTI_FIELDS = (
    *((at, "<h") for at in (*range(40, 56, 2), 70, 72, 252, 254)),
    *((at, "<f") for at in (*range(76, 108, 4), 108, 112, 116, 280, 300)),
    (0, "<i"),
)


def nrrd(array: Array, encoding: str, content: bytes) -> bytes:
    head = (
        f"NRRD0004\ntype: {array.dtype.name}\ndimension: 3\nspace: left-posterior-superior\n"
        f"sizes: {' '.join(map(str, array.shape[::-1]))}\nspace directions: (0.5,0,0) (0,0.75,0) (0,0,2)\n"
        f"kinds: domain domain domain\nendian: little\nencoding: {encoding}\nspace origin: (1,2,3)\n\n"
    )
    return head.encode() + content


def metaimage(array: Array, packed: bool, beside: str | None = None) -> bytes:
    content = zlib.compress(array.tobytes()) if packed else array.tobytes()
    kind = {"uint8": "MET_UCHAR", "int16": "MET_SHORT"}[array.dtype.name]
    head = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = {packed}\n"
        + (f"CompressedDataSize = {len(content)}\n" if packed else "")
        + "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 1 2 3\nElementSpacing = 0.5 0.75 2\n"
        f"DimSize = {' '.join(map(str, array.shape[::-1]))}\nElementType = {kind}\n"
        f"ElementDataFile = {beside or 'LOCAL'}\n"
    )
    return head.encode() + (b"" if beside else content)


def tiff_sample(array: Array, **options: object) -> Sample:
    content = tiff(array, **options)
    return Sample(".tif", content, fields=() if options.get("bigtiff") else tiff_fields(content))


PNG_FIELDS = ((16, ">I"), (20, ">I"), (24, "B"), (25, "B"), (26, "B"), (28, "B"))
SIGNED = VOLUME.astype(np.int16) - 100
TEXTS = picture(GREY, "PNG", pnginfo=text(), exif=Pillow.Exif(), icc_profile=b"profile" * 9)

SAMPLES: dict[str, Sample] = {
    "png-grey": Sample(".png", picture(GREY, "PNG"), checked=True),
    "png-texts": Sample(".png", TEXTS, checked=True),
    "png-deep": Sample(".png", bytes(imagecodecs.png_encode(RGB.astype(np.uint16) * 257)), checked=True),
    "png-palette-sealed": Sample(".png", palette("PNG", transparency=9), sealed_png, fields=PNG_FIELDS),
    "png-texts-sealed": Sample(".png", TEXTS, sealed_png, fields=PNG_FIELDS),
    "png-deep-sealed": Sample(
        ".png", bytes(imagecodecs.png_encode(RGB.astype(np.uint16))), sealed_png, fields=PNG_FIELDS
    ),
    "jpeg-grey": Sample(".jpg", picture(GREY, "JPEG")),
    "jpeg-rgb": Sample(".jpg", picture(RGB, "JPEG", exif=oriented())),
    "jpeg-progressive": Sample(".jpg", picture(RGB, "JPEG", progressive=True)),
    "bmp-rgb": Sample(".bmp", picture(RGB, "BMP"), fields=((18, "<i"), (22, "<i"), (28, "<H"), (30, "<I"))),
    "bmp-palette": Sample(".bmp", palette("BMP"), fields=((18, "<i"), (22, "<i"), (28, "<H"), (46, "<I"))),
    "ppm": Sample(".ppm", picture(RGB, "PPM")),
    "ppm-ascii": Sample(".pnm", in_ascii("P3", RGB)),
    "pgm": Sample(".pgm", picture(GREY.astype(np.uint16) * 257, "PPM")),
    "pgm-ascii": Sample(".pgm", in_ascii("P2", GREY)),
    "pbm": Sample(".pbm", picture(GREY > 99, "PPM")),
    "pbm-ascii": Sample(".pbm", b"P1\n17 12\n" + b"".join(b"%d" % (value > 99) for value in GREY.ravel())),
    "gif": Sample(".gif", palette("GIF"), fields=((6, "<H"), (8, "<H"))),
    "tiff-grey": tiff_sample(GREY),
    "tiff-rgb-strips": tiff_sample(
        RGB, photometric="rgb", compression="deflate", predictor=True, rowsperstrip=5
    ),
    "tiff-lzw-tiles": tiff_sample(RGB, photometric="rgb", compression="lzw", tile=(16, 16)),
    "tiff-packbits": tiff_sample(GREY.astype(np.uint16), compression="packbits", byteorder=">"),
    "tiff-jpeg": tiff_sample(RGB, photometric="rgb", compression="jpeg"),
    "tiff-zstd": tiff_sample(GREY, compression="zstd"),
    "tiff-lzma": tiff_sample(GREY, compression="lzma"),
    "tiff-1-bit": tiff_sample(GREY > 99),
    "tiff-palette": tiff_sample(GREY, photometric="palette", colormap=COLORMAP),
    "tiff-planar": tiff_sample(RGB.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
    "tiff-float": tiff_sample(GREY.astype(np.float64)),
    "tiff-big": tiff_sample(GREY, bigtiff=True),
    "tiff-pages": tiff_sample(VOLUME, compression="deflate"),
    "tiff-shaped": tiff_sample(VOLUME, metadata={}),
    "tiff-imagej": tiff_sample(
        CHANNELS.swapaxes(0, 1),
        imagej=True,
        resolution=(4, 2),
        metadata={"axes": "ZCYX", "spacing": 2.0, "unit": "mm"},
    ),
    "tiff-imagej-one-page": tiff_sample(VOLUME, imagej=True, truncate=True, metadata={"axes": "ZYX"}),
    "tiff-ome": tiff_sample(CHANNELS, ome=True, metadata={"axes": "CZYX", "PhysicalSizeX": 0.5}),
    "npy-rgb": Sample(".npy", npy(RGB)),
    "npy-float": Sample(".npy", npy(np.asfortranarray(VOLUME.astype(">f4")))),
    "npz": Sample(".npz", npz(npy(VOLUME)), checked=True),
    "npz-sealed": Sample(".npz", npy(VOLUME), npz),
    "nifti": Sample(".nii", nifti(SIGNED, 4), fields=NIFTI_FIELDS),
    "nifti-gz": Sample(".nii.gz", gzipped(nifti(SIGNED, 4)), checked=True),
    "nifti-gz-sealed": Sample(".nii.gz", nifti(VOLUME, 2), gzipped, fields=NIFTI_FIELDS),
    "nrrd": Sample(".nrrd", nrrd(SIGNED, "raw", SIGNED.tobytes())),
    "nrrd-gz": Sample(".nrrd", nrrd(VOLUME, "gzip", gzipped(VOLUME.tobytes()))),
    "nrrd-two-files": Sample(
        ".nhdr",
        nrrd(VOLUME, "raw", b"").replace(b"\nencoding", b"\ndata file: a.raw\nencoding"),
        beside={"a.raw": VOLUME.tobytes()},
    ),
    "metaimage": Sample(".mha", metaimage(SIGNED, packed=False)),
    "metaimage-zlib": Sample(".mha", metaimage(VOLUME, packed=True)),
    "metaimage-two-files": Sample(
        ".mhd", metaimage(VOLUME, packed=False, beside="a.raw"), beside={"a.raw": VOLUME.tobytes()}
    ),
}
DICOM = fuzz_dicom.files(GREY, VOLUME)
SAMPLES |= {
    name: Sample(".dcm", content, fields=fields_of(content), mask_only="seg" in name)
    for name, content in DICOM.items()
}
SAMPLES["dicom-deflated-sealed"] = Sample(".dcm", DICOM["dicom"], deflated, fields=fields_of(DICOM["dicom"]))
