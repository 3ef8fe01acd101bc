"""NRRD and MetaImage, written from pixels and geometry alone: nothing of an image's header, and no date.

Numbers are in the unit of the image's file, with the unit's field where that is not mm: most programs do not
look at units, and would else see a mask of another size than its image.

A picture is written in ITK's way, as lying in a plane of two dimensions; its place in the patient can be told
only where that plane is z = 0.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from delineate.files import write_with
from delineate.formats.lengths import unit_name
from delineate.formats.stored import Probabilities
from delineate.formats.writable import (
    MASK_LEVEL,
    PROBABILITY_LEVEL,
    check_mask,
    check_probabilities,
    gzipped,
    little,
)
from delineate.geometry import Geometry
from delineate.image import Mask

_NRRD_TYPES = {"u1": "unsigned char", "f4": "float"}
_META_TYPES = {"u1": "MET_UCHAR", "f4": "MET_FLOAT"}
Numbers = npt.NDArray[np.generic]


def write_nrrd_mask(path: Path, mask: Mask) -> None:
    """Write a mask as an attached NRRD of uint8, packed by gzip, whole or not at all.

    Args:
        path: Where to.
        mask: `(D, H, W)` or `(H, W)`, its values being labels.

    Raises:
        ValueError: Values are no labels, or the geometry does not fit.
        OutputError: The place cannot be written.
    """
    check_mask(mask)
    _write_nrrd(path, mask.values, mask.values.ndim, mask.geometry, MASK_LEVEL)


def write_nrrd_probabilities(path: Path, probabilities: Probabilities, geometry: Geometry) -> None:
    """Write probabilities as an attached NRRD of float32, each pixel a vector, whole or not at all.

    Args:
        path: Where to.
        probabilities: `(n, D, H, W)` or `(n, H, W)`, 0 to 1, in the order of the labels.
        geometry: The image's.

    Raises:
        ValueError: The shape is another, or a value is no probability.
        OutputError: The place cannot be written.
    """
    check_probabilities(probabilities, geometry)
    values = np.ascontiguousarray(probabilities, dtype=np.float32)
    _write_nrrd(path, values if len(values) > 1 else values[0], values.ndim - 1, geometry, PROBABILITY_LEVEL)


def write_meta_mask(path: Path, mask: Mask) -> None:
    """Write a mask as a MetaImage of uint8 in one file, packed by zlib, whole or not at all.

    Args:
        path: Where to.
        mask: `(D, H, W)` or `(H, W)`, its values being labels.

    Raises:
        ValueError: Values are no labels, or the geometry does not fit.
        OutputError: The place cannot be written.
    """
    check_mask(mask)
    packed = zlib.compress(np.ascontiguousarray(mask.values).data, MASK_LEVEL)
    head = _meta_header(mask.values.shape, mask.values.dtype, mask.geometry, packed_bytes=len(packed))

    def write(stream: IO[bytes]) -> None:
        stream.write(head)
        stream.write(packed)

    write_with(path, write)


def write_meta_probabilities(path: Path, probabilities: Probabilities, geometry: Geometry) -> None:
    """Write probabilities as a MetaImage of float32 in one file, the labels as channels, whole or not at all.

    Args:
        path: Where to.
        probabilities: `(n, D, H, W)` or `(n, H, W)`, 0 to 1, in the order of the labels.
        geometry: The image's.

    Raises:
        ValueError: The shape is another, or a value is no probability.
        OutputError: The place cannot be written.
    """
    check_probabilities(probabilities, geometry)
    values = np.ascontiguousarray(probabilities, dtype=np.float32)
    head = _meta_header(values.shape[1:], values.dtype, geometry, channels=len(values))

    def write(stream: IO[bytes]) -> None:
        stream.write(head)
        for number in range(values.shape[1]):
            stream.write(little(np.moveaxis(values[:, number], 0, -1)).data)

    write_with(path, write)


def _write_nrrd(path: Path, values: Numbers, axes: int, geometry: Geometry, level: int) -> None:
    head = _nrrd_header(values.shape, values.dtype, geometry, axes)

    def write(stream: IO[bytes]) -> None:
        stream.write(head)
        with gzipped(stream, level) as packed:
            for part in values:
                packed.write(little(part).data)

    write_with(path, write)


def _nrrd_header(shape: tuple[int, ...], dtype: np.dtype[np.generic], geometry: Geometry, axes: int) -> bytes:
    """The header with the blank line that ends it."""
    vectors = len(shape) - axes
    lines = [
        "NRRD0004",
        f"type: {_NRRD_TYPES[dtype.str[1:]]}",
        f"dimension: {len(shape)}",
        f"sizes: {_joined(shape[::-1])}",
    ]
    unit, geometry = unit_name(geometry.unit_mm), geometry.in_own_unit()
    directions, origin = _steps(geometry)
    if directions is not None and origin is not None:
        # before what is measured in it, as the format wants
        lines.insert(3, "space: left-posterior-superior" if len(origin) == 3 else "space dimension: 2")
        words = [_bracketed(direction) for direction in directions] + ["none"] * vectors
        lines += [f"space directions: {' '.join(words)}", f"space origin: {_bracketed(origin)}"]
        if unit != "mm":
            lines.append("space units:" + f' "{unit}"' * len(origin))
    else:
        spacings = [repr(step) for step in (geometry.spacing_mm or (1.0,) * axes)[::-1]]
        lines.append(f"spacings: {' '.join(spacings + ['nan'] * vectors)}")
        if unit != "mm":
            lines.append("units:" + f' "{unit}"' * axes + ' ""' * vectors)
    lines.append(f"kinds: {' '.join(['domain'] * axes + ['vector'] * vectors)}")
    return "\n".join([*lines, "endian: little", "encoding: gzip", "", ""]).encode()


def _meta_header(
    size: tuple[int, ...],
    dtype: np.dtype[np.generic],
    geometry: Geometry,
    channels: int = 1,
    packed_bytes: int | None = None,
) -> bytes:
    """The header with its last line, behind which the pixels begin."""
    lines = [
        "ObjectType = Image",
        f"NDims = {len(size)}",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
    ]
    lines.append(f"CompressedData = {packed_bytes is not None}")
    if packed_bytes is not None:
        lines.append(f"CompressedDataSize = {packed_bytes}")
    if geometry.unit_mm != 1:
        lines.append(f"DistanceUnits = {unit_name(geometry.unit_mm)}")
    geometry = geometry.in_own_unit()
    directions, origin = _steps(geometry, unit=True)
    if directions is not None and origin is not None and len(origin) == len(size):
        lines.append(f"TransformMatrix = {_joined(number for axis in directions for number in axis)}")
        lines.append(f"Offset = {_joined(origin)}")
    lines.append(f"ElementSpacing = {_joined((geometry.spacing_mm or (1.0,) * len(size))[::-1])}")
    lines.append(f"DimSize = {_joined(size[::-1])}")
    if channels > 1:
        lines.append(f"ElementNumberOfChannels = {channels}")
    lines += [f"ElementType = {_META_TYPES[dtype.str[1:]]}", "ElementDataFile = LOCAL", ""]
    return "\n".join(lines).encode()


def _steps(
    geometry: Geometry, *, unit: bool = False
) -> tuple[list[tuple[float, ...]] | None, tuple[float, ...] | None]:
    """Each axis's step in the file's order, as long as its spacing or 1, and the origin; None if not known.

    Of a picture in the plane z = 0 two coordinates.
    """
    if geometry.directions is None or geometry.origin_mm is None or geometry.spacing_mm is None:
        return None, None
    lengths = [1.0] * len(geometry.spacing_mm) if unit else list(geometry.spacing_mm)
    steps = [
        tuple(each * length + 0.0 for each in direction)
        for direction, length in zip(geometry.directions[::-1], lengths[::-1], strict=True)
    ]
    origin: tuple[float, ...] = geometry.origin_mm
    flat = not any(point[2] for point in [*steps, origin])
    if len(steps) == 2 and flat:
        return [step[:2] for step in steps], origin[:2]
    return steps, origin


def _joined(values: Iterable[float]) -> str:
    return " ".join(map(repr, values))


def _bracketed(values: tuple[float, ...]) -> str:
    return f"({','.join(map(repr, values))})"
