"""One volume without symmetry, lying obliquely, written in every form by nibabel, SimpleITK or by hand."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
import numpy.typing as npt
import SimpleITK

Array = npt.NDArray[np.generic]
Affine = npt.NDArray[np.float64]
D, H, W = 5, 6, 7
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

K, J, I = np.mgrid[:D, :H, :W]  # noqa: E741  the names of the axes
VOLUME = (K * 37 + J * 11 + I * 3).astype(np.uint8)  # every voxel another value
VOLUME[2, 3, 4] = 250
SIGNED = VOLUME.astype(np.int16) * 7 - 1000
VECTORS = np.stack([VOLUME, VOLUME[::-1], 255 - VOLUME])


def oblique(*, order: str = "xyz", flips: tuple[int, int, int] = (1, 1, 1)) -> Affine:
    """From `(k, j, i, 1)` to LPS: three turns, three spacings, and axes as asked for."""
    a, b, c = 0.3, -0.2, 0.45
    turn = (
        np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        @ np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    )
    columns = [turn[:, "zyx".index(axis)] for axis in order]
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack(columns) * np.array([2.5, 1.25, 0.75]) * flips
    affine[:3, 3] = (-31.25, 12.5, 101.75)
    return affine


AFFINE = oblique()
STRAIGHT = np.array([[0, 0, 0.75, -3.5], [0, 1.25, 0, 7], [2.5, 0, 0, 11.25], [0, 0, 0, 1]])


@dataclass(frozen=True)
class Form:
    """A way to write the volume.

    Attributes:
        name: What it is and its suffix: "nifti big endian.nii".
        write: Writes it to a path, and what belongs to it beside.
        pixels: What an image reads, `(C, …)`.
        affine: Where it lies, from its index with a 1 to LPS; None where the form does not say.
        stored: What a mask reads, where that is not the same; None where masks are refused.
    """

    name: str
    write: Callable[[Path], None]
    pixels: Array
    affine: Affine | None
    stored: Array | None

    @property
    def suffix(self) -> str:
        return self.name[self.name.index(".") :]


def nifti(
    array: Array,
    affine: Affine | None = AFFINE,
    *,
    kind: Any = nibabel.Nifti1Image,  # a class; the library ships no types
    order: Literal["<", ">"] = "<",
    codes: tuple[int, int] = (1, 1),
    slope: tuple[float, float] | None = None,
    unit: str = "mm",
) -> Callable[[Path], None]:
    """By nibabel; `affine` as everywhere here, `array` with its axes as in the file."""
    ras = np.eye(4) if affine is None else TO_LPS @ affine[:, [2, 1, 0, 3]]
    scale = {"mm": 1, "meter": 1e-3, "micron": 1e3}[unit]
    ras[:3] *= scale

    def write(path: Path) -> None:
        header = kind.header_class(endianness=order)
        header.set_data_dtype(array.dtype.newbyteorder(order) if array.dtype.names is None else array.dtype)
        image = kind(array, ras, header)
        image.set_sform(ras, codes[0])
        image.set_qform(ras, codes[1])
        image.header.set_xyzt_units(unit)
        if slope is not None:
            image.header.set_slope_inter(*slope)
            path_bytes = bytearray(image.to_bytes())
            start = int(image.header["vox_offset"]) or int(image.header.single_vox_offset)
            path_bytes[start:] = array.tobytes(order="F")
            path.write_bytes(gzip.compress(path_bytes) if path.suffix == ".gz" else path_bytes)
            return
        image.to_filename(path)

    return write


def itk(
    array: Array, affine: Affine = AFFINE, *, vector: bool = False, packed: bool = False
) -> Callable[[Path], None]:
    """By SimpleITK; `array` as here, vectors last."""

    def write(path: Path) -> None:
        image = SimpleITK.GetImageFromArray(array, isVector=vector)
        axes = image.GetDimension()
        columns = affine[:axes, axes - 1 :: -1] if axes == 3 else np.diag([0.75, 1.25])
        spacing = np.linalg.norm(columns, axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((columns / spacing).ravel().tolist())
        image.SetOrigin(affine[:3, 3].tolist() if axes == 3 else [-3.5, 7.0])
        SimpleITK.WriteImage(image, str(path), packed)

    return write


def text(
    header: str, data: bytes, *, name: str | None = None, encoding: str = "latin-1"
) -> Callable[[Path], None]:
    """By hand: a header and the pixels behind it, or in a file `name` beside it."""

    def write(path: Path) -> None:
        head = header.encode(encoding)
        if name is None:
            path.write_bytes(head + data)
        else:
            path.write_bytes(head)
            (path.parent / name).write_bytes(data)

    return write


def nrrd_space(name: str, flips: tuple[int, int, int]) -> str:
    """The fields of a space in which the volume lies as it does in LPS."""
    columns = AFFINE[:3] * np.array(flips)[:, None]
    steps = " ".join(f"({','.join(repr(float(x)) for x in columns[:, axis])})" for axis in (2, 1, 0))
    origin = f"({', '.join(repr(float(x)) for x in columns[:, 3])})"
    return f"space: {name}\nspace directions: {steps}\nspace origin: {origin}\n"


NRRD = (
    "NRRD0005\n# by hand\ntype: {type}\ndimension: 3\nsizes: 7 6 5\nencoding: {encoding}\nendian: {endian}\n"
)
META = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = {big}\nDimSize = 7 6 5\n"
META_PLACE = (
    f"TransformMatrix = {' '.join(repr(float(x)) for axis in (2, 1, 0) for x in AFFINE[:3, axis] / np.linalg.norm(AFFINE[:3, axis]))}\n"  # noqa: E501
    "Position = -31.25 12.5 101.75\nElementSpacing = 0.75 1.25 2.5\nAnatomicalOrientation = RAI\n"
)
ORDERS = ["".join(order) for order in itertools.permutations("xyz")]


def of(name: str, write: Callable[[Path], None], pixels: Array, affine: Affine | None = AFFINE) -> Form:
    """A form whose masks are its image's one channel."""
    return Form(name, write, pixels[None], affine, pixels)


def many(name: str, write: Callable[[Path], None], pixels: Array, affine: Affine | None = AFFINE) -> Form:
    """A form with channels, which no mask has."""
    return Form(name, write, pixels, affine, None)


def _types() -> list[Form]:
    forms = []
    for dtype, own in {
        "uint8": "uint8",
        "uint16": "uint16",
        "int16": "int16",
        "int8": "int16",
        "int32": "float32",
        "uint32": "float32",
        "int64": "float32",
        "float32": "float32",
        "float64": "float32",
    }.items():
        values = VOLUME.astype(dtype) if dtype != "int8" else (VOLUME // 2).astype(dtype)
        for writer, suffix in ((nifti(values.T), "nii.gz"), (itk(values), "nrrd"), (itk(values), "mha")):
            name = f"{suffix.split('.', maxsplit=1)[0]} {dtype}.{suffix}"
            forms.append(Form(name, writer, values[None].astype(own), AFFINE, values))
    return forms


def _turned() -> list[Form]:
    forms = []
    for order in ORDERS:
        affine = oblique(order=order, flips=(1, -1, 1) if order > "y" else (-1, 1, -1))
        forms += [
            of(f"nifti axes {order}.nii", nifti(SIGNED.T, affine), SIGNED, affine),
            of(f"nrrd axes {order}.nrrd", itk(SIGNED, affine), SIGNED, affine),
            of(f"meta axes {order}.mha", itk(SIGNED, affine), SIGNED, affine),
        ]
    return forms


RGB = np.ascontiguousarray(np.moveaxis(VECTORS, 0, -1).transpose(2, 1, 0, 3)).view(
    np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
)[..., 0]
LITTLE, BIG = SIGNED.astype("<i2").tobytes(), SIGNED.astype(">i2").tobytes()
INTERLEAVED = np.moveaxis(VECTORS, 0, -1).tobytes()
SCALED = SIGNED.astype(np.float32) * np.float32(0.5) - np.float32(3)

FORMS: list[Form] = [
    *_types(),
    *_turned(),
    of("nifti plain.nii", nifti(SIGNED.T), SIGNED),
    of("nifti packed.nii.gz", nifti(SIGNED.T), SIGNED),
    of("nifti big endian.nii", nifti(SIGNED.T, order=">"), SIGNED),
    of("nifti-2.nii", nifti(SIGNED.T, kind=nibabel.Nifti2Image), SIGNED),
    of("nifti-2 big endian.nii.gz", nifti(SIGNED.T, kind=nibabel.Nifti2Image, order=">"), SIGNED),
    of("nifti qform.nii", nifti(SIGNED.T, codes=(0, 1)), SIGNED),
    of("nifti sform.nii", nifti(SIGNED.T, codes=(2, 0)), SIGNED),
    of("nifti no code.nii", nifti(SIGNED.T, codes=(0, 0)), SIGNED, None),
    of("nifti metres.nii", nifti(SIGNED.T, unit="meter"), SIGNED),
    of("nifti microns.nii", nifti(SIGNED.T, unit="micron"), SIGNED),
    of("nifti scaled.nii", nifti(SIGNED.T, slope=(0.5, -3)), SCALED),
    of("nifti scaled.nii.gz", nifti(SIGNED.T, slope=(0.5, -3)), SCALED),
    of("nifti trailing ones.nii", nifti(SIGNED.T[..., None, None]), SIGNED),
    of("nifti one slice.nii", nifti(SIGNED[:1].T), SIGNED[:1]),
    of("nifti picture.nii", nifti(SIGNED[2].T), SIGNED[2], AFFINE[:, 1:]),
    many("nifti vectors.nii", nifti(VECTORS.transpose(3, 2, 1, 0)[:, :, :, None]), VECTORS),
    many("nifti rgb.nii.gz", nifti(RGB), VECTORS),
    of("nifti by itk.nii.gz", itk(SIGNED), SIGNED),
    many("nifti vectors by itk.nii", itk(np.moveaxis(VECTORS, 0, -1), vector=True), VECTORS),
    of("nrrd raw.nrrd", itk(SIGNED), SIGNED),
    of("nrrd packed.nrrd", itk(SIGNED, packed=True), SIGNED),
    of("nrrd detached.nhdr", itk(SIGNED), SIGNED),
    of("nrrd detached packed.nhdr", itk(SIGNED, packed=True), SIGNED),
    many("nrrd vectors.nrrd", itk(np.moveaxis(VECTORS, 0, -1), vector=True, packed=True), VECTORS),
    of("nrrd picture.nrrd", itk(SIGNED[2]), SIGNED[2], STRAIGHT[:, 1:] * [[1], [1], [0], [1]]),
    of(
        "nrrd big endian.nrrd",
        text(
            NRRD.format(type="short", encoding="raw", endian="big")
            + nrrd_space("left-posterior-superior", (1, 1, 1))
            + "\n",
            BIG,
        ),
        SIGNED,
    ),
    of(
        "nrrd ras.nrrd",
        text(
            NRRD.format(type="int16", encoding="raw", endian="little")
            + nrrd_space("RAS", (-1, -1, 1))
            + "\n",
            LITTLE,
        ),
        SIGNED,
    ),
    of(
        "nrrd las.nrrd",
        text(
            NRRD.format(type="signed short", encoding="gzip", endian="little")
            + nrrd_space("left-anterior-superior", (1, -1, 1))
            + "\n",
            gzip.compress(LITTLE),
        ),
        SIGNED,
    ),
    of(
        "nrrd space without name.nrrd",
        text(
            NRRD.format(type="short", encoding="raw", endian="little")
            + nrrd_space("x", (1, 1, 1)).replace("space: x", "space dimension: 3")
            + "\n",
            LITTLE,
        ),
        SIGNED,
    ),
    of(
        "nrrd spacings.nrrd",
        text(
            NRRD.format(type="short", encoding="raw", endian="little") + "spacings: 0.75 1.25 2.5\n\n", LITTLE
        ),
        SIGNED,
        None,
    ),
    many(
        "nrrd colours first.nrrd",
        text(
            "NRRD0005\r\ntype: uchar\r\ndimension: 4\r\nsizes: 3 7 6 5\r\nencoding: raw\r\n"
            + nrrd_space("LPS", (1, 1, 1)).replace("directions: ", "directions: none ").replace("\n", "\r\n")
            + "kinds: RGB-color domain domain domain\r\n\r\n",
            INTERLEAVED,
        ),
        VECTORS,
    ),
    many(
        "nrrd vectors last.nrrd",
        text(
            "NRRD0004\ntype: uint8\ndimension: 4\nsizes: 7 6 5 3\nencoding: raw\n"
            + nrrd_space("LPS", (1, 1, 1)).replace("\nspace origin", " none\nspace origin")
            + "kinds: domain domain domain vector\n\n",
            VECTORS.tobytes(),
        ),
        VECTORS,
    ),
    of("meta raw.mha", itk(SIGNED), SIGNED),
    of("meta packed.mha", itk(SIGNED, packed=True), SIGNED),
    of("meta detached.mhd", itk(SIGNED), SIGNED),
    of("meta detached packed.mhd", itk(SIGNED, packed=True), SIGNED),
    many("meta vectors.mha", itk(np.moveaxis(VECTORS, 0, -1), vector=True), VECTORS),
    of("meta picture.mha", itk(SIGNED[2]), SIGNED[2], STRAIGHT[:, 1:] * [[1], [1], [0], [1]]),
    of(
        "meta big endian.mha",
        text(META.format(big=True) + META_PLACE + "ElementType = MET_SHORT\nElementDataFile = LOCAL\n", BIG),
        SIGNED,
    ),
    of(
        "meta bytes before.mhd",
        text(
            META.format(big=False)
            + META_PLACE
            + "HeaderSize = 12\nElementType = MET_SHORT\nElementDataFile = before.raw\n",
            bytes(12) + LITTLE,
            name="before.raw",
        ),
        SIGNED,
    ),
    of(
        "meta at the end.mhd",
        text(
            META.format(big=False)
            + META_PLACE
            + "HeaderSize = -1\nElementType = MET_SHORT\nElementDataFile = the end.raw\n",
            bytes(99) + LITTLE,
            name="the end.raw",
        ),
        SIGNED,
    ),
    of(
        "meta spacing.mha",
        text(
            META.format(big=False)
            + "ElementSpacing = 0.75 1.25 2.5\nElementType = MET_SHORT\nElementDataFile = LOCAL\n",
            LITTLE,
        ),
        SIGNED,
        None,
    ),
]
BY_NAME = {form.name: form for form in FORMS}
